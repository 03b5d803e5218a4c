/**
 * A Postgres of our own on 127.0.0.1: its data in a folder, a password (scram), UTF-8 with the C locale, no Unix socket.
 *
 *   no data ─initdb beside, then rename─▶ data ─remove a dead server's pid file─▶ start ─first answered query─▶ ready
 *
 * The server runs in a session of its own, so that Ctrl-C reaches only who started it, and with a scrubbed environment.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Client } from 'pg'
import { SavefileError } from '../contract/errors'
import { canReach, findPrograms, SHARED_FOLDER, type Identity, type PostgresPrograms } from './postgres-binaries'
import { commandLine, freePort, processId, scrubbedEnv, stopProcess, waitUntil, type ProcessId } from './processes'
import { whileWaiting, type OnProgress } from './progress'

export interface PostgresOptions {
  /** Where the data is kept; made where it is missing. */
  dataDir: string
  /** Of the superuser `postgres`. That of the first start counts for the data folder. */
  password: string
  /** This port, or nothing: an error where it is taken. Without it, `preferredPort` if free, else a random free one. */
  port?: number
  preferredPort?: number
  /** On unless false: without it a crash of the machine may destroy the data. For tests only. */
  fsync?: boolean
  maxConnections?: number
  /** Where the server's messages go; `<dataDir>.log` by default. */
  logFile?: string
  onProgress: OnProgress
  /** Told at once, long before the server is ready: for whoever is to end it should this process be killed. */
  onSpawn?: (server: ProcessId) => void
}

export interface RunningPostgres {
  /** As superuser, of the database `postgres`. */
  url: string
  port: number
  pid: number
  process: ProcessId
  /** Resolves when the server has ended, however it did. */
  ended: Promise<void>
  stop(): Promise<void>
}

const START_MS = 60_000

/** @throws SavefileError `setup_failed`: says what was tried, what Postgres said, and what to do. */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const { onProgress } = options
  const programs = findPrograms()
  const logFile = options.logFile ?? `${options.dataDir}.log`
  mkdirSync(path.dirname(options.dataDir), { recursive: true })
  mkdirSync(path.dirname(logFile), { recursive: true })
  const dataDir = placeData(options.dataDir, programs.identity)

  if (!existsSync(path.join(dataDir, 'PG_VERSION'))) {
    onProgress({ what: 'Postgres', state: 'start', detail: `making a new data folder in ${options.dataDir}` })
    await initialise(programs, dataDir, options)
  } else {
    onProgress({ what: 'Postgres', state: 'start', detail: `on the data in ${options.dataDir}` })
    removeStalePidFile(dataDir)
  }

  // A free port may be taken before Postgres has it: then another is tried.
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort(attempt === 1 ? options.preferredPort : undefined))
    const outcome = await launch(programs, dataDir, port, logFile, options)
    if (outcome.status === 'ready') {
      onProgress({ what: 'Postgres', state: 'done', detail: `127.0.0.1:${port}` })
      return outcome.server
    }
    if (!(outcome.status === 'port_taken' && options.port === undefined && attempt < 5)) throw outcome.error
  }
}

/** The data folder itself, or for root, where Postgres' user cannot reach it, one in a shared place that a symlink points to. */
function placeData(dataDir: string, identity: Identity | null): string {
  if (existsSync(dataDir)) return realpathSync(dataDir)
  const parent = realpathSync(path.dirname(dataDir))
  const wanted = path.join(parent, path.basename(dataDir))
  if (!identity || canReach(parent, identity)) return wanted
  const elsewhere = path.join(SHARED_FOLDER, `data-${createHash('sha256').update(wanted).digest('hex').slice(0, 12)}`)
  mkdirSync(SHARED_FOLDER, { recursive: true, mode: 0o755 })
  // Left from a folder that was deleted: its password went with it. Kept aside, never overwritten.
  if (existsSync(elsewhere)) renameSync(elsewhere, `${elsewhere}.left-${Date.now()}`)
  mkdirSync(elsewhere, { mode: 0o700 })
  chownSync(elsewhere, identity.uid, identity.gid)
  rmSync(wanted, { force: true })
  symlinkSync(elsewhere, wanted)
  return elsewhere
}

async function initialise(programs: PostgresPrograms, dataDir: string, options: PostgresOptions): Promise<void> {
  // Beside, then renamed: one that is killed in the middle leaves nothing that looks like data.
  const half = `${dataDir}.new`
  rmSync(half, { recursive: true, force: true })
  mkdirSync(half, { mode: 0o700 })
  const secrets = mkdtempSync(path.join(tmpdir(), 'savefile-initdb-'))
  const passwordFile = path.join(secrets, 'password')
  writeFileSync(passwordFile, `${options.password}\n`, { mode: 0o600 })
  if (programs.identity)
    for (const file of [half, secrets, passwordFile]) chownSync(file, programs.identity.uid, programs.identity.gid)
  const args = [
    `--pgdata=${half}`,
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
  ]
  if (options.fsync === false) args.push('--no-sync')
  try {
    const child = spawn(programs.initdb, args, {
      ...programs.identity,
      cwd: half,
      env: serverEnv(),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const said = collect(child)
    const code = await whileWaiting(options.onProgress, 'Postgres', 'making the data folder', exitCode(child))
    if (code !== 0) throw setupFailed(`initdb in ${dataDir} ended with ${code}`, said())
    rmSync(dataDir, { recursive: true, force: true })
    renameSync(half, dataDir)
  } finally {
    rmSync(secrets, { recursive: true, force: true })
    rmSync(half, { recursive: true, force: true })
  }
}

/**
 * After kill -9 or a reboot the pid in postmaster.pid may be another process's, and Postgres then refuses to start. The file is removed
 * where that process is no Postgres on this folder.
 */
export function removeStalePidFile(dataDir: string): void {
  const file = path.join(dataDir, 'postmaster.pid')
  if (!existsSync(file)) return
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0])
  const running = isServerOn(pid, dataDir)
  if (!running) return rmSync(file, { force: true })
  throw new SavefileError(
    'setup_failed',
    `A Postgres (process ${pid}) already runs on ${dataDir}. Stop it first: kill -INT ${pid}`,
    { pid, dataDir },
  )
}

