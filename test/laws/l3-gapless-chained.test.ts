/** L3: seqs 1..n without a hole under any concurrency; change one byte anywhere and verify names the first bad seq. */
import fc from 'fast-check'
import { createExecutorLog } from '../../log/executor-log'
import { answer, openLog, say, turnFinished, ANN, IDLE, LONG_TTL_MS, RUN, type TestLog } from '../log/support'
import type { SessionRef } from '../../contract/ids'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

describe('concurrent appends', () => {
  it('of many connections leave no hole, lose nothing, and chain', async () => {
    const ref = await log.begin()
    const results = await Promise.all(
      Array.from({ length: 120 }, (_, i) => log.client.input(ref, ANN, `k${i}`, say(`${i}`, 'steer'))),
    )
    expect(results.every((r) => r.status === 'appended')).toBe(true)
    const events = await log.read(ref)
    expect(events.map((e) => e.seq)).toEqual(Array.from({ length: 122 }, (_, i) => i + 1))
    expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 122 })
  })

  it('of the same key by many leave one event', async () => {
    const ref = await log.begin()
    const results = await Promise.all(Array.from({ length: 20 }, () => log.client.input(ref, ANN, 'same', say('once'))))
    expect(results.filter((r) => r.status === 'appended')).toHaveLength(1)
    expect(results.filter((r) => r.status === 'duplicate' && r.seq === 3)).toHaveLength(19)
  })

  it('of people and racing executors: each executor’s append stands on the head that it decided on', async () => {
    const ref = await log.begin()
    const people = Array.from({ length: 30 }, (_, i) => log.client.input(ref, ANN, `k${i}`, say(`${i}`)))
    let promoted = 0
    const executors = Array.from({ length: 4 }, async () => {
      for (let round = 0; round < 200; round++) {
        const head = (await log.client.info(ref))?.head ?? 0
        const done = await log.executor.append(ref, 1, head, [answer(ref, 2), turnFinished(2)], IDLE)
        if (done.status !== 'appended') continue
        if (done.head === head + 2) promoted++
        return
      }
    })
    await Promise.all([...people, ...executors])
    expect(promoted).toBe(1)
    const events = await log.read(ref)
    expect(events.map((e) => e.seq)).toEqual(Array.from({ length: 34 }, (_, i) => i + 1))
    const at = events.findIndex((e) => e.type === 'model_answered')
    expect(events[at + 1]?.type).toBe('turn_finished')
  })
})

/** What the database should answer, kept beside it. */
interface Model {
  keys: Map<string, string>
  epoch: number
}

it('random appends by several connections behave as a list with unique keys', async () => {
  const command = fc.oneof(
    fc.record({ do: fc.constant('say' as const), who: fc.nat(3), key: fc.nat(6), text: fc.constantFrom('a', 'b') }),
    fc.record({
      do: fc.constant('append' as const),
      who: fc.nat(3),
      stale: fc.boolean(),
      behind: fc.nat(2),
      step: fc.nat(4),
    }),
    fc.record({ do: fc.constant('claim' as const), who: fc.nat(3) }),
  )
  const executors = Array.from({ length: 4 }, () => createExecutorLog(log.pool, { ttlMs: LONG_TTL_MS }))
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 25 }), async (commands) => {
      const ref = await log.begin()
      const model: Model = {
        keys: new Map([
          ['x:created', ''],
          ['p:first', ''],
        ]),
        epoch: 1,
      }
      for (const c of commands) {
        const head = model.keys.size
        if (c.do === 'claim') {
          const claimed = await executors[c.who]?.claim(ref, { ...RUN, run: `run ${model.epoch}` })
          expect(claimed).toEqual({ status: 'claimed', epoch: ++model.epoch })
        } else if (c.do === 'say') {
          const known = model.keys.get(`p:${c.key}`)
          const result = await log.client.input(ref, ANN, String(c.key), say(c.text, 'steer'))
          if (known === undefined) expect(result).toEqual({ status: 'appended', seq: head + 1, head: head + 1 })
          else if (known === c.text)
            expect(result).toMatchObject({ status: 'duplicate', seq: [...model.keys.keys()].indexOf(`p:${c.key}`) + 1 })
          else expect(result).toEqual({ status: 'idempotency_conflict' })
          if (known === undefined) model.keys.set(`p:${c.key}`, c.text)
        } else {
          const epoch = c.stale ? model.epoch - 1 : model.epoch
          const result = await executors[c.who]?.append(ref, epoch, head - c.behind, [answer(ref, 100 + c.step)], IDLE)
          const key = `x:model@${100 + c.step}`
          if (c.stale) expect(result).toEqual({ status: 'stale_epoch' })
          else if (c.behind > 0) expect(result).toEqual({ status: 'head_moved', head })
          else {
            if (!model.keys.has(key)) model.keys.set(key, '')
            expect(result).toEqual({
              status: 'appended',
              head: model.keys.size,
              seqs: [[...model.keys.keys()].indexOf(key) + 1],
            })
          }
        }
      }
      const events = await log.read(ref)
      expect(events.map((e) => e.key)).toEqual([...model.keys.keys()])
      expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1))
    }),
    { numRuns: 40 },
  )
})

