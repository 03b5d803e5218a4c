/**
 * Clients of other vendors, run as their users run them, in a home of their own, against the scripted server; and what they sent, piece by
 * piece, beside what a session says.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { TranscriptFile } from '../../client/transcripts'
import type { Block } from '../../contract/blocks'
import type { View } from '../../contract/provider-port'
import { isRecord, list, records, str, type Json } from '../../dev/scripted-model/json'
import type { ScriptedModel } from '../../dev/scripted-model/server'

const run = promisify(execFile)
const RUN_MS = 90_000

export interface Run {
  /** What it said last, by its own account. */
  said: string
  /** Bodies that reached the model's address, refused ones too. */
  sent: { body: Json; status: number | null }[]
}

export interface OtherClient {
  version(): Promise<string>
  /** Begins a session of its own; gives back its transcript, and those of its sub-agents. */
  begin(prompts: readonly string[]): Promise<{ file: TranscriptFile; others: TranscriptFile[]; runs: Run[] }>
  /** Puts the transcript where the client looks for it, and goes on with it. */
  resume(transcript: string, prompt: string): Promise<Run>
  close(): Promise<void>
}

interface Parts {
  binary: string
  model: ScriptedModel
}

/** Its folder of work is a real path: the name of the folder of its transcripts is made of it. */
async function places(): Promise<{ home: string; work: string }> {
  const home = await realpath(await mkdtemp(path.join(tmpdir(), 'savefile-client-')))
  const work = path.join(home, 'work')
  await mkdir(work)
  await writeFile(path.join(work, 'a.txt'), 'hello from a\n')
  await writeFile(path.join(work, 'b.png'), PNG)
  return { home, work }
}

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

async function watched(model: ScriptedModel, ask: () => Promise<string>): Promise<Run> {
  const from = model.requests.length
  const said = await ask()
  return {
    said,
    sent: model.requests.slice(from).map(({ body, status }) => ({ body: isRecord(body) ? body : {}, status })),
  }
}

export async function claudeCode({ binary, model }: Parts): Promise<OtherClient> {
  const { home, work } = await places()
  const folder = path.join(home, '.claude', 'projects', work.replace(/[^a-zA-Z0-9]/g, '-'))
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'scripted',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
  }
  const ask = (args: readonly string[]): Promise<Run> =>
    watched(model, async () => {
      const given = ['--output-format', 'json', '--allowedTools', 'Read', 'Agent', '--strict-mcp-config', ...args]
      const { stdout } = await headless(binary, given, { cwd: work, env })
      return str((JSON.parse(stdout) as Json)['result'])
    })
  const named = async (names: readonly string[], of: string): Promise<TranscriptFile[]> =>
    Promise.all(names.map(async (name) => ({ name, bytes: await readFile(path.join(of, name)) })))
  return {
    version: async () => (await run(binary, ['--version'], { env })).stdout.trim(),
    async begin(prompts) {
      const before = new Set(await readdir(folder).catch(() => []))
      const runs: Run[] = []
      let id = ''
      for (const prompt of prompts) {
        runs.push(await ask([...(id === '' ? [] : ['--resume', id]), '-p', prompt]))
        id ||= (await readdir(folder)).find((name) => name.endsWith('.jsonl') && !before.has(name))?.slice(0, -6) ?? ''
      }
      const [file] = await named([`${id}.jsonl`], folder)
      if (!file) throw new Error('no transcript')
      const beside = path.join(folder, id, 'subagents')
      const names = (await readdir(beside).catch(() => [])).filter((name) => name.endsWith('.jsonl'))
      return { file, others: await named(names, beside), runs }
    },
    async resume(transcript, prompt) {
      const id = str((JSON.parse(transcript.slice(0, transcript.indexOf('\n'))) as Json)['sessionId'])
      await mkdir(folder, { recursive: true })
      await writeFile(path.join(folder, `${id}.jsonl`), transcript)
      return ask(['--resume', id, '-p', prompt])
    },
    close: () => rm(home, { recursive: true, force: true }),
  }
}

