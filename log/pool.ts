/**
 * Connections to Postgres, and what their failures are called. Nothing is kept in a connection, so that PgBouncer in transaction mode works
 * (prepared.ts names statements, and does without where that fails); only following (listen.ts) needs a connection of its own.
 */
import { Pool, types, type QueryResultRow } from 'pg'
import { SavefileError, errorCode } from '../contract/errors'

const INT8 = 20
const INT8_ARRAY = 1016

/** bigint as number, for our own connections only: seqs and microseconds stay below 2^53. */
const ownTypes = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (format !== 'binary' && oid === INT8) return Number
    if (format !== 'binary' && oid === INT8_ARRAY)
      return (text: string) => (text === '{}' ? [] : text.slice(1, -1).split(',').map(Number))
    return types.getTypeParser(oid, format) as (value: string) => unknown
  },
} as typeof types

/** A pool that outlives restarts of Postgres: a connection that dies while idle is forgotten, and the next call opens another. */
export function createPool(url: string, options: { max?: number } = {}): Pool {
  const pool = new Pool({
    connectionString: url,
    max: options.max ?? 10,
    types: ownTypes,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    application_name: 'savefile',
  })
  // Without a listener the loss of an idle connection would end the process. Whoever calls next is told, if it lasts.
  pool.on('error', () => undefined)
  return pool
}

/**
 * One statement, one round trip, one transaction.
 * @throws SavefileError `database_unreachable`, `database_older` (a function of ours is missing)
 */
export async function query<R extends QueryResultRow>(pool: Pool, text: string, values: unknown[]): Promise<R[]> {
  try {
    return (await pool.query<R>(text, values)).rows
  } catch (error) {
    throw asSavefileError(error, pool)
  }
}

/** The one row of a function that always gives one. */
export async function queryRow<R extends QueryResultRow>(pool: Pool, text: string, values: unknown[]): Promise<R> {
  return firstRow(await query<R>(pool, text, values), text)
}

export function firstRow<R>(rows: readonly R[], text: string): R {
  const [row] = rows
  if (!row) throw new Error(`no row from: ${text}`)
  return row
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
])
const WORDS =
  /connection terminated|connection ended|client has encountered a connection error|timeout exceeded when trying to connect|timeout expired/i

/** Whether the database could not be asked at all, or went away in the middle: whether it did what was asked is then not known. */
export function isUnreachable(error: unknown): boolean {
  // By their shape: errors cross realms, where instanceof fails.
  if (typeof error !== 'object' || error === null) return false
  const { code, message, errors } = error as { code?: unknown; message?: unknown; errors?: unknown }
  if (code === 'database_unreachable') return true
  // 08: connection; 57P01 to 03: shutting down, crashed, starting; 53300: too many connections; 25006: a standby.
  if (
    typeof code === 'string' &&
    (UNREACHABLE.has(code) || code.startsWith('08') || /^57P0[1-4]$/.test(code) || code === '53300' || code === '25006')
  )
    return true
  return (typeof message === 'string' && WORDS.test(message)) || (Array.isArray(errors) && errors.some(isUnreachable))
}

export function asSavefileError(error: unknown, pool?: Pick<Pool, 'options'>): unknown {
  if (errorCode(error)) return error
  if (isUnreachable(error)) return unreachable(error, pool?.options)
  const code = (error as { code?: unknown } | null)?.code
  if (code === '28P01' || code === '28000' || code === '3D000')
    return new SavefileError(
      'setup_failed',
      code === '3D000'
        ? 'Postgres has no database of that name. Make it, or mend SAVEFILE_DATABASE_URL.'
        : 'Postgres refused the login. Mend the user or the password in SAVEFILE_DATABASE_URL.',
      {},
      { cause: error },
    )
  if (code === FORBIDDEN) return forbidden((error as { detail?: string }).detail ?? '')
  if (code === '42501' && (error as Error).message.startsWith('permission denied'))
    return new SavefileError(
      'forbidden',
      'This database login may not do that: it takes one in savefile_writer.',
      { missing: 'login' },
      { cause: error },
    )
  // What the database refuses to take from whoever comes without our client.
  if (code === '22023' && (error as Error).message.startsWith('savefile: '))
    return new SavefileError('invalid_input', (error as Error).message.slice('savefile: '.length), {}, { cause: error })
  if (code === '22P02' && / type json/.test((error as Error).message))
    return new SavefileError(
      'forbidden',
      'By a token an encrypted session is read, not written to: what is sealed cannot be checked. Use a connection of the space.',
      {},
      { cause: error },
    )
  if (code === 'SFKEY')
    return new SavefileError(
      'key_missing',
      'This session is encrypted, and this process does not have its owner key: nothing was written. Set SAVEFILE_KEY_FILE (or SAVEFILE_KEY, SAVEFILE_KEYRING) as its owner does.',
      {},
      { cause: error },
    )
  if ((code === '42883' || code === '3F000' || code === '42P01') && /\bsavefile\./.test((error as Error).message))
    return new SavefileError(
      'database_older',
      "The database lacks something that this version needs. Run `savefile migrate-database` with SAVEFILE_OWNER_DATABASE_URL set to the owner's address.",
      {},
      { cause: error },
    )
  return error
}

/** `savefile.forbid` raises it. */
const FORBIDDEN = 'SF403'

export function tokenRefused(): SavefileError {
  return new SavefileError(
    'forbidden',
    'The token does not count: it is unknown, or it has expired or been revoked. Ask whoever gave it for another.',
    { missing: 'token' },
  )
}

function forbidden(missing: string): SavefileError {
  if (missing === 'token') return tokenRefused()
  return new SavefileError(
    'forbidden',
    `The token has not the right to do this: it takes "${missing}". An owner can grant it.`,
    { missing },
  )
}

/** Names host and port, never user or password. */
export function unreachable(
  cause: unknown,
  options: { connectionString?: string; host?: string; port?: number } = {},
): SavefileError {
  let where = options.host ? `${options.host}:${options.port ?? 5432}` : 'its address'
  if (options.connectionString && URL.canParse(options.connectionString))
    where = new URL(options.connectionString).host || where
  const code = (cause as { code?: unknown } | null)?.code
  return new SavefileError(
    'database_unreachable',
    `Postgres at ${where} does not answer${typeof code === 'string' ? ` (${code})` : ''}. Check that it runs and that the address is right, then try again.`,
    { where },
    { cause },
  )
}
