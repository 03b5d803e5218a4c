/**
 * Keys of the hosts of queues (docs/erase.md). What a call of an encrypted session takes is sealed for a public key, which stands in the
 * definition that the call is of, so that whoever owns the database cannot put another in its place; the private one is in a file of the host.
 *
 *   public key of the moment (32) · AES-256-GCM of the call as JSON · tag (16)
 *
 * X25519 with a new pair for each call; the key is HKDF-SHA256 of what both sides share, salted with both public keys; the nonce is zero, since
 * no key seals twice; the associated data says which call of which session it is.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto'
import { z } from 'zod'
import { SavefileError } from '../contract/errors'
import { ToolSpec } from '../contract/definition'
import type { QueuedCall } from '../contract/ports'
import { readKeyFile } from './keyring'
import type { CallKey } from './vault'

const PUBLIC = 'savefile-queue-1:'
const PRIVATE = 'savefile-queue-key-1:'
const KEY_BYTES = 32
const TAG_BYTES = 16
const ZERO = Buffer.alloc(12)
/** What stands before the 32 bytes in DER. */
const SPKI = Buffer.from('302a300506032b656e032100', 'hex')
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex')

export interface QueueKeyPair {
  privateKey: string
  publicKey: string
}

export function newQueueKey(): QueueKeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  const raw = privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-KEY_BYTES)
  return { privateKey: PRIVATE + raw.toString('base64url'), publicKey: textOf(publicKey) }
}

/** The private keys of a host, by their public ones; new calls may be sealed for one and old ones for another. */
export type QueueKeys = ReadonlyMap<string, KeyObject>

/** One key a line; empty lines and `#` are passed over. @throws SavefileError `setup_failed`, which never quotes a key */
export function queueKeysOf(text: string, from: string): QueueKeys {
  const keys = new Map<string, KeyObject>()
  for (const [i, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const raw = trimmed.startsWith(PRIVATE) ? Buffer.from(trimmed.slice(PRIVATE.length), 'base64url') : ZERO
    if (raw.length !== KEY_BYTES)
      throw new SavefileError(
        'setup_failed',
        `Line ${i + 1} of ${from} is no private key of a queue, as \`savefile queue-key new <file>\` makes them.`,
      )
    const key = createPrivateKey({ key: Buffer.concat([PKCS8, raw]), format: 'der', type: 'pkcs8' })
    keys.set(textOf(createPublicKey(key)), key)
  }
  if (keys.size === 0)
    throw new SavefileError('setup_failed', `There is no key in ${from}. Make one: savefile queue-key new <file>`)
  return keys
}

/** @throws SavefileError `setup_failed` where there is no such file, or no key in it */
export function readQueueKeys(file: string): QueueKeys {
  return queueKeysOf(readKeyFile(file, `savefile queue-key new ${file}`), file)
}

export interface CallPlace {
  session: string
  call: string
}

/** What the host of a queue is given. */
const Handed = z.object({
  kid: z.string(),
  key: z.string(),
  tool: z.string(),
  args: z.string(),
  idempotencyKey: z.string().nullable(),
  timeoutMs: ToolSpec.shape.timeoutMs,
  workFolder: z.string().nullable(),
  safe: z.boolean(),
})

export function sealCall(publicKey: string, place: CallPlace, call: QueuedCall, { kid, key }: CallKey): Buffer {
  const to = keyOf(publicKey)
  const mine = generateKeyPairSync('x25519')
  const { tool, args, idempotencyKey, timeoutMs, workFolder, safe } = call
  const plain = { kid, key: key.toString('base64'), tool, args, idempotencyKey, timeoutMs, workFolder, safe }
  const cipher = createCipheriv('aes-256-gcm', shared(mine.privateKey, to, mine.publicKey, to), ZERO)
  cipher.setAAD(bound(place))
  const text = cipher.update(JSON.stringify(plain), 'utf8')
  return Buffer.concat([rawOf(mine.publicKey), text, cipher.final(), cipher.getAuthTag()])
}

/** @throws SavefileError `corrupt_log` where it is not what was sealed for this key and this call */
export function openCall(privateKey: KeyObject, place: CallPlace, sealed: Buffer): { call: QueuedCall; with: CallKey } {
  try {
    const from = createPublicKey({
      key: Buffer.concat([SPKI, sealed.subarray(0, KEY_BYTES)]),
      format: 'der',
      type: 'spki',
    })
    const secret = shared(privateKey, from, from, createPublicKey(privateKey))
    const decipher = createDecipheriv('aes-256-gcm', secret, ZERO, { authTagLength: TAG_BYTES })
    decipher.setAAD(bound(place)).setAuthTag(sealed.subarray(-TAG_BYTES))
    const plain = Buffer.concat([decipher.update(sealed.subarray(KEY_BYTES, -TAG_BYTES)), decipher.final()])
    const { kid, key, ...call } = Handed.parse(JSON.parse(plain.toString('utf8')))
    return { call, with: { kid, key: Buffer.from(key, 'base64') } }
  } catch (cause) {
    throw new SavefileError(
      'corrupt_log',
      `What was sealed for this host of call ${place.call} does not open: it was changed, or moved.`,
      { ...place },
      { cause },
    )
  }
}

function keyOf(text: string): KeyObject {
  const raw = text.startsWith(PUBLIC) ? Buffer.from(text.slice(PUBLIC.length), 'base64url') : ZERO
  return createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' })
}

const rawOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(-KEY_BYTES)
const textOf = (key: KeyObject): string => PUBLIC + rawOf(key).toString('base64url')

function shared(mine: KeyObject, theirs: KeyObject, ofTheMoment: KeyObject, ofTheHost: KeyObject): Buffer {
  const secret = diffieHellman({ privateKey: mine, publicKey: theirs })
  const salt = Buffer.concat([rawOf(ofTheMoment), rawOf(ofTheHost)])
  return Buffer.from(hkdfSync('sha256', secret, salt, 'savefile/1 queue call', KEY_BYTES))
}

const bound = ({ session, call }: CallPlace): Buffer =>
  Buffer.from(JSON.stringify(['savefile/1 queue call', session, call]))
