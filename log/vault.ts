/**
 * What is encrypted and what is not, at the log's boundary: seals what goes in for sessions that have a data key, opens what comes out.
 * Data keys are unwrapped by the owner's keyring and kept in memory for minutes; without a keyring a process serves sessions in clear,
 * and of encrypted ones it sees only what is no content.
 */
import { randomBytes } from 'node:crypto'
import type { Pool } from 'pg'
import { SavefileError, errorCode, type ErrorCode } from '../contract/errors'
import type { StoredEvent } from '../contract/events'
import { sessionIdFrom, type SessionRef } from '../contract/ids'
import type { Keyring, WrappedKey } from '../contract/keys'
import {
  DATA_KEY_BYTES,
  callKey,
  deriveKeys,
  fromText,
  open,
  seal,
  sealedWith,
  toText,
  type ContentKeys,
  type SealedWith,
} from './envelope'
import { query } from './pool'

/** What the content of one session is sealed with. `slot` says what kind of content it is: it opens in that slot only. */
export interface Sealer {
  kid: string
  bytes(slot: string, plain: Uint8Array): Buffer
  text(slot: string, plain: string): string
}

export interface NewKey extends WrappedKey {
  kid: string
  sealer: Sealer
}

/** The key of one call, which a host is given with what the call takes. */
export interface CallKey {
  kid: string
  key: Buffer
}

export interface Vault {
  /** Null where the session is in clear, and where this process has no keyring: what it would write in clear the database refuses. */
  sealer(ref: SessionRef): Promise<Sealer | null>
  /** What the host of a queue seals the result of this call with; null where `sealer` is. */
  callKey(ref: SessionRef, call: string): Promise<CallKey | null>
  /** @throws SavefileError `key_missing` where there is no keyring to wrap it */
  newKey(session: string): Promise<NewKey>
  /** @throws SavefileError `key_missing`, `key_destroyed`, `keyring_failed`, `corrupt_log` (it does not open with its key) */
  openBytes(space: string, slot: string, envelope: Buffer): Promise<Buffer>
  /** As `openBytes`, of JSON text, which in clear never looks sealed: it is then given back as it is. */
  openText(space: string, slot: string, text: string): Promise<string>
  /** Of any text of this session: it may look like anything, so that only the session says whether it is sealed. */
  openOwn(ref: SessionRef, slot: string, text: string): Promise<string>
  /** Payloads opened; those that cannot be are given back as they are, with the reason in `locked`. */
  openEvents(space: string, events: StoredEvent[]): Promise<StoredEvent[]>
  readonly keyring: Keyring | null
  /** Forgets a key at once: it was destroyed. */
  forget(space: string, kid: string): void
}

interface DataKey {
  session: string
  keys: ContentKeys
  ofCall(call: string): Buffer
}

const CACHED_KEYS = 1000
const CACHED_SESSIONS = 10_000
/** After so long a key is unwrapped again, and a process learns that one was destroyed elsewhere. */
const KEY_MS = 60_000

export const eventSlot = (type: string): string => `event:${type}`
export const deltaSlot = (d: { step: string; token: string; n: number }): string => `delta:${d.step}:${d.token}:${d.n}`
export const snapshotSlot = (reducer: number, seq: number): string => `snapshot:${reducer}:${seq}`
export const BLOB_SLOT = 'blob'
export const TITLE_SLOT = 'title'

