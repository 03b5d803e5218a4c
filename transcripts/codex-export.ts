/**
 * A session as Codex keeps its own: a rollout that it opens and resumes, where it lies as rollout-<time>-<id>.jsonl under its sessions. Linear:
 * a fork is a file of its own. What the format cannot say stands beside the payload in `savefile`. Left out: as in claude-code-export.ts, and
 * the logs of sub-agents.
 */
import type { Block, ContentBlock } from '../contract/blocks'
import { OUTCOME_SAID, type Payload } from '../contract/events'
import { exact, isPlain, NO_TEXT, notShown, saidOf, textOf, uuidOf, UUID, wireId, type Wire } from './export-blocks'
import type { Exporter, ExportSource } from './exporting'
import { isObject, parsed, type Json } from './json'
import { keptFrom, shownIn, type Begun, type Shown } from './view-order'

/** That of a client whose files look so; the session's own where it came from one. */
const CLIENT_VERSION = '0.125.0'

interface Line {
  type: string
  payload: Json
  savefile?: Json | undefined
}

export const exportCodex: Exporter = async function* (source) {
  const { info } = source
  const definition = await source.definition(info.definition)
  const cwd = info.labels.cwd ?? '/'
  const timestamp = timeOf(info.createdAt)
  const meta = {
    id: UUID.test(info.session) ? info.session : uuidOf(info.session),
    timestamp,
    cwd,
    originator: 'savefile',
    cli_version: /^codex (.+)$/.exec(info.labels.client ?? '')?.[1] ?? CLIENT_VERSION,
    source: 'cli',
    model_provider: 'openai',
    base_instructions: { text: definition?.system ?? '' },
  }
  let n = 0
  const write = (line: Line, at: string): string => {
    n++
    return `${JSON.stringify({ timestamp: at, ...line })}\n`
  }
  yield write({ type: 'session_meta', payload: meta }, timestamp)
  let model = ''
  const begun: Begun[] = []
  for await (const shown of shownIn(source.events())) {
    const { event } = shown
    const at = timeOf(event.at)
    if (event.type === 'model_answered' && event.payload.model !== model) {
      ;({ model } = event.payload)
      yield write({ type: 'turn_context', payload: turnContext(cwd, model) }, at)
    }
    const made =
      event.type === 'checkpoint_made' ? [await compacted(event.payload, source, begun)] : await linesOf(shown, source)
    begun.push({ seq: event.seq, type: event.type, at: n + 1 })
    for (const line of made) yield write(line, at)
  }
}

function timeOf(at: number): string {
  return new Date(at / 1000).toISOString()
}

function turnContext(cwd: string, model: string): Json {
  return { cwd, approval_policy: 'on-request', sandbox_policy: { type: 'read-only' }, model, summary: 'auto' }
}

async function linesOf({ event }: Shown, source: ExportSource): Promise<Line[]> {
  switch (event.type) {
    case 'message_received': {
      const { content, savefile } = await contentOf(event.payload.blocks, source)
      const words = content
        .flatMap((part) => (isObject(part) && part.type === 'input_text' ? [part.text] : []))
        .join('\n\n')
      return [
        { type: 'response_item', payload: { type: 'message', role: 'user', content }, savefile },
        {
          type: 'event_msg',
          payload: { type: 'user_message', message: words, images: [], local_images: [], text_elements: [] },
        },
      ]
    }
    case 'model_answered':
      return answer(event.payload, source)
    case 'tool_finished': {
      const { call, outcome, blocks } = event.payload
      const { content, savefile: inexact } = await contentOf([...saidOf(outcome), ...blocks], source)
      const savefile = OUTCOME_SAID[outcome] === null ? inexact : await exact(blocks, source)
      const [only, ...more] = content
      const lone =
        more.length === 0 && isObject(only) && only.type === 'input_text'
          ? only.text
          : content.length === 0
            ? ''
            : content
      const own = { ...savefile, ...(outcome === 'ok' ? {} : { outcome }) }
      const payload = { type: 'function_call_output', call_id: wireId(call), output: lone }
      return [{ type: 'response_item', payload, ...(Object.keys(own).length > 0 ? { savefile: own } : {}) }]
    }
    case 'model_failed': {
      const { class: kind, message, status } = event.payload
      const savefile = { class: kind, message, ...(status === undefined ? {} : { status }) }
      return [{ type: 'event_msg', payload: { type: 'error', message }, savefile }]
    }
    case 'interrupted': {
      const partial = event.payload.partial.flatMap(({ blocks }) => blocks)
      const stop = { type: 'event_msg', payload: { type: 'turn_aborted', reason: 'interrupted' } }
      if (partial.length === 0) return [stop]
      const words = partial.flatMap((block) => (block.type === 'text' && block.text.trim() ? [block.text] : []))
      return [
        // For the client; the import reads it from the stop.
        { type: 'response_item', payload: message(words.join('\n\n') || NO_TEXT), savefile: { partial: true } },
        { ...stop, savefile: { partial: true, ...(await exact(partial, source)) } },
      ]
    }
    // Needs what stands before it.
    case 'checkpoint_made':
      return []
  }
}

