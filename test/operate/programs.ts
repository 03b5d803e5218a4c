/**
 * Programs that no npm package brings, and that .ci/run installs: PgBouncer, and a Postgres with pg_dump (the embedded one has only what a
 * server needs). Where CI lacks one a test fails and says what to do; elsewhere the tests say in their titles what they stand in for.
 */
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { findPrograms } from '../../dev/postgres-binaries'
import { freePort, waitUntil } from '../../dev/processes'
import { makeDatabase, makeLogins, makeOwnerLogin } from '../../dev/database'
import { TEST_PASSWORD } from '../support/database'

const PASSWORDS = {
  owner: TEST_PASSWORD,
  writer: TEST_PASSWORD,
  executor: TEST_PASSWORD,
  reader: TEST_PASSWORD,
  member: TEST_PASSWORD,
}

function onlyHere(what: string, found: string | undefined): string | null {
  if (found === undefined && process.env['CI'] === 'true')
    throw new Error(`CI has no ${what}: .ci/run installs it (apt-get install -y pgbouncer postgresql); mend that.`)
  return found ?? null
}

export function findPgBouncer(): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return onlyHere('PgBouncer', folders.map((folder) => path.join(folder, 'pgbouncer')).find(existsSync))
}

/** The folder of a Postgres 15 or newer with its client programs, the newest there is. */
export function findPostgresWithDump(): string | null {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root)
    ? readdirSync(root)
        .map(Number)
        .filter((n) => n >= 15)
    : []
  const folders = versions.sort((a, b) => b - a).map((n) => path.join(root, String(n), 'bin'))
  const isWhole = (folder: string): boolean =>
    ['initdb', 'pg_ctl', 'pg_dump', 'pg_restore'].every((program) => existsSync(path.join(folder, program)))
  return onlyHere('Postgres with pg_dump', folders.find(isWhole))
}

export interface Pooler {
  /** The same login and database as in `url`, through the pooler. */
  through(url: string): string
  close(): Promise<void>
}

/** In transaction mode, with fewer connections to the server than its clients have to it. */
export async function startPgBouncer(program: string, serverUrl: string, poolSize: number): Promise<Pooler> {
  const server = new URL(serverUrl)
  const port = await freePort()
  const folder = mkdtempSync(path.join(tmpdir(), 'savefile-pgbouncer-'))
  chmodSync(folder, 0o755)
  const users = path.join(folder, 'users.txt')
  writeFileSync(users, `"${server.username}" "${server.password}"\n`)
  const file = path.join(folder, 'pgbouncer.ini')
  writeFileSync(
    file,
    `[databases]
* = host=${server.hostname} port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 200
`,
  )
  // It refuses to run as root.
  const child = spawn(program, [file], { ...findPrograms().identity, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const answers = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)))
      socket.once('error', () => resolve(false))
    })
  if (!(await waitUntil(async () => child.exitCode !== null || (await answers()), 10_000)) || child.exitCode !== null)
    throw new Error(`PgBouncer did not start: ${said}`)
  return {
    through(url) {
      const pooled = new URL(url)
      pooled.port = String(port)
      return pooled.href
    },
    async close() {
      child.kill('SIGINT')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A server of that Postgres, and its programs, run as its user. */
export async function startPostgresOf(
  bin: string,
): Promise<{ url: string; folder: string; run(program: string, args: string[]): void; close(): void }> {
  const { identity } = findPrograms()
  const folder = mkdtempSync(path.join(tmpdir(), 'savefile-dump-'))
  const data = path.join(folder, 'pg')
  mkdirSync(data, { mode: 0o700 })
  if (identity) for (const file of [folder, data]) chownSync(file, identity.uid, identity.gid)
  const port = await freePort()
  // Not through a pipe: the server that pg_ctl starts would hold it open.
  const run = (program: string, args: string[]): void =>
    void execFileSync(path.join(bin, program), args, {
      ...identity,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  run('initdb', ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'])
  const settings = `-c listen_addresses=127.0.0.1 -c port=${port} -c unix_socket_directories='' -c fsync=off`
  run('pg_ctl', ['-D', data, '-w', '-l', path.join(folder, 'log'), '-o', settings, 'start'])
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  await makeOwnerLogin(url, PASSWORDS)
  return {
    url,
    folder,
    run,
    close() {
      run('pg_ctl', ['-D', data, '-w', '-m', 'immediate', 'stop'])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** An empty database of that server, for the owner's login. */
export async function emptyDatabase(serverUrl: string, name: string): Promise<string> {
  await makeDatabase(serverUrl, name)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}

export const logins = (serverUrl: string): Promise<void> => makeLogins(serverUrl, PASSWORDS)
