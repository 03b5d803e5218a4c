/** The server as a process of its own: killed and started again it answers the same, and its journal counts what was paid. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { RecordedRequest } from '../../dev/scripted-model/requests'
import { builtArgs } from '../support/built'
import { anthropic, closeAll, failure, openai, serve, until, user } from './support'

const SCRIPT = {
  name: 'process',
  rules: [
    { when: { step: 0, text: 'slowly' }, say: { text: 'one two three four five six', deltaMs: 50 } },
    {
      when: { step: 0 },
      say: { text: 'I look.', calls: [{ tool: 't', args: { q: '{{last_user}}' } }, { tool: 'u' }] },
    },
  ],
}

let folder: string
let children: ChildProcess[]
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'scripted-'))
  writeFileSync(path.join(folder, 'script.json'), JSON.stringify(SCRIPT))
  children = []
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await closeAll()
  rmSync(folder, { recursive: true })
})

function run(...args: string[]) {
  const child = spawn(process.execPath, [...builtArgs('dev/scripted-model/main'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (output.stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (output.stderr += String(chunk)))
  return { child, output, exit: once(child, 'close').then(([code]) => code as number | null) }
}

async function start(...args: string[]) {
  const started = run(
    '--script',
    path.join(folder, 'script.json'),
    '--journal',
    path.join(folder, 'journal.jsonl'),
    ...args,
  )
  await until('the start line', () => started.output.stdout.includes('\n') || started.child.exitCode !== null, 30_000)
  const url = /at (http:\S+) plays the script "process": it is not a model\n$/.exec(started.output.stdout)?.[1]
  if (url === undefined) throw new Error(`no start line: ${started.output.stdout}${started.output.stderr}`)
  return { ...started, url, port: new URL(url).port }
}

const journal = (): RecordedRequest[] =>
  existsSync(path.join(folder, 'journal.jsonl'))
    ? readFileSync(path.join(folder, 'journal.jsonl'), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as RecordedRequest)
    : []

const ask = { model: 'm', max_tokens: 50, messages: [user('the same question')] }

it('killed and started again on its port, it gives the same answer, ids included; the journal goes on', async () => {
  const first = await start()
  const before = await anthropic(first).messages.create(ask)
  const chatBefore = await openai(first).chat.completions.create({ model: 'm', messages: ask.messages })
  await until('both are in the journal', () => journal().length === 2)
  first.child.kill('SIGKILL')
  await first.exit
  expect(await failure(anthropic(first).messages.create(ask))).toMatchObject({ message: 'Connection error.' })

  const second = await start('--port', first.port)
  expect(second.url).toBe(first.url)
  expect(await anthropic(second).messages.create(ask)).toEqual(before)
  expect(await openai(second).chat.completions.create({ model: 'm', messages: ask.messages })).toEqual(chatBefore)
  const inProcess = await serve(SCRIPT.rules)
  expect((await anthropic(inProcess).messages.create(ask)).content).toEqual(before.content)

  await until('all are in the journal', () => journal().length === 4)
  const lines = journal()
  expect(lines).toMatchObject(Array(4).fill({ rule: 'rule 1', status: 200, whole: true, step: 0 }))
  expect(lines.map((line) => line.hash)).toEqual([lines[0]?.hash, lines[1]?.hash, lines[0]?.hash, lines[1]?.hash])
  expect(lines[0]).not.toHaveProperty('body')
})

it('what a client did not wait for, and what was refused, stands in the journal as not whole', async () => {
  const server = await start()
  const stream = anthropic(server).messages.stream({ ...ask, messages: [user('slowly')] })
  stream.once('text', () => stream.abort())
  await failure(stream.finalMessage())
  await failure(anthropic(server).messages.create({ ...ask, messages: [user(' ')] }))
  await until('both are in the journal', () => journal().length === 2)
  expect(journal()).toMatchObject([
    { rule: 'rule 0', whole: false },
    { rule: null, status: 400, whole: false },
  ])
})

it('an answer that the kill cut is no paid call', async () => {
  const server = await start()
  const stream = anthropic(server).messages.stream({ ...ask, messages: [user('slowly')] })
  stream.once('text', () => server.child.kill('SIGKILL'))
  expect((await failure(stream.finalMessage())).message).toContain('terminated')
  await server.exit
  expect(journal()).toEqual([])
})

it('ends at SIGTERM with 0, also with a request under way', async () => {
  const server = await start()
  const stream = anthropic(server).messages.stream({ ...ask, messages: [user('slowly')] })
  stream.once('text', () => server.child.kill('SIGTERM'))
  await failure(stream.finalMessage())
  expect(await server.exit).toBe(0)
})

it('says what is wrong with its options and its script', async () => {
  const none = run()
  expect(await none.exit).toBe(2)
  expect(none.output.stderr).toContain('usage: main.ts --script file.json')
  const missing = run('--script', path.join(folder, 'no.json'))
  expect(await missing.exit).toBe(1)
  expect(missing.output.stderr).toMatch(/The script .*no\.json cannot be read/)
})
