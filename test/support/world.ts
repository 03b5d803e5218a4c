/**
 * A small world for tests of the whole: a database of its own, a scripted model server, real worker processes, and the client.
 * Processes are killed by real signals; what is paid for is counted at the model server.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client as TemporalClient, Connection, ScheduleNotFoundError } from '@temporalio/client'
import { connect } from '../../client/connect'
import type { LogEvent } from '../../client/log-events'
import type { Client } from '../../client/types'
import { reduceChecked } from '../../contract/invariants'
import type { DefinitionInput } from '../../contract/definition'
import type { KnownEvent } from '../../contract/events'
import { emptyState } from '../../contract/state'
import { startScriptedModel, type ScriptedModel, type ScriptedModelOptions } from '../../dev/scripted-model/server'
import { keyringOf } from '../../log/keyring'
import { builtinSpecs } from '../../tools/builtin'
import { builtArgs } from './built'
import { createDatabase, type TestDatabase } from './database'
import { vendorCheck } from './vendor-validate'
import { scheduleId } from '../../workers/control'

/** How long a fact may take on a loaded machine before a test gives up on it. */
export const PATIENCE_MS = 45_000

/**
 * For `startWorker`, where it is the reconciler that goes on. Of the first worker, who makes the schedule. Elsewhere it looks seldom: a look
 * costs Temporal and the worker a tenth of a second each time, and would hide that a nudge was lost.
 */
export const RECONCILE_OFTEN = { SAVEFILE_RECONCILE_MS: '1000' }

export interface WorkerProcess {
  readonly child: ChildProcess
  /** What it said so far. */
  output(): string
  /** Sends the signal to the process and, with `-`, to its group. */
  signal(name: NodeJS.Signals): void
  /** Sends it and waits for the end. */
  kill(name?: NodeJS.Signals): Promise<void>
}

export interface World {
  db: TestDatabase
  client: Client
  model: ScriptedModel
  taskQueue: string
  temporalAddress: string
  /** All that were started, the dead ones too. */
  workers: readonly WorkerProcess[]
  /** Waits until it takes work. */
  startWorker(env?: Record<string, string>): Promise<WorkerProcess>
  workFolder(): Promise<string>
  definition(change?: Partial<DefinitionInput>): DefinitionInput
  /** L2 to L5 in short: gapless, chained, legal, no second result. Gives the types of the log. */
  sound(session: string): Promise<string[]>
  close(): Promise<void>
}

export interface WorldOptions {
  script: ScriptedModelOptions['script']
  /** Another than the run's. */
  temporalAddress?: string
  databaseUrl?: string
  /** On another Postgres than the run's; dropped at `close`. */
  db?: TestDatabase
  /** An owner key, which client and workers have: the sessions of this world are encrypted. */
  ownerKey?: string
}

