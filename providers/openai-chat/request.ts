/**
 * From a view to the parameters of Chat Completions, for any server that speaks it: texts are plain strings wherever they can be (templates
 * of many servers take nothing else), and no field is sent that the endpoint is not known to read.
 */
import type {
  ChatCompletionAssistantMessageParam,
  ChatCompletionContentPart,
  ChatCompletionCreateParams,
  ChatCompletionFunctionTool,
  ChatCompletionMessageParam,
  ChatCompletionTool,
  ChatCompletionToolMessageParam,
} from 'openai/resources/chat/completions'
import type { ModelRequest, ViewEntry } from '../../contract/provider-port'
import {
  BOUND,
  GO_ON,
  NO_OUTPUT,
  NO_TEXT,
  collectDropped,
  foreign,
  partsOf,
  textOfParts,
  withinLimit,
  type Drop,
  type Home,
  type Part,
} from '../content'
import { charsOf, cutKey, homeKey, isPromise, madeOnce } from '../entry-cache'
import type { Encoded } from '../exchange'
import { isRecord } from '../failures'
import type { RawJson } from '../raw-json'
import { serverTools } from '../tool-choice'
import { wireArgs, wireCallId, wireToolName } from '../wire-names'
import { compatOf, type Compat } from './compat'
import { settings } from './settings'

/** Raised when what Replay.blocks holds changes: of a reasoning block, the field in which it came, and its details where it had some. */
export const REPLAY_FORMAT = 1

export const REASONING_FIELDS = ['reasoning_content', 'reasoning'] as const
export type ReasoningField = (typeof REASONING_FIELDS)[number]

/** What of a message is replay. */
const SENT_BACK = [...REASONING_FIELDS, 'reasoning_details'] as const

type Reasoning = Partial<Record<ReasoningField, string> & { reasoning_details: unknown[] }>
type Assistant = ChatCompletionAssistantMessageParam & Reasoning
type Entry<R extends ViewEntry['role']> = Extract<ViewEntry, { role: R }>

/** @param platform where the request goes: decides on `compat`, and whether reasoning goes back. */
export async function encodeChat(
  request: ModelRequest,
  platform: string,
  raw: RawJson,
): Promise<Encoded<ChatCompletionCreateParams>> {
  const { model, view } = request
  const { dropped, drop } = collectDropped()
  const compat = compatOf(platform, model, view.tools.length > 0)
  const seq = view.entries[0]?.seq ?? 1
  const home: Home = { provider: 'openai-chat', platform, model: model.name, format: REPLAY_FORMAT }
  const key = homeKey(home, JSON.stringify(compat))
  const messages: string[] = []
  let replays = false
  /** Of the user message that is being put together: consecutive ones are one. */
  let open: Part[] = []
  const close = (): void => {
    if (open.length > 0) messages.push(JSON.stringify({ role: 'user', content: userContent(open) }))
    open = []
  }
  let before: ViewEntry['role'] | undefined
  for (const entry of view.entries) {
    if (entry.role === 'user') {
      const parts = madeOnce(entry, key, drop, (note) => user(entry, request, compat, note))
      open.push(...(isPromise(parts) ? await parts : parts))
    } else if (entry.role === 'results') {
      close()
      const found = madeOnce(entry, key, drop, (note) => results(entry, request, compat, note))
      const made = isPromise(found) ? await found : found
      messages.push(...made.messages)
      open.push(...made.after)
    } else {
      if (messages.length === 0 && open.length === 0) open.push(textPart(GO_ON))
      close()
      const after = before === 'results'
      const ofKey = cutKey(`${key}\n${after}`, entry, view.replayCut)
      const found = madeOnce(entry, ofKey, drop, async (note) => {
        const message = await assistant(entry, after, home, compat, request, note)
        const json = JSON.stringify(message)
        return { value: { json, replays: SENT_BACK.some((name) => message[name]) }, chars: json.length }
      })
      const made = isPromise(found) ? await found : found
      messages.push(made.json)
      replays ||= made.replays
    }
    before = entry.role
  }
  if (open.length === 0 && before !== 'results') open.push(textPart(GO_ON))
  close()
  const own = view.tools.map((tool): ChatCompletionFunctionTool => ({
    type: 'function',
    function: {
      name: tool.name,
      ...(tool.description === '' ? {} : { description: tool.description }),
      parameters: raw.of(tool.inputSchema) as Record<string, unknown>,
    },
  }))
  const server = serverTools(model)
  if (!compat.serverTools)
    for (const { name } of server) drop(seq, `server tool ${name}`, 'this server is not known to run tools')
  const tools = [...(compat.serverTools ? server.map(({ json }) => raw.of(json) as ChatCompletionTool) : []), ...own]
  return {
    params: {
      model: model.name,
      stream: model.stream !== false,
      ...settings(model, view, compat, seq, drop, raw),
      messages: [...system(view.system, compat), ...raw.elements(() => messages)],
      ...(tools.length > 0 ? { tools } : {}),
    } as ChatCompletionCreateParams,
    dropped,
    replays,
  }
}

