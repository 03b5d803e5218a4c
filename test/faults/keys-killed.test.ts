/**
 * The database, or the process, is killed in the middle of erasing, of wrapping keys anew, of retention: what was begun is whole or not there,
 * never half, and the same again finishes it. Each is caught at an exact moment, by a lock that it comes to stand at; and each looks at what a
 * wrong order would leave behind, and says that it is half.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Keyring } from '../../contract/keys'
import type { ClientLog } from '../../contract/client-port'
import type { SessionRef } from '../../contract/ids'
import { emptyState } from '../../contract/state'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { createPool } from '../../log/pool'
import { createVault } from '../../log/vault'
import { ANN, DEFINITION, RUN, say } from '../log/support'
import { builtArgs } from '../support/built'
import { ask, closeGate, type Gate } from './support/gate'
import { ownPostgres, type OwnPostgres } from './support/servers'

const [OLD, NEW] = [newOwnerKey(), newOwnerKey()]
const old = keyringOf(OLD, 'test')
/** Of a process that is to wrap anew: the new one wraps, both open. */
const both = `${NEW}\n${OLD}`
const space = 'default'
jest.setTimeout(180_000)

let postgres: OwnPostgres
let definition: string
let n = 0
beforeAll(async () => {
  postgres = await ownPostgres()
  await as(old, async (log) => void (definition = await log.putDefinition(space, DEFINITION)))
}, 180_000)
afterAll(() => postgres.db.drop())

/** A process of its own: its caches are empty. */
async function as<T>(keyring: Keyring, use: (log: ClientLog) => Promise<T>): Promise<T> {
  const pool = createPool(postgres.db.writerUrl, { max: 3 })
  const log = createClientLog(pool, { vault: createVault(pool, keyring), listen: false })
  try {
    return await use(log)
  } finally {
    await log.close()
  }
}

/** Encrypted, with a step under way and a snapshot. */
async function session(): Promise<SessionRef> {
  const ref = { space, session: `s${++n}` }
  await as(old, async (log) => {
    await log.create(ref, ANN, { definition, encrypted: true })
    await log.input(ref, ANN, 'm', say('kept'))
  })
  const pool = createPool(postgres.db.writerUrl, { max: 1 })
  const executor = createExecutorLog(pool, { vault: createVault(pool, old) })
  await executor.claim(ref, RUN)
  await executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 't' })
  await executor.saveSnapshot(ref, 2, { ...emptyState, seq: 2 })
  await executor.end()
  await pool.end()
  return ref
}

const admin = <T>(sql: string, ...values: unknown[]): Promise<T | undefined> =>
  ask<T>(postgres.db.adminUrl, sql, values)

/** `open`: nothing of an erasure is there. `erased`: all of it. Anything else is said as it is. */
async function stateOf({ session }: SessionRef): Promise<string> {
  const facts = await admin<Record<string, boolean>>(
    `select json_build_object('closed', s.closed, 'erased', s.erased, 'key', k.wrapped is not null,
       'event', exists (select from savefile.events e where e.session_id = s.session_id and e.type = 'key_destroyed'),
       'rest', exists (select from savefile.snapshots x where x.session_id = s.session_id)
         or exists (select from savefile.drafts x where x.session_id = s.session_id))
     from savefile.sessions s join savefile.session_keys k on k.kid = s.kid where s.session_id = $1`,
    session,
  )
  const said = JSON.stringify(facts)
  if (said === '{"closed":false,"erased":false,"key":true,"event":false,"rest":true}') return 'open'
  if (said === '{"closed":true,"erased":true,"key":false,"event":true,"rest":false}') return 'erased'
  return `half: ${said}`
}

const readable = (keyring: Keyring, ref: SessionRef): Promise<boolean> =>
  as(keyring, async (log) => (await log.read(ref)).every(({ locked }) => locked === undefined))

/** Kills the server while what stands at the gate stands there, and starts it again. */
async function killedAt(gate: Gate, name: string): Promise<void> {
  await gate.standsAt(name)
  await postgres.kill()
  await gate.open().catch(() => undefined) // its connection went with the server
  await postgres.startAgain()
}

