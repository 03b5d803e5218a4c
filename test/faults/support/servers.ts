/**
 * A Temporal and a Postgres of a test's own, to be killed, emptied, frozen and started again on the same port. The guard of
 * test/support ends them should this process die.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { makeDatabase, makeLogins, makeOwnerLogin, loginUrl, urlOf, type Group } from '../../../dev/database'
import { startPostgres } from '../../../dev/postgres'
import { freePort, waitUntil } from '../../../dev/processes'
import { resolveTemporal } from '../../../dev/temporal'
import { startTemporalServer, type TemporalServerProcess } from '../../../dev/temporal-server'
import { migrate } from '../../../log/migrate'
import { TEST_PASSWORD, type TestDatabase } from '../../support/database'

const quiet = (): void => {}

interface Folder {
  path: string
  watch(server: { pid: number }): void
  remove(): void
}

function guardedFolder(): Folder {
  const folder = mkdtempSync(path.join(tmpdir(), 'savefile-fault-'))
  chmodSync(folder, 0o711) // Postgres' own user goes through it
  const guard: ChildProcess = spawn(process.execPath, [path.join(__dirname, '../../support/guard.mjs'), folder], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  })
  guard.unref()
  return {
    path: folder,
    watch: ({ pid }) => void guard.stdin?.write(`${pid}\n`),
    remove: () => void guard.stdin?.end(),
  }
}

export interface OwnTemporal {
  address: string
  /** SIGKILL: what its file has stays, what it had in memory is gone. */
  kill(): Promise<void>
  freeze(): void
  thaw(): void
  /** On the same port: with what was kept, or with nothing. */
  startAgain(how: 'kept' | 'empty'): Promise<void>
  close(): Promise<void>
}

/** `kept`: in a file, so that it may come back with its data. The cluster's identity is new for each file. */
export async function ownTemporal(): Promise<OwnTemporal> {
  const folder = guardedFolder()
  const found = await resolveTemporal({ ...process.env, TEMPORAL_ADDRESS: '' }, quiet)
  if (found.from === 'environment') throw new Error('a Temporal of the environment cannot be killed')
  const port = await freePort()
  const dbFile = path.join(folder.path, 'temporal.sqlite')
  const logFile = path.join(folder.path, 'temporal.log')
  const address = `127.0.0.1:${port}`
  const launch = async (): Promise<TemporalServerProcess> => {
    const server = await startTemporalServer({
      ...{ program: found.program, namespace: 'default', dbFile, ui: false, preferredPort: port, logFile },
      ...{ onProgress: quiet, onSpawn: folder.watch },
    })
    if (server.address !== address) throw new Error(`Temporal came back at ${server.address}, not at ${address}`)
    return server
  }
  let server = await launch()
  const signal = (name: NodeJS.Signals): void => void process.kill(server.process.pid, name)
  return {
    address,
    async kill() {
      signal('SIGKILL')
      await server.ended
    },
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    async startAgain(how) {
      if (how === 'empty') for (const file of ['', '-wal', '-shm']) rmSync(`${dbFile}${file}`, { force: true })
      // The port is ours again once the dead server's sockets are gone.
      if (!(await waitUntil(async () => (await freePort(port)) === port, 20_000)))
        throw new Error(`port ${port} is taken`)
      server = await launch()
    },
    async close() {
      await server.stop()
      folder.remove()
    },
  }
}

export interface OwnPostgres {
  /** Migrated; `drop` stops the server. */
  db: TestDatabase
  /** As a crash: SIGQUIT, no shutdown checkpoint. */
  crash(): Promise<void>
  /** SIGKILL to the server and all of its processes at once: as a machine that loses its power, but for the disk's own cache. */
  kill(): Promise<void>
  startAgain(): Promise<void>
}

export async function ownPostgres(): Promise<OwnPostgres> {
  const folder = guardedFolder()
  const port = await freePort()
  const launch = () =>
    startPostgres({
      ...{ dataDir: path.join(folder.path, 'pg'), password: TEST_PASSWORD, port, onProgress: quiet },
      onSpawn: folder.watch,
    })
  let server = await launch()
  const passwords = {
    ...{ owner: TEST_PASSWORD, writer: TEST_PASSWORD, executor: TEST_PASSWORD },
    ...{ reader: TEST_PASSWORD, member: TEST_PASSWORD },
  }
  await makeOwnerLogin(server.url, passwords)
  await makeDatabase(server.url, 'savefile')
  await migrate(loginUrl(server.url, 'savefile', 'owner', TEST_PASSWORD))
  await makeLogins(server.url, passwords)
  const as = (group: Group): string => loginUrl(server.url, 'savefile', group, TEST_PASSWORD)
  return {
    db: {
      ...{ name: 'savefile', adminUrl: urlOf(server.url, 'savefile'), ownerUrl: as('owner') },
      ...{ writerUrl: as('writer'), executorUrl: as('executor'), readerUrl: as('reader'), memberUrl: as('member') },
      async drop() {
        await server.stop()
        folder.remove()
      },
    },
    async crash() {
      process.kill(server.pid, 'SIGQUIT')
      await server.ended
    },
    async kill() {
      const all = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
      const family = all.map((line) => line.trim().split(/\s+/).map(Number))
      const children = family.filter(([, parent]) => parent === server.pid).map(([pid = 0]) => pid)
      for (const pid of [server.pid, ...children])
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It has just ended by itself.
        }
      await server.ended
    },
    async startAgain() {
      server = await launch()
    },
  }
}
