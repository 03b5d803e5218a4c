/**
 * Two logs in Postgres against models of them in memory: the same rules on both, then random histories, in which sessions are also compacted,
 * shared, erased, and moved between the two; and 50 nested forks. fast-check prints the seed and the shortest history that fails.
 * Long, because the commands and both ways of running them belong together: a command that only one of the two has proves nothing.
 */
import fc from 'fast-check'
import { errorCode } from '../../contract/errors'
import type { SessionRef } from '../../contract/ids'
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { exported, imported } from '../bundle/support'
import { createMemoryLog, LOCKED, type ModelBundle, type SmallLog } from './memory-log'
import { DEFINITION, openLog, say, ANN, type TestLog } from './support'

/** The second is where sessions move to, and back from. */
let logs: [TestLog, TestLog]
let log: TestLog
let definitions: string[]
beforeAll(async () => {
  const keyring = keyringOf(newOwnerKey(), 'test')
  logs = await Promise.all([openLog({ keyring }), openLog({ keyring })])
  log = logs[0]
  const put = ({ client }: TestLog): Promise<string[]> =>
    Promise.all(['one', 'two', 'three'].map((system) => client.putDefinition('default', { ...DEFINITION, system })))
  definitions = (await Promise.all(logs.map(put)))[0] as string[]
})
afterAll(() => Promise.all(logs.map((each) => each.close())))

const refused = (error: unknown): { status: 'locked' | 'diverged' | 'session_stub' | 'session_not_found' } => {
  const code = errorCode(error)
  if (code === 'key_missing' || code === 'key_destroyed') return { status: 'locked' }
  if (code === 'diverged' || code === 'session_stub' || code === 'session_not_found') return { status: code }
  throw error
}

/** Sessions of one history do not meet those of another: their ids begin with its name. */
function inPostgres({ client, pool }: TestLog, name: string): SmallLog<Buffer> {
  const ref = (id: string): SessionRef => ({ space: 'default', session: `${name}-${id}` })
  const idOf = (session: string): string => session.slice(name.length + 1)
  const short = <T extends { status: string; seq?: number | null }>({ status, seq }: T): never =>
    (status === 'appended' || status === 'duplicate' ? { status, seq } : { status }) as never
  const grantOf = (id: string): string => `${name}${id}`
  return {
    create: async (id, definition, encrypted) =>
      (await client.create(ref(id), ANN, { definition, encrypted })).status as 'created',
    say: async (id, key, text) => short(await client.input(ref(id), ANN, key, say(text, 'steer')).catch(refused)),
    change: async (id, key, definition) => {
      const payload = { definition, from: definitions[0] ?? '', changed: ['system'] }
      return short(await client.input(ref(id), ANN, key, { type: 'definition_changed', payload }).catch(refused))
    },
    close: async (id) =>
      short(await client.input(ref(id), ANN, 'close', { type: 'session_closed', payload: {} }).catch(refused)),
    fork: async (parent, seq, child, encrypted) =>
      (await client.fork(ref(parent), seq, ref(child).session, ANN, { encrypted }).catch(refused)).status as 'created',
    compact: async (of, hi, id, definition, summary, encrypted) => {
      const blocks = [{ type: 'text' as const, text: summary }]
      const checkpoint = { lo: 1, hi, method: 'given' as const, blocks }
      const compaction = { session: ref(of).session, lo: 1, hi, checkpoint }
      return (await client.create(ref(id), ANN, { definition, encrypted, compaction })).status as 'created'
    },
    grant: async (id, grant, forks) =>
      short(
        await client.sharing.grant(ref(id), ANN, {
          grant: grantOf(grant),
          principal: 'bob',
          rights: ['read'],
          forks,
        }),
      ),
    revoke: async (id, grant) => short(await client.sharing.revoke(ref(id), ANN, grantOf(grant))),
    erase: async (id) => {
      const answer = await client.erase(ref(id), ANN)
      return answer.status === 'erased' ? { status: answer.status, seq: answer.seq } : answer
    },
    give: (id) => exported(client, ref(id).session).then((bundle) => ({ status: 'given', bundle }), refused) as never,
    take: (bundle) =>
      imported(client, bundle).then(({ events, sessions }) => {
        return { status: 'taken', events, sessions: sessions.map((s) => ({ ...s, session: idOf(s.session) })) }
      }, refused) as never,
    adopt: async (id) => {
      const { status, ...rest } = await client.adopt(ref(id), ANN).catch(refused)
      return short({ ...rest, status: status === 'adopted' ? 'appended' : status })
    },
    async read(id, from, to) {
      const events = await client.read(ref(id), { from: Math.max(1, from), to })
      return events.map(({ seq, session, type, key, payload, locked }) => {
        const text = locked ? LOCKED : said(type, JSON.parse(payload) as Record<string, never>)
        const named = type === 'key_destroyed' ? 'x:destroyed' : key.replace(`:${name}`, ':')
        return { seq, session: idOf(session), type, key: named, text: text.replace(name, '').replace(/^-/, '') }
      })
    },
    head: async (id) => (await client.info(ref(id)))?.head ?? null,
    async definitionAt(id, seq) {
      const sql = 'select savefile.definition_at($1, $2, $3) as hash'
      const { rows } = await pool.query<{ hash: string | null }>(sql, ['default', ref(id).session, seq])
      return rows[0]?.hash ?? null
    },
  }
}

