/** `import` and `export --as` as a user has them: files, folders, JSON, exit codes. */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createDatabase, type TestDatabase } from '../support/database'
import { endAll, runCli, type Ran } from '../cli/run-cli'
import { FIXTURES_FOLDER } from './support'

jest.setTimeout(120_000)

let db: TestDatabase
let folder: string
beforeAll(async () => {
  db = await createDatabase()
  folder = await mkdtemp(path.join(tmpdir(), 'savefile-transcripts-'))
  const at = (...parts: string[]): string => path.join(folder, ...parts)
  const from = (name: string): string => path.join(FIXTURES_FOLDER, name)
  await mkdir(at('projects', 'e9fb405b-169f-40eb-9396-7e75076f045d', 'subagents'), { recursive: true })
  // As Claude Code keeps them today: a sub-agent's file under the session's own folder.
  await copyFile(from('claude-code/with-subagent.jsonl'), at('projects', 'e9fb405b-169f-40eb-9396-7e75076f045d.jsonl'))
  await copyFile(
    from('claude-code/with-subagent.agent-a485154.jsonl'),
    at('projects', 'e9fb405b-169f-40eb-9396-7e75076f045d', 'subagents', 'agent-a485154.jsonl'),
  )
  await copyFile(from('claude-code/two-models-signatures-bad-line.jsonl'), at('projects', 'two.jsonl'))
  await writeFile(at('notes.txt'), 'no transcript\n')
})
afterAll(async () => {
  endAll()
  await db.drop()
  await rm(folder, { recursive: true, force: true })
})

const savefile = (...args: string[]): Promise<Ran> =>
  runCli(args, { cwd: folder, env: { SAVEFILE_DATABASE_URL: db.writerUrl, TEMPORAL_ADDRESS: '127.0.0.1:1' } })

test('a folder: each transcript in it, sub-agents with their sessions; Temporal need not be there', async () => {
  const { code, stdout, stderr } = await savefile('import', 'projects')
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.split('\n').map((line) => line.trim())).toEqual([
    'e9fb405b-169f-40eb-9396-7e75076f045d  new, from claude-code: 93 events, 2 messages, 17 answers, 34 results',
    'a485154-e9fb405b-169f-40eb-9396-7e75076f045d  a sub-agent',
    '86cc3044-7515-43f1-9c25-1444738c64c9  new, from claude-code: 186 events, 8 messages, 59 answers, 55 results',
    '5cfd1f21-86cc3044-7515-43f1-9c25-1444738c64c9  a branch',
    '',
  ])
  expect(stderr).toContain('lines that are not JSON: kept in the original only; two.jsonl: 115')
})

test('the same folder again: nothing is new; with --json a value a transcript', async () => {
  const { code, stdout } = await savefile('import', 'projects', '--json')
  expect(code).toBe(0)
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { status: string; file: string }).status),
  ).toEqual(['present', 'present'])
})

test('out as another client’s file, and in again; a bundle stays a bundle', async () => {
  const out = await savefile('export', '86cc', '--as', 'claude-code', '--forks', '-o', 'out.jsonl')
  expect(out).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^out\.jsonl: \d+ events as claude-code/) as string,
  })
  const back = await savefile('import', 'out.jsonl', '--as-id', 'back', '--json')
  expect(back.code).toBe(0)
  expect(JSON.parse(back.stdout)).toMatchObject({
    session: 'back',
    status: 'imported',
    format: 'claude-code',
    forks: [expect.any(String)],
  })
  expect((await savefile('export', '86cc3044-7515-43f1-9c25-1444738c64c9', 'whole.jsonl.gz')).code).toBe(0)
  expect((await savefile('import', 'whole.jsonl.gz')).stdout).toContain('was here')
  const codex = await savefile('export', '86cc3044-7515-43f1-9c25-1444738c64c9', '--as', 'codex')
  expect(codex.stdout.split('\n')[0]).toContain('"session_meta"')
})

test('what is wrong is said, with an exit code, and leaves no file', async () => {
  const cases: [string[], number, RegExp][] = [
    [['import', 'notes.txt', '--from', 'pi'], 1, /invalid_transcript: The transcript notes\.txt is refused/],
    [['import', 'notes.txt'], 1, /invalid_bundle/],
    [['import', 'notes.txt', '--as-id', 'x'], 2, /--as-id and --definition go with a transcript/],
    [['import', 'projects', '--as-id', 'x'], 2, /--as-id names one session/],
    [['import', 'nowhere.jsonl'], 2, /nowhere\.jsonl.* can't be read/],
    [['import', 'nowhere.jsonl', '--from', 'pi'], 2, /nowhere\.jsonl.* can't be read/],
    [['import', 'x', '--from', 'word'], 2, /Allowed choices are claude-code, codex, pi/],
    [
      ['export', '86cc3044-7515-43f1-9c25-1444738c64c9', '--as', 'docx', '-o', 'no.docx'],
      2,
      /There is no format "docx"; there are claude-code, codex/,
    ],
    [['export', '86cc3044-7515-43f1-9c25-1444738c64c9', '--forks'], 2, /--forks goes with --as/],
    [['export', '86cc3044-7515-43f1-9c25-1444738c64c9', 'a', '-o', 'b'], 2, /named twice/],
  ]
  for (const [args, code, said] of cases) {
    const ran = await savefile(...args)
    expect({ args, code: ran.code, stderr: ran.stderr }).toEqual({
      args,
      code,
      stderr: expect.stringMatching(said) as string,
    })
  }
  expect((await readdir(folder)).filter((name) => /no\.docx|part/.test(name))).toEqual([])
  expect((await readFile(path.join(folder, 'out.jsonl'), 'utf8')).endsWith('\n')).toBe(true)
})
