/** PROTOCOL.md rules 2 and 10 to 15, one by one. */
import {
  openLog,
  answer,
  finished,
  started,
  say,
  turnFinished,
  until,
  ANN,
  IDLE,
  LONG_TTL_MS,
  RUN,
  RUNNING,
  type TestLog,
} from './support'
import { createDueLog } from '../../log/due'
import type { SessionRef } from '../../contract/ids'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

const model = { safe: true, token: 'a' }
const row = async (ref: SessionRef, step: string): Promise<Record<string, unknown> | undefined> =>
  (await log.admin('select * from savefile.drafts where session_id = $1 and step = $2', [ref.session, step]))[0]
const steps = async (ref: SessionRef): Promise<unknown[]> =>
  (await log.admin('select step from savefile.drafts where session_id = $1 order by born, step', [ref.session])).map(
    (r) => r['step'],
  )

describe('rule 2: the lease', () => {
  it('is the same for the same run, and one more for another', async () => {
    const ref = await log.begin()
    expect(await log.executor.claim(ref, RUN)).toEqual({ status: 'claimed', epoch: 1 })
    expect(await log.executor.claim(ref, { ...RUN, run: 'r2' })).toEqual({ status: 'claimed', epoch: 2 })
    expect(await log.executor.claim({ ...ref, session: 'nobody' }, RUN)).toEqual({ status: 'session_not_found' })
  })

  it('goes to another cluster only where the owner is silent, or by force', async () => {
    const ref = await log.begin()
    const other = { cluster: 'c2', run: 'r9' }
    expect(await log.executor.claim(ref, other)).toMatchObject({
      status: 'owned_elsewhere',
      retryMs: expect.any(Number),
    })
    expect(await log.impatient.claim(ref, other)).toEqual({ status: 'claimed', epoch: 2 })
    expect(await log.executor.claim(ref, RUN, { takeover: true })).toEqual({ status: 'claimed', epoch: 3 })
  })

  it('stays where it is while a draft of the owner beats', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    await log.admin('update savefile.sessions set owner_seen_at = 1 where session_id = $1', [ref.session])
    expect(await log.executor.claim(ref, { cluster: 'c2', run: 'r' })).toMatchObject({ status: 'owned_elsewhere' })
  })
})

describe('rule 10: the claim', () => {
  it('needs the epoch', async () => {
    const ref = await log.begin()
    await log.executor.claim(ref, { ...RUN, run: 'r2' })
    expect(await log.executor.claimDraft(ref, 1, 'model@2', model)).toEqual({ status: 'stale_epoch' })
    expect(await row(ref, 'model@2')).toBeUndefined()
  })

  it('goes to exactly one of many', async () => {
    const ref = await log.begin()
    const claims = await Promise.all(
      Array.from({ length: 12 }, (_, i) => log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: `t${i}` })),
    )
    expect(claims.filter((c) => c.status === 'claimed')).toHaveLength(1)
    expect(claims.filter((c) => c.status === 'busy')).toHaveLength(11)
  })

  it('keeps a new epoch from being claimed while it is made, and is the same when it is repeated', async () => {
    const ref = await log.begin()
    const client = await log.pool.connect()
    await client.query('begin')
    await client.query(`select savefile.claim_draft('default', $1, 1, 'model@2', 'a', true, 1)`, [ref.session])
    let claimed = false
    const claim = log.executor.claim(ref, { ...RUN, run: 'r2' }).then(() => (claimed = true))
    // Either it has gone through, or it stands at the lock.
    await until(
      async () =>
        claimed ||
        (await log.admin(`select from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`, [log.db.name]))
          .length > 0,
    )
    expect(claimed).toBe(false)
    await client.query('commit')
    client.release()
    await claim
    expect(await log.executor.claimDraft(ref, 2, 'model@2', model)).toEqual({
      status: 'claimed',
      token: 'a',
      attempt: 1,
      attempts: [],
      events: [],
    })
  })

  it('brings the events from a seq on, whole however long the log is, and none where nothing is claimed', async () => {
    const ref = await log.begin()
    const many = Array.from({ length: 1_050 }, (_, i) => log.client.input(ref, ANN, `m${i}`, say(`message ${i}`)))
    await Promise.all(many)
    const whole = [...(await log.read(ref)), ...(await log.client.read(ref, { from: 1_001 }))]
    expect(whole).toHaveLength(1_052)
    const claim = (token: string, from: number, step = 'model@2') =>
      log.executor.claimDraft(ref, 1, step, { safe: true, token, from })
    expect(await claim('a', 1)).toMatchObject({ status: 'claimed', events: whole })
    // Again, by its token: what has come since.
    expect(await claim('a', 1_050)).toMatchObject({ status: 'claimed', events: whole.slice(1_049) })
    expect(await claim('a', whole.length + 1)).toMatchObject({ status: 'claimed', events: [] })
    expect(await claim('b', 1)).toEqual({ status: 'busy', retryMs: expect.any(Number) })
    const fork = { space: 'default', session: `${ref.session}-fork` }
    expect(await log.client.fork(ref, 40, fork.session, ANN, {})).toEqual({ status: 'created' })
    expect(await log.executor.claim(fork, RUN)).toMatchObject({ status: 'claimed' })
    expect(await log.executor.claimDraft(fork, 1, 'model@2', { safe: true, token: 'a', from: 39 })).toMatchObject({
      events: (await log.read(fork)).slice(38),
    })
  })
})