/** Of each type what the model keeps of it. */
function said(type: string, payload: Record<string, never>): string {
  const { blocks, definition, origin, grant, head } = payload as {
    blocks?: { text: string }[]
    definition?: string
    origin?: { kind: string; session: string; lo: number; hi: number }
    grant?: string
    head?: number
  }
  if (type === 'session_created')
    return origin?.kind === 'compaction' ? `${origin.session} ${origin.lo}..${origin.hi}` : ''
  return blocks?.[0]?.text ?? (type === 'definition_changed' ? definition : (grant ?? head?.toString())) ?? ''
}

/** The bytes of every event, as they are stored. */
async function raw({ pool }: TestLog, session: string, to: number): Promise<Record<string, unknown>[]> {
  const sql = `select session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash from savefile.read_events('default', $1, 1, $2, 1000)`
  return (await pool.query<Record<string, unknown>>(sql, [session, to])).rows
}

let names = 0
/** Two logs of one kind, so that sessions can move. */
type Open = () => [SmallLog, SmallLog]
const both: [string, Open][] = [
  ['in memory', () => [createMemoryLog() as SmallLog, createMemoryLog() as SmallLog]],
  [
    'in Postgres',
    () => {
      const name = `rules${++names}`
      return [inPostgres(logs[0], name) as SmallLog, inPostgres(logs[1], name) as SmallLog]
    },
  ],
]
describe.each(both)('a log %s', (_, open) => {
  it('gives each key one event in a session’s own rows, and a fork its parent’s events up to the fork', async () => {
    const [small] = open()
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
    const [small] = open()
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
    const [small] = open()
    await small.create('a', definitions[0] ?? '')
    expect(await small.close('a')).toEqual({ status: 'appended', seq: 2 })
    expect(await small.say('a', 'k', 'x')).toEqual({ status: 'closed' })
    expect(await small.fork('a', 2, 'b')).toBe('created')
    expect(await small.say('b', 'k', 'x')).toEqual({ status: 'appended', seq: 4 })
  })

  it('begins a compaction with the summary that it was given, in a log of its own', async () => {
    const [small] = open()
    const [definition = ''] = definitions
    await small.create('a', definition)
    expect(await small.compact('nobody', 1, 'b', definition, 'so far')).toBe('session_not_found')
    expect(await small.compact('a', 1, 'b', definition, 'so far')).toBe('created')
    expect(await small.compact('a', 1, 'b', definition, 'so far')).toBe('session_exists')
    expect((await small.read('b', 1, 9)).map(({ session, type, text }) => [session, type, text])).toEqual([
      ['b', 'session_created', 'a 1..1'],
      ['b', 'checkpoint_made', 'so far'],
    ])
    expect(await small.head('a')).toBe(1)
  })

  it('has every grant and its end as events, also behind the end of a session; a grant reaches the forks of after it', async () => {
    const [small] = open()
    await small.create('a', definitions[0] ?? '')
    await small.close('a')
    expect(await small.grant('a', '0g0', true)).toEqual({ status: 'appended', seq: 3 })
    expect(await small.grant('a', '0g0', true)).toEqual({ status: 'duplicate', seq: 3 })
    expect(await small.grant('a', '0g0', false)).toEqual({ status: 'idempotency_conflict' })
    await small.fork('a', 1, 'b')
    expect(await small.revoke('b', '0g1')).toEqual({ status: 'grant_not_found' })
    expect(await small.revoke('b', '0g0')).toEqual({ status: 'appended', seq: 3 })
    expect(await small.revoke('a', '0g0')).toEqual({ status: 'appended', seq: 4 })
    await small.fork('a', 1, 'c')
    expect(await small.revoke('c', '0g0')).toEqual({ status: 'grant_not_found' })
  })

  it('keeps an erased session’s events, its forks’ too, and none of what they said', async () => {
    const [small] = open()
    await small.create('a', definitions[0] ?? '', true)
    await small.say('a', 'k', 'x')
    await small.fork('a', 2, 'b')
    await small.say('b', 'k', 'y')
    expect(await small.erase('a')).toEqual({ status: 'erased', seq: 4 })
    expect(await small.erase('a')).toEqual({ status: 'erased', seq: 4 })
    expect((await small.read('b', 1, 9)).map(({ text }) => text)).toEqual([LOCKED, LOCKED, '', 'y'])
    expect((await small.read('a', 3, 9)).map(({ type, text }) => [type, text])).toEqual([
      ['session_closed', ''],
      ['key_destroyed', ''],
    ])
    expect(await small.say('a', 'k2', 'x')).toEqual({ status: 'locked' })
    expect(await small.fork('b', 2, 'c')).toBe('locked')
  })

  it('moves whole, again without effect, later from where it was; adopted it goes on, and what then went two ways is refused', async () => {
    const [here, there] = open()
    const move = async (id: string) => {
      const given = await here.give(id)
      return given.status === 'given' ? there.take(given.bundle) : given
    }
    await here.create('a', definitions[0] ?? '')
    await here.fork('a', 1, 'b')
    const part = { session: 'a', status: 'imported', custody: 'stub', head: 1 }
    const own = { session: 'b', status: 'imported', custody: 'inert', head: 2 }
    expect(await move('b')).toEqual({ status: 'taken', events: 2, sessions: [part, own] })
    expect(await move('b')).toMatchObject({ status: 'taken', events: 0, sessions: [{ status: 'present' }, {}] })
    await here.say('b', 'k', 'x')
    expect(await move('b')).toMatchObject({ events: 1, sessions: [{}, { status: 'fast_forwarded', head: 3 }] })
    expect(await there.say('b', 'l', 'y')).toEqual({ status: 'inert' })
    expect(await there.give('a')).toEqual({ status: 'session_stub' })
    expect(await there.adopt('a')).toEqual({ status: 'stub' })
    expect(await there.adopt('b')).toEqual({ status: 'appended', seq: 4 })
    expect(await there.say('b', 'l', 'y')).toEqual({ status: 'appended', seq: 5 })
    expect(await move('b')).toMatchObject({ status: 'taken', events: 0 })
    await here.say('b', 'l', 'z')
    expect(await move('b')).toEqual({ status: 'diverged' })
  })
})

