/** The command as a real process, as a user has it: arguments in, stdout, stderr and the exit code out. */
import { spawn, type ChildProcess } from 'node:child_process'
import { builtArgs } from '../support/built'
import type { World } from '../support/world'

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

export interface Running {
  child: ChildProcess
  stdout(): string
  stderr(): string
  done: Promise<Ran>
}

export interface CliOptions {
  env?: Record<string, string>
  cwd?: string
  /** What comes on stdin; it then ends. */
  input?: string
  /** Stdin stays open for the test to write to. */
  open?: boolean
  /** Nobody reads stdout but the test. */
  unread?: boolean
}

const children = new Set<ChildProcess>()

/** Ends what a failed test left running. For afterAll. */
export function endAll(): void {
  for (const child of children) child.kill('SIGKILL')
}

export function startCli(args: string[], options: CliOptions = {}): Running {
  const { env = {}, cwd, input = '', open = false, unread = false } = options
  const child = spawn(process.execPath, [...builtArgs('cli/main'), ...args], {
    ...(cwd ? { cwd } : {}),
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', USER: 'tester', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  let stdout = ''
  let stderr = ''
  if (!unread) child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  if (!open) child.stdin?.end(input)
  const done = new Promise<Ran>((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })))
  return { child, stdout: () => stdout, stderr: () => stderr, done }
}

export function runCli(args: string[], options: CliOptions = {}): Promise<Ran> {
  return startCli(args, options).done
}

/** The environment that leads to a world. */
export function envOf(world: World): Record<string, string> {
  return {
    SAVEFILE_DATABASE_URL: world.db.writerUrl,
    SAVEFILE_TASK_QUEUE: world.taskQueue,
    TEMPORAL_ADDRESS: world.temporalAddress,
    ANTHROPIC_API_KEY: 'a-key-that-is-never-printed',
  }
}