export function createVault(pool: Pool, keyring: Keyring | null): Vault {
  /** Whether a session is encrypted is settled by its first event. */
  const kids = new Map<string, string | null>()
  const opened = new Map<string, { until: number; key: Promise<DataKey> }>()

  async function kidOfSession({ space, session }: SessionRef): Promise<string | null> {
    const name = `${space}/${session}`
    const known = kids.get(name)
    if (known !== undefined) return known
    const rows = await query<{ kid: string | null }>(
      pool,
      'select kid from savefile.sessions where space_id = $1 and session_id = $2',
      [space, session],
    )
    const [row] = rows
    if (!row) return null // who writes to it is told that there is no such session
    remember(kids, name, row.kid, CACHED_SESSIONS)
    return row.kid
  }

  function keyOf(space: string, kid: string): Promise<DataKey> {
    const name = `${space}/${kid}`
    const had = opened.get(name)
    if (had && had.until > performance.now()) return had.key
    const key = unwrap(space, kid)
    remember(opened, name, { until: performance.now() + KEY_MS, key }, CACHED_KEYS)
    // What is settled stays so for a while: a page of a thousand locked events asks once.
    key.catch((error: unknown) => isLock(errorCode(error)) || opened.delete(name))
    return key
  }

  async function unwrap(space: string, kid: string): Promise<DataKey> {
    const rows = await query<{
      session_id: string
      owner: string
      wrapped: Buffer | null
      destroyed_at: number | null
    }>(
      pool,
      'select session_id, owner, wrapped, destroyed_at from savefile.session_keys where space_id = $1 and kid = $2',
      [space, kid],
    )
    const [row] = rows
    if (row && row.destroyed_at !== null) throw destroyed(kid, row.session_id)
    if (!row?.wrapped)
      throw missing(kid, 'and the wrapped key is not in this database: it was imported without its keys.')
    const { session_id: session, owner, wrapped } = row
    if (!keyring)
      throw missing(kid, `which the owner key ${owner} opens, and this process has none. Set SAVEFILE_KEY_FILE.`)
    let dataKey: Uint8Array | null
    try {
      dataKey = await keyring.unwrap({ owner, wrapped }, { kid, session })
    } catch (cause) {
      throw new SavefileError(
        'keyring_failed',
        `The keyring did not unwrap key ${kid} of session ${session}. Look at the key management service, then try again.`,
        { kid, session, owner },
        { cause },
      )
    }
    if (!dataKey) throw missing(kid, `which the owner key ${owner} opens, and this process has others only.`, owner)
    return { session, keys: deriveKeys(dataKey), ofCall: (call) => callKey(dataKey, call) }
  }

  async function openBytes(space: string, slot: string, envelope: Buffer): Promise<Buffer> {
    const by = sealedWith(envelope)
    if (by === null) throw corrupt('What is stored is not encrypted, and should be.')
    const { kid, call } = by
    const { session, keys, ofCall } = await keyOf(space, kid)
    const plain = open(call === undefined ? keys : deriveKeys(ofCall(call)), { ...by, session, slot }, envelope)
    if (!plain) throw corrupt(`What is stored under key ${kid} does not open with it: it was changed, or moved.`)
    return plain
  }

  async function openText(space: string, slot: string, text: string): Promise<string> {
    const envelope = fromText(text)
    return envelope ? (await openBytes(space, slot, envelope)).toString('utf8') : text
  }

  return {
    keyring,
    openBytes,
    openText,
    openOwn: async (ref, slot, text) => ((await kidOfSession(ref)) === null ? text : openText(ref.space, slot, text)),

    async sealer(ref) {
      if (!keyring) return null
      const kid = await kidOfSession(ref)
      if (kid === null) return null
      const { session, keys } = await keyOf(ref.space, kid)
      return sealerWith(keys, session, { kid })
    },

    async callKey(ref, call) {
      if (!keyring) return null
      const kid = await kidOfSession(ref)
      return kid === null ? null : { kid, key: (await keyOf(ref.space, kid)).ofCall(call) }
    },

    async newKey(session) {
      if (!keyring)
        throw new SavefileError(
          'key_missing',
          'An encrypted session needs an owner key. Make one (savefile key new > key-file) and set SAVEFILE_KEY_FILE.',
        )
      const kid = sessionIdFrom(randomBytes(16))
      const dataKey = randomBytes(DATA_KEY_BYTES)
      const { owner, wrapped } = await keyring.wrap(dataKey, { kid, session })
      return { kid, owner, wrapped, sealer: sealerWith(deriveKeys(dataKey), session, { kid }) }
    },

    async openEvents(space, events) {
      if (events.every((event) => event.kid === null)) return events
      return Promise.all(
        events.map(async (event) => {
          if (event.kid === null) return event
          try {
            return { ...event, payload: await openText(space, eventSlot(event.type), event.payload) }
          } catch (error) {
            const locked = errorCode(error)
            if (!isLock(locked)) throw error
            return { ...event, locked }
          }
        }),
      )
    },

    forget: (space, kid) => void opened.delete(`${space}/${kid}`),
  }
}

/** Seals content of one session with what was derived from its data key, or with the key of one call. */
export function sealerWith(keys: ContentKeys, session: string, by: SealedWith): Sealer {
  const bytes = (slot: string, plain: Uint8Array): Buffer => seal(keys, { ...by, session, slot }, plain)
  return { kid: by.kid, bytes, text: (slot, plain) => toText(bytes(slot, Buffer.from(plain, 'utf8'))) }
}

const isLock = (code: ErrorCode | undefined): code is 'key_missing' | 'key_destroyed' =>
  code === 'key_missing' || code === 'key_destroyed'

/** Oldest out first. */
function remember<V>(map: Map<string, V>, name: string, value: V, limit: number): void {
  map.delete(name)
  if (map.size >= limit) map.delete(map.keys().next().value ?? '')
  map.set(name, value)
}

const destroyed = (kid: string, session: string): SavefileError =>
  new SavefileError('key_destroyed', `The content of session ${session} was erased: its key ${kid} is destroyed.`, {
    kid,
    session,
  })

const missing = (kid: string, why: string, owner?: string): SavefileError =>
  new SavefileError('key_missing', `This content is encrypted with key ${kid}, ${why}`, {
    kid,
    ...(owner === undefined ? {} : { owner }),
  })

const corrupt = (why: string): SavefileError => new SavefileError('corrupt_log', why)