/** Of which session, modulo how many there are: the older ones more often, so that a history has something in one place. */
const s = fc.constantFrom(0, 0, 0, 0, 1, 1, 2, 3, 5, 8)
/** At which of the two logs. */
const at = fc.constantFrom<(0 | 1)[]>(0, 0, 0, 1)
const encrypted = fc.constantFrom(undefined, undefined, true, false)
const seq = fc.constantFrom(0, 1, 2, 2, 3, 3, 4, 5, 6, 9)
const grant: fc.Arbitrary<string> = fc.constantFrom('g0', 'g1')
const kinds = {
  say: fc.record({ do: fc.constant('say' as const), at, s, key: fc.nat(8), text: fc.constantFrom('a', 'b') }),
  fork: fc.record({ do: fc.constant('fork' as const), at, s, seq, encrypted }),
  change: fc.record({ do: fc.constant('change' as const), at, s, key: fc.nat(3), to: fc.nat(2) }),
  close: fc.record({ do: fc.constant('close' as const), at, s }),
  create: fc.record({ do: fc.constant('create' as const), at, encrypted }),
  compact: fc.record({ do: fc.constant('compact' as const), at, s, hi: fc.integer({ min: 1, max: 4 }), encrypted }),
  grant: fc.record({ do: fc.constant('grant' as const), at, s, grant, forks: fc.boolean() }),
  revoke: fc.record({ do: fc.constant('revoke' as const), at, s, grant }),
  erase: fc.record({ do: fc.constant('erase' as const), at, s }),
  move: fc.record({ do: fc.constant('move' as const), at, s, adopt: fc.boolean() }),
  again: fc.record({ do: fc.constant('again' as const), at, n: fc.nat(9) }),
  adopt: fc.record({ do: fc.constant('adopt' as const), at, s }),
}
const weighted = (weights: Partial<Record<keyof typeof kinds, number>>) =>
  fc.oneof(
    ...(Object.keys(weights) as (keyof typeof kinds)[]).map((kind) => ({
      weight: weights[kind] ?? 1,
      arbitrary: kinds[kind] as fc.Arbitrary<Command>,
    })),
  )