/** Whether this pid is a Postgres server that works in this data folder: it was started with it as an argument. */
function isServerOn(pid: number, dataDir: string): boolean {
  return Number.isInteger(pid) && pid > 1 && (commandLine(pid)?.includes(` -D ${realpathSync(dataDir)} `) ?? false)
}

type Launched = { status: 'ready'; server: RunningPostgres } | { status: 'port_taken' | 'failed'; error: SavefileError }

async function launch(
  programs: PostgresPrograms,
  dataDir: string,
  port: number,
  logFile: string,
  options: PostgresOptions,
): Promise<Launched> {
  const settings: Record<string, string | number> = {
    listen_addresses: '127.0.0.1',
    port,
    // A socket in /tmp would be open to others, and its path is limited to 107 bytes.
    unix_socket_directories: '',
    max_connections: options.maxConnections ?? 100,
    password_encryption: 'scram-sha-256',
    log_destination: 'stderr',
    ...(options.fsync === false ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
  }
  const args = ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const log = openSync(logFile, 'a', 0o600)
  const from = readFileSync(logFile, 'utf8').length
  const child = spawn(programs.postgres, args, {
    ...programs.identity,
    cwd: dataDir,
    env: serverEnv(),
    stdio: ['ignore', log, log],
    detached: true,
  })
  closeSync(log)
  const id = child.pid === undefined ? null : processId(child.pid)
  if (id) options.onSpawn?.(id)
  let over = false
  const ended = exitCode(child).then(() => void (over = true))
  const said = () => readFileSync(logFile, 'utf8').slice(from)

  const url = `postgres://postgres:${encodeURIComponent(options.password)}@127.0.0.1:${port}/postgres`
  let refusal = ''
  const settled = waitUntil(async () => {
    if (over) return true
    refusal = isReady(dataDir, child.pid) ? await refusalOf(url) : 'not ready'
    return refusal === '' || refusal === WRONG_PASSWORD
  }, START_MS)
  const ready = await whileWaiting(options.onProgress, 'Postgres', 'waiting for it to answer', settled)
  if (over || !id) {
    const taken = /could not bind|Address already in use/.test(said())
    return {
      status: taken ? 'port_taken' : 'failed',
      error: setupFailed(`Postgres on 127.0.0.1:${port} ended at once`, said()),
    }
  }
  const stop = async () => {
    child.ref() // whoever waits for the end must not end first
    // INT is the fast shutdown; a killed server only has to replay its log at the next start.
    await stopProcess(id, 'SIGINT', 15_000)
    await ended
  }
  if (!ready || refusal) {
    await stop()
    const why =
      refusal === WRONG_PASSWORD
        ? `the data in ${options.dataDir} was made with another password`
        : 'no answer within a minute'
    return {
      status: 'failed',
      error: setupFailed(`Postgres on 127.0.0.1:${port}: ${why}`, refusal === WRONG_PASSWORD ? '' : said()),
    }
  }
  child.unref()
  return { status: 'ready', server: { url, port, pid: id.pid, process: id, ended, stop } }
}

/**
 * Its own word for it, in the first and the eighth line of its pid file: whoever answers at the port may be another server, where ours is
 * about to end because the port is taken.
 */
function isReady(dataDir: string, pid: number | undefined): boolean {
  const file = path.join(dataDir, 'postmaster.pid')
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready'
}

const WRONG_PASSWORD = '28P01'

/** Empty where a query is answered, else the code of what went wrong. */
async function refusalOf(url: string): Promise<string> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('SELECT 1')
    return ''
  } catch (error) {
    return (error as { code?: string }).code ?? 'no answer'
  } finally {
    await client.end().catch(() => undefined)
  }
}

function serverEnv(): Record<string, string> {
  return scrubbedEnv({ LC_ALL: 'C', LANG: 'C' })
}

function collect(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return () => text
}

function exitCode(child: ChildProcess): Promise<string | number> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'no code'))
  })
}

function setupFailed(what: string, said: string): SavefileError {
  const words = said.trim().split('\n').slice(-8).join('\n')
  const help =
    'Move that folder away to begin anew, or set SAVEFILE_DATABASE_URL to a Postgres (15 or newer) of your own.'
  return new SavefileError('setup_failed', `${what}. ${words ? `It said:\n${words}\n` : ''}${help}`, { what })
}
