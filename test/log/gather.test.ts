/** Calls that are sent together: nobody pays for another's failure, and nobody waits for another's lock. */
import { Client } from 'pg'
import { gather } from '../../log/gather'
import { createClientLog } from '../../log/client-log'
import { openLog, say, ANN, type TestLog } from './support'

describe('calls that come at once', () => {
  const bytes = (): number => 1
  const settled = async (n: number): Promise<string> => `one ${n}`

  it('share a statement while others are under way, and each gets its own answer', async () => {
    const sizes: number[] = []
    const call = gather<number, string>({
      bytes,
      one: settled,
      async many(calls) {
        sizes.push(calls.length)
        await new Promise((resolve) => setTimeout(resolve, 5))
        return calls.map((n) => `many ${n}`)
      },
    })
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => call(n)))
    // The first came alone.
    expect(answers).toEqual(Array.from({ length: 20 }, (_, n) => (n === 0 ? 'one 0' : `many ${n}`)))
    expect(sizes).toEqual([7, 6, 6])
  })

  it('are done one by one where one of them is at fault', async () => {
    const call = gather<number, string>({
      bytes,
      one: async (n) => (n === 6 ? Promise.reject(new Error('six')) : settled(n)),
      many: (calls) =>
        calls.includes(6) ? Promise.reject(new Error('six')) : Promise.resolve(calls.map(() => 'many')),
    })
    const answers = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => call(n)))
    expect(answers.map(({ status }) => status)).toEqual([
      ...['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
    ])
  })

  it('are not sent again where it is not known whether they were done', async () => {
    const gone = Object.assign(new Error('gone'), { code: 'ECONNRESET' })
    const one = jest.fn(settled)
    const call = gather<number, string>({ bytes, one, many: () => Promise.reject(gone) })
    let end: (answer: string) => void = () => undefined
    one.mockReturnValueOnce(new Promise((resolve) => (end = resolve)))
    const [alone, ...together] = [0, 1, 2].map((n) => call(n))
    for (const each of await Promise.allSettled(together)) expect(each).toEqual({ status: 'rejected', reason: gone })
    end('one 0')
    await expect(alone).resolves.toBe('one 0')
    expect(one.mock.calls).toEqual([[0]])
  })
})

describe('inputs of one process', () => {
  let log: TestLog
  beforeAll(async () => void (log = await openLog()))
  afterAll(() => log.close())

  it('do not wait for those of a session whose row somebody else holds', async () => {
    const [held, free] = [await log.begin(), await log.begin()]
    const holder = new Client({ connectionString: log.db.adminUrl })
    await holder.connect()
    await holder.query('begin')
    await holder.query('select from savefile.sessions where session_id = $1 for update', [held.session])
    try {
      // More than may be under way at once.
      const waiting = [1, 2, 3, 4, 5, 6].map((n) => log.client.input(held, ANN, `held${n}`, say('later')))
      for (let n = 0; n < 10; n++)
        expect(await log.client.input(free, ANN, `free${n}`, say('now'))).toMatchObject({ status: 'appended' })
      await holder.query('commit')
      expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual(
        Array.from({ length: 6 }, () => 'appended'),
      )
    } finally {
      await holder.end()
    }
    for (const ref of [held, free]) expect(await log.client.verify(ref)).toMatchObject({ ok: true })
  })

  it('that share a statement are each judged for themselves: what is new goes in, what is not is answered as if it had come alone', async () => {
    const [a, b, c, closed] = [await log.begin(), await log.begin(), await log.begin(), await log.begin()]
    await log.client.input(b, ANN, 'same', say('same'))
    await log.client.input(closed, ANN, 'end', { type: 'session_closed', payload: {} })
    const answers = await Promise.all([
      log.client.input(c, ANN, 'alone', say('first of all')),
      log.client.input(a, ANN, 'new', say('new')),
      log.client.input(a, ANN, 'newer', say('twice in one session')),
      log.client.input(b, ANN, 'same', say('same')),
      log.client.input(b, ANN, 'first', say('another text under a key that is there')),
      log.client.input(closed, ANN, 'late', say('late')),
      log.client.input({ ...a, session: 'nobody' }, ANN, 'k', say('to nobody')),
    ])
    expect(answers.map(({ status }) => status)).toEqual([
      ...['appended', 'appended', 'appended', 'duplicate', 'idempotency_conflict', 'closed', 'session_not_found'],
    ])
    expect(answers.slice(1, 3)).toMatchObject([{ seq: 3 }, { seq: 4 }])
    for (const ref of [a, b, c, closed]) expect(await log.client.verify(ref)).toMatchObject({ ok: true })
  })

  it('that wait for a row which then moved are chained to where it moved to, and are told of their key where that was what moved it', async () => {
    const ref = await log.begin()
    const holder = new Client({ connectionString: log.db.writerUrl })
    await holder.connect()
    await holder.query('begin')
    const payload = JSON.stringify(say('first').payload)
    await holder.query(
      `select savefile.input('default', $1, 'user:ann', 'raced', 'message_received', 1, null, $2, null)`,
      [ref.session, payload],
    )
    const [others, same] = [createClientLog(log.pool, { listen: false }), createClientLog(log.pool, { listen: false })]
    const waiting = Promise.all([
      others.input(ref, ANN, 'other', say('x')),
      same.input(ref, ANN, 'raced', say('first')),
    ])
    for (let n = 0; n < 2;) {
      const [row] = await log.admin(
        `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
      n = Number(row?.['n'])
    }
    await holder.query('commit')
    await holder.end()
    const [other, raced] = await waiting
    expect(other).toMatchObject({ status: 'appended', seq: 4 })
    expect(raced).toMatchObject({ status: 'duplicate', seq: 3 })
    expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 4 })
  })
})
