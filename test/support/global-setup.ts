/**
 * Once a run, side by side: one Postgres (fsync off, in a temporary folder), one Temporal server, the workflow bundle; then the template
 * database. What tests need is in the environment:
 *
 *   SAVEFILE_TEST_PG_URL            the cluster, as superuser (use test/support/database.ts)
 *   SAVEFILE_TEST_TEMPORAL_ADDRESS  namespace `default`; absent with SAVEFILE_TEST_NO_TEMPORAL=1
 *   SAVEFILE_TEST_WORKFLOW_BUNDLE   the bundle's file; absent with SAVEFILE_TEST_NO_TEMPORAL=1
 *   SAVEFILE_TEST_BUILT             the package, compiled (use test/support/built.ts)
 *
 * A guard process ends the servers and removes the folder when this process is gone, whatever ended it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { plain } from '../../cli/paint'
import { createProgress } from '../../cli/progress'
import { makeDatabase, makeLogins, makeOwnerLogin, loginUrl, withClient, type Passwords } from '../../dev/database'
import { startPostgres } from '../../dev/postgres'
import type { OnProgress } from '../../dev/progress'
import { startTemporal } from '../../dev/temporal'
import { migrate } from '../../log/migrate'
import { build } from './built'
import { TEMPLATE, TEST_PASSWORD } from './database'
import { validatorFolder } from './vendor-schemas'

declare global {
  var savefileTestGuard: ChildProcess | undefined
}

/** Loaded only where it is needed: the bundler takes half a second to load. */
const load = createRequire(__filename)

async function globalSetup(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'savefile-test-'))
  // Postgres' own user goes through it to its data.
  chmodSync(folder, 0o711)
  const guard = startGuard(folder)
  // Only where the SDKs have changed since the last run; test files then find it made.
  validatorFolder()
  const withTemporal = process.env['SAVEFILE_TEST_NO_TEMPORAL'] !== '1'
  await Promise.all([
    postgres(folder, guard),
    withTemporal && temporal(folder, guard),
    withTemporal && workflowBundle(folder),
    built(folder),
  ])
  const bundle = process.env['SAVEFILE_TEST_WORKFLOW_BUNDLE']
  if (bundle !== undefined) copyFileSync(bundle, path.join(folder, 'built/dist/workers/workflow-bundle.js'))
}

function startGuard(folder: string): ChildProcess {
  const guard = spawn(process.execPath, [path.join(__dirname, 'guard.mjs'), folder], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  })
  globalThis.savefileTestGuard = guard
  guard.unref()
  return guard
}

/** A server that the guard is to end. */
const watchedBy =
  (guard: ChildProcess) =>
  ({ pid }: { pid: number }): void =>
    void guard.stdin?.write(`${pid}\n`)

/** Silent while it is quick; lines, since jest writes to the same terminal. */
const tell = createProgress({ write: (text) => process.stderr.write(text) }, plain)
const onProgress: OnProgress = (progress) => {
  if (progress.state === 'progress') tell(progress)
}

async function postgres(folder: string, guard: ChildProcess): Promise<void> {
  const server = await startPostgres({
    dataDir: path.join(folder, 'pg'),
    password: TEST_PASSWORD,
    fsync: false,
    maxConnections: 300,
    onProgress,
    onSpawn: watchedBy(guard),
  })
  process.env['SAVEFILE_TEST_PG_URL'] = server.url
  const passwords: Passwords = {
    owner: TEST_PASSWORD,
    writer: TEST_PASSWORD,
    executor: TEST_PASSWORD,
    reader: TEST_PASSWORD,
    member: TEST_PASSWORD,
  }
  // Some thousand connections would each hash their password 4,096 times, on both sides: that is for servers that strangers reach.
  await withClient(server.url, (client) => client.query('ALTER ROLE postgres SET scram_iterations = 1'))
  await withClient(server.url, (client) => client.query(`ALTER ROLE postgres PASSWORD '${TEST_PASSWORD}'`))
  await makeOwnerLogin(server.url, passwords)
  await makeDatabase(server.url, TEMPLATE)
  await migrate(loginUrl(server.url, TEMPLATE, 'owner', TEST_PASSWORD))
  await makeLogins(server.url, passwords)
  // A template that somebody is connected to cannot be copied.
  await withClient(server.url, (client) => client.query(`ALTER DATABASE ${TEMPLATE} ALLOW_CONNECTIONS false`))
}

async function temporal(folder: string, guard: ChildProcess): Promise<void> {
  // Tests are to run against a server of their own, whatever the environment points to.
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: undefined,
    TEMPORAL_CONFIG_FILE: path.join(folder, 'none.toml'),
    TEMPORAL_NAMESPACE: undefined,
  }
  const server = await startTemporal({
    env,
    ui: false,
    logFile: path.join(folder, 'temporal.log'),
    onProgress,
    onSpawn: watchedBy(guard),
  })
  process.env['SAVEFILE_TEST_TEMPORAL_ADDRESS'] = server.address
}

async function workflowBundle(folder: string): Promise<void> {
  const { bundleWorkflows } = load('../../workers/bundle') as typeof import('../../workers/bundle.ts')
  const file = path.join(folder, 'workflow-bundle.js')
  await bundleWorkflows(file)
  process.env['SAVEFILE_TEST_WORKFLOW_BUNDLE'] = file
}

async function built(folder: string): Promise<void> {
  const root = path.join(folder, 'built')
  await build(root)
  process.env['SAVEFILE_TEST_BUILT'] = root
}

export = globalSetup
