/** Ctrl-C in the middle of an export or an import: no half file, nothing taken, and it says so. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ANN, openLog, type TestLog } from '../log/support'
import { exported } from '../bundle/support'
import { builtArgs } from '../support/built'
import { until } from '../support/world'
import { endAll, runCli, startCli, type CliOptions } from './run-cli'

jest.setTimeout(300_000)

const FILES = 6
const FILE_BYTES = 4 * 1024 * 1024

let log: TestLog
let folder: string
const big = { space: 'default', session: 'big' }
const options = (): CliOptions => ({
  env: { SAVEFILE_DATABASE_URL: log.db.writerUrl, TEMPORAL_ADDRESS: '127.0.0.1:1' },
})

beforeAll(async () => {
  log = await openLog()
  folder = await mkdtemp(path.join(tmpdir(), 'savefile-stopped-'))
  await log.client.create(big, ANN, { definition: log.definition })
  for (let i = 0; i < FILES; i++) {
    const blob = await log.client.writeBlob(big, randomBytes(FILE_BYTES), 'application/octet-stream')
    const blocks = [{ type: 'file' as const, blob }]
    await log.client.input(big, ANN, `f${i}`, { type: 'message_received', payload: { blocks, delivery: 'queue' } })
  }
})
afterAll(async () => {
  endAll()
  await log.close()
  await rm(folder, { recursive: true, force: true })
})

test('an export that is stopped leaves no half file, and the file that was there as it was', async () => {
  const file = path.join(folder, 'big.jsonl')
  await writeFile(file, 'the one before')
  const running = startCli(['export', 'big', file], options())
  await until('the export to write', async () => (await readdir(folder)).some((name) => name.endsWith('.part')))
  running.child.kill('SIGINT')
  const { code, stdout, stderr } = await running.done
  expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
  expect(stderr).toMatch(/^stopped: .*big\.jsonl is as it was$/m)
  expect(await readdir(folder)).toEqual(['big.jsonl'])
  expect(await readFile(file, 'utf8')).toBe('the one before')
  expect((await runCli(['export', 'big', file], options())).code).toBe(0)
  expect((await runCli(['verify', file], options())).code).toBe(0)
})

test('an export whose reader has stopped reading ends too', async () => {
  const { child } = startCli(['export', 'big'], { ...options(), unread: true })
  let said = ''
  child.stderr?.on('data', (chunk: string) => (said += chunk))
  await once(child.stdout!, 'readable')
  child.kill('SIGINT')
  const [code] = (await once(child, 'exit')) as [number]
  expect(code).toBe(130)
  expect(said).toContain('stopped: what came out is not whole')
})

test('an import that is stopped takes nothing, also while it waits for the rest', async () => {
  const bundle = await exported(log.client, 'big')
  const other = await openLog()
  try {
    const running = startCli(['import', '-'], {
      env: { SAVEFILE_DATABASE_URL: other.db.writerUrl, TEMPORAL_ADDRESS: '127.0.0.1:1' },
      open: true,
    })
    const { stdin } = running.child
    await new Promise((resolve) => stdin!.write(bundle.subarray(0, bundle.length / 2), resolve))
    running.child.kill('SIGINT')
    const { code, stdout, stderr } = await running.done
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
    expect(stderr).toContain('stopped: nothing was taken')
    expect(await other.client.info(big)).toBeNull()
    expect(await other.admin('select count(*)::int as n from savefile.blobs')).toEqual([{ n: 0 }])

    const file = path.join(folder, 'whole.jsonl')
    await writeFile(file, bundle)
    const again = await runCli(['import', file], {
      env: { SAVEFILE_DATABASE_URL: other.db.writerUrl, TEMPORAL_ADDRESS: '127.0.0.1:1' },
    })
    expect(again.code).toBe(0)
    expect((await other.client.info(big))?.headHash).toBe((await log.client.info(big))?.headHash)
  } finally {
    await other.close()
  }
})

test('a second Ctrl-C, which ends the process at once, leaves no half file either', async () => {
  const file = path.join(folder, 'twice.jsonl')
  const [files] = builtArgs('cli/files')
  const program = `
    const { writeWhole } = require(${JSON.stringify(files)})
    async function* bytes() {
      yield Buffer.from('some')
      process.stdout.write('begun')
      setInterval(() => undefined, 1000)
      await new Promise(() => undefined)
    }
    process.on('SIGINT', () => process.exit(130))
    void writeWhole(${JSON.stringify(file)}, bytes(), new AbortController().signal)
  `
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toHaveLength(1)
  child.kill('SIGINT')
  expect(await once(child, 'exit')).toEqual([130, null])
  expect((await readdir(folder)).filter((name) => name.startsWith('twice'))).toEqual([])
})
