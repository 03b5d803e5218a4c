/**
 * A worker process: takes session steps of one task queue. Several may run side by side, each may be killed at any time, and a Temporal
 * that goes away, or comes back empty, is waited for and set up again.
 */
import { hostname } from 'node:os'
import { Client, Connection } from '@temporalio/client'
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker'
import type { Pool } from 'pg'
import { reconcileOnce } from '../activities/reconcile'
import { nudge } from '../client/nudge'
import type { ReconcileActivities } from '../contract/activities'
import { SavefileError } from '../contract/errors'
import type { DueLog } from '../contract/ports'
import { createDueLog } from '../log/due'
import { openKeyring } from '../log/keyring'
import { checkSchema } from '../log/migrate'
import { createPool } from '../log/pool'
import { isQueueLogin } from '../log/queue-log'
import { FAILURE_CONVERTER, workflowSource } from './bundle'
import { clusterId, ensureSchedule, ensureSearchAttributes, terminateStuck } from './control'
import { createParts, type Parts, type ToolParts } from './parts'
import { createQueueParts } from './queue-parts'
import type { WorkerSettings } from './settings'

/** How often the schedule and the cluster's identity are looked at, at least: a Temporal that lost its data is set up again within this. */
const ENSURE_MS = 15_000
const RECONNECT_MS = 2_000

export interface RunningWorker {
  /** Resolves when it takes work; rejects where it never can. */
  ready: Promise<void>
  /** Resolves when it has shut down. */
  done: Promise<void>
  /** Lets what runs end, within seconds; what does not is taken over by another worker. */
  shutdown(): void
}

/** @throws (through `ready` and `done`) SavefileError where the database is unreachable, not ours, older or newer. */
export function startWorker(settings: WorkerSettings, say: (line: string) => void): RunningWorker {
  const stop = new AbortController()
  let tellReady = (): void => {}
  const took = new Promise<void>((resolve) => (tellReady = resolve))
  const done = work(settings, stop.signal, tellReady, say)
  const ready = Promise.race([took, done])
  ready.catch(() => {}) // whoever waits for `done` is told
  return { ready, done, shutdown: () => stop.abort() }
}

async function work(
  settings: WorkerSettings,
  stop: AbortSignal,
  tellReady: () => void,
  say: (line: string) => void,
): Promise<void> {
  const warn = (what: string, error: unknown): void =>
    say(`${what}: ${error instanceof Error ? error.message : String(error)}`)
  const pool = createPool(settings.databaseUrl, { max: settings.maxConnections })
  try {
    await checkSchema(pool)
    const parts = await partsOf(settings, pool, warn)
    const due = createDueLog(pool, { ttlMs: settings.ttlMs })
    try {
      while (!stop.aborted) {
        await serve(settings, stop, parts, due, tellReady, warn).catch(async (error: unknown) => {
          warn('Temporal', error)
          await pause(RECONNECT_MS, stop)
        })
      }
    } finally {
      await parts.close()
    }
  } finally {
    await pool.end()
  }
}

/** @throws SavefileError `setup_failed` where the login serves a queue of tools, and this worker is not to. */
async function partsOf(
  { ttlMs, providers, prices, keys, tools, toolsOnly, queueKeys }: WorkerSettings,
  pool: Pool,
  warn: (what: string, error: unknown) => void,
): Promise<Parts | ToolParts> {
  if (!(await isQueueLogin(pool)))
    return createParts(pool, ttlMs, providers, prices, await openKeyring(keys), tools, warn)
  if (toolsOnly) return createQueueParts(pool, ttlMs, tools, warn, queueKeys)
  throw new SavefileError(
    'setup_failed',
    'This database login serves a queue of tools, and advances no session. Say which queue with --tool-queue, or use a login in savefile_writer.',
  )
}

/** One connection's life. */
async function serve(
  settings: WorkerSettings,
  stop: AbortSignal,
  parts: Parts | ToolParts,
  due: DueLog,
  tellReady: () => void,
  warn: (what: string, error: unknown) => void,
): Promise<void> {
  const { namespace, options } = settings.temporal
  const control = await Connection.connect(options)
  const connection = await NativeConnection.connect(options)
  const client = new Client({ connection: control, namespace })
  const ensure = async (): Promise<boolean> => {
    parts.cluster = await clusterId(client)
    if (settings.toolsOnly) return false
    const attributes = await ensureSearchAttributes(client)
    await ensureSchedule(client, settings.taskQueue, settings.reconcileEveryMs)
    return attributes
  }
  try {
    const searchAttributes = await ensure()
    const worker = await Worker.create({
      ...workerOptions(settings),
      connection,
      activities:
        'activities' in parts && !settings.toolsOnly
          ? {
              ...parts.activities({ ...settings.profile, searchAttributes }),
              ...reconcileActivities(settings, due, client),
            }
          : parts.toolActivities(settings.profile),
    })
    const ensureMs = Math.min(ENSURE_MS, settings.reconcileEveryMs)
    const timer = setInterval(() => void ensure().catch((error: unknown) => warn('Temporal', error)), ensureMs)
    const shutdown = (): void => {
      if (worker.getState() === 'RUNNING') worker.shutdown()
    }
    stop.addEventListener('abort', shutdown)
    try {
      const running = worker.run()
      tellReady()
      if (stop.aborted) shutdown()
      await running
    } finally {
      clearInterval(timer)
      stop.removeEventListener('abort', shutdown)
    }
  } finally {
    await control.close()
    await connection.close()
  }
}

function reconcileActivities(settings: WorkerSettings, due: DueLog, client: Client): ReconcileActivities {
  return {
    reconcile: () =>
      reconcileOnce({
        log: due,
        nudge: async (ref) => (await nudge(client, ref, { taskQueue: settings.taskQueue })).nudged,
        terminateStuck: (ref) => terminateStuck(client, ref),
      }),
  }
}

/** Each with its reason; what is not here is the SDK's default, measured to be right. */
function workerOptions(settings: WorkerSettings): Omit<WorkerOptions, 'connection' | 'activities'> {
  return {
    ...(settings.toolsOnly ? {} : workflowSource(settings.workflowBundle)),
    taskQueue: settings.taskQueue,
    namespace: settings.temporal.namespace,
    // Shown in Temporal's UI; undefined would kill the worker.
    identity: settings.name ?? `${process.pid}@${hostname()}`,
    dataConverter: { failureConverterPath: FAILURE_CONVERTER },
    // A model call waits for its provider, not for a core: the default of 100 would cap a worker at 50 two-second calls a second.
    maxConcurrentActivityTaskExecutions: settings.maxSteps,
    maxConcurrentLocalActivityExecutions: 200,
    // At least the open sessions: with fewer, every wake-up replays a history (three times slower at 128 sessions with 20).
    maxCachedWorkflows: settings.maxWorkflows,
    // After a kill, the next step waits so long for the dead worker's cache.
    stickyQueueScheduleToStartTimeout: settings.profileName === 'fast' ? 1_000 : 5_000,
    // run_command gets 2 s to end; then there is time to write what it did.
    shutdownGraceTime: 5_000,
    shutdownForceTime: 15_000,
  }
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms)
    function end(): void {
      clearTimeout(timer)
      stop.removeEventListener('abort', end)
      resolve()
    }
    stop.addEventListener('abort', end)
  })
}