function system(content: string, compat: Compat): ChatCompletionMessageParam[] {
  return content.trim() === '' ? [] : [{ role: compat.systemRole, content }]
}

async function user(
  { blocks, seq }: Entry<'user'>,
  { blob }: ModelRequest,
  compat: Compat,
  drop: Drop,
): Promise<{ value: Part[]; chars: number }> {
  const parts = await partsOf(blocks, blob, seq, drop)
  const value = parts.length > 0 ? shown(parts, compat, seq, drop) : [textPart(NO_TEXT)]
  return { value, chars: charsOfParts(value) }
}

/** Results stand right after their calls; what a tool message cannot hold comes in a user message after all of them. */
async function results(
  entry: Entry<'results'>,
  { blob }: ModelRequest,
  compat: Compat,
  drop: Drop,
): Promise<{ value: { messages: string[]; after: Part[] }; chars: number }> {
  const messages: string[] = []
  const after: Part[] = []
  for (const result of entry.results) {
    const parts = shown(await partsOf(result.blocks, blob, result.seq, drop), compat, result.seq, drop)
    const attached = parts.filter((part) => part.kind !== 'text')
    messages.push(JSON.stringify(toolMessage(result, parts, attached.length, compat, drop)))
    if (attached.length > 0) after.push(textPart(`[Attached to the result of ${result.name}:]`), ...attached)
  }
  return { value: { messages, after }, chars: charsOf(messages) + charsOfParts(after) }
}

function charsOfParts(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + (part.kind === 'text' ? part.text : part.base64).length, 0)
}

function textPart(text: string): Part {
  return { kind: 'text', text }
}

/** An image only where it is taken, a PDF only where the endpoint is known to take one. */
function shown(parts: readonly Part[], compat: Compat, seq: number, drop: Drop): Part[] {
  return parts.map((part) => {
    if (part.kind === 'image' && !compat.images) {
      drop(seq, 'image', 'this server takes no images')
      return textPart('[image not shown]')
    }
    if (part.kind !== 'pdf' || compat.files) return part
    drop(seq, 'file', 'application/pdf is not sent to this provider')
    return textPart(`[file ${part.name}, application/pdf: not shown]`)
  })
}

function userContent(parts: readonly Part[]): string | ChatCompletionContentPart[] {
  if (parts.every((part) => part.kind === 'text')) return textOfParts(parts, '\n\n')
  return parts.map((part): ChatCompletionContentPart => {
    if (part.kind === 'text') return { type: 'text', text: part.text }
    if (part.kind === 'image')
      return { type: 'image_url', image_url: { url: `data:${part.mediaType};base64,${part.base64}` } }
    return { type: 'file', file: { filename: part.name, file_data: `data:application/pdf;base64,${part.base64}` } }
  })
}

function toolMessage(
  result: Entry<'results'>['results'][number],
  parts: readonly Part[],
  attached: number,
  { outputLimit }: Compat,
  drop: Drop,
): ChatCompletionToolMessageParam {
  const said = textOfParts(parts, '\n')
  const error = result.outcome === 'error' ? '[error] ' : ''
  const note = attached > 0 ? [`[${attached} attached below]`] : []
  const whole = error + [...(said === '' ? [] : [said]), ...note].join('\n')
  const content = outputLimit ? withinLimit(whole, result.seq, drop) : whole
  return { role: 'tool', tool_call_id: wireCallId(result.call), content: content.trim() === '' ? NO_OUTPUT : content }
}