/** A command that is killed while it stands at the gate; what it asked for goes on in the server, once that is open. */
async function commandKilledAt(gate: Gate, name: string, args: string[], key: string): Promise<void> {
  const child = spawn(process.execPath, [...builtArgs('cli/main'), ...args], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: '/nonexistent',
      SAVEFILE_DATABASE_URL: postgres.db.writerUrl,
      SAVEFILE_KEY: key,
    },
    stdio: 'ignore',
  })
  const ended = once(child, 'exit')
  await gate.standsAt(name)
  child.kill('SIGKILL')
  await ended
  await gate.open()
  while (
    await admin(
      `select 1 from pg_stat_activity where usename <> current_user and datname = current_database() and state <> 'idle'`,
    )
  );
}

/** Erasing comes to the snapshots last, when key, event and all else are done. */
const atTheSnapshot = ({ session }: SessionRef): Promise<Gate> =>
  closeGate(postgres.db.adminUrl, 'select from savefile.snapshots where session_id = $1 for update', [session])

test('erase: the server dies when the key is destroyed and the rest is not', async () => {
  const ref = await session()
  const gate = await atTheSnapshot(ref)
  const erasing = as(old, (log) => log.erase(ref, ANN)).catch((error: unknown) => error)
  await killedAt(gate, 'erase_session')
  expect(await erasing).toMatchObject({ code: 'database_unreachable' })
  expect(await stateOf(ref)).toBe('open')
  expect(await readable(old, ref)).toBe(true)
  await as(old, (log) => log.erase(ref, ANN))
  expect(await stateOf(ref)).toBe('erased')
  expect(await as(old, (log) => log.verify(ref))).toMatchObject({ ok: true })
})

test('erase: whoever asked for it dies', async () => {
  const ref = await session()
  await commandKilledAt(await atTheSnapshot(ref), 'erase_session', ['erase', ref.session, '--yes'], OLD)
  expect(['open', 'erased']).toContain(await stateOf(ref))
  expect(await as(old, (log) => log.erase(ref, ANN))).toMatchObject({ status: 'erased' })
  expect(await stateOf(ref)).toBe('erased')
})

test('erase in steps of their own would leave half of it, and that is seen', async () => {
  const ref = await session()
  await admin('update savefile.session_keys set wrapped = null, destroyed_at = 1 where session_id = $1', ref.session)
  expect(await stateOf(ref)).toBe('half: {"closed":false,"erased":false,"key":false,"event":false,"rest":true}')
  // What is half may be finished, too: whoever restores it from somewhere has only to ask again.
  await as(old, (log) => log.erase(ref, ANN))
  expect(await stateOf(ref)).toBe('erased')
})

/** Wrapping anew goes by the kids: some are done and some are not when it comes to this one. */
async function amidTheKeys(): Promise<{ refs: SessionRef[]; gate: Gate }> {
  const refs: SessionRef[] = []
  for (let i = 0; i < 5; i++) refs.push(await session())
  const kid = await admin<string>(
    `select kid from savefile.session_keys where session_id = any ($1) order by kid offset 2 limit 1`,
    refs.map((ref) => ref.session),
  )
  return {
    refs,
    gate: await closeGate(postgres.db.adminUrl, 'select from savefile.session_keys where kid = $1 for update', [kid]),
  }
}
const wrappedBy = (refs: readonly SessionRef[], owner: string): Promise<number | undefined> =>
  admin<number>(
    'select count(*)::int from savefile.session_keys where session_id = any ($1) and owner = $2',
    refs.map((ref) => ref.session),
    owner,
  )

async function wrappedAnew(refs: readonly SessionRef[]): Promise<void> {
  const [ring, young] = [keyringOf(both, 'test'), keyringOf(NEW, 'test')]
  // Some by the old and some by the new: whoever has both reads all.
  for (const ref of refs) expect(await readable(ring, ref)).toBe(true)
  expect(await as(ring, (log) => log.rekey(space))).toMatchObject({ owner: young.owner, missing: 0 })
  expect(await wrappedBy(refs, young.owner)).toBe(refs.length)
  for (const ref of refs) expect(await readable(young, ref)).toBe(true)
}

test('rekey: the server dies when some keys are wrapped anew', async () => {
  const { refs, gate } = await amidTheKeys()
  const wrapping = as(keyringOf(both, 'test'), (log) => log.rekey(space)).catch((error: unknown) => error)
  await killedAt(gate, 'rewrap_key')
  expect(await wrapping).toMatchObject({ code: 'database_unreachable' })
  expect(await wrappedBy(refs, old.owner)).toBe(3)
  await wrappedAnew(refs)
})

