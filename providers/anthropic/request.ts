/**
 * From a view to the parameters of Messages. Each entry becomes blocks by itself, whatever follows it, so that a longer view only adds
 * messages; consecutive entries of one side are one message. Cache markers stand apart from that: they move.
 */
import type {
  CacheControlEphemeral,
  ContentBlockParam,
  MessageCreateParams,
  TextBlockParam,
  Tool,
  ToolResultBlockParam,
  ToolUnion,
} from '@anthropic-ai/sdk/resources/messages/messages'
import type { ModelSpec } from '../../contract/definition'
import type { ModelRequest, ViewEntry } from '../../contract/provider-port'
import {
  GO_ON,
  NO_OUTPUT,
  NO_TEXT,
  collectDropped,
  foreign,
  partsOf,
  type Drop,
  type Home,
  type Part,
} from '../content'
import { charsOf, cutKey, homeKey, isPromise, madeOnce } from '../entry-cache'
import type { Encoded } from '../exchange'
import { createRawJson, type RawJson } from '../raw-json'
import { serverTools } from '../tool-choice'
import { wireArgs, wireCallId, wireToolName } from '../wire-names'
import { settings } from './models'
import { openServerCalls } from './server-tools'

/** Raised when what Replay.blocks holds changes. */
export const REPLAY_FORMAT = 1

type Attachable = Exclude<ToolResultBlockParam['content'], string | undefined>[number]

/** @param platform where the request goes: replay from elsewhere is left out. */
export async function encodeMessages(
  request: ModelRequest,
  platform: string,
  raw: RawJson,
): Promise<Encoded<MessageCreateParams>> {
  const { model, view } = request
  const { dropped, drop } = collectDropped()
  const home: Home = { provider: 'anthropic', platform, model: model.name, format: REPLAY_FORMAT }
  const key = homeKey(home)
  const open = openServerCalls()
  let replays = false
  // Of the last message of the assistant.
  let beginsThinking = false
  const messages: Message[] = []
  const add = (role: Message['role'], content: readonly Wire[]): void => {
    const last = messages.at(-1)
    if (last?.role === role) last.content.push(...content)
    else messages.push({ role, content: [...content] })
  }
  const addUser = (content: readonly Wire[]): void => {
    const missing = open.close()
    if (missing.length > 0) add('assistant', wired(missing))
    add('user', content)
  }
  let resumes = false
  for (const entry of view.entries) {
    resumes = false
    if (entry.role === 'assistant') {
      // Stands first always, so it never moves: a history from elsewhere may begin with the assistant.
      if (messages.length === 0) add('user', wired([{ type: 'text', text: GO_ON }]))
      const continues = messages.at(-1)?.role === 'assistant'
      const ofKey = cutKey(key, entry, view.replayCut)
      const found = madeOnce(entry, ofKey, drop, (note) => assistant(entry, home, request, note))
      const made = isPromise(found) ? await found : found
      // What another model says does not go on with a call of the one before.
      const missing = made.foreign ? open.close() : []
      add('assistant', [...wired(missing), ...made.content])
      made.saw.forEach((own) => open.saw(own))
      replays ||= made.replays
      if (!continues) beginsThinking = made.beginsThinking
      // What another model or platform began, this one cannot go on with.
      resumes = entry.paused === true && !made.foreign
    } else {
      const found = madeOnce(entry, key, drop, async (note) => {
        const blocks = entry.role === 'user' ? await user(entry, request, note) : await results(entry, request, note)
        const value = wired(blocks)
        return { value, chars: charsOf(value.map(({ json }) => json)) }
      })
      addUser(isPromise(found) ? await found : found)
    }
  }
  if (messages.at(-1)?.role !== 'user' && !resumes) addUser(wired([{ type: 'text', text: GO_ON }]))
  const cache = cacheOf(model)
  if (cache) mark(messages, cache)
  const system: TextBlockParam[] =
    view.system.trim() === '' ? [] : [{ type: 'text', text: view.system, ...(cache ? { cache_control: cache } : {}) }]
  const tools = toolsOf(request, raw, cache)
  const midTurn = view.entries.at(-1)?.role === 'results' && !beginsThinking
  return {
    params: {
      model: model.name,
      stream: model.stream !== false,
      ...settings(model, view, { midTurn, seq: view.entries[0]?.seq ?? 1, drop, raw }),
      ...(system.length > 0 ? { system } : {}),
      ...(tools.length > 0 ? { tools } : {}),
      messages: raw.elements(() => messages.map(textOf)),
    } as MessageCreateParams,
    dropped,
    replays,
  }
}

/** A block as the JSON text that is sent. */
interface Wire {
  type: string
  json: string
}

interface Message {
  role: 'user' | 'assistant'
  content: Wire[]
}

function wired(blocks: readonly ContentBlockParam[]): Wire[] {
  return blocks.map((block) => ({ type: block.type, json: JSON.stringify(block) }))
}

function textOf({ role, content }: Message): string {
  return `{"role":"${role}","content":[${content.map(({ json }) => json).join(',')}]}`
}

interface Answer {
  content: Wire[]
  foreign: boolean
  replays: boolean
  beginsThinking: boolean
  /** Blocks of the vendor's own tools. */
  saw: string[]
}

function cacheOf({ cache }: ModelSpec): CacheControlEphemeral | null {
  if (cache === 'off') return null
  return { type: 'ephemeral', ...(cache === '1h' ? { ttl: '1h' } : {}) }
}

