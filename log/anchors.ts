/**
 * Anchors: what a log's head was at a time, signed by its owner and kept where the database is not. Whoever owns the database can rewrite a
 * log with right hashes, or cut its end off; not what was signed. JSON Lines, so that a file of them is only ever appended to.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { SavefileError } from '../contract/errors'
import type { Anchor } from '../contract/client-port'

export interface Anchored {
  session: string
  /** Seq of its last event: also how many there are. */
  head: number
  /** Of that event, hex. */
  hash: string
  /** Microseconds since 1970, by the clock of who signed. */
  at: number
}

const AnchorLine = z.strictObject({
  k: z.literal('savefile-anchor'),
  v: z.literal(1),
  session: z.string(),
  head: z.int().positive(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  at: z.int().nonnegative(),
  /** The raw public key, 32 bytes, in base64. */
  key: z.string(),
  /** ed25519, base64. */
  signature: z.string(),
})

/** A key pair as PEM: keep the first where the database's owner can't read it. */
export function newAnchorKey(): { privateKey: string; publicKey: string } {
  return generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
}

/** @throws SavefileError `invalid_input` where it is no ed25519 key */
export function anchorSigner(privateKeyPem: string): (head: Anchored) => Anchor {
  const privateKey = keyOf(() => createPrivateKey(privateKeyPem), 'private')
  const key = rawKey(createPublicKey(privateKey))
  return ({ session, head, hash, at }) => ({
    k: 'savefile-anchor',
    v: 1,
    session,
    head,
    hash,
    at,
    key,
    signature: sign(null, signed({ session, head, hash, at }), privateKey).toString('base64'),
  })
}

/** The raw public key of a PEM, as anchors name it. @throws SavefileError `invalid_input` */
export function anchorKeyName(publicKeyPem: string): string {
  return rawKey(keyOf(() => createPublicKey(publicKeyPem), 'public'))
}

/**
 * An anchor whose signature holds. `key`: whose it must be; without it, whoever made it signed it, which shows damage and not forgery.
 * @throws SavefileError `invalid_anchor` (data: line)
 */
export function readAnchor(text: string, line: number, key?: string): Anchor {
  const no = (why: string): SavefileError =>
    new SavefileError('invalid_anchor', `The anchor at line ${line} is refused: ${why}.`, { line, why })
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) throw no('it is not JSON')
    throw error
  }
  const parsed = AnchorLine.safeParse(json)
  if (!parsed.success) throw no(parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; '))
  const anchor = parsed.data
  if (key !== undefined && anchor.key !== key) throw no('it is signed by another key')
  const der = Buffer.concat([SPKI, Buffer.from(anchor.key, 'base64')])
  if (der.length !== SPKI.length + 32) throw no('its key is no ed25519 key')
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
  if (!verify(null, signed(anchor), publicKey, Buffer.from(anchor.signature, 'base64')))
    throw no('its signature does not hold: it was changed, or made up')
  return anchor
}

/** What comes before the 32 bytes of an ed25519 key in DER. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

/** Framed as an event's hash is: length in four bytes, big-endian, then the bytes. */
function signed({ session, head, hash, at }: Anchored): Buffer {
  const fields = ['savefile/anchor/1', session, String(head), hash, String(at)].map((text) => Buffer.from(text, 'utf8'))
  return Buffer.concat(
    fields.flatMap((field) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(field.length)
      return [length, field]
    }),
  )
}

function keyOf(read: () => KeyObject, what: string): KeyObject {
  let key: KeyObject
  try {
    key = read()
  } catch (cause) {
    throw new SavefileError(
      'invalid_input',
      `That is no ${what} key in PEM form. \`savefile anchor-key new\` makes a pair.`,
      {},
      { cause },
    )
  }
  if (key.asymmetricKeyType === 'ed25519') return key
  throw new SavefileError('invalid_input', `The ${what} key must be ed25519; it is ${key.asymmetricKeyType ?? 'none'}.`)
}

function rawKey(publicKey: KeyObject): string {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length).toString('base64')
}

/** Anchors against the events that stream by; an anchored event is a session's own row, wherever it is inherited. */
export interface AnchorCheck {
  /** Null, or what the anchor shows. `hash`: hex. */
  event(session: string, seq: number, hash: () => string): string | null
  /** Once all of a session's events were seen up to `head`: null, or what is not there any more. */
  end(session: string, head: number): { seq: number; why: string } | null
  /** How many held. */
  held(): number
}

const when = (at: number): string => new Date(at / 1000).toISOString()

export function createAnchorCheck(anchors: readonly Anchor[]): AnchorCheck {
  const due = new Map<string, Anchor[]>()
  const furthest = new Map<string, Anchor>()
  for (const anchor of anchors) {
    const place = `${anchor.session}@${anchor.head}`
    due.set(place, [...(due.get(place) ?? []), anchor])
    if ((furthest.get(anchor.session)?.head ?? 0) < anchor.head) furthest.set(anchor.session, anchor)
  }
  let held = 0
  return {
    event(session, seq, hash) {
      if (due.size === 0) return null
      for (const anchor of due.get(`${session}@${seq}`) ?? []) {
        if (anchor.hash !== hash())
          return `it is not what was anchored at ${when(anchor.at)}: the log was rewritten at or before it`
        held++
      }
      return null
    },
    end(session, head) {
      const anchor = furthest.get(session)
      if (!anchor || anchor.head <= head) return null
      return {
        seq: head + 1,
        why: `the log ended at event ${anchor.head} when it was anchored at ${when(anchor.at)}: its end was cut off`,
      }
    },
    held: () => held,
  }
}
