/**
 * From the events of a Messages stream to the blocks of an answer. The SDK's own accumulation is not used: at a limit in the middle of
 * arguments it gives `{}` without an error (PITFALLS.md). Takes whatever comes: an event that makes no sense is passed over.
 */
import type { Block } from '../../contract/blocks'
import { textBlock } from '../../contract/blocks'
import type { Replay, StopReason, Usage } from '../../contract/events'
import type { Billed } from '../../contract/provider-port'
import { normaliseText } from '../../contract/text'
import { callBlock, field, reasoningBlock, responseId, text, tokens } from '../answer-blocks'
import type { Home } from '../content'
import type { StreamReader, Whole } from '../exchange'
import { isRecord } from '../failures'
import { sourceAt } from '../json-text'

const STOPS: Readonly<Record<string, StopReason>> = {
  end_turn: 'end',
  tool_use: 'tool_calls',
  max_tokens: 'max_tokens',
  stop_sequence: 'stop_sequence',
  pause_turn: 'pause',
  refusal: 'refusal',
  model_context_window_exceeded: 'context_exceeded',
}

/** A block of the wire as it grows. `json`: the arguments written so far. `cited`: its citations, once there are some. */
interface Growing {
  wire: Record<string, unknown>
  json: string
  cited?: unknown[]
}

export function createMessagesReader(
  home: Home,
  onDelta: (kind: 'text' | 'reasoning', body: string) => void,
): StreamReader {
  const growing = new Map<number, Growing>()
  const counts: Record<string, unknown> = {}
  let start: unknown
  let stop: unknown
  let refusal = ''
  let ended = false
  let error: unknown = null

  const delta = (to: Growing, d: unknown): void => {
    const { wire } = to
    switch (field(d, 'type')) {
      case 'text_delta':
        wire.text = text(wire.text) + text(field(d, 'text'))
        return say('text', text(field(d, 'text')))
      case 'thinking_delta':
        wire.thinking = text(wire.thinking) + text(field(d, 'thinking'))
        return say('reasoning', text(field(d, 'thinking')))
      case 'signature_delta':
        wire.signature = text(wire.signature) + text(field(d, 'signature'))
        return
      case 'input_json_delta':
        to.json += text(field(d, 'partial_json'))
        return
      case 'citations_delta':
        if (!to.cited)
          wire.citations = to.cited = Array.isArray(wire.citations) ? [...(wire.citations as unknown[])] : []
        to.cited.push(field(d, 'citation'))
    }
  }
  const say = (kind: 'text' | 'reasoning', body: string): void => {
    if (body !== '') onDelta(kind, normaliseText(body).text)
  }
  /** The last count that was said of each kind holds: they are totals, and `message_delta` may leave some out. */
  const count = (usage: unknown): void => {
    if (isRecord(usage))
      for (const [name, value] of Object.entries(usage)) if (value !== null && value !== undefined) counts[name] = value
  }

  return {
    push(event) {
      const index = field(event, 'index')
      switch (field(event, 'type')) {
        case 'message_start':
          start = field(event, 'message')
          return count(field(start, 'usage'))
        case 'content_block_start': {
          const block = field(event, 'content_block')
          if (typeof index === 'number' && isRecord(block)) growing.set(index, { wire: { ...block }, json: '' })
          return
        }
        case 'content_block_delta': {
          const to = typeof index === 'number' ? growing.get(index) : undefined
          if (to) delta(to, field(event, 'delta'))
          return
        }
        case 'message_delta':
          stop = field(field(event, 'delta'), 'stop_reason') ?? stop
          refusal = text(field(field(field(event, 'delta'), 'stop_details'), 'explanation')) || refusal
          return count(field(event, 'usage'))
        case 'message_stop':
          ended = true
          return
        case 'error':
          error = event
      }
    },
    whole: () => ended,
    failed: () => error,
    answer(): Whole {
      const reason = STOPS[text(stop)] ?? 'other'
      const last = growing.size - 1
      const pairs = [...growing.values()].flatMap(({ wire, json }, i) =>
        blockOf(wire, json, i === last && isLimit(reason)),
      )
      if (reason === 'refusal')
        pairs.push([{ ...textBlock(refusal || 'The model refused to answer.'), type: 'refusal' } as Block, null])
      const blocks = pairs.map(([block]) => block)
      const kept = pairs.map(([, replay]) => replay)
      const replay: Replay | undefined = kept.some((r) => r !== null) ? { ...home, blocks: kept } : undefined
      return {
        blocks,
        stop: reason,
        usage: usageOf(counts),
        ...billedOf(counts),
        model: text(field(start, 'model')) || home.model,
        ...responseId(field(start, 'id')),
        ...(replay ? { replay } : {}),
      }
    },
  }
}

