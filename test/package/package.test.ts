/** What is published: built, packed, installed into an empty folder as a user would, and used from there. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

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
}, 300_000)
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
    "import { connect, type Client } from 'savefile'\nexport const make = (): Promise<Client> => connect({ space: 'default' })\n",
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