type Command = {
  [K in keyof typeof kinds]: (typeof kinds)[K] extends fc.Arbitrary<infer C> ? C : never
}[keyof typeof kinds]
type Local = Exclude<Command, { do: 'move' | 'again' }>
const beside = { create: 1, compact: 1, grant: 2, revoke: 1, erase: 1 }

/** What one log can do of itself. `id`: of the session that the command is about; `next`: what a new one is called. */
function run(small: SmallLog, c: Local, id: string, next: string): Promise<unknown> {
  const definition = definitions[0] ?? ''
  // Grants have ids of their own at each log: they stay where they were given, their events travel.
  const granted = 'grant' in c ? `${c.at}${c.grant}` : ''
  switch (c.do) {
    case 'say':
      return small.say(id, String(c.key), c.text)
    case 'change':
      return small.change(id, `d${c.key}`, definitions[c.to] ?? '')
    case 'close':
      return small.close(id)
    case 'fork':
      return small.fork(id, c.seq, next, c.encrypted)
    case 'create':
      return small.create(next, definition, c.encrypted)
    case 'compact':
      return small.compact(id, c.hi, next, definition, `of ${id}`, c.encrypted)
    case 'grant':
      return small.grant(id, granted, c.forks)
    case 'revoke':
      return small.revoke(id, granted)
    case 'erase':
      return small.erase(id)
    case 'adopt':
      return small.adopt(id)
  }
}

/** Everything that can be seen of a session, and that it verifies. */
async function compare(where: TestLog, name: string, real: SmallLog, model: SmallLog, id: string): Promise<void> {
  const head = await model.head(id)
  expect(await real.head(id)).toBe(head)
  if (head === null) return
  for (const [from, to] of [
    [1, 99],
    [2, 4],
    [head, 99],
    [5, 5],
  ] as const)
    expect(await real.read(id, from, to)).toEqual(await model.read(id, from, to))
  for (let seq = 1; seq <= head; seq++) expect(await real.definitionAt(id, seq)).toBe(await model.definitionAt(id, seq))
  expect(await where.client.verify({ space: 'default', session: `${name}-${id}` })).toMatchObject({ ok: true, head })
}

it('random appends, forks of forks, compactions, grants, erasures and moves between two logs give what the model gives', async () => {
  let runs = 0
  const commands = fc.array(
    weighted({ say: 6, fork: 3, change: 1, close: 1, ...beside, move: 4, again: 1, adopt: 2 }),
    { minLength: 1, maxLength: 30, size: 'max' },
  )
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(false, false, true), commands, async (encrypted, commands) => {
      const name = `random${++runs}`
      const reals = [inPostgres(logs[0], name), inPostgres(logs[1], name)] as const
      const models = [createMemoryLog(), createMemoryLog()] as const
      const ids = ['s0']
      /** `rows`: of the log that it was made of, as they were then; that log and the other may have gone on in different ways since. */
      const bundles: { id: string; real: Buffer; model: ModelBundle; rows: unknown[] }[] = []
      for (const small of [reals[0], models[0]]) await small.create('s0', definitions[0] ?? '', encrypted)

      /** Taken by both, or refused by both; and what was taken is what was given, byte for byte. */
      async function take(to: 0 | 1, { id, real, model, rows }: (typeof bundles)[number]): Promise<void> {
        const [is, should] = [await reals[to].take(real), await models[to].take(model)]
        expect(is).toEqual(should)
        const session = `${name}-${id}`
        const length = model.at(-1)?.events.length ?? 0
        if (should.status !== 'taken') return
        expect(await reals[to].take(real)).toMatchObject({ status: 'taken', events: 0 })
        await models[to].take(model)
        expect(await raw(logs[to], session, length)).toEqual(rows)
        if ((await models[to].head(id)) !== length || (await models[to].give(id)).status !== 'given') return
        expect(await reals[to].give(id)).toEqual({ status: 'given', bundle: real })
      }

      for (const c of commands) {
        if (c.do === 'again') {
          const bundle = bundles[c.n % bundles.length]
          if (bundle) await take(c.at, bundle)
          continue
        }
        const id = ids[('s' in c ? c.s : 0) % ids.length] ?? 's0'
        if (c.do === 'move') {
          const [is, should] = [await reals[c.at].give(id), await models[c.at].give(id)]
          expect(is.status).toBe(should.status)
          if (is.status !== 'given' || should.status !== 'given') continue
          const rows = await raw(logs[c.at], `${name}-${id}`, should.bundle.at(-1)?.events.length ?? 0)
          const bundle = { id, real: is.bundle, model: should.bundle, rows }
          bundles.push(bundle)
          const to = c.at === 0 ? 1 : 0
          await take(to, bundle)
          if (c.adopt) expect(await reals[to].adopt(id)).toEqual(await models[to].adopt(id))
          continue
        }
        const next = `s${ids.length}`
        const [is, should] = [
          await run(reals[c.at] as SmallLog, c, id, next),
          await run(models[c.at] as SmallLog, c, id, next),
        ]
        expect(is).toEqual(should)
        if (should === 'created') ids.push(next)
      }
      for (const i of [0, 1] as const)
        for (const id of ids) await compare(logs[i], name, reals[i] as SmallLog, models[i] as SmallLog, id)
    }),
    { numRuns: 50 },
  )
})

