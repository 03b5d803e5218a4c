/**
 * The envelope that encrypted content is stored in, one format for all of it (docs/erase.md specifies it):
 *
 *   "SFE" 0x01 · length of the kid (1 byte) · kid (ASCII) · nonce (12) · ciphertext · tag (16)
 *
 * as bytes where a blob holds it, as `sealed:` and its base64 where a text does (payloads, drafts, deltas, snapshots, titles). What the
 * host of a queue writes for one call, it seals with a key of that call alone: `0x02` for `0x01`, and behind the kid the length of the
 * call's id (1 byte) and that id.
 *
 * AES-256-GCM. The associated data binds the header, the session and the slot (what kind of content it is), so that a ciphertext cannot be
 * moved to another place. The nonce is synthetic: the same content in the same slot gives the same bytes, which is what lets the database
 * see that an input came twice without reading it; it tells who sees the bytes that two contents of a session are equal, and no more.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'

const MAGIC = Buffer.from('SFE', 'latin1')
const BY_SESSION = 1
const BY_CALL = 2
const NONCE_BYTES = 12
const TAG_BYTES = 16
export const DATA_KEY_BYTES = 32

/** How encrypted content is written where a column holds text, an event's payload included: no JSON begins so. The database looks for it. */
const SEALED = 'sealed:'

/** What is derived from a session's data key: one key a purpose. */
export interface ContentKeys {
  encrypt: Buffer
  nonce: Buffer
}

/** Where a content belongs. */
export interface Place extends SealedWith {
  session: string
  slot: string
}

/** The session's data key; `call`: the key of one call, which follows from it. */
export interface SealedWith {
  kid: string
  call?: string | undefined
}

/** What seals a call's result where it runs: from it neither the data key nor another call's key follows. */
export function callKey(dataKey: Uint8Array, call: string): Buffer {
  return Buffer.from(hkdfSync('sha256', dataKey, '', `savefile/1 call ${call}`, DATA_KEY_BYTES))
}

export function deriveKeys(dataKey: Uint8Array): ContentKeys {
  const derive = (purpose: string): Buffer =>
    Buffer.from(hkdfSync('sha256', dataKey, '', `savefile/1 ${purpose}`, DATA_KEY_BYTES))
  return { encrypt: derive('encrypt'), nonce: derive('nonce') }
}

function header({ kid, call }: SealedWith): Buffer {
  const named = (name: string): Buffer[] => [Buffer.of(name.length), Buffer.from(name, 'latin1')]
  const version = Buffer.of(call === undefined ? BY_SESSION : BY_CALL)
  return Buffer.concat([MAGIC, version, ...named(kid), ...(call === undefined ? [] : named(call))])
}

/** Fields as in an event's hash: each its length in four bytes, then its bytes. */
function associated({ session, slot, ...by }: Place): Buffer {
  const fields = [header(by), Buffer.from(session, 'utf8'), Buffer.from(slot, 'utf8')]
  return Buffer.concat(
    fields.flatMap((bytes) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}

export function seal(keys: ContentKeys, place: Place, plain: Uint8Array): Buffer {
  const data = associated(place)
  const nonce = createHmac('sha256', keys.nonce).update(data).update(plain).digest().subarray(0, NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', keys.encrypt, nonce).setAAD(data)
  return Buffer.concat([header(place), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Null where the bytes are no envelope. */
export function sealedWith(envelope: Buffer): SealedWith | null {
  let at = MAGIC.length + 1
  const named = (): string => envelope.toString('latin1', at + 1, (at += 1 + (envelope[at] ?? 0)))
  const version = envelope[MAGIC.length]
  if (!envelope.subarray(0, MAGIC.length).equals(MAGIC) || (version !== BY_SESSION && version !== BY_CALL)) return null
  const by = version === BY_SESSION ? { kid: named() } : { kid: named(), call: named() }
  return envelope.length < at + NONCE_BYTES + TAG_BYTES ? null : by
}

/** Null where the bytes are not what was sealed with this key for this place. */
export function open(keys: ContentKeys, place: Place, envelope: Buffer): Buffer | null {
  const head = header(place)
  const begin = head.length
  if (!envelope.subarray(0, begin).equals(head) || envelope.length < begin + NONCE_BYTES + TAG_BYTES) return null
  const nonce = envelope.subarray(begin, begin + NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', keys.encrypt, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(associated(place)).setAuthTag(envelope.subarray(-TAG_BYTES))
  const plain = decipher.update(envelope.subarray(begin + NONCE_BYTES, -TAG_BYTES))
  try {
    return Buffer.concat([plain, decipher.final()])
  } catch {
    return null // the tag does not hold: another key, another place, or changed bytes
  }
}

export function toText(envelope: Buffer): string {
  return SEALED + envelope.toString('base64')
}

/** Null where the text is not sealed. */
export function fromText(text: string): Buffer | null {
  return text.startsWith(SEALED) ? Buffer.from(text.slice(SEALED.length), 'base64') : null
}
