/** The order in which a Temporal is found, with programs put on a PATH of the test's own, and no network. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Progress } from '../../dev/progress'
import { packageRoot } from '../../dev/own-files'
import { waitUntil } from '../../dev/processes'
import { resolveTemporal, startTemporal } from '../../dev/temporal'
import { buildPlan, goArgs } from '../../dev/temporal-build'
import { downloadedProgram } from '../../dev/temporal-download'
import { serverArgs } from '../../dev/temporal-server'

let folder: string
let env: NodeJS.ProcessEnv
let said: Progress[]
const onProgress = (progress: Progress) => void said.push(progress)

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'savefile-temporal-')))
  said = []
  env = {
    PATH: path.join(folder, 'bin'),
    HOME: folder,
    TMPDIR: folder,
    XDG_CACHE_HOME: path.join(folder, 'cache'),
    // The download is refused at once: nothing listens there.
    HTTPS_PROXY: 'http://127.0.0.1:9',
  }
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function program(file: string, script: string): string {
  const full = path.join(folder, file)
  mkdirSync(path.dirname(full), { recursive: true })
  writeFileSync(full, `#!/bin/sh\n${script}\n`)
  chmodSync(full, 0o755)
  return full
}
const fakeTemporal = () => program('bin/temporal', 'exit 0')
const sdkVersion = (createRequire(__filename)('@temporalio/testing/package.json') as { version: string }).version
const fakeDownload = () => program(`temporal-sdk-typescript-${sdkVersion}`, 'exit 0')
const fakeBuilt = () => program(path.relative(folder, buildPlan(env).target), 'exit 0')

/** A go that writes down how it was called and builds a program in half a second. */
function fakeGo(end = 'exit 0'): void {
  program(
    'bin/go',
    `if [ "$1" = version ]; then echo go version go1.26.4 linux/amd64; exit 0; fi
echo built >> ${folder}/builds
{ pwd; echo "$GOWORK"; echo "$ANTHROPIC_API_KEY"; for arg in "$@"; do echo "$arg"; done; } > ${folder}/go-called
echo 'go: downloading go.temporal.io/server v1.31.2' >&2
/bin/sleep 1.2
echo go.temporal.io/server/common >&2
printf '#!/bin/sh\\n' > "$4"; /bin/chmod +x "$4"
${end}`,
  )
}

test('an address in the environment comes first, with its namespace, TLS and API key', async () => {
  fakeTemporal()
  const found = await resolveTemporal(
    { ...env, TEMPORAL_ADDRESS: 'ns.acct.tmprl.cloud:7233', TEMPORAL_NAMESPACE: 'ns.acct', TEMPORAL_API_KEY: 'k' },
    onProgress,
  )
  expect(found).toMatchObject({
    from: 'environment',
    address: 'ns.acct.tmprl.cloud:7233',
    namespace: 'ns.acct',
    connection: { apiKey: 'k', tls: true },
    uiUrl: 'https://cloud.temporal.io/namespaces/ns.acct',
  })
})

test("an address in Temporal's configuration file counts as well", async () => {
  const file = path.join(folder, 'temporal.toml')
  writeFileSync(file, '[profile.default]\naddress = "10.0.0.7:7233"\nnamespace = "here"\n')
  const found = await resolveTemporal({ ...env, TEMPORAL_CONFIG_FILE: file }, onProgress)
  expect(found).toMatchObject({ from: 'environment', address: '10.0.0.7:7233', namespace: 'here', uiUrl: null })
})

test('an address where nothing answers is an error that names it, and starts nothing', async () => {
  fakeTemporal()
  const start = startTemporal({
    env: { ...env, TEMPORAL_ADDRESS: '127.0.0.1:9' },
    ui: false,
    logFile: path.join(folder, 'log'),
    onProgress,
  })
  await expect(start).rejects.toMatchObject({
    code: 'temporal_unreachable',
    message: expect.stringContaining('127.0.0.1:9') as string,
  })
})

test('a program on PATH comes before a download, a download before a build that is there, that before asking the network', async () => {
  const [onPath, downloaded, built] = [fakeTemporal(), fakeDownload(), fakeBuilt()]
  expect(await resolveTemporal(env, onProgress)).toEqual({ from: 'path', program: onPath, namespace: 'default' })
  rmSync(onPath)
  expect(await resolveTemporal(env, onProgress)).toEqual({
    from: 'download',
    program: downloaded,
    namespace: 'default',
  })
  rmSync(downloaded)
  expect(await resolveTemporal(env, onProgress)).toEqual({ from: 'build', program: built, namespace: 'default' })
  expect(said).toEqual([])
})

test('a `temporal` on PATH without a development server is passed over', async () => {
  program('bin/temporal', 'exit 1')
  const built = fakeBuilt()
  expect(await resolveTemporal(env, onProgress)).toMatchObject({ from: 'build', program: built })
})

