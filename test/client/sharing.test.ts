/** Sharing as a program has it: the same client, a token, and a login that can do nothing without. */
import { connect } from '../../client/connect'
import type { Client } from '../../client/types'
import type { KnownEvent } from '../../contract/events'
import { buildView } from '../../providers/view'
import { openLog, DEFINITION, type TestLog } from '../log/support'

/** Nobody listens there: inputs are accepted all the same. */
const temporal = { address: '127.0.0.1:1' }
let log: TestLog
let owner: Client
const open: Client[] = []

async function opened(options: Parameters<typeof connect>[0]): Promise<Client> {
  const client = await connect({ temporal, ...options })
  open.push(client)
  return client
}
const by = (token: string) => opened({ databaseUrl: log.db.memberUrl, token })

beforeAll(async () => {
  log = await openLog()
  owner = await opened({ databaseUrl: log.db.writerUrl, principal: 'owner' })
})
afterAll(async () => {
  for (const client of open) await client.disconnect()
  await log.close()
})

it('what was granted is what works; what was not says which right is missing, or is not there', async () => {
  const { session } = await owner.create({ definition: DEFINITION })
  await owner.send(session, 'hello')
  const hidden = await owner.create({ definition: DEFINITION })
  const alice = await by((await owner.createToken('alice')).token)

  await expect(alice.info(session)).rejects.toMatchObject({ code: 'session_not_found' })
  await expect(alice.send(session, 'x')).rejects.toMatchObject({ code: 'session_not_found' })
  const { grant } = await owner.grant(session, 'alice', { rights: ['read'] })
  expect((await alice.read(session)).map((event) => event.type)).toEqual([
    'session_created',
    'message_received',
    'granted',
  ])
  expect((await alice.list()).map((row) => row.session)).toEqual([session])
  expect(await alice.find(session.slice(0, 6))).toBe(session)
  expect(await alice.stalled(session)).toBeNull()
  expect(await alice.verify(session)).toMatchObject({ ok: true, events: 3 })
  expect((await alice.definition((await alice.info(session)).definition)).model.name).toBe('scripted')
  for (const [tried, missing] of [
    [alice.send(session, 'x'), 'extend'],
    [alice.interrupt(session), 'extend'],
    [alice.resolve(session, `${session}:1.0`, { decision: 'allow' }), 'approve'],
    [alice.close(session), 'own'],
    [alice.fork(session), 'fork'],
    [alice.grants(session), 'own'],
    [alice.grant(session, 'eve', { rights: ['read'] }), 'own'],
    [alice.shareLink(session, { rights: ['read'] }), 'own'],
    [alice.revoke(session, grant), 'own'],
    [alice.create({ definition: DEFINITION }), 'own'],
    [alice.createToken('eve'), 'own'],
  ] as const)
    await expect(tried).rejects.toMatchObject({ code: 'forbidden', data: { missing } })
  await expect(alice.info(hidden.session)).rejects.toMatchObject({ code: 'session_not_found' })
  await expect(alice.definition(`sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({ code: 'definition_not_found' })

  await owner.grant(session, 'alice', { rights: ['extend', 'fork'] })
  expect(await alice.send(session, 'from alice')).toMatchObject({ duplicate: false })
  const fork = await alice.fork(session)
  expect(await alice.send(fork.session, 'x'.repeat(100_000))).toMatchObject({ duplicate: false })
  expect(await owner.grants(fork.session)).toMatchObject([{ principal: 'alice', rights: ['read', 'extend', 'fork'] }])

  for (const { grant } of await owner.grants(session)) await owner.revoke(session, grant)
  await expect(alice.read(session)).resolves.toEqual([])
  await expect(alice.info(session)).rejects.toMatchObject({ code: 'session_not_found' })
  expect((await alice.info(fork.session)).session).toBe(fork.session)
})

it('a follower by token sees what comes, and live text of what it may read', async () => {
  const { session } = await owner.create({ definition: DEFINITION })
  const reader = await by((await owner.shareLink(session, { rights: ['read'] })).token)
  const seen: string[] = []
  const following = (async () => {
    for await (const event of reader.follow(session)) {
      seen.push(event.type)
      if (event.type === 'message_received') return
    }
  })()
  await owner.send(session, 'now')
  await following
  expect(seen).toEqual(['session_created', 'granted', 'message_received'])
})

it('the model is told who is speaking when several do', async () => {
  const { session } = await owner.create({ definition: DEFINITION })
  for (const name of ['ann@example', 'bob']) {
    await owner.grant(session, name, { rights: ['read', 'extend'] })
    await (await by((await owner.createToken(name)).token)).send(session, `I am ${name}`)
  }
  const events = (await owner.read(session)) as unknown as KnownEvent[]
  const said = events.filter((event) => event.type === 'message_received')
  expect(said.map((event) => event.actor)).toEqual(['user:ann@example', 'user:bob'])
  const { entries } = buildView(
    events,
    DEFINITION,
    said.map((event) => event.seq),
  )
  expect(JSON.stringify(entries)).toMatch(/"I am ann@example".*"\[bob\] I am bob"/)
})

it('who may create sessions owns those they make, and brings definitions of their own', async () => {
  const maker = await by((await owner.createToken('maker', { rights: ['create'] })).token)
  const { session } = await maker.create({ definition: { ...DEFINITION, system: 'mine' }, title: 'made' })
  expect(await maker.grants(session)).toMatchObject([
    { principal: 'maker', rights: ['read', 'extend', 'approve', 'fork', 'own'] },
  ])
  await maker.changeDefinition(session, { ...DEFINITION, system: 'other' })
  const { token } = await maker.shareLink(session, { rights: ['read'], forks: true, label: 'for the review' })
  const fork = await maker.fork(session, { at: 1, definition: { ...DEFINITION, system: 'forked' } })
  expect((await (await by(token)).list()).map((row) => row.session).sort()).toEqual([session, fork.session].sort())
  await maker.close(session)
  const [first] = await maker.grants(session)
  expect(first && (await maker.revoke(session, first.grant)).seq).toBeGreaterThan(0)
  await expect(maker.send(session, 'x')).rejects.toMatchObject({ code: 'session_not_found' })
})

it('a token is refused that does not count, is of another space, or comes with a login that needs none', async () => {
  await expect(by('svf_wrong')).rejects.toMatchObject({ code: 'forbidden', data: { missing: 'token' } })
  const { token, id } = await owner.createToken('carol')
  expect(token).toMatch(/^svf_[A-Za-z0-9_-]{43}$/)
  await expect(opened({ databaseUrl: log.db.memberUrl, token, space: 'elsewhere' })).rejects.toMatchObject({
    code: 'invalid_input',
  })
  for (const url of [log.db.writerUrl, log.db.adminUrl, log.db.ownerUrl])
    await expect(opened({ databaseUrl: url, token })).rejects.toMatchObject({ code: 'setup_failed' })
  const carol = await by(token)
  expect((await carol.tokens()).map((one) => one.principal)).toEqual(['carol'])
  await carol.revokeToken(id)
  const failed = carol.send('any', 'x')
  await expect(failed).rejects.toMatchObject({ code: 'forbidden' })
  await failed.catch((error: unknown) =>
    expect(JSON.stringify(error) + String((error as Error).message)).not.toContain(token),
  )
  await expect(owner.revokeToken('t0')).rejects.toMatchObject({ code: 'token_not_found' })
})