describe('rule 11: claimed by another', () => {
  it('is waited for while it beats', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    const busy = await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'b' })
    expect(busy).toMatchObject({ status: 'busy' })
    expect(busy.status === 'busy' && busy.retryMs > 0 && busy.retryMs <= LONG_TTL_MS).toBe(true)
  })

  it('is taken over once silent, where the step is safe; the attempt before has vanished', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    expect(await log.impatient.claimDraft(ref, 1, 'model@2', { safe: true, token: 'b' })).toMatchObject({
      status: 'claimed',
      token: 'b',
      attempt: 2,
      attempts: [{ n: 1, at: expect.any(Number), outcome: 'vanished' }],
    })
    expect(await log.impatient.claimDraft(ref, 1, 'model@2', { safe: true, token: 'c' })).toMatchObject({
      attempt: 3,
      attempts: [{ n: 1 }, { n: 2, outcome: 'vanished' }],
    })
    expect(
      await log.executor.beat([
        { ref, step: 'model@2', token: 'b' },
        { ref, step: 'model@2', token: 'c' },
      ]),
    ).toEqual(['b'])
  })

  it('is closed as unknown once silent, where the step is not safe', async () => {
    const ref = await log.begin()
    const step = `tool@${ref.session}:2.0`
    await log.executor.claimDraft(ref, 1, step, { safe: false, token: 'a' })
    expect(await log.impatient.claimDraft(ref, 1, step, { safe: false, token: 'b' })).toEqual({ status: 'closed' })
    expect(await row(ref, step)).toMatchObject({ state: 'closed', outcome: 'unknown', token: 'a' })
  })

  it('is taken over at once where it was released, under the reason given', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    await log.executor.releaseDraft(ref, 'model@2', 'somebody', 'timeout')
    expect(await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'b' })).toMatchObject({
      status: 'busy',
    })
    await log.executor.releaseDraft(ref, 'model@2', 'a', 'overloaded')
    expect(await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'b' })).toMatchObject({
      status: 'claimed',
      attempt: 2,
      attempts: [{ n: 1, outcome: 'overloaded' }],
    })
  })

  it('is fresh again after a beat', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    await log.admin('update savefile.drafts set beat_at = 1 where session_id = $1', [ref.session])
    const fresh = async () => {
      const look = await log.executor.look(ref, 1, null)
      return look.status === 'ok' && look.drafts[0]?.fresh
    }
    expect(await fresh()).toBe(false)
    expect(await log.executor.beat([{ ref, step: 'model@2', token: 'a' }])).toEqual([])
    expect(await fresh()).toBe(true)
  })
})

