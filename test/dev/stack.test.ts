/** The development stack as its users have it: real servers, a real worker, real signals. */
import { execFile, spawn } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
  chmodSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { withClient } from '../../dev/database'
import { lockHolder } from '../../dev/lock'
import { nodeArgs, packageRoot } from '../../dev/own-files'
import { accepts, isAlive, processId, waitUntil, type ProcessId } from '../../dev/processes'
import type { Progress } from '../../dev/progress'
import { ensureStack, stopStack } from '../../dev/stack'
import { isRunning, makeFolders, readStack, stackPaths, writeStack, type StackState } from '../../dev/stack-state'
import { ownVersion } from '../../dev/supervisor'
import { createDatabase } from '../support/database'

jest.setTimeout(180_000)

let home: string
let said: Progress[]
const onProgress = (progress: Progress) => void said.push(progress)
const env: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(ANTHROPIC|OPENAI|TEMPORAL|SAVEFILE)_/.test(name)),
)

beforeEach(() => {
  home = realpathSync(mkdtempSync(path.join(tmpdir(), 'savefile-stack-')))
  chmodSync(home, 0o755)
  said = []
})
afterEach(async () => {
  await stopStack({ home, onProgress })
  rmSync(home, { recursive: true, force: true })
})

/** Every process that says this folder in its command line, by /proc: what no list of ours would show. */
async function processesOfHome(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('/bin/sh', [
    '-c',
    `grep -slaF "$1" /proc/[0-9]*/cmdline || true`,
    'sh',
    `${home}`,
  ])
  const pids = stdout
    .split('\n')
    .filter(Boolean)
    .map((file) => Number(file.split('/')[2]))
  // The shell and grep themselves are gone by now.
  return pids
    .filter((pid) => processId(pid) !== null)
    .map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))
}

const idsOf = (state: StackState): ProcessId[] =>
  'supervisor' in state ? [state.supervisor, ...Object.values(state.processes)] : []

test('two at once start one; a killed worker comes back; a killed supervisor is replaced; a stop leaves nothing but the data', async () => {
  const [one, two] = await Promise.all([ensureStack({ home, env, onProgress }), ensureStack({ home, env, onProgress })])
  expect(one).toEqual(two)
  expect(await ensureStack({ home, env, onProgress })).toEqual(one)
  expect(statSync(stackPaths(home).state).mode & 0o777).toBe(0o600)
  expect(readFileSync(path.join(home, '.savefile', '.gitignore'), 'utf8')).toBe('*\n')
  // Postgres, Temporal, and the supervisor that names the folder; its rival has ended.
  expect((await processesOfHome()).filter((line) => line.includes('supervisor-main'))).toHaveLength(1)
  expect(one.model).toMatchObject({ scripted: true })
  expect(await (await fetch(String(one.temporal.uiUrl))).text()).toContain('<html')
  for (const what of ['Postgres', 'Temporal', 'database', 'scripted model', 'worker', 'stack'])
    expect(said).toContainEqual(expect.objectContaining({ what, state: 'done' }))

  const worker = one.processes.worker as ProcessId
  process.kill(worker.pid, 'SIGKILL')
  const workerNow = () => readStack(home)?.processes.worker
  expect(await waitUntil(() => workerNow()?.pid !== worker.pid && isAlive(workerNow() ?? worker), 30_000)).toBe(true)

  const before = readStack(home) as StackState
  const killed = idsOf(before)
  await withClient(String(one.ownerUrl), (client) => client.query('CREATE TABLE savefile.kept AS SELECT 42 AS n'))
  process.kill(one.supervisor.pid, 'SIGKILL')
  expect(await waitUntil(() => !isAlive(one.supervisor), 5_000)).toBe(true)
  const next = await ensureStack({ home, env, onProgress })
  expect(next.supervisor).not.toEqual(one.supervisor)
  expect(killed.map(isAlive)).toEqual([false, false, false, false])
  // The same addresses: whoever remembers them goes on.
  expect([next.databaseUrl, next.temporal.address]).toEqual([one.databaseUrl, one.temporal.address])
  expect(
    await withClient(String(next.ownerUrl), async (client) => (await client.query('SELECT n FROM savefile.kept')).rows),
  ).toEqual([{ n: 42 }])

  const last = idsOf(readStack(home) as StackState)
  expect(await stopStack({ home, onProgress })).toBe(true)
  expect(last.map(isAlive)).toEqual([false, false, false, false])
  expect(await processesOfHome()).toEqual([])
  const stopped = readStack(home)
  expect(stopped?.state).toBe('stopped')
  // Nobody finds addresses where nothing is.
  expect(stopped).not.toHaveProperty('databaseUrl')
  expect(await stopStack({ home, onProgress })).toBe(false)
})