/** The vendor's own come first, as they are written: the definition's, of which the last is marked, end what is always the same. */
function toolsOf({ model, view }: ModelRequest, raw: RawJson, cache: CacheControlEphemeral | null): ToolUnion[] {
  const own = view.tools.map((tool): Tool => ({
    ...named(tool),
    input_schema: raw.of(tool.inputSchema) as Tool['input_schema'],
  }))
  const last = own.at(-1)
  if (last && cache) last.cache_control = cache
  return [...serverTools(model).map(({ json }) => raw.of(json) as ToolUnion), ...own]
}

function named({ name, description }: { name: string; description: string }): Pick<Tool, 'name' | 'description'> {
  return description === '' ? { name } : { name, description }
}

/** The end of what is sent is what the next request begins with. */
function mark(messages: readonly Message[], cache: CacheControlEphemeral): void {
  const { role, content = [] } = messages.at(-1) ?? {}
  const block = role === 'user' ? content.pop() : undefined
  if (!block) return
  const json = MARKED.has(block.type)
    ? `${block.json.slice(0, -1)},"cache_control":${JSON.stringify(cache)}}`
    : block.json
  content.push({ ...block, json })
}

const MARKED: ReadonlySet<string> = new Set(['text', 'image', 'document', 'tool_result'])

async function user(
  entry: Extract<ViewEntry, { role: 'user' }>,
  request: ModelRequest,
  drop: Drop,
): Promise<ContentBlockParam[]> {
  const content = (await partsOf(entry.blocks, request.blob, entry.seq, drop)).map(attachable)
  return content.length > 0 ? content : [{ type: 'text', text: NO_TEXT }]
}

async function results(
  entry: Extract<ViewEntry, { role: 'results' }>,
  request: ModelRequest,
  drop: Drop,
): Promise<ContentBlockParam[]> {
  const inResults: ContentBlockParam[] = []
  const after: ContentBlockParam[] = []
  for (const result of entry.results) {
    const content = (await partsOf(result.blocks, request.blob, result.seq, drop)).map(attachable)
    const failed = result.outcome !== 'ok'
    // An error result is text only: what else there is comes after all the results.
    const own = failed ? content.filter((block) => block.type === 'text') : content
    if (own.length < content.length) {
      after.push({ type: 'text', text: `[Attached to the result of ${result.name}:]` })
      after.push(...content.filter((block) => block.type !== 'text'))
    }
    inResults.push({
      type: 'tool_result',
      tool_use_id: wireCallId(result.call),
      content: own.length > 0 ? own : [{ type: 'text', text: NO_OUTPUT }],
      ...(failed ? { is_error: true } : {}),
    })
  }
  return [...inResults, ...after]
}

function attachable(part: Part): Attachable & ContentBlockParam {
  switch (part.kind) {
    case 'text':
      return { type: 'text', text: part.text }
    case 'image':
      return { type: 'image', source: { type: 'base64', media_type: part.mediaType, data: part.base64 } }
    case 'pdf':
      return {
        type: 'document',
        title: part.name,
        source: { type: 'base64', media_type: 'application/pdf', data: part.base64 },
      }
  }
}

async function assistant(
  entry: Extract<ViewEntry, { role: 'assistant' }>,
  home: Home,
  request: ModelRequest,
  drop: Drop,
): Promise<{ value: Answer; chars: number }> {
  const { replay, seq } = entry
  const why = foreign(entry, home, request.view.replayCut)
  const raw = createRawJson()
  const content: ContentBlockParam[] = []
  const made = { foreign: why !== null, replays: false, beginsThinking: false, saw: [] as string[] }
  let lastIsThinking = false
  for (const [i, block] of entry.blocks.entries()) {
    const own = replay?.blocks[i] ?? null
    if (why === null && own !== null && block.type !== 'tool_call') {
      content.push(raw.of(own) as ContentBlockParam)
      if (block.type === 'structured') made.saw.push(own)
      made.replays = true
      lastIsThinking = block.type === 'reasoning'
      if (lastIsThinking && content.length === 1) made.beginsThinking = true
      continue
    }
    if (block.type === 'tool_call') {
      const input = raw.of(wireArgs(block.args))
      content.push({ type: 'tool_use', id: wireCallId(block.call), name: wireToolName(block.name), input })
      lastIsThinking = false
    } else if (block.type === 'reasoning') {
      drop(seq, 'reasoning', why ?? 'it has no signature')
    } else if (block.type === 'structured' && own !== null) {
      drop(seq, 'server tool', why ?? 'nothing to send back was kept')
    } else {
      const texts = (await partsOf([block], request.blob, seq, drop)).flatMap((part) => inAnswer(part, seq, drop))
      content.push(...texts)
      if (texts.length > 0) lastIsThinking = false
    }
  }
  // An answer that is empty, or that ends in thinking (its limit was reached there), is refused; unless it goes on from there.
  if (content.length === 0 || (lastIsThinking && !entry.paused)) content.push({ type: 'text', text: NO_TEXT })
  // A stand-in for the vendor's own is a string, and has no type to be marked by: answers are not marked.
  const wire = content.map((block) => ({ type: block.type, json: raw.restore(JSON.stringify(block)) }))
  return { value: { ...made, content: wire }, chars: charsOf(wire.map(({ json }) => json)) }
}

/** Assistants send text only: documents and images in their messages are refused. */
function inAnswer(part: Part, seq: number, drop: Drop): TextBlockParam[] {
  if (part.kind === 'text') return [{ type: 'text', text: part.text }]
  drop(seq, part.kind === 'pdf' ? 'file' : 'image', 'an attachment of an answer cannot be sent back')
  return [{ type: 'text', text: `[${part.kind} not shown]` }]
}
