/**
 * From a view to the parameters of Messages. Each entry becomes blocks by itself, whatever follows it, so that a longer view only adds
 * messages; consecutive entries of one side are one message. Cache markers stand apart from that: they move.
 */
import type {
  CacheControlEphemeral,
  ContentBlockParam,
  MessageCreateParams,
  MessageParam,
  TextBlockParam,
  Tool,
  ToolResultBlockParam,
  ToolUnion,
} from '@anthropic-ai/sdk/resources/messages/messages'
import type { ModelSpec } from '../../contract/definition'
import type { ModelRequest, ViewEntry } from '../../contract/ports'
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
import type { Encoded } from '../exchange'
import type { RawJson } from '../raw-json'
import { serverTools } from '../tool-choice'
import { wireArgs, wireCallId, wireToolName } from '../wire-names'
import { settings } from './models'
import { openServerCalls, type OpenServerCalls } from './server-tools'

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
  const made: Made = { home, raw, request, drop, open: openServerCalls(), replays: false, beganThinking: false }
  // Of the last message of the assistant.
  let beginsThinking = false
  const messages: (MessageParam & { content: ContentBlockParam[] })[] = []
  const add = (role: 'user' | 'assistant', content: ContentBlockParam[]): void => {
    const last = messages.at(-1)
    if (last?.role === role) last.content.push(...content)
    else messages.push({ role, content })
  }
  const addUser = (content: ContentBlockParam[]): void => {
    const missing = made.open.close()
    if (missing.length > 0) add('assistant', missing)
    add('user', content)
  }
  let resumes = false
  for (const entry of view.entries) {
    resumes = false
    if (entry.role === 'assistant') {
      // Stands first always, so it never moves: a history from elsewhere may begin with the assistant.
      if (messages.length === 0) add('user', [{ type: 'text', text: GO_ON }])
      const continues = messages.at(-1)?.role === 'assistant'
      add('assistant', await assistant(entry, made))
      if (!continues) beginsThinking = made.beganThinking
      // What another model or platform began, this one cannot go on with.
      resumes = entry.paused === true && foreign(entry, home, view.replayCut) === null
    } else addUser(entry.role === 'user' ? await user(entry, request, drop) : await results(entry, request, drop))
  }
  if (messages.at(-1)?.role !== 'user' && !resumes) addUser([{ type: 'text', text: GO_ON }])
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
      messages,
    } as MessageCreateParams,
    dropped,
    replays: made.replays,
  }
}

/** What the making of one request needs everywhere. */
interface Made {
  home: Home
  raw: RawJson
  request: ModelRequest
  drop: Drop
  open: OpenServerCalls
  replays: boolean
  /** The answer that was made last begins with thinking. */
  beganThinking: boolean
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
function mark(messages: readonly MessageParam[], cache: CacheControlEphemeral): void {
  const { role, content } = messages.at(-1) ?? {}
  const block = role === 'user' && typeof content === 'object' ? content.at(-1) : undefined
  if (block?.type === 'text' || block?.type === 'image' || block?.type === 'document' || block?.type === 'tool_result')
    block.cache_control = cache
}

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

async function assistant(entry: Extract<ViewEntry, { role: 'assistant' }>, made: Made): Promise<ContentBlockParam[]> {
  const { home, raw, request, drop, open } = made
  const { replay, seq } = entry
  const why = foreign(entry, home, request.view.replayCut)
  // What another model says does not go on with a call of the one before.
  const content: ContentBlockParam[] = why === null ? [] : open.close()
  let lastIsThinking = false
  made.beganThinking = false
  for (const [i, block] of entry.blocks.entries()) {
    const own = replay?.blocks[i] ?? null
    if (why === null && own !== null && block.type !== 'tool_call') {
      content.push(raw.of(own) as ContentBlockParam)
      if (block.type === 'structured') open.saw(own)
      made.replays = true
      lastIsThinking = block.type === 'reasoning'
      if (lastIsThinking && content.length === 1) made.beganThinking = true
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
  const ends = content.length === 0 || (lastIsThinking && !entry.paused)
  return ends ? [...content, { type: 'text', text: NO_TEXT }] : content
}

/** Assistants send text only: documents and images in their messages are refused. */
function inAnswer(part: Part, seq: number, drop: Drop): TextBlockParam[] {
  if (part.kind === 'text') return [{ type: 'text', text: part.text }]
  drop(seq, part.kind === 'pdf' ? 'file' : 'image', 'an attachment of an answer cannot be sent back')
  return [{ type: 'text', text: `[${part.kind} not shown]` }]
}