test('a part that cannot be had: its own error, and nothing is left running', async () => {
  const start = ensureStack({ home, env: { ...env, TEMPORAL_ADDRESS: '127.0.0.1:9' }, onProgress })
  await expect(start).rejects.toMatchObject({
    code: 'temporal_unreachable',
    message: expect.stringContaining('127.0.0.1:9') as string,
  })
  expect(await waitUntil(async () => (await processesOfHome()).length === 0, 20_000)).toBe(true)
  expect(readStack(home)?.state).toBe('stopped')
})

test('SIGTERM while it is starting stops what has started', async () => {
  makeFolders(home)
  const supervisor = spawn(process.execPath, [...nodeArgs('dev/supervisor-main'), home], { env, stdio: 'ignore' })
  const exit = new Promise<number | null>((resolve) => supervisor.once('exit', resolve))
  expect(await waitUntil(() => readStack(home)?.processes.postgres !== undefined, 60_000)).toBe(true)
  const started = idsOf(readStack(home) as StackState)
  supervisor.kill('SIGTERM')
  expect(await exit).toBe(1)
  expect(started.some(isAlive)).toBe(false)
  expect(await processesOfHome()).toEqual([])
  expect(lockHolder(stackPaths(home).lock)).toBeNull()
})

test("a database and a Temporal of the user's are used, and none is started", async () => {
  const database = await createDatabase()
  try {
    const theirs = {
      ...env,
      SAVEFILE_DATABASE_URL: database.writerUrl,
      TEMPORAL_ADDRESS: process.env['SAVEFILE_TEST_TEMPORAL_ADDRESS'],
    }
    const stack = await ensureStack({ home, env: theirs, onProgress })
    expect(Object.keys(stack.processes)).toEqual(['worker'])
    expect([stack.databaseUrl, stack.ownerUrl, stack.temporal.from]).toEqual([database.writerUrl, null, 'environment'])
    const began = Date.now()
    await stopStack({ home, onProgress })
    // Not killed for want of an end that never comes.
    expect(Date.now() - began).toBeLessThan(30_000)
    expect(await accepts('127.0.0.1', Number(new URL(database.writerUrl).port), 1_000)).toBe(true)
  } finally {
    await database.drop()
  }
})

test('pids that are other processes by now are left alone', async () => {
  makeFolders(home)
  const bystander = spawn('/bin/sleep', ['60'], { stdio: 'ignore' })
  try {
    const stale = { pid: Number(bystander.pid), started: 'before the reboot' }
    const passwords = { owner: 'a', writer: 'b', executor: 'c', reader: 'd', member: 'e' }
    const common = { v: 1 as const, version: ownVersion(), adminPassword: 'x', passwords, ports: {} }
    writeStack(home, {
      ...common,
      state: 'starting',
      supervisor: stale,
      background: true,
      processes: { worker: stale, postgres: stale },
    })
    writeFileSync(stackPaths(home).lock, JSON.stringify(stale))
    expect(isRunning(readStack(home))).toBe(false)
    expect(lockHolder(stackPaths(home).lock)).toBeNull()
    await stopStack({ home, onProgress })
    expect(processId(stale.pid)).not.toBeNull()
    expect(readStack(home)?.state).toBe('stopped')
  } finally {
    bystander.kill('SIGKILL')
  }
})

test("of many who find a dead holder's lock, one takes it", async () => {
  const file = path.join(home, 'dev.lock')
  writeFileSync(file, JSON.stringify({ pid: 4_000_000, started: 'long ago' }))
  const script = `
    const { takeLock } = require(${JSON.stringify(path.join(packageRoot(), 'dev', 'lock.ts'))})
    takeLock(${JSON.stringify(file)}).then((locked) => { console.log(locked.held); process.stdin.resume().on('end', () => process.exit(0)) })`
  const [flag, tsx] = nodeArgs('dev/lock')
  const takers = Array.from({ length: 5 }, () =>
    spawn(process.execPath, [String(flag), String(tsx), '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  const answers = await Promise.all(
    takers.map(
      (taker) =>
        new Promise<string>((resolve) => taker.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()))),
    ),
  )
  expect(answers.sort()).toEqual(['false', 'false', 'false', 'false', 'true'])
  expect(existsSync(file)).toBe(true)
  for (const taker of takers) taker.stdin.end()
})
