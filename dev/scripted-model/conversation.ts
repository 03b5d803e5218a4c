/**
 * What a request says about where its conversation stands, the same for all wire APIs. Read from messages that the checker has passed.
 */
import { createHash } from 'node:crypto'
import { isRecord, list, records, str, type Json } from './json'

export type Api = 'anthropic' | 'openai-chat' | 'openai-responses'

export interface Conversation {
  api: Api
  model: string
  stream: boolean
  /** Chat: whether a last chunk with the usage was asked for. */
  includeUsage: boolean
  /** Assistant messages in the request, and since the last message of a person. */
  call: number
  step: number
  turn: number
  firstUser: string
  lastUser: string
  /** Texts of the tool results since the last answer. */
  results: string[]
  /** Texts of the tool results of this turn, by step. */
  batches: string[][]
  /** Names the conversation, for counting faults: a hash of the system prompt, the first message and the caller's own id where it sends one. */
  key: string
}

/** Anthropic puts results into user messages, Chat into messages, Responses into items of their own: here all are entries. */
type Entry = { kind: 'assistant' } | { kind: 'results'; texts: string[] } | { kind: 'user'; text: string }

export function readConversation(api: Api, body: Json): Conversation {
  const messages = api === 'openai-responses' ? inputItems(body.input) : records(body.messages)
  const entries = messages.flatMap(ENTRIES[api])
  const firstUser = entries.find((e) => e.kind === 'user')?.text ?? ''
  const head = textOf(body.system) || str(body.instructions)
  const system = head || textOf(messages.find((m) => m.role === 'system' || m.role === 'developer')?.content)
  const metadata = isRecord(body.metadata) ? str(body.metadata.user_id) : ''
  const caller = metadata || str(body.prompt_cache_key ?? body.safety_identifier ?? body.user)
  const c: Conversation = {
    api,
    model: str(body.model),
    stream: body.stream === true,
    includeUsage: isRecord(body.stream_options) && body.stream_options.include_usage === true,
    call: 0,
    step: 0,
    turn: -1,
    firstUser,
    lastUser: '',
    results: [],
    batches: [],
    key: createHash('sha256')
      .update(JSON.stringify([system, firstUser, caller]))
      .digest('hex')
      .slice(0, 16),
  }
  for (const entry of entries) follow(c, entry)
  c.turn = Math.max(c.turn, 0)
  return c
}

function follow(c: Conversation, entry: Entry): void {
  if (entry.kind === 'assistant') {
    c.call++
    c.step++
    c.results = []
    c.batches.push([])
  } else if (entry.kind === 'results') {
    c.results.push(...entry.texts)
    c.batches.at(-1)?.push(...entry.texts)
  } else {
    c.turn++
    c.step = 0
    c.batches = []
    c.lastUser = entry.text
  }
}

function anthropicEntries(m: Json): Entry[] {
  if (m.role === 'assistant') return [{ kind: 'assistant' }]
  if (m.role !== 'user') return []
  if (typeof m.content === 'string') return [{ kind: 'user', text: m.content }]
  const blocks = records(m.content)
  const results = blocks.filter((b) => b.type === 'tool_result').map((b) => textOf(b.content))
  const said = blocks.filter((b) => b.type !== 'tool_result')
  return [
    ...(results.length > 0 ? [{ kind: 'results' as const, texts: results }] : []),
    ...(said.length > 0 ? [{ kind: 'user' as const, text: textOf(said) }] : []),
  ]
}

function chatEntries(m: Json): Entry[] {
  if (m.role === 'assistant') return [{ kind: 'assistant' }]
  if (m.role === 'tool') return [{ kind: 'results', texts: [textOf(m.content)] }]
  return m.role === 'user' ? [{ kind: 'user', text: textOf(m.content) }] : []
}

/** Output items in a row are one answer: its reasoning, its message and its calls. */
function responsesEntries(item: Json, i: number, items: Json[]): Entry[] {
  if (isOutput(item)) return isOutput(items[i - 1]) ? [] : [{ kind: 'assistant' }]
  if (str(item.type).endsWith('_output')) return [{ kind: 'results', texts: [textOf(item.output)] }]
  return item.role === 'user' ? [{ kind: 'user', text: textOf(item.content) }] : []
}

function isOutput(item: Json | undefined): boolean {
  return item !== undefined && (item.role === 'assistant' || /^reasoning$|_call$/.test(str(item.type)))
}

function inputItems(input: unknown): Json[] {
  return typeof input === 'string' ? [{ role: 'user', content: input }] : records(input)
}

const ENTRIES: Record<Api, (message: Json, i: number, all: Json[]) => Entry[]> = {
  anthropic: anthropicEntries,
  'openai-chat': chatEntries,
  'openai-responses': responsesEntries,
}

/** The text of a string or of the text parts in a list. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  return list(content)
    .flatMap((part) => (isRecord(part) && typeof part.text === 'string' ? [part.text] : []))
    .join('\n')
}
