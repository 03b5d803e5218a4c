/** What is carried away comes back as it was: byte for byte, whole or as far as it was shared. */
import {
  answer,
  finished,
  openLog,
  say,
  turnFinished,
  ANN,
  BOB,
  IDLE,
  RUN,
  RUNNING,
  type TestLog,
} from '../log/support'
import { exported, imported, linesOf, rowCounts } from './support'

let here: TestLog
let there: TestLog
beforeAll(async () => void ([here, there] = await Promise.all([openLog(), openLog()])))
afterAll(() => Promise.all([here.close(), there.close()]))

const space = 'default'
const ref = (session: string) => ({ space, session })

/** A turn with a blob. */
async function family(): Promise<{ root: string; fork: string; leaf: string }> {
  const root = await here.begin()
  const { hash, bytes, mediaType } = await here.client.writeBlob(root, Buffer.from('a picture'), 'image/png')
  await here.client.input(root, ANN, 'pic', {
    type: 'message_received',
    payload: { blocks: [{ type: 'image', blob: { hash, bytes, mediaType } }], delivery: 'steer' },
  })
  await here.executor.append(root, 1, 3, [answer(root, 2), turnFinished(2)], IDLE)
  const fork = `${root.session}-f`
  await here.client.fork(root, 4, fork, BOB, { title: 'the fork' })
  await here.client.input(ref(fork), BOB, 'f', say('ünïcode "quotes" \\ \u2028 \n 👩‍🚀'))
  const leaf = `${fork}-f`
  await here.client.fork(ref(fork), 3, leaf, ANN, {})
  await here.client.input(ref(leaf), ANN, 'l', say('x'.repeat(200_000)))
  await here.client.input(root, ANN, 'later', say('after the fork'))
  return { root: root.session, fork, leaf }
}

describe('a bundle', () => {
  it('gives back every event byte for byte, with lineage, definitions and blobs', async () => {
    const { root, fork, leaf } = await family()
    const bundle = await exported(here.client, fork)
    const result = await imported(there.client, bundle)
    expect(result).toMatchObject({
      session: fork,
      status: 'imported',
      custody: 'inert',
      sessions: [
        { session: root, status: 'imported', custody: 'stub', head: 4 },
        { session: fork, status: 'imported', custody: 'inert', head: 6 },
      ],
    })
    expect(await there.read(ref(fork))).toEqual(await here.read(ref(fork)))
    const {
      state: _s,
      dueAt: _d,
      updatedAt: _u,
      custody: _c,
      ...facts
    } = (await here.client.info(ref(fork))) as NonNullable<Awaited<ReturnType<typeof here.client.info>>>
    expect(await there.client.info(ref(fork))).toMatchObject({ ...facts, custody: 'inert', dueAt: null, state: 'idle' })
    expect(await there.client.verify(ref(fork), { deep: true })).toEqual(
      await here.client.verify(ref(fork), { deep: true }),
    )
    const [picture] = JSON.parse((await here.read(ref(fork)))[2]?.payload ?? '').blocks
    expect(Buffer.from(await there.client.readBlob(ref(fork), picture.blob.hash)).toString()).toBe('a picture')
    const longs = await exported(here.client, leaf)
    await imported(there.client, longs)
    const long = JSON.parse((await here.read(ref(leaf))).at(-1)?.payload ?? '').blocks[0].blob.hash
    expect((await there.client.readBlob(ref(leaf), long)).length).toBe(200_000)
    expect(await there.read(ref(leaf))).toEqual(await here.read(ref(leaf)))
  })

  it('is the same bytes for the same head, also when it is exported from where it was imported', async () => {
    const { fork } = await family()
    const bundle = await exported(here.client, fork)
    expect(await exported(here.client, fork)).toEqual(bundle)
    await imported(there.client, bundle)
    expect(await exported(there.client, fork)).toEqual(bundle)
  })

  it('holds a child with its own children, and nothing of who is no relation', async () => {
    const parent = await here.begin()
    const names = ['kid', 'grandkid'].map((n) => `${parent.session}-${n}`) as [string, string]
    await here.begin(names[0])
    await here.begin(names[1])
    await here.begin(`${parent.session}-stranger`)
    for (const [by, child] of [
      [parent.session, names[0]],
      [names[0], names[1]],
    ] as const)
      expect(
        await here.executor.append(ref(by), 1, 2, [{ type: 'child_started', payload: { child, task: [] } }], RUNNING),
      ).toMatchObject({ status: 'appended' })
    const sessions = linesOf(await exported(here.client, parent.session)).filter((l) => l.startsWith('{"k":"session"'))
    expect(sessions.map((l) => JSON.parse(l).session)).toEqual([parent.session, ...names])
    expect(await imported(there.client, await exported(here.client, parent.session))).toMatchObject({
      sessions: [{}, { custody: 'inert' }, { custody: 'inert' }],
    })
  })
})

