/**
 * Temporal's development server as a process of ours, with the settings that MEASURED.md found to matter.
 */
import { Connection } from '@temporalio/client'
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { SavefileError } from '../contract/errors'
import { freePort, processId, scrubbedEnv, stopProcess, waitUntil, type ProcessId } from './processes'
import { whileWaiting, type OnProgress } from './progress'

export interface TemporalServerOptions {
  /** The `temporal` program. */
  program: string
  namespace: string
  /** Kept in this sqlite file; in memory without it. */
  dbFile?: string
  /** Whether the web UI runs too. */
  ui: boolean
  preferredPort?: number
  preferredUiPort?: number
  logFile: string
  onProgress: OnProgress
  /** Told at once, long before the server is ready. */
  onSpawn?: (server: ProcessId) => void
}

export interface TemporalServerProcess {
  address: string
  uiUrl: string | null
  process: ProcessId
  ended: Promise<void>
  stop(): Promise<void>
}

/** Registered where a server is set up: here, and in docker-compose.yml. */
export const SEARCH_ATTRIBUTES = {
  SavefileSession: 'Keyword',
  SavefileSpace: 'Keyword',
  SavefileState: 'Keyword',
  SavefileTurn: 'Int',
} as const

const DYNAMIC_CONFIG = [
  // 20 by default, which caps a lone session at ten activities a second.
  'history.transferProcessorMaxPollRPS=2000',
  'history.timerProcessorMaxPollRPS=2000',
  // The SDK asks for eager activities by default; the server grants them only with this.
  'system.enableActivityEagerExecution=true',
]
// With a file, as fast as in memory; without them 2.4 times slower.
const SQLITE_PRAGMAS = ['journal_mode=wal', 'synchronous=1']
const START_MS = 60_000

export function serverArgs(o: { port: number; uiPort: number | null; namespace: string; dbFile?: string }): string[] {
  return [
    ...[
      'server',
      'start-dev',
      '--ip',
      '127.0.0.1',
      '--port',
      String(o.port),
      '--namespace',
      o.namespace,
      '--log-level',
      'error',
    ],
    ...(o.uiPort === null ? ['--headless'] : ['--ui-port', String(o.uiPort)]),
    ...DYNAMIC_CONFIG.flatMap((value) => ['--dynamic-config-value', value]),
    ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    ...(o.dbFile
      ? ['--db-filename', o.dbFile, ...SQLITE_PRAGMAS.flatMap((pragma) => ['--sqlite-pragma', pragma])]
      : []),
  ]
}

/** @throws SavefileError `setup_failed` with the server's own last words. */
export async function startTemporalServer(options: TemporalServerOptions): Promise<TemporalServerProcess> {
  for (let attempt = 1; ; attempt++) {
    const again = attempt > 1
    const port = await freePort(again ? undefined : options.preferredPort)
    const uiPort = options.ui ? await freePort(again ? undefined : options.preferredUiPort) : null
    const started = await launch(options, port, uiPort)
    if (!(started instanceof SavefileError)) return started
    // Somebody may have taken the free port meanwhile.
    if (!/address already in use|port .* in use/i.test(started.message) || attempt === 5) throw started
  }
}

async function launch(
  options: TemporalServerOptions,
  port: number,
  uiPort: number | null,
): Promise<TemporalServerProcess | SavefileError> {
  const { onProgress, logFile, program, namespace, dbFile } = options
  mkdirSync(path.dirname(logFile), { recursive: true })
  if (dbFile) mkdirSync(path.dirname(dbFile), { recursive: true })
  const address = `127.0.0.1:${port}`
  onProgress({ what: 'Temporal', state: 'start', detail: `starting the server on ${address}` })
  const log = openSync(logFile, 'a', 0o600)
  const from = readFileSync(logFile, 'utf8').length
  const child = spawn(program, serverArgs({ port, uiPort, namespace, dbFile }), {
    env: scrubbedEnv(),
    stdio: ['ignore', log, log],
    detached: true,
  })
  closeSync(log)
  const id = child.pid === undefined ? null : processId(child.pid)
  if (id) options.onSpawn?.(id)
  let over = false
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      over = true
      resolve()
    }
    child.once('error', end)
    child.once('exit', end)
  })
  const settled = waitUntil(async () => over || (await serves(address, namespace)), START_MS)
  const ready = await whileWaiting(onProgress, 'Temporal', 'waiting for the server', settled)
  if (over || !id || !ready) {
    if (id) await stopProcess(id, 'SIGKILL', 0)
    const words = readFileSync(logFile, 'utf8').slice(from).trim().split('\n').slice(-8).join('\n')
    const why = over ? 'ended at once' : 'did not answer within a minute'
    return new SavefileError(
      'setup_failed',
      `The Temporal server (${program}) ${why}. ${words ? `It said:\n${words}\n` : ''}Its log is ${logFile}.`,
    )
  }
  child.unref()
  const uiUrl = uiPort === null ? null : `http://127.0.0.1:${uiPort}`
  onProgress({ what: 'Temporal', state: 'done', detail: uiUrl ? `${address}, UI ${uiUrl}` : address })
  const stop = async () => {
    child.ref() // whoever waits for the end must not end first
    await stopProcess(id, 'SIGTERM', 10_000)
    await ended
  }
  return { address, uiUrl, process: id, ended, stop }
}

/** Whether the server answers for this namespace. */
async function serves(address: string, namespace: string): Promise<boolean> {
  let connection: Connection | undefined
  try {
    connection = await Connection.connect({ address, connectTimeout: 1_000 })
    await connection.withDeadline(
      Date.now() + 2_000,
      () => connection?.workflowService.describeNamespace({ namespace }) ?? Promise.reject(new Error('closed')),
    )
    return true
  } catch {
    return false
  } finally {
    await connection?.close()
  }
}
