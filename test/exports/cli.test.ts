/** export --as of each form, as a real command: from the log to stdout or a file, with the key and without. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { endAll, runCli, type Ran } from '../cli/run-cli'
import { ANN, openLog, type TestLog } from '../log/support'
import { TracesData } from './otlp-schema'
import { PNG } from './support'

jest.setTimeout(300_000)

const key = newOwnerKey()
let log: TestLog
let folder: string
const at = (session: string) => ({ space: 'default', session })

beforeAll(async () => {
  log = await openLog({ keyring: keyringOf(key, 'test') })
  folder = await mkdtemp(path.join(tmpdir(), 'savefile-exports-'))
  await writeFile(path.join(folder, 'keys'), `${key}\n`, { mode: 0o600 })
  for (const [session, encrypted] of [
    ['open-one', false],
    ['sealed-one', true],
  ] as const) {
    const ref = at(session)
    await log.client.create(ref, ANN, { definition: log.definition, encrypted, title: 'Weir & <Co>' })
    const blob = await log.client.writeBlob(ref, PNG, 'image/png')
    const long = `the long story of a weir ${'and on '.repeat(12_000)}`
    const blocks = [
      { type: 'text' as const, text: 'look at this weir </script>' },
      { type: 'image' as const, blob },
      { type: 'text' as const, text: long },
    ]
    await log.client.input(ref, ANN, 'm', { type: 'message_received', payload: { blocks, delivery: 'queue' } })
  }
})
afterAll(async () => {
  endAll()
  await log.close()
  await rm(folder, { recursive: true, force: true })
})

const cli = (args: string[], withKey = true): Promise<Ran> =>
  runCli(args, {
    env: {
      SAVEFILE_DATABASE_URL: log.db.writerUrl,
      TEMPORAL_ADDRESS: '127.0.0.1:1',
      ...(withKey ? { SAVEFILE_KEY_FILE: path.join(folder, 'keys') } : {}),
    },
  })

test('markdown goes to stdout, and nothing else does; long texts are put back', async () => {
  const { code, stdout, stderr } = await cli(['export', 'open', '--as', 'markdown'])
  expect(code).toBe(0)
  expect(stdout.startsWith('# Weir \\& \\<Co\\>\n')).toBe(true)
  expect(stdout).toContain('```\nlook at this weir </script>\n```')
  expect(stdout).toContain('> the long story of a weir and on')
  expect(stderr).toMatch(/^2 events as markdown, /m)
})

test('html goes to a file, whole, with its pictures within', async () => {
  const file = path.join(folder, 'page.html')
  const { code, stdout } = await cli(['export', 'open-one', '--as', 'html', '-o', file, '--json'])
  const html = await readFile(file, 'utf8')
  expect({ code, ...(JSON.parse(stdout) as object) }).toEqual({
    code: 0,
    session: 'open-one',
    file,
    as: 'html',
    events: 2,
    bytes: Buffer.byteLength(html),
  })
  expect(html).toContain('look at this weir &lt;/script&gt;')
  expect(html).toContain(`data:image/png;base64,${PNG.toString('base64')}`)
  expect(html.endsWith('</html>\n')).toBe(true)
})

test('otel is OTLP, without what was said unless --content asks for it', async () => {
  for (const content of [false, true]) {
    const { code, stdout } = await cli(['export', 'open-one', '--as', 'otel', ...(content ? ['--content'] : [])])
    expect(code).toBe(0)
    TracesData.parse(JSON.parse(stdout))
    expect(stdout.includes('look at this weir')).toBe(content)
  }
})

test('an encrypted session opens with the key alone, and one that is erased says so', async () => {
  expect((await cli(['export', 'sealed', '--as', 'markdown'])).stdout).toContain('look at this weir')
  const locked = await cli(['export', 'sealed', '--as', 'html'], false)
  expect(locked.code).toBe(0)
  expect(locked.stdout).toContain('Its content is encrypted, and the key is not here.')
  await log.client.erase(at('sealed-one'), ANN)
  const erased = await cli(['export', 'sealed', '--as', 'markdown'])
  expect(erased.stdout).toContain('Its content was erased: the key is destroyed.')
  for (const { stdout } of [locked, erased]) expect(stdout).not.toMatch(/weir|sealed:/i)
})

test('a form that is not known is refused, naming those that are', async () => {
  const { code, stdout, stderr } = await cli(['export', 'open-one', '--as', 'word'])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  for (const form of ['claude-code', 'codex', 'html', 'markdown', 'otel']) expect(stderr).toContain(form)
  expect((await cli(['export', 'open-one', '--content'])).code).toBe(2)
})

test('as a provider’s request it is the body that its adapter would send: for each provider, with what it does not take on stderr', async () => {
  for (const [as, model] of [
    ['anthropic/claude-sonnet-5-5', 'claude-sonnet-5-5'],
    ['openai-responses/gpt-6-sol', 'gpt-6-sol'],
    ['openai-chat/qwen3', 'qwen3'],
  ] as const) {
    const { code, stdout, stderr } = await cli(['export', 'open', '--as', as])
    expect({ as, code, stderr }).toMatchObject({ code: 0 })
    const body = JSON.parse(stdout) as { model: string }
    expect(body.model).toBe(model)
    expect(stdout).toContain('look at this weir')
    expect(stdout).toContain(PNG.toString('base64'))
    expect(stdout).toContain('the long story of a weir and on')
    // It is what `context` shows, byte for byte.
    const shown = await cli(['context', 'open', '--as', as, '--json'])
    expect((JSON.parse(shown.stdout) as { body: string }).body).toBe(stdout.trimEnd())
  }
  expect(await cli(['export', 'open', '--as', 'anthropic', '--raw'])).toMatchObject({ code: 0 })
  expect(await cli(['export', 'open', '--raw'])).toMatchObject({ code: 2 })
})
