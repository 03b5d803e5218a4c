/**
 * One command with all its children: in a process group of its own, output streamed in the order it was written, ended as a whole.
 *
 * The command is run by a small `sh` that joins stderr to stdout and starts a watcher. The watcher waits on a pipe whose other end only this
 * process holds: should this process die, by SIGKILL too, the pipe closes and the watcher kills the group. The kernel's own means (pdeathsig,
 * the end of a PID namespace) come on top where a confinement has them; without, a child that left the group (setsid) is not reached.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Confinement } from './confinement'
import { describeThrown, errnoOf, ToolFailure } from './failure'

/** Between SIGTERM and SIGKILL. */
const TERM_MS = 2_000
/** How long the output may stay open after the command ended: held by a child that left the group. */
const DRAIN_MS = 500
/** Beyond `freeBytes` a chunk is read every so often: a command that writes without end is slowed down, not the worker. */
const SLOW_MS = 10

/** Its own stderr goes nowhere: some shells write "Terminated" there. What comes by stderr before is a wrapper that could not do its part. */
const INIT =
  'exec 2>/dev/null; trap : TERM; (trap "" TERM; read -r _ <&3; kill -s KILL 0) >/dev/null & (exec "$@" 2>&1 3<&-); exit $?'

export interface ProcessOptions {
  argv: string[]
  cwd: string
  /** All of its environment: nothing is added. */
  env: Record<string, string>
  confinement: Confinement
  signal: AbortSignal
  timeoutMs: number
  onBytes(chunk: Buffer): void
  freeBytes: number
}

export interface ProcessEnd {
  /** Null where a signal ended it. */
  code: number | null
  signal: string | null
  /** Why it was ended by us. */
  stopped: 'timeout' | 'aborted' | null
}

/** @throws ToolFailure `cannot_run` where it could not be started. */
export async function runProcess(options: ProcessOptions): Promise<ProcessEnd> {
  const { argv, cwd, env, confinement, signal, timeoutMs } = options
  const [file = '', ...args] = [...confinement.prefix, '/bin/sh', '-c', INIT, 'sh', ...argv]
  const child = spawn(file, args, {
    cwd,
    env,
    ...confinement.user,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once('error', (error) =>
      reject(new ToolFailure('cannot_run', `the command could not be started: ${describeThrown(error).text}`)),
    )
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  const { stdout, stderr } = child
  const watched = child.stdio[3]
  // Where no file could be opened there are no pipes: then `exited` says so.
  if (!stdout || !stderr || !watched) return { ...(await exited), stopped: null }
  const drained = Promise.all([readAll(stdout, options), readAll(stderr, options)])
  // Its closing is what the watcher waits for; an error on it says only that the watcher is gone.
  watched.on('error', () => undefined)

  let stopped: ProcessEnd['stopped'] = null
  let killTimer: NodeJS.Timeout | undefined
  const stop = (why: 'timeout' | 'aborted'): void => {
    if (stopped) return
    stopped = why
    killTimer = setTimeout(() => killGroup(child), TERM_MS)
    void askToEnd(child, confinement.ownProcessTable)
  }
  const onAbort = (): void => stop('aborted')
  const timer = setTimeout(() => stop('timeout'), timeoutMs)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    const end = await exited
    // What the command left running in the background ends with it.
    killGroup(child)
    await within(drained, DRAIN_MS)
    return { ...end, stopped }
  } finally {
    clearTimeout(timer)
    clearTimeout(killTimer)
    signal.removeEventListener('abort', onAbort)
    stdout.destroy()
    stderr.destroy()
    watched.destroy()
  }
}

async function readAll(stdout: Readable, { onBytes, freeBytes }: ProcessOptions): Promise<void> {
  let bytes = 0
  stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength
    onBytes(chunk)
    if (bytes <= freeBytes) return
    stdout.pause()
    setTimeout(() => stdout.resume(), SLOW_MS)
  })
  await new Promise<void>((resolve) => {
    stdout.once('close', resolve)
    stdout.once('error', () => resolve())
  })
}

/**
 * SIGTERM to the group. Where the leader is a wrapper whose end would take the process table, and so everything, with it at once, it is spared:
 * it ends by itself when the command has.
 */
async function askToEnd(child: ChildProcess, spareLeader: boolean): Promise<void> {
  if (child.pid === undefined) return
  if (!spareLeader) return signalTo(-child.pid, 'SIGTERM')
  for (const pid of await groupOf(child.pid)) if (pid !== child.pid) signalTo(pid, 'SIGTERM')
}

function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined) signalTo(-child.pid, 'SIGKILL')
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // Gone already, or (of a group) only strangers left in it.
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'EPERM') throw error
  }
}

async function groupOf(leader: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const members = pids.map(async (pid) => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    // "pid (name) state ppid pgrp ...": the name may hold anything, also ")".
    const pgrp = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]
    return Number(pgrp) === leader ? [Number(pid)] : []
  })
  return (await Promise.all(members)).flat()
}

async function within(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([promise, waited])
  clearTimeout(timer)
}