test('rekey: whoever does it dies', async () => {
  const { refs, gate } = await amidTheKeys()
  await commandKilledAt(gate, 'rewrap_key', ['rekey'], both)
  expect([2, 3]).toContain(await wrappedBy(refs, old.owner))
  await wrappedAnew(refs)
})

test('rekey in steps of their own would lose a key, and that is seen', async () => {
  const ref = await session()
  await admin(
    'update savefile.session_keys set owner = $2 where session_id = $1',
    ref.session,
    keyringOf(NEW, 'x').owner,
  )
  await expect(readable(keyringOf(both, 'test'), ref)).rejects.toMatchObject({ code: 'keyring_failed' })
  await admin('update savefile.session_keys set owner = $2 where session_id = $1', ref.session, old.owner)
})

const dropped = { olderThanMs: 1000 }

/** A blob that an event names, and one that only a reference does. */
async function blobs(): Promise<{ ref: SessionRef; kept: string; lost: string }> {
  const ref = await session()
  return as(old, async (log) => {
    const [kept, lost] = [
      await log.writeBlob(ref, Buffer.from(`kept ${n}`), 'text/plain'),
      await log.writeBlob(ref, Buffer.from(`lost ${n}`), 'text/plain'),
    ]
    const blocks = [{ type: 'file' as const, blob: kept, name: 'a.txt' }]
    await log.input(ref, ANN, 'f', { type: 'message_received', payload: { blocks, delivery: 'queue' } })
    await admin('delete from savefile.drafts where session_id = $1 returning 1', ref.session)
    await admin('update savefile.blob_refs set touched_at = 1 where session_id = $1 returning 1', ref.session)
    await waited()
    return { ref, kept: kept.hash, lost: lost.hash }
  })
}
/** Longer than the grace period of these tests: a blob's time never changes. */
async function waited(): Promise<void> {
  while (
    await admin(
      `select 1 from savefile.blobs where created_at >= savefile.now_us() - ${dropped.olderThanMs * 1000 + 100_000}`,
    )
  )
    await new Promise((resolve) => setTimeout(resolve, 100))
}
const there = (hash: string): Promise<number | undefined> =>
  admin<number>('select count(*)::int from savefile.blobs where hash = $1', hash)
const referred = (hash: string): Promise<number | undefined> =>
  admin<number>('select count(*)::int from savefile.blob_refs where hash = $1', hash)
/** References are dropped by then, and blobs are not. */
const atTheBlobs = (): Promise<Gate> => closeGate(postgres.db.adminUrl, 'lock table savefile.blobs in share mode')

test('retention: the server dies when references are dropped and blobs are not', async () => {
  const { ref, kept, lost } = await blobs()
  const gate = await atTheBlobs()
  const dropping = as(old, (log) => log.retain(space, dropped)).catch((error: unknown) => error)
  await killedAt(gate, 'retain_blobs')
  expect(await dropping).toMatchObject({ code: 'database_unreachable' })
  expect([await referred(lost), await there(lost), await referred(kept), await there(kept)]).toEqual([0, 1, 1, 1])
  await as(old, (log) => log.retain(space, dropped))
  expect([await there(lost), await there(kept)]).toEqual([0, 1])
  expect(await as(old, async (log) => Buffer.from(await log.readBlob(ref, kept)).toString())).toMatch(/^kept/)
})

test('retention: whoever does it dies', async () => {
  const { ref, kept, lost } = await blobs()
  await commandKilledAt(await atTheBlobs(), 'retain_blobs', ['retention', '--older-than', '1m'], OLD)
  expect(await referred(lost)).toBe(0)
  await as(old, (log) => log.retain(space, dropped))
  expect([await there(lost), await there(kept)]).toEqual([0, 1])
  expect(await as(old, async (log) => Buffer.from(await log.readBlob(ref, kept)).toString())).toMatch(/^kept/)
})

test('a blob before its references is what the database refuses', async () => {
  const { lost } = await blobs()
  await expect(admin('delete from savefile.blobs where hash = $1', lost)).rejects.toMatchObject({ code: '23503' })
})