describe('rules 12 and 13: the finish', () => {
  it('is the token holder’s, whatever the epoch has become, and is promoted under the new one', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    await log.executor.claim(ref, { ...RUN, run: 'r2' })
    expect(await log.executor.finishDraft(ref, 'model@2', 'a', answer(ref, 2))).toBe('finished')
    expect(await log.executor.finishDraft(ref, 'model@2', 'a', answer(ref, 2))).toBe('finished')
    const look = await log.executor.look(ref, 2, null)
    expect(look).toMatchObject({
      drafts: [{ step: 'model@2', state: 'finished', epoch: 1, payload: JSON.stringify(answer(ref, 2).payload) }],
    })
    const promoted = await log.executor.append(ref, 2, 2, [{ ...answer(ref, 2), fromDraft: 'model@2' }], IDLE)
    expect(promoted).toMatchObject({ status: 'appended', head: 3 })
    expect(await log.executor.claimDraft(ref, 2, 'model@2', { safe: true, token: 'b' })).toEqual({ status: 'finished' })
  })

  it('of a frozen attempt is refused; a tool’s result becomes evidence, then one late event', async () => {
    const ref = await log.begin()
    const call = `${ref.session}:2.0`
    await log.executor.append(ref, 1, 2, [answer(ref, 2, ['pay']), started(call)], { state: 'running', dueAt: null })
    await log.executor.claimDraft(ref, 1, `tool@${call}`, { safe: false, token: 'a' })
    await log.impatient.claimDraft(ref, 1, `tool@${call}`, { safe: false, token: 'b' })
    expect(await log.executor.finishDraft(ref, `tool@${call}`, 'a', finished(call))).toBe('refused')
    expect(await log.executor.finishDraft(ref, `tool@${call}`, 'a', finished(call))).toBe('refused')
    const look = await log.executor.look(ref, 1, 2)
    if (look.status !== 'ok') throw new Error(look.status)
    expect(look.evidence).toEqual([{ call, token: 'a', payload: JSON.stringify(finished(call).payload) }])
    expect(look.outlook.dueAt).not.toBeNull()
    const unknown = { ...finished(call), payload: { ...finished(call).payload, outcome: 'unknown' as const } }
    expect(await log.executor.append(ref, 1, 4, [unknown], IDLE, look.evidence)).toMatchObject({ seqs: [5, 6] })
    expect((await log.read(ref)).slice(4).map((e) => [e.type, e.key, e.actor])).toEqual([
      ['tool_finished', `x:result:${call}`, 'tool:pay'],
      ['result_arrived_late', `x:late:${call}:a`, 'tool:pay'],
    ])
    // Told again by a process that froze a second time.
    expect(await log.executor.finishDraft(ref, `tool@${call}`, 'a', finished(call))).toBe('refused')
    expect(await log.executor.look(ref, 1, 6)).toMatchObject({ evidence: [], outlook: { dueAt: null } })
  })

  it('of a model that was taken over leaves nothing behind', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    await log.impatient.claimDraft(ref, 1, 'model@2', { safe: true, token: 'b' })
    expect(await log.executor.finishDraft(ref, 'model@2', 'a', answer(ref, 2))).toBe('refused')
    expect(await log.executor.look(ref, 1, null)).toMatchObject({
      evidence: [],
      drafts: [{ state: 'running', token: 'b' }],
    })
  })
})

describe('rule 14: closing', () => {
  it('is done to an absent row, and to a row only as it was seen', async () => {
    const ref = await log.begin()
    const [never, held, moved] = [0, 1, 2].map((i) => `tool@${ref.session}:2.${i}`) as [string, string, string]
    await log.executor.claimDraft(ref, 1, held, { safe: false, token: 'a' })
    await log.executor.claimDraft(ref, 1, moved, { safe: false, token: 'b' })
    const closes = [
      { step: never, token: null, outcome: 'cancelled' as const },
      { step: held, token: 'a', outcome: 'unknown' as const },
      { step: moved, token: 'x', outcome: 'unknown' as const },
    ]
    expect(await log.executor.close(ref, 7, closes)).toBe('stale_epoch')
    expect(await log.executor.close(ref, 1, closes)).toBe('closed')
    expect(await row(ref, never)).toMatchObject({ state: 'closed', outcome: 'cancelled' })
    expect(await row(ref, held)).toMatchObject({ state: 'closed', outcome: 'unknown' })
    expect(await row(ref, moved)).toMatchObject({ state: 'running' })
    expect(await log.executor.claimDraft(ref, 1, never, { safe: true, token: 'z' })).toEqual({ status: 'closed' })
    // Absent when it was seen, claimed since: left as it is.
    await log.executor.close(ref, 1, [{ step: moved, token: null, outcome: 'cancelled' }])
    expect(await row(ref, moved)).toMatchObject({ state: 'running', token: 'b' })
  })
})