/** Looks until the fact holds, or fails naming it. */
export async function until(what: string, fact: () => Promise<boolean> | boolean, ms = PATIENCE_MS): Promise<void> {
  const deadline = Date.now() + ms
  while (!(await fact())) {
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain for: ${what}`)
    await sleep(25)
  }
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const db = options.db ?? (await createDatabase())
  const temporalAddress = options.temporalAddress ?? process.env['SAVEFILE_TEST_TEMPORAL_ADDRESS'] ?? ''
  const taskQueue = `test-${randomBytes(6).toString('hex')}`
  const fit = vendorCheck()
  const model = await startScriptedModel({ script: options.script, validate: fit.validate })
  const databaseUrl = options.databaseUrl ?? db.writerUrl
  const { ownerKey } = options
  const client = await connect({
    databaseUrl,
    temporal: { address: temporalAddress, taskQueue },
    principal: 'tester',
    keyring: ownerKey === undefined ? null : keyringOf(ownerKey, 'test'),
    encrypted: ownerKey !== undefined,
  })
  const folders: string[] = []
  const workers: WorkerProcess[] = []

  return {
    db,
    client,
    model,
    taskQueue,
    temporalAddress,
    workers,
    async startWorker(env = {}) {
      const worker = spawnWorker({
        SAVEFILE_DATABASE_URL: databaseUrl,
        SAVEFILE_TASK_QUEUE: taskQueue,
        SAVEFILE_PROFILE: 'fast',
        SAVEFILE_RECONCILE_MS: '15000',
        SAVEFILE_WORKFLOW_BUNDLE: process.env['SAVEFILE_TEST_WORKFLOW_BUNDLE'] ?? '',
        TEMPORAL_ADDRESS: temporalAddress,
        ANTHROPIC_API_KEY: 'scripted',
        ANTHROPIC_BASE_URL: model.url,
        OPENAI_API_KEY: 'scripted',
        OPENAI_BASE_URL: `${model.url}/v1`,
        ...(ownerKey === undefined ? {} : { SAVEFILE_KEY: ownerKey }),
        ...env,
      })
      workers.push(worker)
      await until(`a worker to be ready\n${worker.output()}`, () => {
        if (worker.child.exitCode !== null) throw new Error(`the worker ended:\n${worker.output()}`)
        return worker.output().includes('ready on task queue')
      })
      return worker
    },
    async workFolder() {
      const folder = await mkdtemp(path.join(tmpdir(), 'savefile-work-'))
      folders.push(folder)
      return folder
    },
    definition: (change = {}) => ({
      model: { provider: 'anthropic', name: 'claude-test' },
      tools: builtinSpecs(),
      ...change,
    }),
    async sound(session) {
      const verified = await client.verify(session, { deep: true })
      if (!verified.ok) throw new Error(`verify: ${JSON.stringify(verified)}`)
      const events = await readAll(client, session)
      let state = emptyState
      for (const [i, event] of events.entries()) {
        if (event.seq !== i + 1) throw new Error(`seq ${event.seq} stands at ${i + 1} of ${session}`)
        if (event.unknown) throw new Error(`event ${event.seq} is of an unknown type ${event.type}`)
        const { state: next, broken } = reduceChecked(state, event)
        if (broken.length > 0) throw new Error(`at ${event.seq} (${event.type}): ${broken.join('; ')}`)
        state = next
      }
      return events.map((event) => event.type)
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.kill('SIGKILL')))
      await client.disconnect()
      await model.close()
      // A server of the test's own takes its schedules with it.
      if (options.temporalAddress === undefined) await dropSchedule(temporalAddress, taskQueue)
      await db.drop()
      await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })))
      if (fit.misfits.length > 0)
        throw new Error(`requests that do not fit the vendor's schema:\n${fit.misfits.join('\n')}`)
    },
  }
}

/** The whole log, page by page. */
export async function readAll(client: Client, session: string): Promise<LogEvent[]> {
  const events: LogEvent[] = []
  for (;;) {
    const page = await client.read(session, { from: events.length + 1 })
    if (page.length === 0) return events
    events.push(...page)
  }
}

/** The events of one type, their payloads typed. */
export function ofType<T extends KnownEvent['type']>(
  events: readonly LogEvent[],
  type: T,
): Extract<KnownEvent, { type: T }>[] {
  return events.filter((event) => !event.unknown && event.type === type) as unknown as Extract<
    KnownEvent,
    { type: T }
  >[]
}

function spawnWorker(env: Record<string, string>): WorkerProcess {
  const child = spawn(process.execPath, builtArgs('workers/main'), {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    child,
    output: () => said,
    signal: (name) => void child.kill(name),
    async kill(name = 'SIGKILL') {
      if (child.exitCode !== null || child.signalCode !== null) return
      // A stopped process hears nothing but SIGKILL and SIGCONT.
      child.kill(name)
      await ended
    },
  }
}

/** The reconciler's schedule of a test's task queue would tick on until the server ends. */
async function dropSchedule(address: string, taskQueue: string): Promise<void> {
  const connection = await Connection.connect({ address })
  try {
    await new TemporalClient({ connection }).schedule.getHandle(scheduleId(taskQueue)).delete()
  } catch (error) {
    // Not every test starts a worker, and some kill their Temporal.
    if (!(error instanceof ScheduleNotFoundError)) throw error
  } finally {
    await connection.close()
  }
}