test("where the download is refused Go builds: the README's command, in its folder, into the cache, with progress", async () => {
  fakeGo()
  const began = Date.now()
  const found = await resolveTemporal({ ...env, ANTHROPIC_API_KEY: 'secret' }, onProgress)
  expect(Date.now() - began).toBeLessThan(30_000)

  const { target, version } = buildPlan(env)
  expect(found).toEqual({ from: 'build', program: target, namespace: 'default' })
  expect(target).toBe(path.join(folder, 'cache', 'savefile', 'temporal', version, 'temporal'))
  expect(version).toMatch(/^\d+\.\d+\.\d+$/)
  const [cwd, gowork, key, ...args] = readFileSync(path.join(folder, 'go-called'), 'utf8').trimEnd().split('\n')
  const output = String(args[3])
  expect({ cwd, gowork, key, args }).toEqual({
    cwd: path.join(packageRoot(), 'tools/temporal'),
    gowork: 'off',
    key: '',
    args: goArgs(output),
  })
  expect(readFileSync(path.join(packageRoot(), 'tools/temporal/README.md'), 'utf8')).toContain(
    `    go ${goArgs('<cache>/temporal').join(' ')}\n`,
  )
  // Built under another name, then renamed.
  expect(output).not.toBe(target)
  expect(readdirSync(path.dirname(target))).toEqual(['temporal'])
  expect(said).toContainEqual({
    what: 'Temporal',
    state: 'progress',
    detail: expect.stringMatching(
      /^building, \d+ s: downloading \(1 modules so far\): go\.temporal\.io\/server v1\.31\.2$/,
    ) as string,
  })
})

test('two builds at once do not disturb each other', async () => {
  fakeGo()
  const found = await Promise.all([resolveTemporal(env, onProgress), resolveTemporal(env, onProgress)])
  expect(found[0]).toEqual(found[1])
  expect(readdirSync(path.dirname(buildPlan(env).target))).toEqual(['temporal'])
})

test('when nothing is to be had, one error says what each tried, why it failed, and what helps; nothing half built is left', async () => {
  fakeGo("echo 'no space left on device' >&2; exit 2")
  const error = (await resolveTemporal(env, onProgress).catch((e: unknown) => e)) as { code: string; message: string }
  expect(error.code).toBe('setup_failed')
  expect(error.message.match(/^ {2}\d\. /gm)).toHaveLength(4)
  for (const words of [
    'TEMPORAL_ADDRESS',
    'PATH: there is none',
    "SDK's download: ",
    'go build ended with 2',
    'no space left on device',
    'https://go.dev/dl',
  ])
    expect(error.message).toContain(words)
  expect(readdirSync(path.dirname(buildPlan(env).target))).toEqual([])
})

test('without Go the error says where to get it', async () => {
  await expect(resolveTemporal(env, onProgress)).rejects.toMatchObject({
    message: expect.stringContaining('there is no `go` on PATH') as string,
  })
})

test('a network that swallows everything is given up after the time of silence, and what the SDK started is gone', async () => {
  let asked = 0
  const silent: Server = createServer((socket) => {
    asked++
    // Read, so that the other side's end is seen; never answered.
    socket.on('error', () => undefined).resume()
  })
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  try {
    const swallowed = { ...env, HTTPS_PROXY: `http://127.0.0.1:${port}` }
    const answer = await downloadedProgram(swallowed, onProgress, 5_000)
    expect(answer).toEqual({ ok: false, why: 'nothing came from temporal.download for 5 s' })
    expect(asked).toBeGreaterThan(0)
    const open = () => new Promise<number>((resolve) => silent.getConnections((_, n) => resolve(n)))
    expect(await waitUntil(async () => (await open()) === 0, 5_000)).toBe(true)
  } finally {
    silent.close()
  }
})

test("the server's settings are those that were measured to matter", () => {
  const args = serverArgs({ port: 1, uiPort: null, namespace: 'default', dbFile: '/x.db' }).join(' ')
  for (const words of [
    '--headless',
    '--dynamic-config-value history.transferProcessorMaxPollRPS=2000',
    '--dynamic-config-value history.timerProcessorMaxPollRPS=2000',
    '--dynamic-config-value system.enableActivityEagerExecution=true',
    '--sqlite-pragma journal_mode=wal --sqlite-pragma synchronous=1',
    '--search-attribute SavefileTurn=Int',
  ])
    expect(args).toContain(words)
  expect(serverArgs({ port: 1, uiPort: 2, namespace: 'default' }).join(' ')).not.toMatch(/--headless|--sqlite-pragma/)
  expect(existsSync('/x.db')).toBe(false)
})

test('two that need a build at once: one builds, the other says that it waits, both have it', async () => {
  fakeGo()
  const found = await Promise.all([resolveTemporal(env, onProgress), resolveTemporal(env, onProgress)])
  expect(found.map(({ from }) => from)).toEqual(['build', 'build'])
  expect(readFileSync(path.join(folder, 'builds'), 'utf8')).toBe('built\n')
  expect(said.map(({ detail }) => detail)).toContainEqual(
    expect.stringMatching(/^process \d+ builds it already; waiting/),
  )
  expect(readdirSync(path.dirname(buildPlan(env).target))).toEqual(['temporal'])
})
