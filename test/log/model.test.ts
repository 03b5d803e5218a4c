/** The log in Postgres against the model of it in memory: the same rules on both, then random histories; and 50 nested forks. */
import fc from 'fast-check'
import type { SessionRef } from '../../contract/ids'
import type { ClientLog } from '../../contract/ports'
import { createMemoryLog, type SmallLog } from './memory-log'
import { DEFINITION, openLog, say, ANN, type TestLog } from './support'

let log: TestLog
let definitions: string[]
beforeAll(async () => {
  log = await openLog()
  definitions = await Promise.all(
    ['one', 'two', 'three'].map((system) => log.client.putDefinition('default', { ...DEFINITION, system })),
  )
})
afterAll(() => log.close())

/** Sessions of one history do not meet those of another: their ids begin with its name. */
function inPostgres(client: ClientLog, name: string): SmallLog {
  const ref = (id: string): SessionRef => ({ space: 'default', session: `${name}-${id}` })
  const short = <T extends { status: string; seq?: number }>({ status, seq }: T): never =>
    (status === 'appended' || status === 'duplicate' ? { status, seq } : { status }) as never
  return {
    create: async (id, definition) => (await client.create(ref(id), ANN, { definition })).status as 'created',
    say: async (id, key, text) => short(await client.input(ref(id), ANN, key, say(text, 'steer'))),
    change: async (id, key, definition) => {
      const payload = { definition, from: definitions[0] ?? '', changed: ['system'] }
      return short(await client.input(ref(id), ANN, key, { type: 'definition_changed', payload }))
    },
    close: async (id) => short(await client.input(ref(id), ANN, 'close', { type: 'session_closed', payload: {} })),
    fork: async (parent, seq, child) =>
      (await client.fork(ref(parent), seq, ref(child).session, ANN, {})).status as 'created',
    async read(id, from, to) {
      const events = await client.read(ref(id), { from: Math.max(1, from), to })
      return events.map(({ seq, session, type, key, payload }) => {
        const { blocks, definition } = JSON.parse(payload) as { blocks?: { text: string }[]; definition?: string }
        const text = type === 'message_received' ? blocks?.[0]?.text : type === 'definition_changed' ? definition : ''
        return { seq, session: session.slice(name.length + 1), type, key, text: text ?? '' }
      })
    },
    head: async (id) => (await client.info(ref(id)))?.head ?? null,
    async definitionAt(id, seq) {
      const rows = await log.admin('select savefile.definition_at($1, $2, $3) as hash', [
        'default',
        ref(id).session,
        seq,
      ])
      return (rows[0]?.['hash'] as string | null | undefined) ?? null
    },
  }
}

let names = 0
describe.each([
  ['in memory', (): SmallLog => createMemoryLog()],
  ['in Postgres', (): SmallLog => inPostgres(log.client, `rules${++names}`)],
])('a log %s', (_, open) => {
  it('gives each key one event in a session’s own rows, and a fork its parent’s events up to the fork', async () => {
    const small = open()
    expect(await small.create('a', definitions[0] ?? '')).toBe('created')
    expect(await small.create('a', definitions[0] ?? '')).toBe('session_exists')
    expect(await small.say('a', 'k', 'x')).toEqual({ status: 'appended', seq: 2 })
    expect(await small.say('a', 'k', 'x')).toEqual({ status: 'duplicate', seq: 2 })
    expect(await small.say('a', 'k', 'y')).toEqual({ status: 'idempotency_conflict' })
    expect(await small.fork('a', 3, 'b')).toBe('no_such_event')
    expect(await small.fork('a', 2, 'b')).toBe('created')
    expect(await small.say('b', 'k', 'y')).toEqual({ status: 'appended', seq: 4 })
    expect((await small.read('b', 1, 9)).map(({ session, type }) => [session, type])).toEqual([
      ['a', 'session_created'],
      ['a', 'message_received'],
      ['b', 'forked'],
      ['b', 'message_received'],
    ])
  })

  it('knows of each event under which definition it was, also in a fork of before the change', async () => {
    const small = open()
    await small.create('a', definitions[0] ?? '')
    await small.say('a', 'k', 'x')
    await small.change('a', 'd', definitions[1] ?? '')
    await small.fork('a', 2, 'before')
    await small.fork('a', 3, 'behind')
    expect(await small.definitionAt('a', 2)).toBe(definitions[0])
    expect(await small.definitionAt('a', 3)).toBe(definitions[1])
    expect(await small.definitionAt('before', 3)).toBe(definitions[0])
    expect(await small.definitionAt('behind', 4)).toBe(definitions[1])
  })

  it('takes nothing once it is closed, and its forks live on', async () => {
    const small = open()
    await small.create('a', definitions[0] ?? '')
    expect(await small.close('a')).toEqual({ status: 'appended', seq: 2 })
    expect(await small.say('a', 'k', 'x')).toEqual({ status: 'closed' })
    expect(await small.fork('a', 2, 'b')).toBe('created')
    expect(await small.say('b', 'k', 'x')).toEqual({ status: 'appended', seq: 4 })
  })
})