describe('rule 15: sweeping', () => {
  it('takes rows of a turn that finished under an older epoch, at the next claim, and no others', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    await log.executor.finishDraft(ref, 'model@2', 'a', answer(ref, 2))
    await log.executor.append(ref, 1, 2, [{ ...answer(ref, 2), fromDraft: 'model@2' }, turnFinished(2)], IDLE)
    // Promotion deletes nothing, and the same epoch sweeps nothing.
    await log.executor.claim(ref, RUN)
    expect(await steps(ref)).toEqual(['model@2'])
    await log.client.input(ref, { actor: 'user:ann' }, 'again', {
      type: 'message_received',
      payload: { blocks: [{ type: 'text', text: 'x' }], delivery: 'queue' },
    })
    await log.executor.claimDraft(ref, 1, 'model@5', model)
    await log.executor.claim(ref, { ...RUN, run: 'r2' })
    expect(await steps(ref)).toEqual(['model@5'])
    await log.executor.claim(ref, { ...RUN, run: 'r3' })
    expect(await steps(ref)).toEqual(['model@5'])
  })

  it('does the rest of a long turn later, as the reconciler looks', async () => {
    const ref = await log.begin()
    for (let i = 0; i < 130; i++)
      await log.executor.claimDraft(ref, 1, `tool@${ref.session}:2.${i}`, { safe: true, token: 'a' })
    await log.executor.append(ref, 1, 2, [answer(ref, 2), turnFinished(2)], IDLE)
    await log.executor.claim(ref, { ...RUN, run: 'r2' })
    expect(await steps(ref)).toHaveLength(30)
    await createDueLog(log.pool).takeDue(1, 1000)
    expect(await steps(ref)).toHaveLength(0)
    expect(await log.admin('select sweep_to from savefile.sessions where session_id = $1', [ref.session])).toEqual([
      { sweep_to: null },
    ])
  })
})

describe('look', () => {
  it('shows the rows whose step is not settled in the log, and needs the epoch', async () => {
    const ref = await log.begin()
    const [one, two] = [`${ref.session}:2.0`, `${ref.session}:2.1`]
    await log.executor.claimDraft(ref, 1, 'model@2', model)
    await log.executor.finishDraft(ref, 'model@2', 'a', answer(ref, 2, ['pay', 'pay']))
    await log.executor.append(
      ref,
      1,
      2,
      [{ ...answer(ref, 2, ['pay', 'pay']), fromDraft: 'model@2' }, started(one), started(two)],
      RUNNING,
    )
    await log.executor.claimDraft(ref, 1, `tool@${one}`, { safe: false, token: 'b' })
    await log.executor.claimDraft(ref, 1, `tool@${two}`, { safe: false, token: 'c' })
    await log.executor.finishDraft(ref, `tool@${one}`, 'b', finished(one))
    await log.executor.append(ref, 1, 5, [{ ...finished(one), fromDraft: `tool@${one}` }], RUNNING)
    const look = await log.executor.look(ref, 1, 5)
    expect(look).toMatchObject({
      status: 'ok',
      head: 6,
      events: [{ seq: 6 }],
      drafts: [{ step: `tool@${two}`, fresh: true }],
    })
    if (look.status === 'ok') expect(look.drafts).toHaveLength(1)
    expect(await log.executor.look(ref, 2, 5)).toEqual({ status: 'stale_epoch' })
    expect(await log.executor.look({ ...ref, session: 'nobody' }, 1, null)).toEqual({ status: 'session_not_found' })
  })
})

describe('takeDue', () => {
  it('gives what is due and silent, once, and counts how often without progress', async () => {
    const other = await openLog()
    const due = createDueLog(other.pool, { ttlMs: LONG_TTL_MS })
    const ref = await other.begin()
    expect(await due.takeDue(10, 60_000)).toEqual([{ ref, stalls: 1 }])
    expect(await due.takeDue(10, 0)).toEqual([])
    await other.admin('update savefile.sessions set due_at = 1')
    expect(await due.takeDue(10, 0)).toEqual([{ ref, stalls: 2 }])
    await other.executor.claimDraft(ref, 1, 'model@2', model)
    expect(await due.takeDue(10, 0)).toEqual([])
    expect(await createDueLog(other.pool, { ttlMs: 0 }).takeDue(10, 0)).toEqual([{ ref, stalls: 3 }])
    await other.executor.append(ref, 1, 2, [answer(ref, 2)], { state: 'running', dueAt: 1 })
    expect(await createDueLog(other.pool, { ttlMs: 0 }).takeDue(10, 0)).toEqual([{ ref, stalls: 1 }])
    await other.close()
  })
})
