/**
 * The owner's keys, behind the port `Keyring` (contract/ports.ts): from a text (the environment), a file, or a module of the owner's own
 * that asks a KMS. They wrap the data keys of sessions and never touch content.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { SavefileError } from '../contract/errors'
import type { Keyring, WrappedFor } from '../contract/keys'

const PREFIX = 'savefile-key-1:'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** One line of a key file. */
export function newOwnerKey(): string {
  return PREFIX + randomBytes(KEY_BYTES).toString('base64url')
}

/** An owner's key is named by what it is, so that no name can be wrong; the name gives nothing away. */
function idOf(key: Uint8Array): string {
  return `ok-${createHash('sha256').update('savefile owner key').update(key).digest('hex').slice(0, 16)}`
}

/**
 * Keys as text, one a line; the first wraps what is new, the others only open what they wrapped. Empty lines and `#` are passed over.
 * @throws SavefileError `setup_failed`; it never quotes a key.
 */
export function keyringOf(text: string, from: string): Keyring {
  const lines = text.split(/[\n,]/).map((line) => line.trim())
  const keys = new Map<string, Buffer>()
  for (const [i, line] of lines.entries()) {
    if (line === '' || line.startsWith('#')) continue
    const key = line.startsWith(PREFIX) ? Buffer.from(line.slice(PREFIX.length), 'base64url') : Buffer.alloc(0)
    if (key.length !== KEY_BYTES)
      throw new SavefileError(
        'setup_failed',
        `Line ${i + 1} of ${from} is no key: it must be "${PREFIX}" and 43 characters, as \`savefile key new\` prints them.`,
      )
    keys.set(idOf(key), key)
  }
  const [current] = keys.keys()
  if (current === undefined)
    throw new SavefileError('setup_failed', `There is no key in ${from}. Make one: savefile key new > key-file`)

  return {
    owner: current,
    async wrap(dataKey, place) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', keys.get(current) ?? '', nonce).setAAD(bound(current, place))
      const wrapped = Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()])
      return { owner: current, wrapped }
    },
    async unwrap({ owner, wrapped }, place) {
      const key = keys.get(owner)
      if (!key) return null
      const bytes = Buffer.from(wrapped)
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAAD(bound(owner, place)).setAuthTag(bytes.subarray(-TAG_BYTES))
      const dataKey = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES))
      return Buffer.concat([dataKey, decipher.final()])
    },
  }
}

/** A wrapped key opens only for the session and the kid that it was made for. */
function bound(owner: string, { kid, session }: WrappedFor): Buffer {
  return Buffer.from(JSON.stringify(['savefile/1 wrap', owner, kid, session]))
}

/** Where the owner's keys are; what the environment says, as values. */
export interface KeySource {
  /** SAVEFILE_KEY. */
  key?: string
  /** SAVEFILE_KEY_FILE. */
  keyFile?: string
  /** SAVEFILE_KEYRING: a module with the export `createKeyring`. */
  module?: string
}

/** What was taken out of this process's environment, for whoever in this process asks next. */
let taken: string | undefined

/**
 * Takes the owner's key out of the environment, so that no child process inherits it, and says where keys are; null where nothing does.
 * @throws SavefileError `setup_failed` where more than one does
 */
export function takeKeySource(env: Record<string, string | undefined>): KeySource | null {
  if (env === process.env && env.SAVEFILE_KEY) taken = env.SAVEFILE_KEY
  const {
    SAVEFILE_KEY: key = env === process.env ? taken : undefined,
    SAVEFILE_KEY_FILE: keyFile,
    SAVEFILE_KEYRING: module,
  } = env
  delete env.SAVEFILE_KEY
  const given = Object.entries({ key, keyFile, module }).filter(([, value]) => value !== undefined && value !== '')
  if (given.length > 1)
    throw new SavefileError(
      'setup_failed',
      'Of SAVEFILE_KEY, SAVEFILE_KEY_FILE and SAVEFILE_KEYRING only one may be set: each says where the owner key is.',
    )
  return given.length === 0 ? null : (Object.fromEntries(given) as KeySource)
}

/** @throws SavefileError `setup_failed` where there is no such file, key or module */
export async function openKeyring(source: KeySource | null): Promise<Keyring | null> {
  if (!source) return null
  if (source.key !== undefined) return keyringOf(source.key, 'SAVEFILE_KEY')
  if (source.keyFile !== undefined)
    return keyringOf(readKeyFile(source.keyFile, `savefile key new > ${source.keyFile}`), source.keyFile)
  if (source.module !== undefined) return fromModule(path.resolve(source.module))
  return null
}

/** `make`: the command that makes one. @throws SavefileError `setup_failed` */
export function readKeyFile(file: string, make: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new SavefileError(
      'setup_failed',
      `The key file ${file} cannot be read (${code}). Say where it is, or make one: ${make}`,
      { file },
      { cause },
    )
  }
}

async function fromModule(file: string): Promise<Keyring> {
  const refused = (why: string, cause?: unknown): SavefileError =>
    new SavefileError('setup_failed', `The keyring module ${file} ${why}`, { file }, { cause })
  let module: { createKeyring?: unknown }
  try {
    module = (await import(pathToFileURL(file).href)) as typeof module
  } catch (cause) {
    throw refused('cannot be loaded. Mend SAVEFILE_KEYRING.', cause)
  }
  if (typeof module.createKeyring !== 'function') throw refused('has no export createKeyring (docs/erase.md).')
  const keyring = (await (module.createKeyring as () => unknown)()) as Partial<Keyring> | null
  if (typeof keyring?.wrap !== 'function' || typeof keyring.unwrap !== 'function' || typeof keyring.owner !== 'string')
    throw refused('made no keyring: it must have owner, wrap and unwrap (docs/erase.md).')
  return keyring as Keyring
}
