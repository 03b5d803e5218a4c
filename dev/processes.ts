/**
 * Processes that the development stack starts and finds again: by pid and start time, since a pid alone may have become another's.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process as it is written down. `started` is opaque: compare it for equality. */
export interface ProcessId {
  pid: number
  started: string
}

/** When the process began, or null where there is none (a zombie counts as none). */
export function startTime(pid: number): string | null {
  if (process.platform !== 'linux') return psStartTime(pid)
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command name, in brackets, may hold anything: the fields are counted from its end. 1 is the state, 20 the start in ticks since boot.
    const fields = stat.slice(stat.lastIndexOf(')') + 1).split(' ')
    if (fields[1] === 'Z' || fields[1] === 'X' || fields[20] === undefined) return null
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[20]}`
  } catch {
    return null
  }
}

function psStartTime(pid: number): string | null {
  try {
    const [state, ...start] = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
      .trim()
      .split(/\s+/)
    return !state || state.startsWith('Z') ? null : start.join(' ')
  } catch {
    return null
  }
}

/** Its arguments with blanks between, or null where there is no such process. */
export function commandLine(pid: number): string | null {
  if (startTime(pid) === null) return null
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
  } catch {
    return null
  }
}

export function processId(pid: number): ProcessId | null {
  const started = startTime(pid)
  return started === null ? null : { pid, started }
}

export function isAlive(id: ProcessId): boolean {
  return startTime(id.pid) === id.started
}

/**
 * Asks a process to end, and kills it when it does not within `graceMs`. Nothing happens where the pid is another process by now.
 * @returns whether it had to be killed.
 */
export async function stopProcess(
  id: ProcessId,
  signal: NodeJS.Signals,
  graceMs: number,
): Promise<{ killed: boolean }> {
  if (!sendSignal(id, signal)) return { killed: false }
  if (await waitUntil(() => !isAlive(id), graceMs)) return { killed: false }
  sendSignal(id, 'SIGKILL')
  await waitUntil(() => !isAlive(id), 5_000)
  return { killed: true }
}

function sendSignal(id: ProcessId, signal: NodeJS.Signals): boolean {
  if (!isAlive(id)) return false
  try {
    return process.kill(id.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Looks every 20 ms until the fact holds. @returns false when it did not within `ms`. */
export async function waitUntil(fact: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms
  for (;;) {
    if (await fact()) return true
    if (Date.now() > deadline) return false
    await sleep(20)
  }
}

/** A free port of 127.0.0.1: `preferred` where that is free. Somebody may take it before it is used: callers try again. */
export async function freePort(preferred?: number): Promise<number> {
  const port = preferred === undefined ? null : await tryPort(preferred)
  return port ?? (await tryPort(0)) ?? freePort()
}

function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : null))
    })
  })
}

/** Whether something accepts connections there within `ms`. */
export function accepts(host: string, port: number, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: ms })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', () => end(false))
  })
}

/** The environment that a server of ours needs, and no more: provider keys stay out of it. */
export function scrubbedEnv(extra: Record<string, string> = {}): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'USER', 'LOGNAME']
  return {
    ...Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))),
    ...extra,
  }
}

/** The whole environment but what looks like a secret: for tools that need proxies and paths. */
export function envWithoutSecrets(env: NodeJS.ProcessEnv): Record<string, string> {
  const secret = /KEY|TOKEN|SECRET|PASSW|CREDENTIAL|DATABASE_URL|DSN/i
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined || secret.test(name) ? [] : [[name, value]])),
  )
}
