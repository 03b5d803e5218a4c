/**
 * Each right against each operation as a program has them: the client, by token. What the database refuses to raw SQL is
 * test/log/sharing-matrix.test.ts; here is what becomes of it.
 */
import { connect } from '../../client/connect'
import type { Client } from '../../client/types'
import type { Right } from '../../contract/events'
import { errorCode } from '../../contract/errors'
import { collect, inPieces } from '../bundle/support'
import { ANN, answer, DEFINITION, IDLE, openLog, say, turnFinished, type TestLog } from '../log/support'

/** Nobody listens there: inputs are accepted all the same. */
const temporal = { address: '127.0.0.1:1' }
const RIGHTS: Right[] = ['read', 'extend', 'approve', 'fork', 'own']
type Outcome = 'yes' | 'forbidden' | 'absent'

let log: TestLog
let owner: Client
let bundle: Buffer
const clients: Client[] = []
const holders = new Map<string, Client>()
/** The one that the rights are for, its fork that was made afterwards, and one that they say nothing of. */
const at = { session: '', fork: '', other: '' }

const opened = async (options: Parameters<typeof connect>[0]): Promise<Client> => {
  const client = await connect({ temporal, ...options })
  clients.push(client)
  return client
}
const by = (token: string): Promise<Client> => opened({ databaseUrl: log.db.memberUrl, token })

/** A session whose first turn has ended. */
async function begun(name: string): Promise<string> {
  const ref = await log.begin(name)
  await log.executor.append(ref, 1, 2, [answer(ref, 2), turnFinished(2)], IDLE)
  return ref.session
}

beforeAll(async () => {
  log = await openLog({ listen: false })
  owner = await opened({ databaseUrl: log.db.writerUrl, principal: 'ann' })
  at.session = await begun('shared')
  at.other = await begun('other')
  bundle = await collect(owner.exportBundle(at.other))
  for (const right of RIGHTS) {
    for (const forks of [false, true]) {
      const name = forks ? `${right}+forks` : right
      holders.set(name, await by((await owner.createToken(name)).token))
      await owner.grant(at.session, name, { rights: [right], forks })
    }
    holders.set(`${right} link`, await by((await owner.shareLink(at.session, { rights: [right] })).token))
  }
  holders.set('nothing', await by((await owner.createToken('nothing')).token))
  holders.set('of the space', await by((await owner.createToken('landlord', { rights: ['own'] })).token))
  at.fork = (await owner.fork(at.session, { session: 'shared-fork' })).session
})
afterAll(async () => {
  for (const client of clients) await client.disconnect()
  await log.close()
})

const FAR = { model: { provider: 'anthropic' as const, name: 'another' } }
const summary = { summary: 'in short' }
let n = 0

