/** The demo's script over both wires, with the real tools on a real folder: its report holds what the tools found, and nothing else. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { MessageParam, ToolUnion } from '@anthropic-ai/sdk/resources/messages'
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions'
import type { ScriptedModel } from '../../dev/scripted-model/server'
import { startScriptedModel } from '../../dev/scripted-model/server'
import { listFiles } from '../../tools/list-files'
import { readFile } from '../../tools/read-file'
import { searchFiles } from '../../tools/search-files'
import { writeFile } from '../../tools/write-file'
import { anthropic, openai } from './support'
import { misfitOf } from '../support/vendor-validate'

const DEMO = path.join(__dirname, '..', '..', 'dev', 'scripts', 'demo.json')
const TOOLS = [listFiles, readFile, searchFiles, writeFile]
const README = '# A library\n\nIt keeps a log in Postgres.\nSecond line.\n'

let server: ScriptedModel
let folder: string
beforeEach(async () => {
  server = await startScriptedModel({ script: DEMO, validate: misfitOf })
  folder = mkdtempSync(path.join(tmpdir(), 'demo-'))
  mkdirSync(path.join(folder, 'docs'))
  writeFileSync(path.join(folder, 'README.md'), README)
  writeFileSync(path.join(folder, 'docs', 'a.md'), 'Temporal runs it.\nPostgres keeps it; Temporal does not.\n')
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

async function runTool(name: string, args: string): Promise<string> {
  const tool = TOOLS.find((known) => known.name === name)
  if (!tool) throw new Error(`the demo calls ${name}, which it does not have`)
  const context = {
    ref: { space: 'default', session: 's' },
    call: 'c',
    idempotencyKey: 'k',
    signal: new AbortController().signal,
    workFolder: folder,
    onOutput: () => {},
    writeBlob: () => Promise.reject(new Error('nothing here is large')),
  }
  expect(tool.problem(args)).toBeNull()
  const { outcome, blocks } = await tool.run(args, context)
  const text = blocks.map((block) => (block.type === 'text' ? block.text : '')).join('\n')
  if (outcome !== 'ok') throw new Error(`${name} ${args}: ${text}`)
  return text
}

interface Ran {
  calls: string[][]
  texts: string[]
  followUp: string
}

async function overAnthropic(): Promise<Ran> {
  const client = anthropic(server)
  const messages: MessageParam[] = [{ role: 'user', content: 'Look around and write a report.' }]
  const tools = TOOLS.map(({ spec }): ToolUnion => ({
    name: spec.name,
    description: spec.description,
    input_schema: JSON.parse(spec.inputSchema),
  }))
  const ran: Ran = { calls: [], texts: [], followUp: '' }
  for (;;) {
    const message = await client.messages.stream({ model: 'demo', max_tokens: 1000, messages, tools }).finalMessage()
    const text = message.content.map((block) => (block.type === 'text' ? block.text : '')).join('')
    messages.push({ role: 'assistant', content: message.content })
    if (messages.at(-2)?.content === 'And now?') return { ...ran, followUp: text }
    ran.texts.push(text)
    const uses = message.content.flatMap((block) => (block.type === 'tool_use' ? [block] : []))
    ran.calls.push(uses.map((use) => use.name))
    if (uses.length === 0) messages.push({ role: 'user', content: 'And now?' })
    else {
      const results = uses.map(async (use) => ({
        type: 'tool_result' as const,
        tool_use_id: use.id,
        content: await runTool(use.name, JSON.stringify(use.input)),
      }))
      messages.push({ role: 'user', content: await Promise.all(results) })
    }
  }
}

async function overChat(): Promise<Ran> {
  const client = openai(server)
  const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: 'Look around and write a report.' }]
  const ran: Ran = { calls: [], texts: [], followUp: '' }
  for (;;) {
    const completion = await client.chat.completions.stream({ model: 'demo', messages }).finalChatCompletion()
    const { content, tool_calls } = completion.choices[0]?.message ?? { content: null, tool_calls: undefined }
    messages.push({ role: 'assistant', content, ...(tool_calls?.length ? { tool_calls } : {}) })
    if (messages.at(-2)?.content === 'And now?') return { ...ran, followUp: content ?? '' }
    ran.texts.push(content ?? '')
    const calls = (tool_calls ?? []).flatMap((call) => (call.type === 'function' ? [call] : []))
    ran.calls.push(calls.map((call) => call.function.name))
    if (calls.length === 0) messages.push({ role: 'user', content: 'And now?' })
    for (const call of calls)
      messages.push({
        role: 'tool',
        tool_call_id: call.id,
        content: await runTool(call.function.name, call.function.arguments),
      })
  }
}

it.each([
  ['Anthropic', overAnthropic],
  ['Chat', overChat],
])('over %s: it looks, searches, writes its report and reads it back', async (_wire, over) => {
  const { calls, texts, followUp } = await over()
  expect(calls).toEqual([
    ['list_files'],
    ['read_file', 'search_files'],
    ['list_files', 'search_files'],
    ['write_file'],
    ['read_file'],
    [],
  ])
  const report = readFileSync(path.join(folder, 'REPORT.md'), 'utf8')
  expect(report).toContain('No model took part')
  expect(report).toContain('`list_files` gave 3 entries')
  expect(report).toContain('1 folders and 2 files, 2 of them Markdown')
  expect(report).toContain('In `docs/` there are 1 entries')
  expect(report).toContain('> # A library\n> It keeps a log in Postgres.\n> Second line.')
  expect(report).toContain('> docs/a.md:2: Postgres keeps it; Temporal does not.')
  expect(report).toContain('> README.md:3: It keeps a log in Postgres.')
  expect(report).toContain('> docs/a.md:1: Temporal runs it.')
  expect(report).not.toContain('{{')
  expect(report).not.toContain('(nothing came back)')
  expect(texts[4]).toContain(`wrote ${Buffer.byteLength(report)} bytes to REPORT.md`)
  expect(texts.at(-1)).toContain('begins: # Report on this folder')
  expect(texts.at(-1)).toMatch(/scripted demonstration.*ANTHROPIC_API_KEY/s)
  expect(followUp).toContain('You said: "And now?"')
  expect(followUp).toMatch(/still a script.*OPENAI_API_KEY/s)
})
