/** What is published: built, packed, installed into an empty folder as a user would, and used from there. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { createWorld } from '../support/world'

const run = promisify(execFile)
const ROOT = path.join(__dirname, '..', '..')
let folder: string
let tarball: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'savefile-package-'))
  await run('npm', ['run', 'build'], { cwd: ROOT })
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: ROOT,
  })
  const [packed] = JSON.parse(stdout) as { filename: string }[]
  tarball = path.join(folder, packed?.filename ?? '')
  await writeFile(path.join(folder, 'package.json'), '{"name":"user","private":true}')
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], { cwd: folder })
}, 600_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

test('publint has nothing to say', async () => {
  const { stdout } = await run(path.join(ROOT, 'node_modules/.bin/publint'), ['run', '--strict', tarball], {
    cwd: ROOT,
  })
  expect(stdout).toMatch(/All good/)
})

test('its command runs from there', async () => {
  const { version } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }
  const { stdout } = await run(path.join(folder, 'node_modules/.bin/savefile'), ['--version'], { cwd: folder })
  expect(stdout.trim()).toBe(version)
})

test('its library is there for require and for import, with types', async () => {
  const required = await run(process.execPath, ['-p', "typeof require('savefile').connect"], { cwd: folder })
  expect(required.stdout.trim()).toBe('function')
  const code = "import { connect } from 'savefile'; console.log(typeof connect)"
  const imported = await run(process.execPath, ['--input-type=module', '-e', code], { cwd: folder })
  expect(imported.stdout.trim()).toBe('function')
  await writeFile(
    path.join(folder, 'use.ts'),
    `import { connect, defineTool, type Client } from 'savefile'
    import { runWorker } from 'savefile/worker'
    import { z } from 'zod'
    export const make = (): Promise<Client> => connect({ space: 'default' })
    const flags = { readOnly: true, idempotent: true, approval: 'allow', timeoutMs: 1000, local: true } as const
    const run = ({ n }: { n: number }) => Promise.resolve(String(n + 1))
    const next = defineTool({ ...flags, name: 'next', description: 'n + 1', input: z.object({ n: z.int() }), run })
    export const worker = (signal: AbortSignal): Promise<void> => runWorker({ tools: [next], signal })`,
  )
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc')
  const types = ['--typeRoots', path.join(ROOT, 'node_modules/@types'), '--types', 'node']
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'node20', '--target', 'es2023', ...types]
  await run(process.execPath, [tsc, ...options, 'use.ts'], { cwd: folder })
})

test('what it needs besides code is packed: SQL, the workflow bundle, the demo script, the Temporal build', async () => {
  const own = path.join(folder, 'node_modules/savefile')
  for (const file of [
    'dist/log/sql/000001.sql',
    'dist/workers/workflow-bundle.js',
    'dist/dev/scripts/demo.json',
    'tools/temporal/go.mod',
    'LICENSE',
  ])
    expect((await readFile(path.join(own, file))).length).toBeGreaterThan(0)
})

const TOOLS = `
import { defineTool } from 'savefile'
import { z } from 'zod'
export const wordLength = defineTool({
  name: 'word_length',
  description: 'How long a word is.',
  input: z.object({ word: z.string() }),
  readOnly: true, idempotent: true, approval: 'allow', timeoutMs: 5000, local: false,
  run: async ({ word }) => 'letters: ' + word.length,
})`
const WORKER = `
import { runWorker } from 'savefile/worker'
import { wordLength } from './tools.mjs'
await runWorker({ tools: [wordLength] })`
const MAIN = `
import { connect } from 'savefile'
import { wordLength } from './tools.mjs'
const client = await connect()
const { session } = await client.create({
  definition: { model: { provider: 'anthropic', name: 'any' }, tools: [wordLength.spec] },
})
await client.ask(session, 'How long is it?')
const events = await client.read(session)
console.log(events.find((event) => event.type === 'tool_finished').payload.blocks[0].text)
await client.disconnect()`

describe('a tool of the user', () => {
  const bin = 'node_modules/.bin/savefile'
  beforeAll(async () => {
    await Promise.all(
      Object.entries({ 'tools.mjs': TOOLS, 'worker.mjs': WORKER, 'main.mjs': MAIN }).map(([file, text]) =>
        writeFile(path.join(folder, file), text),
      ),
    )
  })

  test.each([
    ['runWorker', [process.execPath, 'worker.mjs'], {}],
    ['savefile worker --tools', [bin, 'worker', '--tools', './tools.mjs'], {}],
    ['SAVEFILE_TOOLS', [bin, 'worker'], { SAVEFILE_TOOLS: './tools.mjs' }],
  ])('is run by the installed worker, by %s', async (_, [program = '', ...args], env) => {
    const world = await createWorld({
      script: {
        name: 'package',
        rules: [
          { when: { step: 0 }, say: { calls: [{ tool: 'word_length', args: { word: 'savefile' } }] } },
          { when: { step: 1 }, say: { text: 'Eight.' } },
        ],
      },
    })
    const options = {
      cwd: folder,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '',
        SAVEFILE_DATABASE_URL: world.db.writerUrl,
        SAVEFILE_TASK_QUEUE: world.taskQueue,
        TEMPORAL_ADDRESS: world.temporalAddress,
        ANTHROPIC_API_KEY: 'scripted',
        ANTHROPIC_BASE_URL: world.model.url,
        ...env,
      },
    }
    const worker = spawn(program, args, { ...options, stdio: ['ignore', 'ignore', 'inherit'] })
    try {
      const { stdout } = await run(process.execPath, ['main.mjs'], options)
      expect(stdout).toBe('letters: 8\n')
      worker.kill('SIGTERM')
      expect(await once(worker, 'exit')).toEqual([0, null])
    } finally {
      worker.kill('SIGKILL')
      await world.close()
    }
  })
})

test('tools that cannot be had end the start, and say what would be right', async () => {
  await writeFile(path.join(folder, 'none.mjs'), 'export const answer = 42')
  const options = { cwd: folder, env: { PATH: process.env['PATH'], SAVEFILE_DATABASE_URL: 'postgres://127.0.0.1:1/x' } }
  const start = (file: string) =>
    run('node_modules/.bin/savefile', ['worker', '--tools', file], options).catch((error: unknown) => error)
  expect(await start('./none.mjs')).toMatchObject({ stderr: expect.stringMatching(/exports no tool.*defineTool/s) })
  expect(await start('./missing.mjs')).toMatchObject({ stderr: expect.stringMatching(/cannot be loaded/) })
})
