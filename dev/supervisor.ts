/**
 * The development stack of a project folder, supervised by this process:
 *
 *   Postgres ─▶ migrations ─▶ logins ┐
 *   Temporal ────────────────────────┼─▶ worker       stopped in the order worker, Temporal, Postgres
 *   scripted model (without a key) ──┘
 *
 * TEMPORAL_ADDRESS (or Temporal's configuration) and SAVEFILE_DATABASE_URL put a server of the user's in the place of ours.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { SavefileError } from '../contract/errors'
import { migrate } from '../log/migrate'
import { loginUrl, makeDatabase, makeLogins, makeOwnerLogin } from './database'
import { keepRunning, type KeptPart } from './keep'
import { takeLock } from './lock'
import { providersIn, scriptedEnv } from './model-choice'
import { packageRoot } from './own-files'
import { startPostgres } from './postgres'
import { freePort, isAlive, processId, stopProcess, type ProcessId } from './processes'
import { whileWaiting, type OnProgress } from './progress'
import { startScriptedModel } from './scripted-model/server'
import { makeFolders, PARTS, readStack, stackPaths, writeStack } from './stack-state'
import type { Kept, Part, ReadyStack, StackAddresses, StackState } from './stack-state'
import { startTemporal } from './temporal'
import { startWorkerProcess } from './worker-process'

export interface StackOptions {
  /** The project folder: everything lies in its .savefile/. */
  home: string
  onProgress: OnProgress
  env?: NodeJS.ProcessEnv
  /** Whether nobody sits in front of it: written down, for whoever finds it. */
  background?: boolean
}

export interface RunningStack {
  addresses: ReadyStack
  /** Resolves when it has stopped, by `stop()` or by SIGTERM or SIGINT to this process. */
  ended: Promise<void>
  stop(): Promise<void>
}

const DATABASE = 'savefile'
const STOP_SIGNALS: Readonly<Record<Part, NodeJS.Signals>> = {
  worker: 'SIGTERM',
  temporal: 'SIGTERM',
  postgres: 'SIGINT',
}

/**
 * Starts everything and resolves when a worker takes work. From its call on, SIGTERM and SIGINT to this process stop the stack (and
 * nothing else: the caller ends the process when `ended` resolves, or when the start throws).
 * @throws SavefileError `setup_failed` where another process supervises this folder, or where a part cannot be had.
 */
export async function startStack(options: StackOptions): Promise<RunningStack> {
  makeFolders(options.home)
  const locked = await takeLock(stackPaths(options.home).lock)
  if (!locked.held)
    throw new SavefileError(
      'setup_failed',
      `A development stack runs for ${path.resolve(options.home)} already (process ${locked.by.pid}). Use it, or stop it first.`,
      { supervisor: locked.by.pid },
    )
  const supervisor = new Supervisor(options)
  let release = (): void => undefined
  const ended = new Promise<void>((resolve) => (release = resolve))
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> =>
    (stopping ??= supervisor.stop().finally(() => {
      locked.release()
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.removeListener(signal, onSignal)
      release()
    }))
  const onSignal = (): void => void stop()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal)
  try {
    const addresses = await Promise.race([supervisor.start(), ended.then(() => Promise.reject(stopped()))])
    return { addresses, ended, stop }
  } catch (error) {
    const asked = stopping !== undefined
    await stop()
    throw asked ? stopped() : error
  }
}

/** Stops what a killed supervisor left running. Pids that are other processes by now are left alone. */
export async function stopLeftovers(
  processes: Partial<Record<Part, ProcessId>>,
  onProgress: OnProgress,
): Promise<void> {
  for (const part of PARTS) {
    const id = processes[part]
    if (!id || !isAlive(id)) continue
    onProgress({
      what: part,
      state: 'progress',
      detail: `stopping process ${id.pid}, left over from a stack that was killed`,
    })
    await stopProcess(id, STOP_SIGNALS[part], 15_000)
  }
}

class Supervisor {
  private readonly paths
  private readonly env: NodeJS.ProcessEnv
  private readonly kept: Kept
  private readonly processes: Partial<Record<Part, ProcessId>> = {}
  private readonly parts: Partial<Record<Part, KeptPart>> = {}
  private ready: StackAddresses | null = null
  private stopping = false
  private closeScripted: () => Promise<void> = async () => undefined

