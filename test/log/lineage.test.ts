import {
  openLog,
  answer,
  approval,
  finished,
  requested,
  say,
  started,
  turnFinished,
  ANN,
  IDLE,
  RUN,
  RUNNING,
  type TestLog,
} from './support'
import { emptyState } from '../../contract/state'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

const space = 'default'

describe('a fork', () => {
  it('shares its parent’s events up to the fork, goes on at the next seq, and chains to the parent’s hash', async () => {
    const parent = await log.begin()
    await log.executor.append(parent, 1, 2, [answer(parent, 2), turnFinished(2)], IDLE)
    const fork = { space, session: `${parent.session}-f` }
    expect(await log.client.fork(parent, 3, fork.session, ANN, { title: 'try' })).toEqual({ status: 'created' })
    await log.client.input(parent, ANN, 'p', say('in the parent'))
    await log.client.input(fork, ANN, 'f', say('in the fork'))
    const [inParent, inFork] = [await log.read(parent), await log.read(fork)]
    expect(inFork.slice(0, 3)).toEqual(inParent.slice(0, 3))
    expect(inFork.map((e) => [e.seq, e.session, e.type]).slice(3)).toEqual([
      [4, fork.session, 'forked'],
      [5, fork.session, 'message_received'],
    ])
    expect(inFork[3]?.prevHash).toBe(inParent[2]?.hash)
    expect(JSON.parse(inFork[3]?.payload ?? '')).toEqual({
      parent: parent.session,
      seq: 3,
      hash: inParent[2]?.hash,
      definition: log.definition,
      title: 'try',
      open: 'rule',
    })
    expect(await log.client.info(fork)).toMatchObject({
      head: 5,
      epoch: 0,
      parent: { session: parent.session, seq: 3 },
      title: 'try',
    })
    expect(
      await log.admin('select count(*)::int as n from savefile.events where session_id = $1', [fork.session]),
    ).toEqual([{ n: 2 }])
  })

  it('of a fork of a fork reads each stretch from where it was written, at any depth', async () => {
    const root = await log.begin()
    let last = root
    for (let depth = 1; depth <= 12; depth++) {
      const head = (await log.client.info(last))?.head ?? 0
      const child = { space, session: `${root.session}-${depth}` }
      // Every third below the stretch of its parent's own.
      await log.client.fork(last, depth % 3 === 0 ? head - 2 : head, child.session, ANN, {})
      await log.client.input(child, ANN, 'k', say(`at ${depth}`))
      last = child
    }
    const events = await log.read(last)
    expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1))
    for (const [i, event] of events.entries()) expect(event.prevHash).toBe(i === 0 ? '' : events[i - 1]?.hash)
    expect(await log.client.tail(last, 3)).toEqual(events.slice(-3))
    expect(await log.client.read(last, { from: 2, to: 4 })).toEqual(events.slice(1, 4))
    expect(await log.client.verify(last)).toMatchObject({ ok: true, events: events.length })
  })

  it('runs under the definition of the event that it forks from', async () => {
    const parent = await log.begin()
    const other = await log.client.putDefinition(space, {
      ...(await log.client.definition(space, log.definition)),
      system: 'two',
    })
    await log.client.input(parent, ANN, 'd', {
      type: 'definition_changed',
      payload: { definition: other, from: log.definition, changed: ['system'] },
    })
    await log.client.input(parent, ANN, 'm', say('more'))
    await log.client.fork(parent, 2, `${parent.session}-a`, ANN, {})
    await log.client.fork(parent, 4, `${parent.session}-b`, ANN, {})
    await log.client.fork({ space, session: `${parent.session}-b` }, 2, `${parent.session}-c`, ANN, {})
    const of = async (name: string) =>
      (await log.client.info({ space, session: `${parent.session}-${name}` }))?.definition
    expect([await of('a'), await of('b'), await of('c')]).toEqual([log.definition, other, log.definition])
  })

  it('is refused where something is missing or there', async () => {
    const parent = await log.begin()
    expect(await log.client.fork({ space, session: 'nobody' }, 1, 'x1', ANN, {})).toEqual({
      status: 'session_not_found',
    })
    expect(await log.client.fork(parent, 3, 'x1', ANN, {})).toEqual({ status: 'no_such_event' })
    expect(await log.client.fork(parent, 2, 'x1', ANN, { definition: `sha256:${'1'.repeat(64)}` })).toEqual({
      status: 'definition_not_found',
    })
    expect(await log.client.fork(parent, 2, parent.session, ANN, {})).toEqual({ status: 'session_exists' })
  })

  it('inherits requests, starts and results, and no resolution', async () => {
    const parent = await log.begin()
    const [asked, waiting, done] = [0, 1, 2].map((i) => `${parent.session}:2.${i}`) as [string, string, string]
    const manifest = { ...answer(parent, 2).payload.manifest, definition: log.definition }
    await log.executor.append(
      parent,
      1,
      2,
      [
        answer(parent, 2, ['pay', 'wait', 'wait'], { manifest }),
        requested(asked),
        started(waiting, 'wait'),
        started(done, 'wait'),
      ],
      RUNNING,
    )
    const finish = (call: string) =>
      ({ type: 'tool_finished', payload: finished(call, 'done', 'wait').payload }) as const
    await log.client.input(parent, ANN, 'r', finish(done))
    await log.client.input(parent, ANN, 'a', approval(asked))
    const fork = { space, session: `${parent.session}-f` }
    await log.client.fork(parent, 8, fork.session, ANN, {})
    // After the fork, and so not the fork's.
    await log.client.input(parent, ANN, 'w', finish(waiting))
    expect(await log.client.input(fork, ANN, 'r', finish(done))).toEqual({ status: 'already_resolved', seq: 7 })
    expect(await log.client.input(fork, ANN, 'w', finish(waiting))).toMatchObject({ status: 'appended', seq: 10 })
    expect(await log.client.input(fork, ANN, 'a', approval(asked, 'deny'))).toMatchObject({
      status: 'appended',
      seq: 11,
    })
    const early = { space, session: `${parent.session}-e` }
    await log.client.fork(parent, 3, early.session, ANN, {})
    expect(await log.client.input(early, ANN, 'a', approval(asked))).toEqual({ status: 'call_not_found' })
    // An executor's too: an inherited result is not written twice.
    await log.executor.claim(fork, RUN)
    expect(await log.executor.append(fork, 1, 11, [finished(done)], RUNNING)).toEqual({
      status: 'appended',
      head: 11,
      seqs: [7],
    })
  })

  it('begins its look from a snapshot of the log that it inherits, never from one after the fork', async () => {
    const parent = await log.begin()
    for (let i = 0; i < 6; i++) await log.client.input(parent, ANN, `m${i}`, say('x', 'steer'))
    await log.executor.saveSnapshot(parent, 3, { ...emptyState, seq: 3 })
    await log.executor.saveSnapshot(parent, 6, { ...emptyState, seq: 6 })
    const fork = { space, session: `${parent.session}-f` }
    await log.client.fork(parent, 5, fork.session, ANN, {})
    await log.executor.claim(fork, RUN)
    const look = await log.executor.look(fork, 1, null)
    expect(look).toMatchObject({ status: 'ok', head: 6, snapshot: { seq: 3, state: { seq: 3 } } })
    if (look.status === 'ok') expect(look.events.map((e) => e.seq)).toEqual([4, 5, 6])
    expect(await log.executor.look(parent, 1, null)).toMatchObject({ snapshot: { seq: 6 } })
    expect(await log.executor.look(fork, 1, 5)).toMatchObject({ snapshot: null, events: [{ seq: 6 }] })
    await log.admin('update savefile.snapshots set reducer_version = 999 where session_id = $1', [parent.session])
    expect(await log.executor.look(fork, 1, null)).toMatchObject({ snapshot: null })
  })

  it('reads the blobs that its parent had at the fork, which a stranger does not', async () => {
    const parent = await log.begin()
    const { hash } = await log.client.writeBlob(parent, Buffer.from('secret'), 'text/plain')
    await log.client.input(parent, ANN, 'said', say('this refers to it'))
    const fork = { space, session: `${parent.session}-f` }
    await log.client.fork(parent, 3, fork.session, ANN, {})
    expect(Buffer.from(await log.client.readBlob(fork, hash)).toString()).toBe('secret')
    const earlier = { space, session: `${parent.session}-e` }
    await log.client.fork(parent, 2, earlier.session, ANN, {})
    await expect(log.client.readBlob(earlier, hash)).rejects.toMatchObject({ code: 'blob_not_found' })
    const stranger = await log.begin()
    await expect(log.client.readBlob(stranger, hash)).rejects.toMatchObject({ code: 'blob_not_found' })
  })
})