/** With what the client sends from here on; without that, it would send its own choice of what was said. */
async function compacted(
  { blocks, hi }: Payload<'checkpoint_made'>,
  source: ExportSource,
  begun: readonly Begun[],
): Promise<Line> {
  const texts = await Promise.all(blocks.map((block) => (block.type === 'text' ? textOf(block, source) : '')))
  const words = texts.filter(Boolean).join('\n\n') || NO_TEXT
  const kept = begun.slice(keptFrom(begun, hi))
  const [first] = kept
  const plain = !first && blocks.length === 1 && blocks[0]?.type === 'text' && isPlain(blocks[0])
  const savefile = plain ? undefined : { ...(await exact(blocks, source)), ...(first ? { keeps: first.at } : {}) }
  const summary = { type: 'message', role: 'user', content: [{ type: 'input_text', text: words }] }
  const replacement_history = [summary, ...(await itemsOf(kept, source))]
  return { type: 'compacted', payload: { message: words, replacement_history }, savefile }
}

/** Read once more, where there is something to read: what was written is not kept in memory. */
async function itemsOf(begun: readonly Begun[], source: ExportSource): Promise<Json[]> {
  const seqs = new Set(begun.map(({ seq }) => seq))
  const items: Json[] = []
  if (seqs.size === 0) return items
  for await (const shown of shownIn(source.events())) {
    if (!seqs.delete(shown.event.seq)) continue
    const lines = await linesOf(shown, source)
    items.push(...lines.flatMap(({ type, payload }) => (type === 'response_item' ? [payload] : [])))
    if (seqs.size === 0) break
  }
  return items
}

async function answer(payload: Payload<'model_answered'>, source: ExportSource): Promise<Line[]> {
  const { blocks, replay, provider, usage } = payload
  const ours = replay?.provider === 'openai-responses'
  const items: { item: Json; words?: string }[] = []
  let plain = provider === 'openai-responses' && (!replay || (ours && replay.platform === 'api.openai.com'))
  for (const [i, block] of blocks.entries()) {
    const own = ours ? (replay.blocks[i] ?? null) : null
    const made = await itemOf(block, own, source)
    if (made.item) items.push({ item: made.item, ...(made.words === undefined ? {} : { words: made.words }) })
    plain &&= made.exact
  }
  if (items.length === 0) items.push({ item: message(NO_TEXT) })
  const savefile = plain
    ? null
    : {
        provider,
        ...(replay ? { platform: replay.platform, replayFormat: replay.format, kept: replay.blocks } : {}),
        ...(await exact(blocks, source)),
      }
  const counts = {
    input_tokens: usage.input,
    cached_input_tokens: usage.cacheRead,
    output_tokens: usage.output,
    reasoning_output_tokens: usage.reasoning,
    total_tokens: usage.input + usage.output,
  }
  return [
    ...items.flatMap(({ item, words }, i): Line[] => [
      // The first item says it of all of the answer.
      { type: 'response_item', payload: item, ...(savefile ? { savefile: i === 0 ? savefile : { part: true } } : {}) },
      ...(words === undefined ? [] : [{ type: 'event_msg', payload: { type: 'agent_message', message: words } }]),
    ]),
    {
      type: 'event_msg',
      payload: {
        type: 'token_count',
        info: { total_token_usage: counts, last_token_usage: counts, model_context_window: null },
      },
    },
  ]
}

function message(text: string, phase?: unknown): Json {
  return {
    type: 'message',
    role: 'assistant',
    content: [{ type: 'output_text', text }],
    ...(phase === undefined ? {} : { phase }),
  }
}

async function itemOf(
  block: Block,
  own: string | null,
  source: ExportSource,
): Promise<{ item: Json | null; words?: string; exact: boolean }> {
  const verbatim = own === null ? undefined : parsed(own)
  switch (block.type) {
    case 'text': {
      const words = await textOf(block, source)
      const { phase, ...more } = isObject(verbatim) ? verbatim : {}
      return { item: message(words, phase), words, exact: isPlain(block) && Object.keys(more).length === 0 }
    }
    case 'tool_call': {
      const { call, name, args, problem } = block
      return {
        item: { type: 'function_call', name, arguments: args, call_id: wireId(call) },
        exact: problem === undefined,
      }
    }
    case 'reasoning':
    case 'structured':
      if (isObject(verbatim)) return { item: verbatim, exact: true }
      // Reasoning without its encrypted content would be refused.
      return block.type === 'reasoning'
        ? { item: null, exact: false }
        : { item: message(block.json), words: block.json, exact: false }
    case 'refusal':
      return { item: message(block.text), words: block.text, exact: false }
    default:
      return { item: message(notShown(block.type, block.blob, undefined)), exact: false }
  }
}

async function contentOf(
  blocks: readonly ContentBlock[],
  source: ExportSource,
): Promise<{ content: unknown[]; savefile?: Json }> {
  const wires: Wire[] = []
  for (const block of blocks) wires.push(await partOf(block, source))
  const content = wires.flatMap(({ parts }) => parts)
  return wires.every((wire) => wire.exact) ? { content } : { content, savefile: await exact(blocks, source) }
}

async function partOf(block: ContentBlock, source: ExportSource): Promise<Wire> {
  if (block.type === 'text')
    return { parts: [{ type: 'input_text', text: await textOf(block, source) }], exact: isPlain(block) }
  if (block.type === 'structured') return { parts: [{ type: 'input_text', text: block.json }], exact: false }
  const { mediaType, hash } = block.blob
  const bytes = block.type === 'image' ? await source.blob(hash) : null
  if (!bytes) {
    const name = block.type === 'file' ? block.name : undefined
    return { parts: [{ type: 'input_text', text: notShown(block.type, block.blob, name) }], exact: false }
  }
  const url = `data:${mediaType};base64,${Buffer.from(bytes).toString('base64')}`
  return { parts: [{ type: 'input_image', image_url: url }], exact: mediaType.startsWith('image/') }
}
