/**
 * What a bench of the whole runs on, as in production where it matters: the Postgres of database.ts, Temporal's dev server with the settings
 * of dev/temporal-server.ts on a sqlite file, worker processes.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Client as TemporalClient, Connection } from '@temporalio/client'
import type { Pool } from 'pg'
import { connect } from '../client/connect'
import type { Client } from '../client/types'
import { nodeArgs } from '../dev/own-files'
import { waitUntil } from '../dev/processes'
import { startTemporal, type RunningTemporal } from '../dev/temporal'
import { bundleWorkflows } from '../workers/bundle'
import { scheduleId } from '../workers/control'
import { startDatabaseStack, type DatabaseStack } from './database'
import { BENCH_MODEL_URL } from './turn-words'

const PATIENCE_MS = 120_000

export interface BenchWorker {
  child: ChildProcess
  pid: number
  output(): string
  kill(signal: NodeJS.Signals): Promise<void>
}

export interface Stack extends DatabaseStack {
  temporal: RunningTemporal
  temporalClient: TemporalClient
  /** A migrated database, a task queue and a client of their own. */
  world(): Promise<BenchWorld>
  floor(): Promise<Floor>
}

export interface BenchWorld {
  admin: Pool
  writerUrl: string
  adminUrl: string
  client: Client
  taskQueue: string
  /** With the in-process model unless the environment names another. */
  worker(env?: Record<string, string>): Promise<BenchWorker>
  close(): Promise<void>
}

export interface Floor {
  pid: number
  taskQueue: string
  /** Of each workflow since the last report: when its tool ran, in milliseconds. */
  report(): Promise<number[][]>
  close(): Promise<void>
}

export async function startStack(say: (line: string) => void, workerArgs: string[]): Promise<Stack> {
  const database = await startDatabaseStack(say)
  const { folder, onSpawn, onProgress } = database
  const bundle = path.join(folder, 'workflow-bundle.js')
  const env = { ...process.env, TEMPORAL_ADDRESS: undefined, TEMPORAL_CONFIG_FILE: path.join(folder, 'none.toml') }
  const [temporal] = await Promise.all([
    startTemporal({
      env,
      ui: false,
      dbFile: path.join(folder, 'temporal.db'),
      logFile: path.join(folder, 'temporal.log'),
      onProgress,
      onSpawn,
    }),
    bundleWorkflows(bundle),
  ])
  const connection = await Connection.connect({ address: temporal.address })
  const temporalClient = new TemporalClient({ connection })

  return {
    ...database,
    temporal,
    temporalClient,
    world: () => createWorld({ database, temporal, temporalClient, bundle, workerArgs }),
    floor: () => startFloor(temporal.address, onSpawn),
    async close() {
      await connection.close()
      await database.close()
    },
  }
}

interface Parts {
  database: DatabaseStack
  temporal: RunningTemporal
  temporalClient: TemporalClient
  bundle: string
  workerArgs: string[]
}

async function createWorld(parts: Parts): Promise<BenchWorld> {
  const { database, temporal } = parts
  const { name, writerUrl, adminUrl, admin, close } = await database.database()
  const taskQueue = name
  const client = await connect({ databaseUrl: writerUrl, temporal: { address: temporal.address, taskQueue } })
  const workers: BenchWorker[] = []
  return {
    admin,
    writerUrl,
    adminUrl,
    client,
    taskQueue,
    async worker(env = {}) {
      const worker = startWorker(parts.workerArgs, {
        SAVEFILE_DATABASE_URL: writerUrl,
        SAVEFILE_TASK_QUEUE: taskQueue,
        SAVEFILE_WORKFLOW_BUNDLE: parts.bundle,
        TEMPORAL_ADDRESS: temporal.address,
        ANTHROPIC_API_KEY: 'bench',
        ANTHROPIC_BASE_URL: BENCH_MODEL_URL,
        ...env,
      })
      database.onSpawn(worker)
      workers.push(worker)
      const isReady = (): boolean => worker.output().includes('ready on task queue') || worker.child.exitCode !== null
      if (!(await waitUntil(isReady, PATIENCE_MS)) || worker.child.exitCode !== null)
        throw new Error(`the worker did not start:\n${worker.output()}`)
      return worker
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.kill('SIGTERM')))
      await client.disconnect()
      await close()
      // Its reconciler would tick on, and nobody is there for it.
      await parts.temporalClient.schedule.getHandle(scheduleId(taskQueue)).delete()
    },
  }
}

function startWorker(args: string[], env: Record<string, string>): BenchWorker {
  const child = spawn(process.execPath, [...args, ...nodeArgs('bench/worker')], {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  const ended = once(child, 'exit')
  return {
    child,
    pid: child.pid ?? 0,
    output: () => said,
    async kill(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill(signal)
      await ended
    },
  }
}

async function startFloor(address: string, onSpawn: (process: { pid: number }) => void): Promise<Floor> {
  const taskQueue = `floor-${randomBytes(4).toString('hex')}`
  const [, tsx = ''] = nodeArgs('workers/main')
  const child = fork(path.join(__dirname, 'floor-worker.ts'), [address, taskQueue], {
    execArgv: ['--import', tsx],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  onSpawn({ pid: child.pid ?? 0 })
  await once(child, 'message')
  return {
    pid: child.pid ?? 0,
    taskQueue,
    async report() {
      const answer = once(child, 'message')
      child.send('report')
      return ((await answer)[0] as { ran: number[][] }).ran
    },
    async close() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** A folder with a file of a kilobyte for the tool to read. */
export function workFolder(stack: Pick<Stack, 'folder'>): string {
  const folder = mkdtempSync(path.join(stack.folder, 'work-'))
  writeFileSync(path.join(folder, 'kilobyte.txt'), `${'a line of a file '.repeat(59)}\n`)
  return folder
}
