/** Postgres as a process of ours: on data that a killed server left, on data of another, and beside programs without their symlinks. */
import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { withClient } from '../../dev/database'
import { startPostgres, type PostgresOptions, type RunningPostgres } from '../../dev/postgres'
import { canReach, findPrograms, makeSymlinks } from '../../dev/postgres-binaries'
import { isAlive, stopProcess, waitUntil } from '../../dev/processes'
import type { Progress } from '../../dev/progress'

let folder: string
let running: RunningPostgres[] = []
const said: Progress[] = []

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'savefile-pg-'))
  chmodSync(folder, 0o711)
})
afterEach(async () => {
  await Promise.all(running.map((server) => server.stop()))
  running = []
  rmSync(folder, { recursive: true, force: true })
})

async function start(more: Partial<PostgresOptions> = {}): Promise<RunningPostgres> {
  const options = {
    dataDir: path.join(folder, 'pg'),
    password: "it's :/@ a password",
    fsync: false,
    onProgress: (p: Progress) => void said.push(p),
  }
  const server = await startPostgres({ ...options, ...more })
  running.push(server)
  return server
}

const setting = (url: string, name: string) =>
  withClient(
    url,
    async (client) =>
      (await client.query<{ value: string }>('SELECT current_setting($1) AS value', [name])).rows[0]?.value,
  )

test('a new one: loopback only, no socket file, scram, UTF-8, C, and its data is there after a stop', async () => {
  const first = await start()
  const rows = await withClient(first.url, async (client) => {
    const { rows } = await client.query<Record<string, string>>(
      `SELECT current_setting('listen_addresses') AS listens, current_setting('unix_socket_directories') AS sockets, current_setting('fsync') AS fsync,
         pg_encoding_to_char(encoding) AS encoding, datcollate FROM pg_database WHERE datname = 'template1'`,
    )
    return rows
  })
  expect(rows).toEqual([{ listens: '127.0.0.1', sockets: '', fsync: 'off', encoding: 'UTF8', datcollate: 'C' }])
  const wrong = new URL(first.url)
  wrong.password = 'wrong'
  await expect(withClient(wrong.href, () => Promise.resolve())).rejects.toMatchObject({ code: '28P01' })
  expect(readFileSync(path.join(folder, 'pg', 'pg_hba.conf'), 'utf8')).not.toMatch(/^\w+.*\b(trust|password|md5)$/m)
  await withClient(first.url, (client) => client.query('CREATE TABLE kept AS SELECT 42 AS n'))
  await first.stop()
  expect(isAlive(first.process)).toBe(false)

  const second = await start({ fsync: true, preferredPort: first.port })
  expect(second.port).toBe(first.port)
  expect(await setting(second.url, 'fsync')).toBe('on')
  expect(await withClient(second.url, async (client) => (await client.query('SELECT n FROM kept')).rows)).toEqual([
    { n: 42 },
  ])
})

test.each(["another process's of the same user", "nobody's"])(
  'after kill -9 it starts again, also where the pid in postmaster.pid is %s by now',
  async (whose) => {
    const killed = await start()
    process.kill(killed.pid, 'SIGKILL')
    await killed.ended
    const stranger = spawn('/bin/sleep', ['60'], { ...findPrograms().identity, stdio: 'ignore' })
    try {
      const file = path.join(folder, 'pg', 'postmaster.pid')
      const pid = whose.startsWith('another') ? stranger.pid : 2 ** 22 + 7
      writeFileSync(file, readFileSync(file, 'utf8').replace(/^\d+/, String(pid)))
      expect(await setting((await start()).url, 'server_encoding')).toBe('UTF8')
      expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
    } finally {
      stranger.kill('SIGKILL')
    }
  },
)

test('a server that runs on the data is not started twice, and is left alone', async () => {
  const first = await start()
  await expect(start()).rejects.toMatchObject({
    code: 'setup_failed',
    message: expect.stringContaining(`process ${first.pid}`) as string,
  })
  expect(isAlive(first.process)).toBe(true)
})

