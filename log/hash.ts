/**
 * The identity of an event (DESIGN.md section 4), apart from the database's own function: test/log/hash-vectors.json binds both for ever.
 * sha256 over fields, each its length in four bytes, big-endian, then its bytes; integers as decimal ASCII; absent as length 0.
 */
import { createHash } from 'node:crypto'

export interface HashedFields {
  /** 32 bytes; empty for a log's first event. */
  prevHash: Uint8Array
  session: string
  seq: number
  type: string
  v: number
  at: number
  actor: string
  key: string
  kid: string | null
  /** As stored. */
  payload: Uint8Array
}

export function eventHash(event: HashedFields): Buffer {
  const hash = createHash('sha256')
  const field = (bytes: Uint8Array): void => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  const { prevHash, session, seq, type, v, at, actor, key, kid } = event
  field(Buffer.from('savefile/1'))
  field(prevHash)
  for (const text of [session, String(seq), type, String(v), String(at), actor, key, kid ?? ''])
    field(Buffer.from(text, 'utf8'))
  field(createHash('sha256').update(event.payload).digest())
  return hash.digest()
}

/** `sha256:` and 64 hex digits: the name of a definition or a blob. */
export function sha256Name(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
