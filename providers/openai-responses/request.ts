/**
 * From a view to the parameters of Responses, without any state at the vendor's: nothing is stored, reasoning travels encrypted, and no item
 * is named by an id that the vendor would look up. Each entry becomes items by itself, whatever follows it.
 */
import type {
  ResponseCreateParams,
  ResponseFunctionCallOutputItem,
  ResponseInputContent,
  ResponseInputItem,
  Tool,
} from 'openai/resources/responses/responses'
import type { ModelRequest, ViewEntry } from '../../contract/provider-port'
import {
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
import { createRawJson, type RawJson } from '../raw-json'
import { serverTools } from '../tool-choice'
import { wireArgs, wireCallId, wireToolName } from '../wire-names'
import { settings } from './settings'

/**
 * Raised when what Replay.blocks holds changes: of reasoning and of the vendor's own tools the item; of a text what goes with it (`phase`,
 * `annotations`).
 */
export const REPLAY_FORMAT = 1

type Entry<R extends ViewEntry['role']> = Extract<ViewEntry, { role: R }>

/** What the making of one entry's items needs everywhere. */
interface Made {
  home: Home
  raw: RawJson
  request: ModelRequest
  drop: Drop
  replays: boolean
}

/** @param platform where the request goes: replay from elsewhere is left out. */
export async function encodeResponse(
  request: ModelRequest,
  platform: string,
  raw: RawJson,
): Promise<Encoded<ResponseCreateParams>> {
  const { model, view } = request
  const { dropped, drop } = collectDropped()
  const home: Home = { provider: 'openai-responses', platform, model: model.name, format: REPLAY_FORMAT }
  const key = homeKey(home)
  const input: string[] = []
  let replays = false
  for (const entry of view.entries) {
    const ofKey = cutKey(key, entry, view.replayCut)
    const found = madeOnce(entry, ofKey, drop, async (note) => {
      const own: Made = { home, raw: createRawJson(), request, drop: note, replays: false }
      const items = (await itemsOf(entry, own)).map((item) => own.raw.text(item))
      return { value: { items, replays: own.replays }, chars: charsOf(items) }
    })
    const made = isPromise(found) ? await found : found
    input.push(...made.items)
    replays ||= made.replays
  }
  const last = view.entries.at(-1)?.role
  if (last === undefined || last === 'assistant') input.push(JSON.stringify(message([{ kind: 'text', text: GO_ON }])))
  const own = view.tools.map((tool): Tool => ({
    type: 'function',
    name: tool.name,
    ...(tool.description === '' ? {} : { description: tool.description }),
    parameters: raw.of(tool.inputSchema) as Record<string, unknown>,
    strict: false,
  }))
  const tools = [...serverTools(model).map(({ json }) => raw.of(json) as Tool), ...own]
  return {
    params: {
      model: model.name,
      stream: model.stream !== false,
      ...settings(model, view, platform, view.entries[0]?.seq ?? 1, drop, raw),
      ...(view.system.trim() === '' ? {} : { instructions: view.system }),
      input: raw.elements(() => input),
      ...(tools.length > 0 ? { tools } : {}),
    } as ResponseCreateParams,
    dropped,
    replays,
  }
}

async function itemsOf(entry: ViewEntry, made: Made): Promise<ResponseInputItem[]> {
  if (entry.role === 'assistant') return assistant(entry, made)
  if (entry.role === 'results') return results(entry, made)
  return [message(await partsOf(entry.blocks, made.request.blob, entry.seq, made.drop))]
}

function message(parts: readonly Part[]): ResponseInputItem {
  const [first = { kind: 'text' as const, text: NO_TEXT }, ...more] = parts
  const content = first.kind === 'text' && more.length === 0 ? first.text : [first, ...more].map(contentOf)
  return { type: 'message', role: 'user', content }
}

function contentOf(part: Part): ResponseInputContent & ResponseFunctionCallOutputItem {
  switch (part.kind) {
    case 'text':
      return { type: 'input_text', text: part.text }
    case 'image':
      return { type: 'input_image', detail: 'auto', image_url: `data:${part.mediaType};base64,${part.base64}` }
    case 'pdf':
      return { type: 'input_file', filename: part.name, file_data: `data:application/pdf;base64,${part.base64}` }
  }
}

async function results({ results: all }: Entry<'results'>, { request, drop }: Made): Promise<ResponseInputItem[]> {
  const items: ResponseInputItem[] = []
  for (const { call, seq, outcome, blocks } of all) {
    const parts = await partsOf(blocks, request.blob, seq, drop)
    const said = `${outcome === 'error' ? '[error] ' : ''}${textOfParts(parts, '\n')}`
    const text = said.trim() === '' ? NO_OUTPUT : withinLimit(said, seq, drop)
    const attached = parts.filter((part) => part.kind !== 'text')
    const output =
      attached.length === 0 ? text : [contentOf({ kind: 'text', text }), ...attached.map((part) => contentOf(part))]
    items.push({ type: 'function_call_output', call_id: wireCallId(call), output })
  }
  return items
}

async function assistant(entry: Entry<'assistant'>, made: Made): Promise<ResponseInputItem[]> {
  const { home, raw, request, drop } = made
  const { replay, seq, blocks } = entry
  const why = foreign(entry, home, request.view.replayCut)
  const items: ResponseInputItem[] = []
  /** Reasoning that nothing has followed yet: it is refused without its following item. */
  let thought: ResponseInputItem[] = []
  const add = (item: ResponseInputItem): void => {
    if (thought.length > 0) made.replays = true
    items.push(...thought, item)
    thought = []
  }
  for (const [i, block] of blocks.entries()) {
    const own = replay?.blocks[i] ?? null
    if (block.type === 'tool_call') {
      const { call, name, args } = block
      add({ type: 'function_call', call_id: wireCallId(call), name: wireToolName(name), arguments: wireArgs(args) })
    } else if (block.type === 'reasoning') {
      if (why === null && own !== null) thought.push(raw.of(own) as ResponseInputItem)
      else drop(seq, 'reasoning', why ?? 'it came without its encrypted content')
    } else if (block.type === 'structured' && own !== null) {
      if (why === null) {
        add(raw.of(own) as ResponseInputItem)
        made.replays = true
      } else drop(seq, 'server tool', why)
    } else {
      const texts = await partsOf([block], request.blob, seq, drop)
      for (const part of texts) add(said(part, why === null ? own : null, seq, drop))
    }
  }
  for (const _ of thought) drop(seq, 'reasoning', 'nothing of its answer follows it')
  return items.length > 0 ? items : [{ type: 'message', role: 'assistant', content: NO_TEXT }]
}

/** A text of an answer. Assistants send text only. */
function said(part: Part, own: string | null, seq: number, drop: Drop): ResponseInputItem {
  if (part.kind !== 'text')
    drop(seq, part.kind === 'pdf' ? 'file' : 'image', 'an attachment of an answer cannot be sent back')
  const text = part.kind === 'text' ? part.text : `[${part.kind} not shown]`
  if (own === null) return { type: 'message', role: 'assistant', content: text }
  const { phase, annotations } = JSON.parse(own) as { phase?: string; annotations?: unknown[] }
  const content = [{ type: 'output_text', text, annotations: annotations ?? [] }]
  // The SDK's type wants the id, which the vendor would look up.
  return { type: 'message', role: 'assistant', content, ...(phase ? { phase } : {}) } as unknown as ResponseInputItem
}
