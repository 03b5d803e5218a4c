/**
 * Where the log and Temporal are: what the caller says, else what the environment says, else the development stack of this folder or of
 * one above it (`savefile dev`). Effects come as arguments.
 */
import { loadClientConnectConfig } from '@temporalio/envconfig'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { SavefileError } from '../contract/errors'

export interface TemporalSettings {
  /** `host:port`. */
  address: string
  namespace?: string
  apiKey?: string
  tls?:
    | boolean
    | { serverNameOverride?: string; serverRootCACertificate?: Buffer; clientCertPair?: { crt: Buffer; key: Buffer } }
  metadata?: Record<string, string>
  /** The task queue of the workers; `savefile` where absent. */
  taskQueue?: string
}

export interface Addresses {
  databaseUrl: string
  temporal: TemporalSettings
  /** Where they were found: for people. */
  from: { database: Source; temporal: Source }
}

export type Source = 'given' | 'environment' | 'default' | (string & {})

/** What we need of what `savefile dev` writes; the rest of that file is its own. The addresses are there only while the stack is ready. */
const DevFile = z.object({
  databaseUrl: z.string(),
  /** Absent in stacks of before there were tokens. */
  memberUrl: z.string().optional(),
  temporal: z.object({ address: z.string(), namespace: z.string().optional() }),
  model: z.discriminatedUnion('scripted', [
    z.object({ scripted: z.literal(true) }),
    z.object({ scripted: z.literal(false), providers: z.array(z.enum(['anthropic', 'openai-chat'])) }),
  ]),
})

export interface DevStack extends z.infer<typeof DevFile> {
  /** The file that says so. */
  file: string
}

export const DEV_FILE = join('.savefile', 'dev.json')

/** The nearest file of a development stack, from `folder` upwards; null where there is none. */
export function findDevStack(folder: string): DevStack | null {
  for (let at = folder; ; at = dirname(at)) {
    const file = join(at, DEV_FILE)
    const text = textOf(file)
    if (text !== null) {
      const parsed = DevFile.safeParse(parseJson(text))
      if (parsed.success) return { file, ...parsed.data }
    }
    if (at === dirname(at)) return null
  }
}

/** @throws SavefileError `setup_failed` where nothing says which database. */
export function findAddresses(
  given: { databaseUrl?: string; temporal?: TemporalSettings; byToken?: boolean },
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
): Addresses {
  const fromEnv = env.SAVEFILE_DATABASE_URL ?? env.DATABASE_URL
  const ofEnv = given.temporal ? null : temporalOf(env)
  const needsDev = (!given.databaseUrl && !fromEnv) || (!given.temporal && !ofEnv)
  const dev = needsDev ? findDevStack(folder) : null

  // Whoever comes with a token needs a login that can do nothing without.
  const ofDev = given.byToken ? dev?.memberUrl : dev?.databaseUrl
  const databaseUrl = given.databaseUrl ?? fromEnv ?? ofDev
  if (!databaseUrl)
    throw new SavefileError(
      'setup_failed',
      'No database is named. Run `savefile dev` (it brings one, for this folder), or set SAVEFILE_DATABASE_URL=postgres://user:password@host:5432/database.',
    )
  // A database of one's own goes with a Temporal of one's own: only both together are the stack's.
  const devTemporal = dev && (databaseUrl === dev.databaseUrl || databaseUrl === ofDev) ? dev.temporal : null
  const temporal = given.temporal ?? ofEnv ?? devTemporal ?? { address: 'localhost:7233', ...namespaceOf(env) }
  const taskQueue = env.SAVEFILE_TASK_QUEUE && !given.temporal ? { taskQueue: env.SAVEFILE_TASK_QUEUE } : {}
  return {
    databaseUrl,
    temporal: { ...temporal, ...taskQueue },
    from: {
      database: given.databaseUrl ? 'given' : fromEnv ? 'environment' : (dev?.file ?? 'default'),
      temporal: given.temporal ? 'given' : ofEnv ? 'environment' : devTemporal && dev ? dev.file : 'default',
    },
  }
}

/** Temporal's own environment configuration (TEMPORAL_ADDRESS, _NAMESPACE, _API_KEY, _TLS_*, or its TOML file). */
function temporalOf(env: Readonly<Record<string, string | undefined>>): TemporalSettings | null {
  const overrideEnvVars = Object.fromEntries(
    Object.entries(env).filter((e): e is [string, string] => e[1] !== undefined),
  )
  const { connectionOptions, namespace } = loadClientConnectConfig({ overrideEnvVars })
  if (!connectionOptions.address) return null
  const { address, apiKey, tls, metadata } = connectionOptions
  return {
    address,
    ...(namespace ? { namespace } : {}),
    ...(typeof apiKey === 'string' ? { apiKey } : {}),
    ...(tls ? { tls: tls as TemporalSettings['tls'] } : {}),
    ...(metadata ? { metadata: metadata as Record<string, string> } : {}),
  }
}

function namespaceOf(env: Readonly<Record<string, string | undefined>>): { namespace?: string } {
  return env.TEMPORAL_NAMESPACE ? { namespace: env.TEMPORAL_NAMESPACE } : {}
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw error
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return null // a stack that is just being written: as good as none
    throw error
  }
}