  constructor(private readonly options: StackOptions) {
    this.paths = stackPaths(options.home)
    this.env = options.env ?? process.env
    const before = readStack(options.home)
    this.kept = {
      adminPassword: before?.adminPassword ?? secret(),
      // A stack of before a group was added has no password for it yet.
      passwords: {
        ...{ owner: secret(), writer: secret(), executor: secret(), reader: secret(), member: secret() },
        ...before?.passwords,
      },
      ports: before?.ports ?? {},
    }
  }

  async start(): Promise<ReadyStack> {
    const { options, env } = this
    const before = readStack(options.home)
    if (before) await stopLeftovers(before.processes, options.onProgress)
    this.write()
    // All three are let finish or fail before an error is told: nothing is to start behind a stack that was given up.
    const [database, temporal, model] = await allOf(this.database(), this.temporal(), this.model())
    this.ready = { ...database, temporal, model }
    await this.worker({
      ...env,
      SAVEFILE_DATABASE_URL: database.databaseUrl,
      ...(temporal.from === 'environment'
        ? {}
        : { TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: temporal.namespace }),
      ...(model.scripted ? scriptedEnv(model.url) : {}),
      SAVEFILE_WORKER_NAME: env['SAVEFILE_WORKER_NAME'] ?? 'savefile-dev',
    })
    const state = this.write()
    if (state.state !== 'ready') throw stopped()
    options.onProgress({ what: 'stack', state: 'done', detail: 'ready' })
    return state
  }

  async stop(): Promise<void> {
    this.stopping = true
    this.write()
    for (const part of PARTS) {
      const id = this.processes[part]
      if (!this.parts[part] && !id) continue
      this.options.onProgress({ what: part, state: 'progress', detail: 'stopping' })
      // Still starting: only its process is known.
      const gone = this.parts[part]?.stop() ?? (id && stopProcess(id, STOP_SIGNALS[part], 15_000))
      await whileWaiting(this.options.onProgress, part, 'stopping', Promise.resolve(gone))
      delete this.processes[part]
      this.write()
    }
    await this.closeScripted()
    const { adminPassword, passwords, ports } = this.kept
    writeStack(this.options.home, {
      v: 1,
      version: ownVersion(),
      state: 'stopped',
      processes: {},
      adminPassword,
      passwords,
      ports,
    })
  }

  private async database(): Promise<Pick<StackAddresses, 'databaseUrl' | 'readerUrl' | 'memberUrl' | 'ownerUrl'>> {
    const own = this.env['SAVEFILE_DATABASE_URL']
    if (own) {
      await migrateTheirs(own, this.env['SAVEFILE_OWNER_DATABASE_URL'], this.options.onProgress)
      return { databaseUrl: own, readerUrl: own, memberUrl: own, ownerUrl: null }
    }
    const { adminPassword, passwords, ports } = this.kept
    let url = ''
    await this.keep('postgres', async () => {
      const server = await startPostgres({
        dataDir: this.paths.postgresData,
        password: adminPassword,
        // Once addresses are given out, it comes back where it was.
        ...(url ? { port: ports.postgres } : { preferredPort: ports.postgres }),
        logFile: this.paths.postgresLog,
        onProgress: this.options.onProgress,
        onSpawn: (id) => this.spawned('postgres', id),
      })
      ports.postgres = server.port
      url = server.url
      return server
    })
    await makeOwnerLogin(url, passwords)
    await makeDatabase(url, DATABASE)
    const ownerUrl = loginUrl(url, DATABASE, 'owner', passwords.owner)
    this.options.onProgress({ what: 'database', state: 'start', detail: 'migrations' })
    const { revision, applied } = await whileWaiting(
      this.options.onProgress,
      'database',
      'migrations',
      migrate(ownerUrl),
    )
    await makeLogins(url, passwords)
    this.options.onProgress({
      what: 'database',
      state: 'done',
      detail: `revision ${revision}${applied ? ` (${applied} applied)` : ''}`,
    })
    return {
      databaseUrl: loginUrl(url, DATABASE, 'writer', passwords.writer),
      readerUrl: loginUrl(url, DATABASE, 'reader', passwords.reader),
      memberUrl: loginUrl(url, DATABASE, 'member', passwords.member),
      ownerUrl,
    }
  }