describe('an import', () => {
  it('of the same head again changes nothing', async () => {
    const { fork } = await family()
    const bundle = await exported(here.client, fork)
    await imported(there.client, bundle)
    const before = await rowCounts(there.db.adminUrl)
    expect(await imported(there.client, bundle)).toMatchObject({ status: 'present', events: 0 })
    expect(await imported(here.client, bundle)).toMatchObject({ status: 'present', custody: 'live', events: 0 })
    expect(await rowCounts(there.db.adminUrl)).toEqual(before)
  })

  it('of a longer log moves the one that is here on; of a shorter one changes nothing', async () => {
    const { fork } = await family()
    const short = await exported(here.client, fork)
    await imported(there.client, short)
    await here.client.input(ref(fork), BOB, 'more', say('more'))
    expect(await imported(there.client, await exported(here.client, fork))).toMatchObject({
      status: 'fast_forwarded',
      head: 7,
      events: 1,
    })
    expect(await there.read(ref(fork))).toEqual(await here.read(ref(fork)))
    expect(await imported(there.client, short)).toMatchObject({ status: 'present', head: 6, events: 0 })
  })

  it('of a log that went another way is refused, and leaves nothing', async () => {
    const { fork } = await family()
    await imported(there.client, await exported(here.client, fork))
    expect(await there.client.adopt(ref(fork), ANN)).toMatchObject({ status: 'adopted', seq: 7 })
    await here.client.input(ref(fork), BOB, 'here', say('here'))
    const before = await rowCounts(there.db.adminUrl)
    await expect(imported(there.client, await exported(here.client, fork))).rejects.toMatchObject({
      code: 'diverged',
      data: { session: fork, seq: 7 },
    })
    await here.client.input(ref(fork), BOB, 'here2', say('here'))
    await expect(imported(there.client, await exported(here.client, fork))).rejects.toMatchObject({
      code: 'diverged',
      data: { session: fork, seq: 7 },
    })
    expect(await rowCounts(there.db.adminUrl)).toEqual(before)
  })

  it('makes a whole session of a stub, once all of it comes', async () => {
    const { root, fork } = await family()
    await imported(there.client, await exported(here.client, fork))
    expect(await there.client.info(ref(root))).toMatchObject({ custody: 'stub', head: 4 })
    expect(await imported(there.client, await exported(here.client, root))).toMatchObject({
      status: 'fast_forwarded',
      custody: 'inert',
      head: 6,
    })
    expect(await there.read(ref(root))).toEqual(await here.read(ref(root)))
  })
})

describe('what was imported', () => {
  it('takes nothing and runs nothing until it is adopted', async () => {
    const { root, fork } = await family()
    await imported(there.client, await exported(here.client, fork))
    for (const [session, status] of [
      [fork, 'inert'],
      [root, 'stub'],
    ] as const) {
      expect(await there.client.input(ref(session), ANN, 'k', say('hello'))).toEqual({ status })
      expect(await there.executor.claim(ref(session), RUN)).toEqual({ status })
      // Not even who guesses the epoch of a session that nobody has claimed.
      const head = session === fork ? 6 : 4
      await expect(there.executor.append(ref(session), 0, head, [turnFinished(2)], RUNNING)).rejects.toThrow(
        /takes no event until it is adopted/,
      )
    }
    expect(await there.client.fork(ref(root), 5, `${root}-beyond`, ANN, {})).toEqual({ status: 'no_such_event' })
    expect(await there.client.adopt(ref(root), ANN)).toEqual({ status: 'stub' })
    const { rows } = await there.pool.query(
      'select session_id from savefile.take_due(1000, 1000000, 0) where session_id = any ($1)',
      [[root, fork]],
    )
    expect(rows).toEqual([])
  })

  it('goes on where it is adopted, from its head, as one that inherited all before', async () => {
    const { fork } = await family()
    await imported(there.client, await exported(here.client, fork))
    const head = await there.client.info(ref(fork))
    expect(await there.client.adopt(ref(fork), ANN, 'moved')).toEqual({ status: 'adopted', seq: 7 })
    const event = (await there.read(ref(fork))).at(-1)
    expect(event).toMatchObject({
      type: 'custody_taken',
      actor: 'user:ann',
      key: 'x:custody:6',
      prevHash: head?.headHash,
    })
    expect(JSON.parse(event?.payload ?? '')).toEqual({ head: 6, hash: head?.headHash, why: 'moved' })
    expect(await there.client.info(ref(fork))).toMatchObject({
      custody: 'live',
      state: 'running',
      dueAt: expect.any(Number),
    })
    expect(await there.client.input(ref(fork), ANN, 'k', say('hello'))).toMatchObject({ status: 'appended', seq: 8 })
    expect(await there.client.adopt(ref(fork), ANN)).toEqual({ status: 'live', seq: 7 })
    // And back again: what was left behind is a prefix, and is inert until it is adopted in its turn.
    expect(await imported(here.client, await exported(there.client, fork))).toMatchObject({
      status: 'fast_forwarded',
      custody: 'inert',
      head: 8,
    })
    expect(await here.client.input(ref(fork), ANN, 'k2', say('hello'))).toEqual({ status: 'inert' })
  })

  it('is not gone over while a step of it is under way', async () => {
    const session = await here.begin()
    await imported(there.client, await exported(here.client, session.session))
    await there.client.adopt(session, ANN)
    const back = await exported(there.client, session.session)
    await here.executor.claimDraft(session, 1, 'model@2', { safe: true, token: 't' })
    await expect(imported(here.client, back)).rejects.toMatchObject({ code: 'session_busy' })
    await here.executor.finishDraft(session, 'model@2', 't', answer(session, 2))
    expect(await imported(here.client, back)).toMatchObject({ status: 'fast_forwarded' })
    // Whoever executed it here is told.
    expect(await here.executor.append(session, 1, 3, [finished('x:1.0')], RUNNING)).toEqual({ status: 'stale_epoch' })
  })
})
