import type { NewEvent } from '../../contract/events'
import type { InputEvent } from '../../contract/client-port'
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
  BOB,
  IDLE,
  RUN,
  RUNNING,
  type TestLog,
} from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

describe('an executor appends', () => {
  it('several events in one call, each under its structural key and with the actor of its type', async () => {
    const ref = await log.begin()
    const call = `${ref.session}:2.0`
    expect(await log.executor.append(ref, 1, 2, [answer(ref, 2, ['pay']), requested(call)], RUNNING)).toEqual({
      status: 'appended',
      head: 4,
      seqs: [3, 4],
    })
    await log.client.input(ref, ANN, 'ok', approval(call))
    await log.executor.append(ref, 1, 5, [started(call), finished(call)], RUNNING)
    await log.executor.append(ref, 1, 7, [answer(ref, 7), turnFinished(2)], IDLE)
    const events = await log.read(ref)
    expect(events.map((e) => [e.seq, e.key, e.actor])).toEqual([
      [1, 'x:created', 'user:ann'],
      [2, 'p:first', 'user:ann'],
      [3, 'x:model@2', 'agent'],
      [4, `x:request:${call}`, 'system'],
      [5, `x:approval:${call}`, 'user:ann'],
      [6, `x:started:${call}`, 'system'],
      [7, `x:result:${call}`, 'tool:pay'],
      [8, 'x:model@7', 'agent'],
      [9, 'x:finished:2', 'system'],
    ])
    expect(
      events.every((e, i) => i === 0 || (e.at >= (events[i - 1]?.at ?? 0) && e.prevHash === events[i - 1]?.hash)),
    ).toBe(true)
    expect(await log.client.info(ref)).toMatchObject({ head: 9, state: 'idle', dueAt: null, headHash: events[8]?.hash })
  })

  it('stores the payload as it was written, byte for byte', async () => {
    const ref = await log.begin()
    const args = '{"b":1, "a":1e2, "b":2, "n":123456789012345678901234567890}'
    const event = answer(ref, 2, ['pay'])
    event.payload.blocks = [{ type: 'tool_call', call: `${ref.session}:2.0`, name: 'pay', args }]
    await log.executor.append(ref, 1, 2, [event], RUNNING)
    expect((await log.read(ref))[2]?.payload).toBe(JSON.stringify(event.payload))
  })

  it('is refused with an old epoch, then with a head that moved; nothing is written', async () => {
    const ref = await log.begin()
    await log.executor.claim(ref, { cluster: 'c1', run: 'r2' })
    expect(await log.executor.append(ref, 1, 2, [answer(ref, 2)], IDLE)).toEqual({ status: 'stale_epoch' })
    await log.client.input(ref, ANN, 'more', say('and', 'steer'))
    expect(await log.executor.append(ref, 2, 2, [answer(ref, 2)], IDLE)).toEqual({ status: 'head_moved', head: 3 })
    expect(await log.client.info(ref)).toMatchObject({ head: 3, state: 'running' })
    expect(await log.executor.append({ ...ref, session: 'nobody' }, 1, 1, [], IDLE)).toEqual({
      status: 'session_not_found',
    })
  })

  it('drops an event whose key is there and says where it is stored', async () => {
    const ref = await log.begin()
    await log.executor.append(ref, 1, 2, [answer(ref, 2, ['pay'])], RUNNING)
    const again = await log.executor.append(
      ref,
      1,
      3,
      [answer(ref, 2, ['pay']), started(`${ref.session}:2.0`)],
      RUNNING,
    )
    expect(again).toEqual({ status: 'appended', head: 4, seqs: [3, 4] })
    // One key for either outcome of a step.
    const failed: NewEvent = {
      type: 'model_failed',
      payload: { step: 'model@2', class: 'timeout', retryable: false, attempts: [], message: '' },
    }
    expect(await log.executor.append(ref, 1, 4, [failed], RUNNING)).toEqual({ status: 'appended', head: 4, seqs: [3] })
  })

  it('twenty at once as it appends one: what is there or comes twice is dropped, a draft’s content is taken, the chain holds', async () => {
    const parent = await log.begin()
    const tools = Array.from({ length: 9 }, () => 'pay')
    await log.executor.append(parent, 1, 2, [answer(parent, 2, tools), started(`${parent.session}:2.0`)], RUNNING)
    const ref = { space: 'default', session: `${parent.session}-f` }
    await log.client.fork(parent, 4, ref.session, ANN, {})
    await log.executor.claim(ref, RUN)
    const call = (i: number): string => `${parent.session}:2.${i}`
    await log.executor.claimDraft(ref, 1, `tool@${call(8)}`, { safe: true, token: 't' })
    await log.executor.finishDraft(ref, `tool@${call(8)}`, 't', finished(call(8), 'from the draft'))
    const calls = tools.map((_, i) => i)
    const given: NewEvent[] = [
      ...calls.map((i) => started(call(i))), // the first one is inherited
      ...calls.slice(0, 8).map((i) => finished(call(i), `result ${i}`)),
      finished(call(3), 'again'),
    ]
    const draft = { ...finished(call(8), 'not this'), fromDraft: `tool@${call(8)}` }
    expect(await log.executor.append(ref, 1, 5, [...given, draft, answer(ref, 22)], RUNNING)).toEqual({
      status: 'appended',
      head: 23,
      seqs: [4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 17, 22, 23],
    })
    const events = await log.read(ref)
    expect(events.slice(13, 22).map((e) => JSON.parse(e.payload).blocks[0].text)).toEqual([
      ...calls.slice(0, 8).map((i) => `result ${i}`),
      'from the draft',
    ])
    expect(events.slice(5).map((e) => e.actor)).toEqual([
      ...calls.slice(1).map(() => 'system'),
      ...calls.map(() => 'tool:pay'),
      'agent',
    ])
    expect(await log.client.info(ref)).toMatchObject({ head: 23, headHash: events[22]?.hash })
    for (const [i, event] of events.entries()) expect(event.prevHash).toBe(i === 0 ? '' : events[i - 1]?.hash)
    const rows = await log.admin(
      'select seq from savefile.events where session_id = $1 and hash <> savefile.event_hash(prev_hash, session_id, seq, type, v, at, actor, key, kid, payload)',
      [ref.session],
    )
    expect(rows).toEqual([])
  })

  it('takes the content of a finished draft where it names one', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 't1' })
    const stored = answer(ref, 2)
    await log.executor.finishDraft(ref, 'model@2', 't1', stored)
    const other = answer(ref, 2, [], { model: 'another' })
    await log.executor.append(ref, 1, 2, [{ ...other, fromDraft: 'model@2' }], IDLE)
    expect((await log.read(ref))[2]?.payload).toBe(JSON.stringify(stored.payload))
  })

  it('never gives an event a time before the one that it follows', async () => {
    const ref = await log.begin()
    await log.admin(`update savefile.sessions set head_at = head_at + 1000000000 where session_id = $1`, [ref.session])
    const [row] = await log.admin(`select head_at from savefile.sessions where session_id = $1`, [ref.session])
    await log.executor.append(ref, 1, 2, [answer(ref, 2)], IDLE)
    expect((await log.read(ref))[2]?.at).toBe(Number(row?.['head_at']))
  })

  it('keeps due_at set when evidence came that the executor did not see', async () => {
    const ref = await log.begin()
    const step = `tool@${ref.session}:2.0`
    await log.executor.claimDraft(ref, 1, step, { safe: false, token: 't1' })
    await log.executor.close(ref, 1, [{ step, token: 't1', outcome: 'unknown' }])
    expect(await log.executor.finishDraft(ref, step, 't1', finished(`${ref.session}:2.0`))).toBe('refused')
    await log.executor.append(ref, 1, 2, [answer(ref, 2)], IDLE)
    expect((await log.client.info(ref))?.dueAt).not.toBeNull()
  })
})

