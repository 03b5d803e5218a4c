/** What claude-code-export.ts puts into a line: answers, and the content of messages and results, as the vendor's API has them. */
import type { Block, ContentBlock } from '../contract/blocks'
import type { Payload } from '../contract/events'
import { exact, isPlain, NO_TEXT, notShown, textOf, wireId, type Wire } from './export-blocks'
import type { ExportSource } from './exporting'
import { isObject, parsed, type Json } from './json'

const STOPS: Readonly<Record<string, string>> = {
  end: 'end_turn',
  tool_calls: 'tool_use',
  max_tokens: 'max_tokens',
  stop_sequence: 'stop_sequence',
  refusal: 'refusal',
  pause: 'pause_turn',
  context_exceeded: 'model_context_window_exceeded',
}

/** An answer as a line of the file; `id` where the vendor gave none. */
export async function answer(payload: Payload<'model_answered'>, source: ExportSource, id: string): Promise<Json> {
  const { blocks, replay, model, provider, usage, stop, responseId } = payload
  const ours = replay?.provider === 'anthropic'
  const content: unknown[] = []
  let plain = provider === 'anthropic' || provider === 'claude-code'
  for (const [i, block] of blocks.entries()) {
    const own = ours ? (replay.blocks[i] ?? null) : null
    if (own !== null) content.push(JSON.parse(own))
    else {
      const wire = await inAnswer(block, source)
      content.push(...wire.parts)
      plain &&= wire.exact
    }
  }
  plain &&= !replay || ours
  const platform = replay?.platform
  if (content.length === 0) content.push({ type: 'text', text: NO_TEXT })
  const savefile = plain
    ? null
    : {
        provider,
        ...(replay ? { platform, replayFormat: replay.format, kept: replay.blocks } : {}),
        ...(await exact(blocks, source)),
      }
  return {
    type: 'assistant',
    message: {
      model,
      id: responseId !== undefined && /^[\w-]+$/.test(responseId) ? responseId : `msg_${id.replaceAll('-', '')}`,
      type: 'message',
      role: 'assistant',
      content,
      stop_reason: STOPS[stop] ?? null,
      stop_sequence: null,
      usage: {
        input_tokens: Math.max(0, usage.input - usage.cacheRead - usage.cacheWrite),
        cache_creation_input_tokens: usage.cacheWrite,
        cache_read_input_tokens: usage.cacheRead,
        output_tokens: usage.output,
      },
    },
    ...(savefile ? { savefile } : {}),
  }
}

/** Words of the client itself, in an answer's place. */
export function synthetic(text: string, id: string): Json {
  const usage = { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
  return {
    type: 'assistant',
    message: {
      id,
      model: '<synthetic>',
      type: 'message',
      role: 'assistant',
      content: [{ type: 'text', text }],
      stop_reason: 'stop_sequence',
      stop_sequence: '',
      usage,
    },
  }
}

async function inAnswer(block: Block, source: ExportSource): Promise<Wire> {
  switch (block.type) {
    case 'text':
      return { parts: [{ type: 'text', text: await textOf(block, source) }], exact: isPlain(block) }
    case 'tool_call': {
      const input = parsed(block.args)
      const exact = isObject(input) && JSON.stringify(input) === block.args && block.problem === undefined
      return {
        parts: [
          {
            type: 'tool_use',
            id: wireId(block.call),
            name: block.name,
            input: isObject(input) ? input : { _invalid: block.args },
          },
        ],
        exact,
      }
    }
    case 'reasoning':
      return { parts: [], exact: false } // unsigned: the vendor would refuse it
    case 'refusal':
      return { parts: [{ type: 'text', text: block.text }], exact: false }
    case 'structured':
      return { parts: [{ type: 'text', text: block.json }], exact: false }
    default:
      return { parts: [{ type: 'text', text: `[${block.type} not shown]` }], exact: false }
  }
}

/** Of a message or a result. */
export async function wireContent(
  blocks: readonly ContentBlock[],
  source: ExportSource,
): Promise<{ content: unknown; own: { savefile?: Json } }> {
  const wires: Wire[] = []
  for (const block of blocks) wires.push(await inContent(block, source))
  const parts = wires.flatMap((wire) => wire.parts)
  const own = wires.every((wire) => wire.exact) ? {} : { savefile: await exact(blocks, source) }
  const [only, ...more] = parts
  const lone = more.length === 0 && isObject(only) && only.type === 'text' && typeof only.text === 'string'
  return { content: lone ? only.text : parts, own }
}

async function inContent(block: ContentBlock, source: ExportSource): Promise<Wire> {
  if (block.type === 'text')
    return { parts: [{ type: 'text', text: await textOf(block, source) }], exact: isPlain(block) }
  if (block.type === 'structured') return { parts: [{ type: 'text', text: block.json }], exact: false }
  const { mediaType, hash } = block.blob
  const name = block.type === 'file' ? block.name : undefined
  const shown = block.type === 'image' || mediaType === 'application/pdf'
  const content = shown ? await source.blob(hash) : null
  if (!content) return { parts: [{ type: 'text', text: notShown(block.type, block.blob, name) }], exact: false }
  const data = Buffer.from(content).toString('base64')
  const wire = {
    type: block.type === 'image' ? 'image' : 'document',
    source: { type: 'base64', media_type: mediaType, data },
    ...(name === undefined ? {} : { title: name }),
  }
  return { parts: [wire], exact: block.type === 'image' ? mediaType.startsWith('image/') : !block.kept }
}
