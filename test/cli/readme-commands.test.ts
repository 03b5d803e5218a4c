/** The commands that the README shows, each as it stands there, as processes: in their order, over one session and two databases. */
import { readFileSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createDatabase, type TestDatabase } from '../support/database'
import { createWorld, type World } from '../support/world'
import { FIXTURES_FOLDER } from '../transcripts/support'
import { endAll, envOf, runCli, type Ran } from './run-cli'

jest.setTimeout(120_000)

const SESSION = '3f8ad92uwf8myzv9uoaqfphhj'
const README = readFileSync(path.join(__dirname, '..', '..', 'README.md'), 'utf8')
const COMMANDS = (/```console\n([\s\S]*?)```/.exec(README)?.[1] ?? '')
  .trim()
  .split('\n')
  .map((line) => {
    const [, command = '', comment = ''] = /^\$ savefile (.*?)(?:\s+# (.*))?$/.exec(line) ?? []
    return { args: command.split(' '), there: comment.startsWith('there:') }
  })

let world: World
let elsewhere: TestDatabase
let folder: string
const ran = new Map<string, Ran>()

beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'readme',
      rules: [
        { when: { text: 'WORK', step: 0 }, say: { calls: [{ tool: 'list_files', args: { path: '.' } }] } },
        { say: { text: 'A summary of what was said.' } },
      ],
    },
  })
  await world.startWorker()
  elsewhere = await createDatabase()
  folder = await mkdtemp(path.join(tmpdir(), 'savefile-readme-'))
  await copyFile(
    path.join(FIXTURES_FOLDER, 'claude-code/summaries-branches-missing-parent.jsonl'),
    path.join(folder, 'session.jsonl'),
  )
  const workFolder = await world.workFolder()
  await world.client.create({ session: SESSION, definition: world.definition(), workFolder })
  await world.client.ask(SESSION, 'WORK')
})
afterAll(async () => {
  endAll()
  await world.close()
  await elsewhere.drop()
  await rm(folder, { recursive: true, force: true })
})

test.each(COMMANDS)('savefile $args does what it says, with exit code 0', async ({ args, there }) => {
  const env = { ...envOf(world), ...(there ? { SAVEFILE_DATABASE_URL: elsewhere.writerUrl } : {}) }
  const result = await runCli(args, { cwd: folder, env })
  expect({ args, ...result }).toMatchObject({ code: 0 })
  ran.set(`${there ? 'there ' : ''}${args.join(' ')}`, result)
})

const said = (begin: string): string => {
  const found = [...ran].find(([command]) => command.startsWith(begin))
  if (!found) throw new Error(`the README has no command "${begin}"`)
  return found[1].stdout
}

test('what they print is what the README promises of them', async () => {
  expect(COMMANDS.length).toBeGreaterThan(10)
  expect(said('tree 3f8a')).toMatch(/claude-opus-5-5/)
  expect(said('verify report')).toMatch(/^ok/)
  expect(said('verify 3f8a --anchor')).toMatch(/^ok/)
  expect(said('audit')).toMatch(/list_files/)
  const here = await world.client.verify(SESSION)
  expect(said('there import')).toContain('3f8a')
  expect(said('import session.jsonl')).toMatch(/^48f428f9.*new, from claude-code: 31 events/)
  expect(here).toMatchObject({ ok: true })
  const show = (url: string): Promise<Ran> =>
    runCli(['show', '3f8a', '--json'], { env: { ...envOf(world), SAVEFILE_DATABASE_URL: url } })
  const [ours, theirs] = (await Promise.all([world.db.writerUrl, elsewhere.writerUrl].map(show))).map(
    ({ stdout }) => (JSON.parse(stdout) as { events: { type: string; hash: string }[] }).events,
  )
  const shared = (ours ?? []).findIndex(({ type }) => type === 'granted')
  expect(shared).toBeGreaterThan(5)
  expect(theirs?.slice(0, shared).map(({ hash }) => hash)).toEqual(ours?.slice(0, shared).map(({ hash }) => hash))
  expect(theirs?.[shared]?.type).toBe('custody_taken')
})
