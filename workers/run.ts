/**
 * A worker as a process has it: settings from the environment where the caller says nothing, signals, and tools of the user's own beside
 * the built-in ones. `savefile/worker` is this; so are `savefile worker` and workers/main.ts.
 */
import { DefaultLogger, Runtime } from '@temporalio/worker'
import { findAddresses, type TemporalSettings } from '../client/addresses'
import type { Tool } from '../contract/ports'
import { loadTools } from './load-tools'
import { startWorker } from './run-worker'
import { readSettings } from './settings'

export interface RunWorkerOptions {
  /** Beside the built-in ones, and those of the module that SAVEFILE_TOOLS names. Give all workers of a task queue the same. */
  tools?: readonly Tool[]
  /** `postgres://user:password@host:port/database`; else SAVEFILE_DATABASE_URL, else the development stack of this folder. */
  databaseUrl?: string
  /** Else Temporal's own environment variables, else the development stack, else localhost:7233. */
  temporal?: TemporalSettings
  /** Only calls of tools whose declaration has this `queue`: other workers advance the sessions. */
  toolQueue?: string
  /** The file of the private key that opens this queue's calls of encrypted sessions; else SAVEFILE_QUEUE_KEY_FILE. */
  queueKey?: string
  /** Aborted: what runs may end, within seconds. Without one, SIGTERM and SIGINT do that, and a second one ends at once. */
  signal?: AbortSignal
  /** It takes work. */
  onReady?(): void
  /** What it has to say, a line each; on stderr where absent. */
  say?(line: string): void
}

/**
 * Runs a worker until it is told to stop. All other settings come from the environment (docs/operations.md); provider keys are taken out
 * of it, so that no child process inherits them.
 * @throws SavefileError `setup_failed` (a setting, or a tool), `database_unreachable`, `database_not_ours`, `database_older`,
 *   `database_newer`
 */
export async function runWorker(options: RunWorkerOptions = {}): Promise<void> {
  const { signal, onReady, say = sayOnStderr } = options
  const settings = readSettings(process.env, findAddresses(options, process.env, process.cwd()), {
    toolQueue: options.toolQueue,
    queueKey: options.queueKey,
    tools: [...(options.tools ?? []), ...(await loadTools(process.env.SAVEFILE_TOOLS))],
  })
  installRuntime()
  const worker = startWorker(settings, say)
  const stop = (): void => worker.shutdown()
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop, { once: true })
  const signals = signal ? [] : (['SIGTERM', 'SIGINT'] as const)
  for (const name of signals) process.once(name, stop)
  worker.ready.then(
    () => {
      say(`ready on task queue ${settings.taskQueue} at ${settings.temporal.address}`)
      onReady?.()
    },
    () => undefined, // `done` rejects with the same
  )
  try {
    await worker.done
  } finally {
    signal?.removeEventListener('abort', stop)
    for (const name of signals) process.off(name, stop)
  }
}

function sayOnStderr(line: string): void {
  process.stderr.write(`savefile worker ${process.pid}: ${line}\n`)
}

/** The signals are ours: a SIGTERM lets what runs end. A program that has Temporal workers of its own has a runtime already: it counts. */
export function installRuntime(): void {
  try {
    Runtime.install({
      shutdownSignals: [],
      // Only what is wrong: without a logger of its own, the SDK tells of each state of a worker.
      logger: new DefaultLogger('WARN'),
      telemetryOptions: { logging: { forward: {}, filter: { core: 'WARN', other: 'WARN' } } },
    })
  } catch (error) {
    if ((error as Error).name !== 'IllegalStateError') throw error
  }
}