/** What each takes, and how it is tried. Those that leave the session other than it was for the next stand apart, below. */
const OPERATIONS: Readonly<Record<string, [takes: Right[], (client: Client, session: string) => Promise<unknown>]>> = {
  read: [['read'], async (c, s) => (await c.read(s)).length > 0 || absent()],
  tail: [['read'], async (c, s) => (await c.tail(s, 1)).length > 0 || absent()],
  info: [['read'], (c, s) => c.info(s)],
  find: [['read'], (c, s) => c.find(s)],
  list: [['read'], async (c, s) => (await c.list()).some(({ session }) => session === s) || absent()],
  verify: [['read'], (c, s) => c.verify(s)],
  family: [['read'], (c, s) => c.family(s)],
  exportBundle: [['read'], (c, s) => collect(c.exportBundle(s))],
  exportAs: [['read'], async (c, s) => expect(await text(c.exportAs(s, 'markdown'))).not.toBe('')],
  send: [['extend'], (c, s) => c.send(s, 'hello')],
  'send a long text': [['extend'], (c, s) => c.send(s, 'x'.repeat(100_000))],
  interrupt: [['extend'], (c, s) => c.interrupt(s)],
  resolve: [['approve'], (c, s) => c.resolve(s, `${s}:1.0`, { decision: 'allow' })],
  fork: [['fork'], (c, s) => c.fork(s)],
  'fork under another model': [['own'], (c, s) => c.fork(s, FAR)],
  compact: [['fork'], (c, s) => c.compact(s, summary)],
  'compact under another definition': [
    ['own'],
    (c, s) => c.compact(s, { ...summary, definition: { ...DEFINITION, name: `n${++n}` } }),
  ],
  checkpoint: [['own'], (c, s) => c.checkpoint(s, summary)],
  changeDefinition: [['own'], (c, s) => c.changeDefinition(s, { ...DEFINITION, name: `n${++n}` })],
  adopt: [['own'], (c, s) => c.adopt(s)],
  erase: [['own'], (c, s) => c.erase(s)],
  grants: [['own'], (c, s) => c.grants(s)],
  grant: [['own'], (c, s) => c.grant(s, 'zed', { rights: ['read'] })],
  shareLink: [['own'], (c, s) => c.shareLink(s, { rights: ['read'] })],
  revoke: [['own'], (c, s) => c.revoke(s, 'nosuchgrant')],
}
/** Refused before the right is asked for: what one may not read is not there. */
const READS_FIRST = [
  'compact',
  'compact under another definition',
  'checkpoint',
  'changeDefinition',
  'adopt',
  'fork',
  'fork under another model',
  'grants',
]

const text = async (pieces: AsyncIterable<string>): Promise<string> => {
  let all = ''
  for await (const piece of pieces) all += piece
  return all
}
class Absent extends Error {}
const absent = (): never => {
  throw new Absent()
}

/** What comes back is no word of refusal, whatever else the operation finds wrong. */
async function tried(what: Promise<unknown>): Promise<Outcome> {
  try {
    await what
    return 'yes'
  } catch (error) {
    if (error instanceof Absent || errorCode(error) === 'session_not_found') return 'absent'
    if (errorCode(error) === 'forbidden') return 'forbidden'
    // It was let through to what is said of everybody's attempt.
    if (['call_not_found', 'grant_not_found', 'not_encrypted'].includes(errorCode(error) ?? '')) return 'yes'
    throw error
  }
}

/** To approve or to fork is to see; to own is all. */
const full = (right: Right | null): Right[] =>
  right === null ? [] : right === 'own' ? RIGHTS : right === 'approve' || right === 'fork' ? ['read', right] : [right]

function expected(right: Right | null): Record<string, Outcome> {
  const has = full(right)
  return Object.fromEntries(
    Object.entries(OPERATIONS).map(([name, [takes]]) => {
      if (takes.some((needed) => has.includes(needed))) return [name, 'yes']
      const unseen = takes.includes('read') || (READS_FIRST.includes(name) && !has.includes('read'))
      return [name, has.length === 0 || unseen ? 'absent' : 'forbidden']
    }),
  )
}

async function matrixOf(holder: string, session: string): Promise<Record<string, Outcome>> {
  const client = holders.get(holder) as Client
  // Together: each that writes waits for a Temporal that is not there.
  const found = await Promise.all(
    Object.entries(OPERATIONS).map(async ([name, [, run]]) => [name, await tried(run(client, session))] as const),
  )
  return Object.fromEntries(found)
}