test('data made with another password: says so, and leaves no server', async () => {
  await (await start()).stop()
  const spawned: { pid: number; started: string }[] = []
  const refused = start({ password: 'another', onSpawn: (id) => spawned.push(id) })
  await expect(refused).rejects.toMatchObject({
    code: 'setup_failed',
    message: expect.stringMatching(/another password[\s\S]*SAVEFILE_DATABASE_URL/) as string,
  })
  expect(spawned.map(isAlive)).toEqual([false])
})

test('a port that is taken is an error where it was asked for', async () => {
  const taken = await start()
  const second = start({ dataDir: path.join(folder, 'pg2'), port: taken.port })
  await expect(second).rejects.toMatchObject({
    code: 'setup_failed',
    message: expect.stringMatching(/ended at once[\s\S]*in use/) as string,
  })
})

test('an initdb that was killed in the middle leaves nothing in the way', async () => {
  mkdirSync(path.join(folder, 'pg.new'))
  writeFileSync(path.join(folder, 'pg.new', 'half'), '')
  await start()
  expect(existsSync(path.join(folder, 'pg.new'))).toBe(false)
})

test("the symlinks that npm's install script would make are made where they are missing", () => {
  const native = path.join(path.dirname(findPrograms().postgres), '..')
  const copy = path.join(folder, 'package', 'native')
  mkdirSync(path.join(copy, 'lib'), { recursive: true })
  cpSync(path.join(native, 'pg-symlinks.json'), path.join(copy, 'pg-symlinks.json'))
  makeSymlinks(copy)
  makeSymlinks(copy)
  const links = JSON.parse(readFileSync(path.join(copy, 'pg-symlinks.json'), 'utf8')) as {
    source: string
    target: string
  }[]
  expect(links.length).toBeGreaterThan(5)
  for (const { target } of links) {
    expect(lstatSync(path.join(copy, '..', target)).isSymbolicLink()).toBe(true)
    expect(readlinkSync(path.join(copy, '..', target))).toBe(readlinkSync(path.join(native, '..', target)))
  }
})

test('a server that will not end is killed', async () => {
  const server = await start()
  process.kill(server.pid, 'SIGSTOP')
  expect(await stopProcess(server.process, 'SIGINT', 300)).toEqual({ killed: true })
  await server.ended
})

// What root's home does to Postgres' own user; for others the folder is simply theirs.
test("data in a folder that Postgres' user cannot reach works all the same", async () => {
  const home = path.join(folder, 'home')
  mkdirSync(home, { mode: 0o700 })
  const { identity } = findPrograms()
  const dataDir = path.join(home, '.savefile', 'postgres')
  expect(identity ? canReach(home, identity) : true).toBe(identity === null)
  const server = await start({ dataDir })
  await server.stop()
  expect(existsSync(path.join(dataDir, 'PG_VERSION'))).toBe(true)
  expect(statSync(home).mode & 0o777).toBe(0o700)
  const again = await start({ dataDir })
  await again.stop()
  if (identity) rmSync(readlinkSync(dataDir), { recursive: true })
})

test('killing the whole run leaves neither servers nor the folder', async () => {
  const server = await start()
  const left = mkdtempSync(path.join(tmpdir(), 'savefile-guarded-'))
  // A run that tells its guard of a server and is then killed.
  const guard = path.join(__dirname, '..', 'support', 'guard.mjs')
  const script = `const { spawn } = require('child_process')
    const guard = spawn(process.execPath, [${JSON.stringify(guard)}, ${JSON.stringify(left)}], { stdio: ['pipe', 'ignore', 'inherit'], detached: true })
    guard.stdin.write('${server.pid}\\n', () => process.kill(process.pid, 'SIGKILL'))`
  expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'pipe' })).toThrow()
  expect(await waitUntil(() => !isAlive(server.process) && !existsSync(left), 10_000)).toBe(true)
})
