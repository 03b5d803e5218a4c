/**
 * The envelope that encrypted content is stored in, one format for all of it (docs/erase.md specifies it):
 *
 *   "SFE" 0x01 · length of the kid (1 byte) · kid (ASCII) · nonce (12) · ciphertext · tag (16)
 *
 * as bytes where a blob holds it, as `sealed:` and its base64 where a text does (payloads, drafts, deltas, snapshots, titles). *
 * AES-256-GCM. The associated data binds the header, the session and the slot (what kind of content it is), so that a ciphertext cannot be
 * moved to another place. The nonce is synthetic: the same content in the same slot gives the same bytes, which is what lets the database
 * see that an input came twice without reading it; it tells who sees the bytes that two contents of a session are equal, and no more.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'

const MAGIC = Buffer.from('SFE\x01', 'latin1')
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
export interface Place {
  kid: string
  session: string
  slot: string
}

export function deriveKeys(dataKey: Uint8Array): ContentKeys {
  const derive = (purpose: string): Buffer =>
    Buffer.from(hkdfSync('sha256', dataKey, '', `savefile/1 ${purpose}`, DATA_KEY_BYTES))
  return { encrypt: derive('encrypt'), nonce: derive('nonce') }
}

function header(kid: string): Buffer {
  const name = Buffer.from(kid, 'latin1')
  return Buffer.concat([MAGIC, Buffer.of(name.length), name])
}

/** Fields as in an event's hash: each its length in four bytes, then its bytes. */
function associated({ kid, session, slot }: Place): Buffer {
  const fields = [header(kid), Buffer.from(session, 'utf8'), Buffer.from(slot, 'utf8')]
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
  return Buffer.concat([header(place.kid), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Null where the bytes are no envelope. */
export function kidOf(envelope: Buffer): string | null {
  const length = envelope[MAGIC.length] ?? 0
  const end = MAGIC.length + 1 + length
  if (!envelope.subarray(0, MAGIC.length).equals(MAGIC) || envelope.length < end + NONCE_BYTES + TAG_BYTES) return null
  return envelope.toString('latin1', MAGIC.length + 1, end)
}

/** Null where the bytes are not what was sealed with this key for this place. */
export function open(keys: ContentKeys, place: Place, envelope: Buffer): Buffer | null {
  if (kidOf(envelope) !== place.kid) return null
  const begin = MAGIC.length + 1 + place.kid.length
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
