/**
 * What a bench of the log runs on: a Postgres of its own with fsync, and databases in it as a user has them, migrated by the owner's login
 * and used by the writer's. A guard ends the server whatever ends the bench.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Pool } from 'pg'
import { loginUrl, makeDatabase, makeLogins, makeOwnerLogin, urlOf } from '../dev/database'
import { packageRoot } from '../dev/own-files'
import { startPostgres, type RunningPostgres } from '../dev/postgres'
import type { OnProgress } from '../dev/progress'
import { migrate } from '../log/migrate'

const PASSWORD = 'bench'
const PASSWORDS = { owner: PASSWORD, writer: PASSWORD, executor: PASSWORD, reader: PASSWORD, member: PASSWORD }

export interface DatabaseStack {
  folder: string
  postgres: RunningPostgres
  /** A migrated database of its own. */
  database(): Promise<BenchDatabase>
  /** Tells the guard of a process that is to end with the bench. */
  onSpawn(process: { pid: number }): void
  onProgress: OnProgress
  close(): Promise<void>
}

export interface BenchDatabase {
  name: string
  /** Superuser, to look behind the privileges; four connections. */
  admin: Pool
  adminUrl: string
  writerUrl: string
  memberUrl: string
  /** Ends `admin`; the database goes with its server. */
  close(): Promise<void>
}

export async function startDatabaseStack(say: (line: string) => void): Promise<DatabaseStack> {
  const folder = mkdtempSync(path.join(tmpdir(), 'savefile-bench-'))
  chmodSync(folder, 0o711)
  const guard = spawn(process.execPath, [path.join(packageRoot(), 'test/support/guard.mjs'), folder], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  })
  const onSpawn = ({ pid }: { pid: number }): void => void guard.stdin.write(`${pid}\n`)
  const onProgress: OnProgress = ({ what, state, detail }) => {
    if (state !== 'start') say(`${what}: ${detail}`)
  }
  const postgres = await startPostgres({
    dataDir: path.join(folder, 'pg'),
    password: PASSWORD,
    maxConnections: 200,
    onProgress,
    onSpawn,
  })
  await makeOwnerLogin(postgres.url, PASSWORDS)

  return {
    folder,
    postgres,
    onSpawn,
    onProgress,
    async database() {
      const name = `bench_${randomBytes(6).toString('hex')}`
      await makeDatabase(postgres.url, name)
      await migrate(loginUrl(postgres.url, name, 'owner', PASSWORD))
      await makeLogins(postgres.url, PASSWORDS)
      const adminUrl = urlOf(postgres.url, name)
      const admin = new Pool({ connectionString: adminUrl, max: 4 })
      return {
        name,
        admin,
        adminUrl,
        writerUrl: loginUrl(postgres.url, name, 'writer', PASSWORD),
        memberUrl: loginUrl(postgres.url, name, 'member', PASSWORD),
        close: () => admin.end(),
      }
    },
    async close() {
      guard.stdin.end()
      await once(guard, 'exit')
    },
  }
}
