/**
 * A Temporal to work with. The first of these counts:
 *   1. TEMPORAL_ADDRESS, or the SDK's environment configuration (profile file, TLS, API key): used as it is, nothing is started;
 *   2. a `temporal` on PATH;   3. the SDK's own cached download;   4. a build with Go from tools/temporal/go.mod.
 * A build that is there already counts before a download that would have to be asked for: an offline start does not wait for the network.
 */
import { loadClientConnectConfig, type ClientConnectConfig } from '@temporalio/envconfig'
import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import path from 'node:path'
import { SavefileError } from '../contract/errors'
import { accepts, scrubbedEnv, type ProcessId } from './processes'
import type { OnProgress } from './progress'
import { buildPlan, builtProgram, type Built } from './temporal-build'
import { cachedDownload, downloadedProgram } from './temporal-download'
import { startTemporalServer } from './temporal-server'

export interface ExistingTemporal {
  from: 'environment'
  address: string
  namespace: string
  /** With TLS and API key, for Connection.connect and NativeConnection.connect. */
  connection: ClientConnectConfig['connectionOptions']
  uiUrl: string | null
}

export interface TemporalProgram {
  from: 'path' | 'download' | 'build'
  program: string
  namespace: string
}

export interface TemporalOptions {
  env: NodeJS.ProcessEnv
  /** sqlite; in memory without it. */
  dbFile?: string
  ui: boolean
  preferredPort?: number
  preferredUiPort?: number
  logFile: string
  onProgress: OnProgress
  onSpawn?: (server: ProcessId) => void
}

export interface RunningTemporal {
  from: ExistingTemporal['from'] | TemporalProgram['from']
  address: string
  namespace: string
  uiUrl: string | null
  connection: ClientConnectConfig['connectionOptions']
  /** Null where the server is not ours. */
  process: ProcessId | null
  /** Resolves when a server of ours has ended. */
  ended: Promise<void>
  /** Does nothing to a server that is not ours. */
  stop(): Promise<void>
}

/** @throws SavefileError `setup_failed` (no server to be had), `temporal_unreachable` (the one in the environment does not answer). */
export async function startTemporal(options: TemporalOptions): Promise<RunningTemporal> {
  const found = await resolveTemporal(options.env, options.onProgress)
  if (found.from === 'environment') {
    await mustAnswer(found)
    options.onProgress({
      what: 'Temporal',
      state: 'done',
      detail: `${found.address}, namespace ${found.namespace} (from the environment)`,
    })
    return { ...found, process: null, ended: new Promise(() => undefined), stop: async () => undefined }
  }
  const server = await startTemporalServer({ ...options, program: found.program, namespace: found.namespace })
  return { from: found.from, namespace: found.namespace, connection: { address: server.address }, ...server }
}

/** Finds a server or a program; nothing is started, but something may be downloaded or built. */
export async function resolveTemporal(
  env: NodeJS.ProcessEnv,
  onProgress: OnProgress,
): Promise<ExistingTemporal | TemporalProgram> {
  const configured = fromEnvironment(env)
  if (configured.address) return existing(configured.address, configured, env)
  const { namespace } = configured

  const onPath = await programOnPath(env)
  if (onPath.ok) return { from: 'path', program: onPath.program, namespace }
  const { folder, version, target } = buildPlan(env)
  if (!cachedDownload(env) && existsSync(target)) return { from: 'build', program: target, namespace }
  const downloaded = await downloadedProgram(env, onProgress)
  if (downloaded.ok) return { from: 'download', program: downloaded.program, namespace }
  const built = await builtProgram(env, onProgress)
  if (built.ok) return { from: 'build', program: built.program, namespace }

  const tried = [
    "TEMPORAL_ADDRESS and the SDK's configuration file: no address is set",
    `\`temporal\` on PATH: ${onPath.why}`,
    `the SDK's download: ${downloaded.why}`,
    `a build of ${version} with Go from ${folder}: ${built.why}`,
  ]
  throw new SavefileError(
    'setup_failed',
    `There is no Temporal server, and none could be had.\nTried:\n${tried.map((line, n) => `  ${n + 1}. ${line}`).join('\n')}\n` +
      'Any one of these helps: set TEMPORAL_ADDRESS to a server that runs; put the `temporal` program on PATH ' +
      '(https://docs.temporal.io/cli); allow https://temporal.download; install Go from https://go.dev/dl.',
    { tried },
  )
}

interface Configured {
  address: string | undefined
  namespace: string
  connection: ClientConnectConfig['connectionOptions']
}

function fromEnvironment(env: NodeJS.ProcessEnv): Configured {
  const defined = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
  try {
    const { connectionOptions, namespace } = loadClientConnectConfig({ overrideEnvVars: defined })
    return { address: connectionOptions.address, namespace: namespace ?? 'default', connection: connectionOptions }
  } catch (cause) {
    throw new SavefileError(
      'setup_failed',
      `Temporal's configuration (TEMPORAL_… in the environment, or its configuration file) cannot be read: ${(cause as Error).message}`,
      {},
      { cause },
    )
  }
}

function existing(address: string, configured: Configured, env: NodeJS.ProcessEnv): ExistingTemporal {
  const { namespace, connection } = configured
  const cloud = /\.(tmprl\.cloud|api\.temporal\.io)(:|$)/.test(address)
  const uiUrl = env['TEMPORAL_UI_URL'] ?? (cloud ? `https://cloud.temporal.io/namespaces/${namespace}` : null)
  return { from: 'environment', address, namespace, connection, uiUrl }
}

async function mustAnswer({ address }: ExistingTemporal): Promise<void> {
  const [, host, port] = /^(?:https?:\/\/)?\[?([^\]]*?)\]?(?::(\d+))?$/.exec(address) ?? []
  if (host && (await accepts(host, Number(port ?? 7233), 5_000))) return
  throw new SavefileError(
    'temporal_unreachable',
    `Nothing answers at ${address}, which TEMPORAL_ADDRESS or Temporal's configuration file names. Start that server, or unset the address to have one started here.`,
    { address },
  )
}

/** A `temporal` that has the development server. */
async function programOnPath(env: NodeJS.ProcessEnv): Promise<Built> {
  const files = (env['PATH'] ?? '')
    .split(path.delimiter)
    .filter(Boolean)
    .map((folder) => path.join(folder, 'temporal'))
  const program = files.find(isExecutable)
  if (!program) return { ok: false, why: 'there is none' }
  const works = await new Promise<boolean>((resolve) => {
    execFile(program, ['server', 'start-dev', '--help'], { env: scrubbedEnv(), timeout: 10_000 }, (error) =>
      resolve(error === null),
    )
  })
  return works ? { ok: true, program } : { ok: false, why: `${program} has no working \`server start-dev\`` }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