const command = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('say' as const),
      s: fc.nat(9),
      key: fc.nat(8),
      text: fc.constantFrom('a', 'b'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('fork' as const), s: fc.nat(9), at: fc.integer({ min: 0, max: 12 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('change' as const), s: fc.nat(9), key: fc.nat(3), to: fc.nat(2) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), s: fc.nat(9) }) },
)

it('random appends, changes, closings, forks and forks of forks give what the model gives', async () => {
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 30 }), async (commands) => {
      const name = `random${++run}`
      const [real, model] = [inPostgres(log.client, name), createMemoryLog()]
      const ids = ['s0']
      for (const small of [real, model]) await small.create('s0', definitions[0] ?? '')
      for (const c of commands) {
        const id = ids[c.s % ids.length] ?? 's0'
        const on = (small: SmallLog): Promise<unknown> => {
          if (c.do === 'say') return small.say(id, String(c.key), c.text)
          if (c.do === 'change') return small.change(id, `d${c.key}`, definitions[c.to] ?? '')
          if (c.do === 'close') return small.close(id)
          return small.fork(id, c.at, `s${ids.length}`)
        }
        const [is, should] = [await on(real), await on(model)]
        expect(is).toEqual(should)
        if (c.do === 'fork' && should === 'created') ids.push(`s${ids.length}`)
      }
      for (const id of ids) {
        const head = await model.head(id)
        expect(await real.head(id)).toBe(head)
        for (const [from, to] of [
          [1, 99],
          [2, 4],
          [head ?? 1, 99],
          [5, 5],
        ] as const)
          expect(await real.read(id, from, to)).toEqual(await model.read(id, from, to))
        for (let seq = 1; seq <= (head ?? 0); seq++)
          expect(await real.definitionAt(id, seq)).toBe(await model.definitionAt(id, seq))
        expect(await log.client.verify({ space: 'default', session: `${name}-${id}` })).toMatchObject({
          ok: true,
          head,
        })
      }
    }),
    { numRuns: 25 },
  )
})

it('random commands of many connections at once: each answer holds in what the log then is, and every session verifies', async () => {
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(command, { minLength: 1, maxLength: 8 }), { minLength: 2, maxLength: 8 }),
      async (lanes) => {
        const name = `lanes${++run}`
        const real = inPostgres(log.client, name)
        const ids = ['s0']
        await real.create('s0', definitions[0] ?? '')
        const said: { id: string; key: string; seq: number; text: string }[] = []
        await Promise.all(
          lanes.map(async (commands, lane) => {
            for (const [i, c] of commands.entries()) {
              const id = ids[c.s % ids.length] ?? 's0'
              if (c.do === 'say') {
                const answer = await real.say(id, String(c.key), c.text)
                if ('seq' in answer) said.push({ id, key: `p:${c.key}`, seq: answer.seq, text: c.text })
              } else if (c.do === 'change') await real.change(id, `d${c.key}`, definitions[c.to] ?? '')
              else if (c.do === 'close') await real.close(id)
              else if ((await real.fork(id, c.at, `f${lane}x${i}`)) === 'created') ids.push(`f${lane}x${i}`)
            }
          }),
        )
        for (const { id, key, seq, text } of said)
          expect((await real.read(id, seq, seq))[0]).toMatchObject({ session: id, key, text })
        for (const id of ids) {
          const events = await real.read(id, 1, 1000)
          expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1))
          const own = events.filter(({ session }) => session === id).map(({ key }) => key)
          expect(new Set(own).size).toBe(own.length)
          expect(await log.client.verify({ space: 'default', session: `${name}-${id}` })).toMatchObject({
            ok: true,
            head: events.length,
          })
        }
      },
    ),
    { numRuns: 15 },
  )
})

it('the chain holds across 50 nested forks, and a change in the first log is found in the last', async () => {
  const small = inPostgres(log.client, 'deep')
  await small.create('s0', definitions[0] ?? '')
  await small.say('s0', 'k', 'in 0')
  for (let depth = 1; depth <= 50; depth++) {
    const head = (await small.head(`s${depth - 1}`)) ?? 0
    expect(await small.fork(`s${depth - 1}`, head - (depth % 4 === 0 ? 1 : 0), `s${depth}`)).toBe('created')
    await small.say(`s${depth}`, 'k', `in ${depth}`)
  }
  const last = { space: 'default', session: 'deep-s50' }
  const events = await log.read(last)
  for (const [i, event] of events.entries()) expect(event.prevHash).toBe(i === 0 ? '' : events[i - 1]?.hash)
  expect(new Set(events.map(({ session }) => session)).size).toBeGreaterThan(40)
  expect(await log.client.verify(last)).toMatchObject({ ok: true, head: events.length })
  await log.admin('alter table savefile.events disable trigger append_only')
  await log.admin(`update savefile.events set actor = 'user:eve' where session_id = 'deep-s0' and seq = 2`)
  await log.admin('alter table savefile.events enable always trigger append_only')
  expect(await log.client.verify(last)).toMatchObject({ ok: false, seq: 2 })
})