async function assistant(
  entry: Entry<'assistant'>,
  afterResults: boolean,
  home: Home,
  compat: Compat,
  request: ModelRequest,
  drop: Drop,
): Promise<Assistant> {
  const calls = entry.blocks.filter((block) => block.type === 'tool_call')
  const content = (await said(entry, request, drop)) || (calls.length > 0 ? compat.noContent : NO_TEXT)
  return {
    role: 'assistant',
    content,
    ...reasoning(entry, calls.length > 0 || afterResults, home, request.view.replayCut, compat, drop),
    ...(calls.length > 0
      ? {
          tool_calls: calls.map(({ call, name, args }) => ({
            id: wireCallId(call),
            type: 'function',
            function: { name: wireToolName(name), arguments: wireArgs(args) },
          })),
        }
      : {}),
  }
}

/** The text of an answer. Texts that followed each other are one; those with a call between them are paragraphs. */
async function said(entry: Entry<'assistant'>, request: ModelRequest, drop: Drop): Promise<string> {
  let text = ''
  let between = ''
  for (const [i, block] of entry.blocks.entries()) {
    if (block.type === 'structured' && (entry.replay?.blocks[i] ?? null) !== null) {
      drop(entry.seq, 'server tool', 'it belongs to another provider')
    } else
      for (const part of await partsOf([block], request.blob, entry.seq, drop)) {
        if (part.kind !== 'text')
          drop(entry.seq, part.kind === 'pdf' ? 'file' : 'image', 'an attachment of an answer cannot be sent back')
        text += between + (part.kind === 'text' ? part.text : `[${part.kind} not shown]`)
        between = ''
      }
    if (block.type !== 'text' && text !== '') between = '\n\n'
  }
  return text
}

/** What an answer thought, where the endpoint reads it: in turns with tools, or verbatim. Depends on nothing after the answer. */
function reasoning(
  entry: Entry<'assistant'>,
  inToolTurn: boolean,
  home: Home,
  cut: number | undefined,
  compat: Compat,
  drop: Drop,
): Reasoning {
  const thoughts = entry.blocks.flatMap((block, i) =>
    block.type === 'reasoning' ? [{ text: block.text, came: cameAs(entry.replay?.blocks[i] ?? null) }] : [],
  )
  const thought = thoughts[0]
  const required = compat.reasoning === 'reasoning_content' && inToolTurn
  const why = thought ? whyNot(entry, foreign(entry, home, cut), thought.came, inToolTurn, compat) : null
  if (thought && why === null) {
    if (compat.details && thought.came.details) return { reasoning_details: thought.came.details }
    const field = compat.reasoning === 'reasoning_content' ? 'reasoning_content' : thought.came.field
    return field ? { [field]: thoughts.map(({ text }) => text).join('') } : {}
  }
  if (thought && why !== null) drop(entry.seq, 'reasoning', why)
  return required ? { reasoning_content: '' } : {}
}

interface Came {
  field?: ReasoningField | undefined
  details?: unknown[]
}

function whyNot(
  { moved }: Entry<'assistant'>,
  isForeign: string | null,
  came: Came,
  inToolTurn: boolean,
  compat: Compat,
): string | null {
  if (isForeign !== null) return isForeign
  if (compat.details && came.details) return moved ? BOUND : null
  if (compat.reasoning === 'none' || came.field === undefined) return 'this endpoint does not read it'
  return inToolTurn ? null : 'this endpoint reads it only in turns with tools'
}

function cameAs(replay: string | null): Came {
  const field = REASONING_FIELDS.find((name) => replay === JSON.stringify({ field: name }))
  if (field || replay === null) return { field }
  const { field: name, details } = parsed(replay)
  return {
    field: REASONING_FIELDS.find((known) => known === name),
    ...(Array.isArray(details) ? { details: details as unknown[] } : {}),
  }
}

/** Replay of a log that was brought here may be anything. */
function parsed(replay: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(replay)
    return isRecord(value) ? value : {}
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}