describe.each(RIGHTS)('%s', (right) => {
  it('lets its holder do what it says in the session, and nothing else; so does a link with it', async () => {
    expect(await matrixOf(right, at.session)).toEqual(expected(right))
    expect(await matrixOf(`${right} link`, at.session)).toEqual(expected(right))
  })

  it('reaches a fork that was made since only where it covers forks, and nothing of another session', async () => {
    expect(await matrixOf(right, at.fork)).toEqual(expected(null))
    expect(await matrixOf(`${right}+forks`, at.fork)).toEqual(expected(right))
    expect(await matrixOf(`${right}+forks`, at.other)).toEqual(expected(null))
  })

  it('closes a session where it says so, imports none, and sees to no keys and no retention', async () => {
    const { session } = await owner.create({ definition: DEFINITION })
    await owner.grant(session, right, { rights: [right] })
    const holder = holders.get(right) as Client
    expect(await tried(holder.close(session))).toBe(right === 'own' ? 'yes' : 'forbidden')
    expect(await tried(holder.importBundle(inPieces(bundle)))).toBe('forbidden')
    expect(await tried(holder.createToken('zed'))).toBe('forbidden')
    expect(await tried(holder.retain({ olderThanMs: 1e9 }))).toBe('forbidden')
  })
})

it('a token without a grant opens nothing; who owns the space does all in it', async () => {
  for (const session of Object.values(at)) expect(await matrixOf('nothing', session)).toEqual(expected(null))
  for (const session of Object.values(at)) expect(await matrixOf('of the space', session)).toEqual(expected('own'))
})

it('who owns the space imports, adopts and goes on; what came in the names of others stays in them, and what follows is in its own', async () => {
  const there = await openLog({ listen: false })
  const landlord = async (): Promise<Client> => {
    const trusted = await opened({ databaseUrl: there.db.writerUrl, principal: 'ann' })
    const { token } = await trusted.createToken('landlord', { rights: ['own'] })
    return opened({ databaseUrl: there.db.memberUrl, token })
  }
  const client = await landlord()
  try {
    const moved = await begun('moved')
    await owner.fork(moved, { session: 'moved-fork' })
    await log.client.input({ space: 'default', session: 'moved-fork' }, ANN, 'm', say('x'.repeat(100_000)))
    const packed = await collect(owner.exportBundle('moved-fork', { packing: 'gzip' }))
    expect(await client.importBundle(inPieces(packed))).toMatchObject({ status: 'imported', custody: 'inert' })
    expect(await client.importBundle(inPieces(packed))).toMatchObject({ status: 'present' })
    expect(await collect(client.exportBundle('moved-fork', { packing: 'gzip' }))).toEqual(packed)
    await expect(client.send('moved-fork', 'too early')).rejects.toMatchObject({ code: 'session_inert' })
    expect(await client.adopt('moved-fork', { why: 'moved' })).toMatchObject({ adopted: true })
    await client.send('moved-fork', 'goes on')
    const events = await client.read('moved-fork')
    expect(events.slice(-2).map(({ type, actor }) => [type, actor])).toEqual([
      ['custody_taken', 'user:landlord'],
      ['message_received', 'user:landlord'],
    ])
    expect(await client.verify('moved-fork')).toMatchObject({ ok: true })
    // Not a byte of it is believed that its hash does not say, and nothing is left of what is refused.
    const lines = (await collect(owner.exportBundle(at.other))).toString('utf8')
    const before = (await client.list()).length
    await expect(client.importBundle(inPieces(Buffer.from(lines.replace('"go', '"no'))))).rejects.toMatchObject({
      code: 'invalid_bundle',
    })
    expect(await client.list()).toHaveLength(before)
  } finally {
    await client.disconnect()
    clients.splice(clients.indexOf(client), 1)
    await there.close()
  }
})

it('who may fork has of a compaction what they have of a fork, and the summary that they gave', async () => {
  const forker = holders.get('fork') as Client
  const { session } = await forker.compact(at.session, { ...summary, session: 'short' })
  const events = await forker.read(session)
  expect(events.map(({ type, actor }) => [type, actor])).toEqual([
    ['session_created', 'user:fork'],
    ['checkpoint_made', 'user:fork'],
    ['granted', 'user:fork'],
  ])
  expect((await owner.grants(session)).map(({ principal, rights }) => [principal, rights])).toEqual([
    ['fork', ['read', 'extend', 'fork']],
  ])
  expect(await tried(forker.close(session))).toBe('forbidden')
})
