/** The client with its real parts: Postgres for the log, a lazy connection to Temporal for the nudge. */
import type { Client as TemporalClient } from '@temporalio/client'
import type { ProviderName } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import { DEFAULT_SPACE, nameProblem } from '../contract/ids'
import type { Keyring } from '../contract/keys'
import type { Tool } from '../contract/ports'
import { createClientLog } from '../log/client-log'
import { openKeyring, takeKeySource } from '../log/keyring'
import { checkSchema } from '../log/migrate'
import { createPool, tokenRefused } from '../log/pool'
import { whoSpeaks } from '../log/sharing'
import { withToken } from '../log/token-pool'
import { createVault } from '../log/vault'
import { createEncoder } from '../providers/encode'
import { findAddresses, type TemporalSettings } from './addresses'
import { createClient } from './client'
import type { Client } from './types'

export interface ConnectOptions {
  /** `postgres://user:password@host:port/database`; else SAVEFILE_DATABASE_URL, else the development stack of this folder. */
  databaseUrl?: string
  /** Else Temporal's own environment variables, else the development stack, else localhost:7233. */
  temporal?: TemporalSettings
  /** Whose realm; `default` where absent. */
  space?: string
  /** In whose name inputs are committed; `local` where absent. Without a token it is believed: the login is trusted (docs/sharing.md). */
  principal?: string
  /**
   * Who speaks, proven to the database: space and principal are the token's. The login must be one that can do nothing without
   * (`savefile_member`). Followers poll.
   */
  token?: string
  /** False behind PgBouncer in transaction mode, where LISTEN does not work: followers poll once a second. */
  listen?: boolean
  /** Of this program: those that have `fork` bring their world along to the forks that are made by this client. */
  tools?: readonly Tool[]
  /** The owner's keys; else SAVEFILE_KEY_FILE, SAVEFILE_KEY (taken out of the environment) or SAVEFILE_KEYRING; null: none. */
  keyring?: Keyring | null
  /** Sessions are created encrypted where `create` does not say; else SAVEFILE_ENCRYPTED=1. */
  encrypted?: boolean
}

const PRINCIPAL = /^[\x21-\x7e]{1,200}$/

/**
 * A client of the sessions of one space. Postgres is asked at once whether it is ours; Temporal only when there is something to tell.
 * @throws SavefileError `setup_failed` (nothing says which database), `database_unreachable`, `database_not_ours`, `database_older`,
 *   `database_newer`, `invalid_input` (space or principal), `forbidden` (the token does not count)
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { space = DEFAULT_SPACE, principal = 'local' } = options
  const problem = nameProblem('space', space)
  if (problem) throw new SavefileError('invalid_input', `The ${problem}.`, { space })
  if (!PRINCIPAL.test(principal))
    throw new SavefileError(
      'invalid_input',
      'The principal must be 1 to 200 printable ASCII characters without spaces.',
    )
  const addresses = findAddresses({ ...options, byToken: options.token !== undefined }, process.env, process.cwd())
  const keyring = options.keyring === undefined ? await openKeyring(takeKeySource(process.env)) : options.keyring
  const encrypted = options.encrypted ?? process.env.SAVEFILE_ENCRYPTED === '1'

  const pool = createPool(addresses.databaseUrl, { max: 10 })
  const { token, listen = true } = options
  let who = { space, principal }
  try {
    await checkSchema(pool)
    if (token !== undefined) who = await speakerOf(withToken(pool, token), options)
  } catch (error) {
    await pool.end()
    throw error
  }
  const rows = token === undefined ? pool : withToken(pool, token)
  // NOTIFY says a session's id to every login that listens: whoever has only a token polls.
  const log = createClientLog(rows, {
    vault: createVault(rows, keyring),
    listen: listen && token === undefined,
    byToken: token !== undefined,
  })
  const { taskQueue } = addresses.temporal
  // Temporal's SDK takes longer to load than all else together: whoever only reads goes without it.
  let temporal: Promise<TemporalClient> | undefined
  const openTemporal = async (): Promise<TemporalClient> =>
    (await import('./temporal.js')).lazyTemporal(addresses.temporal)
  return createClient({
    log,
    nudge: async (ref) => {
      const { nudge } = await import('./nudge.js')
      return nudge(await (temporal ??= openTemporal()), ref, { taskQueue })
    },
    encoder: createEncoder(platformsOf(process.env)),
    space: who.space,
    encrypted,
    actor: `user:${who.principal}`,
    ...(options.tools ? { tools: options.tools } : {}),
    async disconnect() {
      await log.close()
      await (await temporal)?.connection.close()
    },
  })
}

/** Where the requests of a worker with this environment go: hosts only, nothing is sent from here. */
function platformsOf(env: Readonly<Record<string, string | undefined>>): Partial<Record<ProviderName, string>> {
  const host = (url: string | undefined): string | undefined =>
    url && URL.canParse(url) ? new URL(url).hostname : undefined
  const [anthropic, openai] = [host(env.ANTHROPIC_BASE_URL), host(env.OPENAI_BASE_URL)]
  return {
    ...(anthropic ? { anthropic } : {}),
    ...(openai ? { 'openai-chat': openai, 'openai-responses': openai } : {}),
  }
}

/** Who the database says the token speaks for. With a login that could do without, it would prove nothing: refused. */
async function speakerOf(
  pool: ReturnType<typeof createPool>,
  options: ConnectOptions,
): Promise<{ space: string; principal: string }> {
  const { bound, speaker } = await whoSpeaks(pool)
  if (!bound)
    throw new SavefileError(
      'setup_failed',
      'A token was given, but this database login is not one that tokens bind. Use a login in the group savefile_member (and in no other of ours), or leave the token out.',
    )
  if (!speaker) throw tokenRefused()
  if (options.space !== undefined && options.space !== speaker.space)
    throw new SavefileError(
      'invalid_input',
      `The token is of another space than ${options.space}. Leave the space out.`,
    )
  return speaker
}
