/** Calls that are sent together: nobody pays for another's failure, and nobody waits for another's lock. */
import { Client } from 'pg'
import { gather } from '../../log/gather'
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
    expect(sizes).toEqual([1, 1, 1, 16])
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
    const [alone, ...together] = [0, 1, 2].map((n) => call(n))
    for (const each of together) await expect(each).rejects.toBe(gone)
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
})
