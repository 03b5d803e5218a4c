/** The worker of the development stack: a child process, so that it can be killed and started again like any other. */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { SavefileError } from '../contract/errors'
import { nodeArgs } from './own-files'
import { processId, stopProcess, waitUntil, type ProcessId } from './processes'

export interface WorkerProcess {
  process: ProcessId
  ended: Promise<void>
  stop(): Promise<void>
}

/** What workers/main.ts says when it takes work. */
const READY = /: ready on task queue /
const START_MS = 60_000
/** More than the worker's own shutdownForceTime. */
const STOP_MS = 20_000

/** @throws SavefileError `setup_failed` with the worker's last words, where it ends before it takes work. */
export async function startWorkerProcess(options: {
  env: NodeJS.ProcessEnv
  logFile: string
  onSpawn: (worker: ProcessId) => void
}): Promise<WorkerProcess> {
  const log = openSync(options.logFile, 'a', 0o600)
  const from = statSync(options.logFile).size
  const child = spawn(process.execPath, nodeArgs('workers/main'), {
    env: options.env,
    stdio: ['ignore', log, log],
    // A session of its own: Ctrl-C is for the supervisor, which ends the parts in their order.
    detached: true,
  })
  closeSync(log)
  let over = false
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      over = true
      resolve()
    }
    child.once('error', end)
    child.once('exit', end)
  })
  const id = child.pid === undefined ? null : processId(child.pid)
  if (id) options.onSpawn(id)
  const said = () => readFileSync(options.logFile).subarray(from).toString()
  // Not ready after a minute: it lives and tries again by itself (a Temporal that is away), so it is left to.
  await waitUntil(() => over || READY.test(said()), START_MS)
  if (over || !id) {
    const words = said().trim().split('\n').slice(-8).join('\n')
    throw new SavefileError(
      'setup_failed',
      `The worker ended before it took work. ${words ? `It said:\n${words}` : `See ${options.logFile}.`}`,
    )
  }
  const stop = async () => {
    await stopProcess(id, 'SIGTERM', STOP_MS)
    await ended
  }
  return { process: id, ended, stop }
}