export async function codex({ binary, model }: Parts): Promise<OtherClient> {
  const { home, work } = await places()
  const own = path.join(home, '.codex')
  await mkdir(own)
  await writeFile(
    path.join(own, 'config.toml'),
    [
      'model = "gpt-5.5"',
      `openai_base_url = "${model.url}/v1"`,
      'check_for_update_on_startup = false',
      '[analytics]',
      'enabled = false',
      '',
    ].join('\n'),
  )
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, CODEX_HOME: own, CODEX_API_KEY: 'scripted' }
  const ask = (args: readonly string[]): Promise<Run> =>
    watched(model, async () => (await headless(binary, ['exec', ...args], { cwd: work, env })).stdout.trim())
  const rollouts = async (): Promise<string[]> =>
    (await readdir(path.join(own, 'sessions'), { recursive: true }).catch(() => []))
      .filter((name) => name.endsWith('.jsonl'))
      .sort()
  return {
    version: async () => (await run(binary, ['--version'], { env })).stdout.trim(),
    async begin(prompts) {
      const before = new Set(await rollouts())
      const runs: Run[] = []
      let name = ''
      for (const prompt of prompts) {
        runs.push(await ask([...(name === '' ? [] : ['resume', name.slice(-42, -6)]), '--skip-git-repo-check', prompt]))
        name ||= (await rollouts()).find((one) => !before.has(one)) ?? ''
      }
      const read = async (one: string): Promise<TranscriptFile> => ({
        name: path.basename(one),
        bytes: await readFile(path.join(own, 'sessions', one)),
      })
      const others = (await rollouts()).filter((one) => !before.has(one) && one !== name)
      return { file: await read(name), others: await Promise.all(others.map(read)), runs }
    },
    async resume(transcript, prompt) {
      const meta = (JSON.parse(transcript.slice(0, transcript.indexOf('\n'))) as { payload: Json }).payload
      const [day = '', time = ''] = str(meta['timestamp']).split('T')
      const folder = path.join(own, 'sessions', ...day.split('-'))
      await mkdir(folder, { recursive: true })
      const at = time.slice(0, 8).replaceAll(':', '-')
      await writeFile(path.join(folder, `rollout-${day}T${at}-${str(meta['id'])}.jsonl`), transcript)
      return ask(['resume', str(meta['id']), '--skip-git-repo-check', prompt])
    },
    close: () => rm(home, { recursive: true, force: true }),
  }
}

/** With nothing to read: a client that waits for its stdin would wait for ever. */
async function headless(
  binary: string,
  args: readonly string[],
  { cwd, env }: { cwd: string; env: Record<string, string> },
): Promise<{ stdout: string }> {
  const running = run(binary, args, { cwd, env, timeout: RUN_MS, maxBuffer: 64 * 1024 * 1024 })
  running.child.stdin?.end()
  return running
}

const hashed = (base64: string): string =>
  createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex').slice(0, 12)
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  )
const argsOf = (args: string): string => {
  try {
    return sorted(JSON.parse(args))
  } catch {
    return args
  }
}
const words = (role: string, text: string): string[] => {
  const said = text.trim().startsWith('{"') ? argsOf(text.trim()) : text.trim()
  return said === '' ? [] : [`${role}: ${said}`]
}
/** Claude Code calls its old tool by its new name. */
const renamed = (tool: string): string => (tool === 'Task' ? 'Agent' : tool)

/** What a model has to be shown of a view: what is thought apart, which no other vendor takes. */
export function piecesOf(view: View): string[] {
  const own = (role: string, blocks: readonly Block[]): string[] =>
    blocks.flatMap((block) => {
      switch (block.type) {
        case 'text':
        case 'refusal':
          return words(role, block.text)
        case 'tool_call':
          return [`call ${renamed(block.name)} ${argsOf(block.args)}`]
        case 'structured':
          return words(role, argsOf(block.json))
        case 'image':
          return [`${role}: image ${block.blob.hash.slice(7, 19)}`]
        default:
          return []
      }
    })
  return view.entries.flatMap((entry) =>
    entry.role === 'results'
      ? entry.results.flatMap(({ blocks }) => own('result', blocks))
      : own(entry.role, entry.blocks),
  )
}

/** Of a request to either vendor, in its order. */
export function piecesIn(body: Json): string[] {
  return body['input'] === undefined
    ? records(body['messages']).flatMap((message) => messagePieces(message))
    : records(body['input']).flatMap((item) => itemPieces(item))
}

function messagePieces({ role, content }: Json): string[] {
  const parts = typeof content === 'string' ? [{ type: 'text', text: content }] : records(content)
  return parts.flatMap((part): string[] => {
    if (part['type'] === 'tool_use') return [`call ${renamed(str(part['name']))} ${sorted(part['input'])}`]
    return part['type'] === 'tool_result'
      ? messagePieces({ role: 'result', content: part['content'] })
      : said(str(role), part)
  })
}

function said(role: string, part: Json): string[] {
  if (part['type'] === 'image') return [`${role}: image ${hashed(str((part['source'] as Json)['data']))}`]
  const url = str(part['image_url'])
  if (url !== '') return [`${role}: image ${hashed(url.slice(url.indexOf(',') + 1))}`]
  return words(role, str(part['text']))
}

function itemPieces(item: Json): string[] {
  if (item['type'] === 'function_call') return [`call ${renamed(str(item['name']))} ${argsOf(str(item['arguments']))}`]
  if (item['type'] === 'function_call_output')
    return typeof item['output'] === 'string'
      ? words('result', item['output'])
      : list(item['output']).flatMap((part) => (isRecord(part) ? said('result', part) : []))
  if (str(item['type']).endsWith('_call')) return words('assistant', sorted(item))
  return list(item['content']).flatMap((part) => (isRecord(part) ? said(str(item['role']), part) : []))
}

/** Those that are not there, in this order. */
export function missingFrom(sent: readonly string[], wanted: readonly string[]): string[] {
  let at = 0
  return wanted.filter((piece) => {
    const found = sent.indexOf(piece, at)
    if (found >= 0) at = found + 1
    return found < 0
  })
}
