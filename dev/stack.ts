/** The development stack in the background: found, started once however many ask, and stopped. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SavefileError, type ErrorCode } from '../contract/errors'
import { providersIn } from './model-choice'
import { lockHolder } from './lock'
import { nodeArgs } from './own-files'
import { accepts, isAlive, processId, stopProcess } from './processes'
import { whileWaiting, type OnProgress, type Progress } from './progress'
import {
  isRunning,
  makeFolders,
  readStack,
  stackPaths,
  writeStack,
  type ReadyStack,
  type StackState,
} from './stack-state'
import { ownVersion, stopLeftovers } from './supervisor'

export interface EnsureOptions {
  /** The project folder. */
  home: string
  onProgress: OnProgress
  env?: NodeJS.ProcessEnv
}

/** A first start may build Temporal. */
const READY_MS = 20 * 60_000
/** The worker has 20 s to let its steps end, Temporal 10, Postgres 15. */
const STOP_MS = 60_000

/**
 * The running stack of this folder, or a new one in the background. Resolves when a worker takes work.
 * @throws SavefileError with the code and the words of what failed.
 */
export async function ensureStack(options: EnsureOptions): Promise<ReadyStack> {
  const { home, onProgress } = options
  const env = options.env ?? process.env
  makeFolders(home)
  const found = readStack(home)
  if (isRunning(found)) {
    const why = reasonToReplace(found, env)
    if (why && found.background) {
      onProgress({ what: 'stack', state: 'progress', detail: `stopping the one that runs: ${why}` })
      await stopStack({ home, onProgress })
    } else if (why) onProgress({ what: 'stack', state: 'progress', detail: `using the one that runs, though ${why}` })
  }
  return waitForReady(home, env, onProgress)
}

/** Stops the stack, wherever it runs; what a killed one left, too. @returns whether there was anything to stop. */
export async function stopStack({ home, onProgress }: { home: string; onProgress: OnProgress }): Promise<boolean> {
  const found = readStack(home)
  if (!found || found.state === 'stopped') return false
  const lived = isRunning(found)
  if (lived) {
    onProgress({ what: 'stack', state: 'start', detail: `stopping (process ${found.supervisor.pid})` })
    await whileWaiting(onProgress, 'stack', 'stopping', stopProcess(found.supervisor, 'SIGTERM', STOP_MS))
  }
  const after = readStack(home)
  const left = after && Object.values(after.processes).some((id) => isAlive(id))
  if (after && after.state !== 'stopped') {
    await stopLeftovers(after.processes, onProgress)
    const { v, version, adminPassword, passwords, ports } = after
    writeStack(home, { v, version, adminPassword, passwords, ports, state: 'stopped', processes: {} })
  }
  onProgress({ what: 'stack', state: 'done', detail: 'stopped' })
  return lived || Boolean(left)
}

function reasonToReplace(state: StackState, env: NodeJS.ProcessEnv): string | null {
  if (state.version !== ownVersion()) return `it is of version ${state.version}, and this is ${ownVersion()}`
  const scripted = state.state === 'ready' && state.model.scripted
  return scripted && providersIn(env).length > 0 ? 'it plays a script, and there is a provider key now' : null
}

async function waitForReady(home: string, env: NodeJS.ProcessEnv, onProgress: OnProgress): Promise<ReadyStack> {
  const deadline = Date.now() + READY_MS
  let spawned: { over: () => boolean } | null = null
  let relay: (() => void) | null = null
  const { lock } = stackPaths(home)
  while (Date.now() < deadline) {
    const state = readStack(home)
    if (isRunning(state) && state.state === 'ready' && (await answers(state))) {
      relay?.()
      return state
    }
    // One that has just taken the lock has not yet written its state.
    const supervised = isRunning(state) || lockHolder(lock) !== null
    if (supervised || spawned) relay ??= relayProgress(home, onProgress)
    relay?.()
    if (!supervised && spawned?.over()) throw failure(home)
    if (!supervised && !spawned) spawned = spawnSupervisor(home, env)
    await sleep(50)
  }
  throw new SavefileError(
    'setup_failed',
    `The development stack was not ready within ${READY_MS / 60_000} minutes. See ${stackPaths(home).log}.`,
  )
}

async function answers(state: ReadyStack): Promise<boolean> {
  const places = [new URL(state.databaseUrl), new URL(`http://${state.temporal.address}`)].map((url) => ({
    host: url.hostname,
    port: Number(url.port || (url.protocol.startsWith('postgres') ? 5432 : 7233)),
  }))
  const all = await Promise.all(places.map(({ host, port }) => accepts(host, port, 2_000)))
  return all.every(Boolean)
}

/** Two at once may both get here: the lock lets one supervisor live, and the other ends without a word. */
function spawnSupervisor(home: string, env: NodeJS.ProcessEnv): { over: () => boolean } {
  const paths = stackPaths(home)
  rmSync(paths.progress, { force: true })
  const log = openSync(paths.supervisorLog, 'a', 0o600)
  const child = spawn(process.execPath, [...nodeArgs('dev/supervisor-main'), path.resolve(home)], {
    cwd: path.resolve(home),
    env,
    stdio: ['ignore', log, log],
    detached: true,
  })
  closeSync(log)
  child.unref()
  const id = child.pid === undefined ? null : processId(child.pid)
  return { over: () => id === null || !isAlive(id) }
}

/** Hands on what the supervisor wrote since the last call. */
function relayProgress(home: string, onProgress: OnProgress): () => void {
  let seen = 0
  return () => {
    const lines = progressLines(home)
    for (const line of lines.slice(seen)) if ('what' in line) onProgress(line)
    seen = lines.length
  }
}

type Line = Progress | { failed: { code: ErrorCode; message: string } }

function progressLines(home: string): Line[] {
  const file = stackPaths(home).progress
  if (!existsSync(file)) return []
  // The last piece is a line that is being written, or nothing.
  const whole = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return whole.map((line) => JSON.parse(line) as Line)
}

function failure(home: string): SavefileError {
  const failed = progressLines(home).find((line) => 'failed' in line)
  if (failed && 'failed' in failed) return new SavefileError(failed.failed.code, failed.failed.message)
  const paths = stackPaths(home)
  const words = readFileSync(paths.supervisorLog, 'utf8').trim().split('\n').slice(-8).join('\n')
  return new SavefileError(
    'setup_failed',
    `The development stack ended while it was starting. It said:\n${words}\nSee ${paths.log}.`,
  )
}