describe('setOutlook', () => {
  it('leaves what came meanwhile due, where it names the head', async () => {
    const ref = await log.begin()
    await log.client.input(ref, ANN, 'late', say('wait'))
    await log.executor.setOutlook(ref, 1, IDLE, 2)
    expect(await log.client.info(ref)).toMatchObject({ state: 'running' })
    await log.executor.setOutlook(ref, 7, IDLE, 3)
    expect(await log.client.info(ref)).toMatchObject({ state: 'running' })
    await log.executor.setOutlook(ref, 1, IDLE, 3)
    expect(await log.client.info(ref)).toMatchObject({ state: 'idle', dueAt: null })
  })
})

describe('people append', () => {
  it('once per idempotency key: the same again is a duplicate, other content under it a conflict', async () => {
    const ref = await log.begin()
    expect(await log.client.input(ref, ANN, 'k', say('one'))).toEqual({ status: 'appended', seq: 3, head: 3 })
    await log.client.input(ref, ANN, 'k2', say('two'))
    expect(await log.client.input(ref, ANN, 'k', say('one'))).toEqual({ status: 'duplicate', seq: 3, head: 4 })
    expect(await log.client.input(ref, ANN, 'k', say('other'))).toEqual({ status: 'idempotency_conflict' })
    expect(await log.client.input({ ...ref, session: 'nobody' }, ANN, 'k', say('x'))).toEqual({
      status: 'session_not_found',
    })
  })

  it('cannot reach a structural key, nor an event that is not theirs', async () => {
    const ref = await log.begin()
    await log.client.input(ref, ANN, 'x:model@2', say('sly'))
    expect((await log.read(ref))[2]?.key).toBe('p:x:model@2')
    await expect(
      log.pool.query(
        `select savefile.input('default', $1, 'user:ann', 'k', 'model_answered', 1, 'model@2', '{}', null)`,
        [ref.session],
      ),
    ).rejects.toThrow(/does not append/)
    await expect(
      log.pool.query(`select savefile.input('default', $1, 'agent', 'k', 'message_received', 1, null, '{}', null)`, [
        ref.session,
      ]),
    ).rejects.toThrow(/user:/)
  })

  it('make an idle session due, and a closed one takes nothing more', async () => {
    const ref = await log.begin()
    await log.executor.append(ref, 1, 2, [answer(ref, 2), turnFinished(2)], IDLE)
    await log.client.input(ref, ANN, 'next', say('again'))
    expect(await log.client.info(ref)).toMatchObject({ state: 'running', dueAt: expect.any(Number) })
    const close = { type: 'session_closed', payload: {} } as const
    expect(await log.client.input(ref, ANN, 'bye', close)).toMatchObject({ status: 'appended', seq: 6 })
    expect(await log.client.info(ref)).toMatchObject({ state: 'closed', dueAt: null })
    expect(await log.client.input(ref, ANN, 'late', say('x'))).toEqual({ status: 'closed' })
    expect(await log.client.input(ref, ANN, 'next', say('again'))).toMatchObject({ status: 'duplicate', seq: 5 })
    expect(await log.executor.append(ref, 1, 6, [], IDLE)).toEqual({ status: 'closed' })
    expect(await log.executor.claim(ref, RUN)).toEqual({ status: 'closed' })
  })

  it('approve only what was requested, is open and undecided; the first counts', async () => {
    const ref = await log.begin()
    const [asked, free] = [`${ref.session}:2.0`, `${ref.session}:2.1`]
    await log.executor.append(ref, 1, 2, [answer(ref, 2, ['pay', 'pay']), requested(asked), started(free)], RUNNING)
    expect(await log.client.input(ref, ANN, 'a', approval('s:9.9'))).toEqual({ status: 'call_not_found' })
    expect(await log.client.input(ref, ANN, 'a', approval(free))).toEqual({ status: 'not_requested' })
    expect(await log.client.input(ref, ANN, 'a', approval(asked, 'deny'))).toMatchObject({ status: 'appended', seq: 6 })
    expect(await log.client.input(ref, BOB, 'b', approval(asked, 'allow'))).toEqual({
      status: 'already_resolved',
      seq: 6,
    })
    // Ann's own, sent again because she never heard of it.
    expect(await log.client.input(ref, ANN, 'a', approval(asked, 'deny'))).toMatchObject({
      status: 'duplicate',
      seq: 6,
    })
  })

  it('do not approve a call that an interrupt has closed', async () => {
    const ref = await log.begin()
    const call = `${ref.session}:2.0`
    const cancelled = { ...finished(call), payload: { ...finished(call).payload, outcome: 'cancelled' as const } }
    await log.executor.append(ref, 1, 2, [answer(ref, 2, ['pay']), requested(call), cancelled], RUNNING)
    expect(await log.client.input(ref, ANN, 'a', approval(call))).toEqual({ status: 'already_resolved', seq: 5 })
  })

  it('finish a deferred call once, and no other tool', async () => {
    const ref = await log.begin()
    const [deferred, own] = [`${ref.session}:2.0`, `${ref.session}:2.1`]
    const manifest = { ...answer(ref, 2).payload.manifest, definition: log.definition }
    await log.executor.append(ref, 1, 2, [answer(ref, 2, ['wait', 'pay'], { manifest }), started(own)], RUNNING)
    const done = (call: string, text: string) =>
      ({ type: 'tool_finished', payload: finished(call, text, 'wait').payload }) as const
    expect(await log.client.input(ref, ANN, 'd', done(deferred, 'early'))).toEqual({ status: 'call_not_found' })
    await log.executor.append(ref, 1, 4, [started(deferred, 'wait')], RUNNING)
    expect(await log.client.input(ref, ANN, 'd', done(own, 'mine'))).toEqual({ status: 'call_not_found' })
    expect(await log.client.input(ref, ANN, 'd', done(deferred, 'one'))).toMatchObject({ status: 'appended', seq: 6 })
    expect(await log.client.input(ref, BOB, 'e', done(deferred, 'two'))).toEqual({ status: 'already_resolved', seq: 6 })
    expect((await log.read(ref))[5]).toMatchObject({ actor: 'user:ann', key: `x:result:${deferred}` })
  })

  it('change the definition to one that is there', async () => {
    const ref = await log.begin()
    const to = (definition: string): InputEvent => ({
      type: 'definition_changed',
      payload: { definition, from: log.definition, changed: [] },
    })
    await expect(log.client.input(ref, ANN, 'd', to(`sha256:${'1'.repeat(64)}`))).rejects.toMatchObject({
      code: 'definition_not_found',
    })
    const other = await log.client.putDefinition('default', {
      ...(await log.client.definition('default', log.definition)),
      system: 'other',
    })
    await log.client.input(ref, ANN, 'd', to(other))
    expect(await log.client.info(ref)).toMatchObject({ definition: other, head: 3 })
  })

  it('are told what is wrong with what they send', async () => {
    const ref = await log.begin()
    await expect(log.client.input(ref, { actor: 'agent' }, 'k', say('x'))).rejects.toMatchObject({
      code: 'invalid_input',
    })
    await expect(log.client.input(ref, ANN, 'a\0b', say('x'))).rejects.toMatchObject({ code: 'invalid_input' })
    await expect(log.client.input(ref, ANN, '', say('x'))).rejects.toMatchObject({ code: 'invalid_input' })
    const wrong = { type: 'message_received', payload: { blocks: [], delivery: 'shout' } } as never
    await expect(log.client.input(ref, ANN, 'k', wrong)).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('delivery'),
    })
    const huge = { type: 'tool_call', call: 'c', name: 't', args: 'x'.repeat(5_000_000) } as const
    const event = answer(ref, 2)
    event.payload.blocks = [huge]
    await expect(log.executor.append(ref, 1, 2, [event], IDLE)).rejects.toMatchObject({ code: 'too_large' })
    await expect(
      log.client.create({ space: 'default', session: 'Not A Name' }, ANN, { definition: log.definition }),
    ).rejects.toMatchObject({ code: 'invalid_input' })
  })
})