it('random commands of many connections at once: each answer holds in what the log then is, every session verifies, and moves whole', async () => {
  let runs = 0
  const lane = fc.array(weighted({ say: 5, fork: 3, change: 1, close: 1, ...beside, move: 1 }), {
    minLength: 1,
    maxLength: 8,
  })
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(lane, { minLength: 2, maxLength: 8 }), async (encrypted, lanes) => {
      const name = `lanes${++runs}`
      const [real, other] = [inPostgres(log, name), inPostgres(logs[1], name)]
      const ids = ['s0']
      await real.create('s0', definitions[0] ?? '', encrypted)
      const answers: { id: string; key: string; seq: number; text: string }[] = []
      const erased = new Set<string>()
      await Promise.all(
        lanes.map(async (commands, lane) => {
          for (const [i, c] of commands.entries()) {
            const id = ids[('s' in c ? c.s : 0) % ids.length] ?? 's0'
            if (c.do === 'again') continue
            if (c.do === 'move') {
              const given = await real.give(id)
              // Whoever takes a session at the same time, nobody is in the way of another: there it never goes on.
              if (given.status === 'given') expect(await other.take(given.bundle)).toMatchObject({ status: 'taken' })
              continue
            }
            const next = `f${lane}x${i}`
            // A grant's id is the session's own: two sessions do not give the same one. What ends may be the first session's, in a fork.
            const grant = 'grant' in c ? `${c.grant}${c.do === 'revoke' && c.grant !== 'g0' ? 's0' : id}` : ''
            const answer = await run(
              real as SmallLog,
              'grant' in c ? { ...c, at: 0, grant } : { ...c, at: 0 },
              id,
              next,
            )
            if (answer === 'created') ids.push(next)
            const { status, seq } = answer as { status?: string; seq?: number }
            if (status === 'erased') erased.add(id)
            if (seq === undefined) continue
            if (c.do === 'say') answers.push({ id, key: `p:${c.key}`, seq, text: c.text })
            if (c.do === 'grant') answers.push({ id, key: `x:granted:0${grant}`, seq, text: `0${grant}` })
            if (c.do === 'revoke') answers.push({ id, key: `x:revoked:0${grant}`, seq, text: `0${grant}` })
          }
        }),
      )
      for (const { id, key, seq, text } of answers) {
        const kept = erased.has(id) && key.startsWith('p:') ? LOCKED : text
        expect((await real.read(id, seq, seq))[0]).toMatchObject({ session: id, key, text: kept })
      }
      for (const id of ids) {
        const events = await real.read(id, 1, 1000)
        expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1))
        const own = events.filter(({ session }) => session === id)
        expect(new Set(own.map(({ key }) => key)).size).toBe(own.length)
        if (erased.has(id)) expect(own.map(({ type }) => type)).toContain('key_destroyed')
        const session = `${name}-${id}`
        const whole = { ok: true, head: events.length }
        expect(await log.client.verify({ space: 'default', session })).toMatchObject(whole)
        const given = await real.give(id)
        if (given.status !== 'given') throw new Error(given.status)
        expect(await other.take(given.bundle)).toMatchObject({ status: 'taken' })
        expect(await logs[1].client.verify({ space: 'default', session })).toMatchObject(whole)
        expect(await raw(logs[1], session, 1000)).toEqual(await raw(log, session, 1000))
      }
    }),
    { numRuns: 15 },
  )
})

it('the chain holds across 50 nested forks, and a change in the first log is found in the last', async () => {
  const small = inPostgres(log, 'deep')
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