function isLimit(stop: StopReason): boolean {
  return stop === 'max_tokens' || stop === 'context_exceeded'
}

/** The block, and the JSON text of what must go back verbatim. */
function blockOf(wire: Record<string, unknown>, json: string, cutOff: boolean): [Block, string | null][] {
  switch (wire.type) {
    case 'text': {
      const said = text(wire.text)
      const cited = Array.isArray(wire.citations) && wire.citations.length > 0
      return said === '' ? [] : [[textBlock(said), cited ? JSON.stringify(wire) : null]]
    }
    case 'thinking': {
      const { type, thinking, signature } = wire
      const signed = text(signature) !== ''
      return [[reasoningBlock(text(thinking)), signed ? JSON.stringify({ type, thinking, signature }) : null]]
    }
    case 'redacted_thinking':
      return [[reasoningBlock(''), JSON.stringify({ type: wire.type, data: wire.data })]]
    case 'tool_use': {
      const whole = isRecord(wire.input) && Object.keys(wire.input).length > 0 ? JSON.stringify(wire.input) : ''
      return [[callBlock(text(wire.name), json || whole, cutOff), null]]
    }
    default: {
      // A tool that the vendor ran itself, or a block that is newer than this code: kept as it is.
      const verbatim = JSON.stringify(json === '' ? wire : { ...wire, input: parsed(json) })
      return [[{ type: 'structured', json: verbatim }, verbatim]]
    }
  }
}

/** The text of an answer in one piece, as the events that it would have been streamed in. Arguments keep their spelling. */
export function* eventsOfMessage(json: string): Generator<unknown> {
  const message: unknown = JSON.parse(json)
  if (!isRecord(message)) return
  if (message.type !== 'message') return yield message
  const { content } = message
  yield { type: 'message_start', message }
  for (const [index, block] of (Array.isArray(content) ? content : []).entries()) {
    const input = field(block, 'type') === 'tool_use' ? sourceAt(json, ['content', index, 'input']) : undefined
    yield {
      type: 'content_block_start',
      index,
      content_block: input === undefined ? block : { ...(block as object), input: {} },
    }
    if (input !== undefined)
      yield { type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json: input } }
  }
  yield { type: 'message_delta', delta: message, usage: message.usage }
  yield { type: 'message_stop' }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

function billedOf(counts: Record<string, unknown>): { billed?: Billed } {
  const tier = text(counts.service_tier)
  const cacheWrite1h = tokens(field(counts.cache_creation, 'ephemeral_1h_input_tokens'))
  const billed = {
    ...(tier === '' || tier === 'standard' ? {} : { tier }),
    ...(cacheWrite1h === 0 ? {} : { cacheWrite1h }),
  }
  return Object.keys(billed).length > 0 ? { billed } : {}
}

/** `input_tokens` leaves out what was read from and written to the cache. */
function usageOf(counts: Record<string, unknown>): Usage {
  const cacheRead = tokens(counts.cache_read_input_tokens)
  const cacheWrite = tokens(counts.cache_creation_input_tokens)
  const reasoning = tokens(field(counts.output_tokens_details, 'thinking_tokens'))
  return {
    input: tokens(counts.input_tokens) + cacheRead + cacheWrite,
    output: tokens(counts.output_tokens),
    cacheRead,
    cacheWrite,
    reasoning,
  }
}
