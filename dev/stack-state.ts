/**
 * .savefile/dev.json: what the development stack of a project folder is, and where. Readable by its user only: it holds passwords.
 * The CLI finds the stack by `databaseUrl` and `temporal`, which are there only while the stack is ready.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { ProviderName } from '../contract/definition'
import type { Passwords } from './database'
import { isAlive, type ProcessId } from './processes'

/** Where everything of a stack lies. `home` is the project folder. */
export function stackPaths(home: string) {
  const folder = path.join(path.resolve(home), '.savefile')
  const log = path.join(folder, 'log')
  return {
    folder,
    state: path.join(folder, 'dev.json'),
    lock: path.join(folder, 'dev.lock'),
    postgresData: path.join(folder, 'postgres'),
    temporalData: path.join(folder, 'temporal', 'temporal.db'),
    log,
    /** One JSON line a Progress, of the last start only; at its end `{"failed": …}` where it failed. */
    progress: path.join(log, 'progress.jsonl'),
    supervisorLog: path.join(log, 'supervisor.log'),
    postgresLog: path.join(log, 'postgres.log'),
    temporalLog: path.join(log, 'temporal.log'),
    workerLog: path.join(log, 'worker.log'),
  }
}

/** Kept when the stack stops, so that the next start has the same passwords and, where they are free, the same ports. */
export interface Kept {
  adminPassword: string
  passwords: Passwords
  ports: { postgres?: number; temporal?: number; temporalUi?: number; scriptedModel?: number }
}

/** The servers and the worker, by the order in which they are stopped. */
export const PARTS = ['worker', 'temporal', 'postgres'] as const
export type Part = (typeof PARTS)[number]

interface Common extends Kept {
  v: 1
  /** Of this package: an older stack is replaced. */
  version: string
  /** What runs now, or ran when the supervisor was killed. */
  processes: Partial<Record<Part, ProcessId>>
}

export interface StackAddresses {
  /** The writer's login. */
  databaseUrl: string
  readerUrl: string
  /** For whoever comes with a token. */
  memberUrl: string
  /** Null where the database is the user's own. */
  ownerUrl: string | null
  temporal: {
    address: string
    namespace: string
    uiUrl: string | null
    from: 'environment' | 'path' | 'download' | 'build'
  }
  /** Which model answers: the scripted server, or the providers whose keys were found. */
  model: { scripted: true; url: string; script: string } | { scripted: false; providers: ProviderName[] }
}

export type StackState =
  | (Common & { state: 'stopped' })
  | (Common & { state: 'starting' | 'stopping'; supervisor: ProcessId; background: boolean })
  | (Common & { state: 'ready'; supervisor: ProcessId; background: boolean } & StackAddresses)
export type ReadyStack = Extract<StackState, { state: 'ready' }>

/** What dev.json says, or null where there was never a stack. Its processes may be gone: see `isRunning`. */
export function readStack(home: string): StackState | null {
  const file = stackPaths(home).state
  if (!existsSync(file)) return null
  const state = JSON.parse(readFileSync(file, 'utf8')) as StackState
  return state.v === 1 ? state : null
}

/** Whether its supervisor lives. */
export function isRunning(state: StackState | null): state is Exclude<StackState, { state: 'stopped' }> {
  return state !== null && state.state !== 'stopped' && isAlive(state.supervisor)
}

/** In one piece: readers see the old file or the new one. */
export function writeStack(home: string, state: StackState): void {
  const { state: file } = stackPaths(home)
  const half = `${file}.${process.pid}`
  writeFileSync(half, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
  renameSync(half, file)
}

/** The folders, and a .gitignore so that nobody commits passwords or data. */
export function makeFolders(home: string): void {
  const { folder, log } = stackPaths(home)
  mkdirSync(log, { recursive: true })
  const ignore = path.join(folder, '.gitignore')
  if (!existsSync(ignore)) writeFileSync(ignore, '*\n')
}