describe('verify', () => {
  const tamper = async (ref: SessionRef, sql: string): Promise<void> => {
    await log.admin('alter table savefile.events disable trigger append_only')
    try {
      await log.admin(sql, [ref.session])
    } finally {
      await log.admin('alter table savefile.events enable always trigger append_only')
    }
  }
  const six = async (): Promise<SessionRef> => {
    const ref = await log.begin()
    for (let i = 3; i <= 6; i++) await log.client.input(ref, ANN, `k${i}`, say(`message ${i}`, 'steer'))
    expect(await log.client.verify(ref)).toMatchObject({ ok: true, events: 6, head: 6 })
    return ref
  }

  it.each([
    [
      `update savefile.events set payload = overlay(payload placing '\\x01'::bytea from octet_length(payload) - 5) where session_id = $1 and seq = 4`,
      4,
    ],
    [
      `update savefile.events set payload = overlay(payload placing '\\xff00'::bytea from 12) where session_id = $1 and seq = 4`,
      4,
    ],
    [`update savefile.events set at = at + 1 where session_id = $1 and seq = 3`, 3],
    [`update savefile.events set actor = 'user:eve' where session_id = $1 and seq = 5`, 5],
    [`update savefile.events set type = 'turn_finished' where session_id = $1 and seq = 5`, 5],
    [`update savefile.events set v = 2 where session_id = $1 and seq = 2`, 2],
    [`update savefile.events set key = 'p:other' where session_id = $1 and seq = 2`, 2],
    [`update savefile.events set kid = 'k' where session_id = $1 and seq = 6`, 6],
    [`update savefile.events set prev_hash = sha256('x') where session_id = $1 and seq = 3`, 3],
    [`update savefile.events set hash = sha256('x') where session_id = $1 and seq = 3`, 3],
    [`delete from savefile.events where session_id = $1 and seq = 4`, 4],
    [`delete from savefile.events where session_id = $1 and seq = 6`, 6],
    [`update savefile.events set session_id = 'elsewhere' where session_id = $1 and seq = 1`, 1],
    [`update savefile.events set seq = 60 where session_id = $1 and seq = 5`, 5],
  ])('names the first bad seq after: %s', async (sql, seq) => {
    const ref = await six()
    await tamper(ref, sql)
    const found = await log.client.verify(ref)
    expect(found).toMatchObject({ ok: false, seq, events: seq - 1, why: expect.any(String) })
    await tamper(ref, `delete from savefile.events where session_id in ($1, 'elsewhere')`)
  })

  it('names an event that was rewritten with a right hash: the next one is not chained to it', async () => {
    const ref = await six()
    await tamper(
      ref,
      `update savefile.events e set actor = 'user:eve', hash = savefile.event_hash(e.prev_hash, e.session_id, e.seq, e.type, e.v, e.at, 'user:eve', e.key, e.kid, e.payload)
       where session_id = $1 and seq = 4`,
    )
    expect(await log.client.verify(ref)).toMatchObject({ ok: false, seq: 5, why: expect.stringContaining('chained') })
  })

  it('names the last event where the head was rewritten, and the inherited one in a fork', async () => {
    const ref = await six()
    await log.client.fork(ref, 5, `${ref.session}-f`, ANN, {})
    await tamper(ref, `update savefile.events set payload = payload || ' ' where session_id = $1 and seq = 3`)
    expect(await log.client.verify({ ...ref, session: `${ref.session}-f` })).toMatchObject({ ok: false, seq: 3 })
    const other = await six()
    await log.admin(`update savefile.sessions set head_hash = sha256('x') where session_id = $1`, [other.session])
    expect(await log.client.verify(other)).toMatchObject({ ok: false, seq: 6 })
  })

  it('names an event that cannot follow, though its hash is right, when it looks deep', async () => {
    const ref = await log.begin()
    await log.executor.append(ref, 1, 2, [answer(ref, 99)], IDLE)
    expect(await log.client.verify(ref)).toMatchObject({ ok: true })
    expect(await log.client.verify(ref, { deep: true })).toMatchObject({
      ok: false,
      seq: 3,
      why: expect.stringContaining('wrong_step'),
    })
  })

  it('says how far it is', async () => {
    const ref = await log.begin()
    for (let i = 0; i < 11; i++)
      await Promise.all(
        Array.from({ length: 50 }, (_, k) => log.client.input(ref, ANN, `${i} ${k}`, say('x', 'steer'))),
      )
    const progress: number[] = []
    expect(await log.client.verify(ref, { onProgress: (n) => progress.push(n) })).toMatchObject({
      ok: true,
      events: 552,
    })
    expect(progress.at(-1)).toBe(552)
    await expect(log.client.verify({ ...ref, session: 'nobody' })).rejects.toMatchObject({ code: 'session_not_found' })
  })
})