  private async temporal(): Promise<StackAddresses['temporal']> {
    const { ports } = this.kept
    let found: StackAddresses['temporal'] | undefined
    await this.keep('temporal', async () => {
      const server = await startTemporal({
        env: this.env,
        dbFile: this.paths.temporalData,
        ui: true,
        preferredPort: ports.temporal,
        preferredUiPort: ports.temporalUi,
        logFile: this.paths.temporalLog,
        onProgress: this.options.onProgress,
        onSpawn: (id) => this.spawned('temporal', id),
      })
      const { address, namespace, uiUrl, from } = server
      if (server.process) ports.temporal = portOf(`http://${address}`)
      if (server.process && uiUrl) ports.temporalUi = portOf(uiUrl)
      found ??= { address, namespace, uiUrl, from }
      return server
    })
    if (!found) throw new Error('Temporal started without an address')
    return found
  }

  private async model(): Promise<StackAddresses['model']> {
    const providers = providersIn(this.env)
    if (providers.length > 0) return { scripted: false, providers }
    const script = path.join(__dirname, 'scripts', 'demo.json')
    const port = await freePort(this.kept.ports.scriptedModel)
    const server = await startScriptedModel({ script, port, keepBodies: false })
    this.kept.ports.scriptedModel = server.port
    this.closeScripted = () => server.close()
    this.options.onProgress({
      what: 'scripted model',
      state: 'done',
      detail: `${server.url} (no provider key was found: it plays a script)`,
    })
    return { scripted: true, url: server.url, script }
  }

  private async worker(env: NodeJS.ProcessEnv): Promise<void> {
    await this.keep('worker', async () => {
      this.options.onProgress({ what: 'worker', state: 'start', detail: 'starting' })
      const starting = startWorkerProcess({
        env,
        logFile: this.paths.workerLog,
        onSpawn: (id) => this.spawned('worker', id),
      })
      const worker = await whileWaiting(this.options.onProgress, 'worker', 'waiting until it takes work', starting)
      this.options.onProgress({ what: 'worker', state: 'done', detail: `process ${worker.process.pid}` })
      return worker
    })
  }

  private async keep(part: Part, start: Parameters<typeof keepRunning>[0]): Promise<void> {
    this.parts[part] = await keepRunning(start, (detail) =>
      this.options.onProgress({ what: part, state: 'progress', detail }),
    )
  }

  /** Written down at once: should this process be killed, the next one finds what it left. */
  private spawned(part: Part, id: ProcessId): void {
    this.processes[part] = id
    if (this.stopping) void stopProcess(id, STOP_SIGNALS[part], 15_000)
    else this.write()
  }

  private write(): StackState {
    const supervisor = processId(process.pid)
    if (!supervisor) throw new Error('this process has no start time')
    const common = {
      v: 1 as const,
      version: ownVersion(),
      processes: { ...this.processes },
      ...this.kept,
      supervisor,
      background: this.options.background ?? false,
    }
    const state: StackState = this.stopping
      ? { ...common, state: 'stopping' }
      : this.ready && this.parts.worker
        ? { ...common, state: 'ready', ...this.ready }
        : { ...common, state: 'starting' }
    writeStack(this.options.home, state)
    return state
  }
}

/** A database of the user's: brought up to date where we may, else left for the worker to judge. */
async function migrateTheirs(databaseUrl: string, ownerUrl: string | undefined, onProgress: OnProgress): Promise<void> {
  try {
    const { revision } = await migrate(ownerUrl ?? databaseUrl)
    onProgress({ what: 'database', state: 'done', detail: `yours (SAVEFILE_DATABASE_URL), revision ${revision}` })
  } catch (error) {
    const denied = [error, (error as { cause?: unknown }).cause].some(
      (one) => (one as { code?: unknown } | undefined)?.code === '42501',
    )
    if (ownerUrl || !denied) throw error
    onProgress({ what: 'database', state: 'done', detail: 'yours (SAVEFILE_DATABASE_URL); its login may not migrate' })
  }
}

async function allOf<A, B, C>(a: Promise<A>, b: Promise<B>, c: Promise<C>): Promise<[A, B, C]> {
  const settled = await Promise.allSettled([a, b, c])
  const failed = settled.find((one) => one.status === 'rejected')
  if (failed) throw failed.reason
  return Promise.all([a, b, c])
}

const stopped = (): SavefileError => new SavefileError('setup_failed', 'Stopped while it was starting.')
const secret = (): string => randomBytes(18).toString('base64url')
const portOf = (url: string): number => Number(new URL(url).port)

export function ownVersion(): string {
  return (JSON.parse(readFileSync(path.join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version
}
