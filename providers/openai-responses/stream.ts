/**
 * From the events of a Responses stream to the blocks of an answer. What an item is at its end counts (`output_item.done`: only there is the
 * encrypted reasoning final); what was streamed of it counts where that never came. Takes whatever comes.
 */
import { textBlock, type Block } from '../../contract/blocks'
import type { StopReason, Usage } from '../../contract/events'
import { normaliseText } from '../../contract/text'
import { NO_USAGE, billedTier, callBlock, field, reasoningBlock, responseId, text, tokens } from '../answer-blocks'
import type { Home } from '../content'
import type { StreamReader, Whole } from '../exchange'
import { isRecord } from '../failures'
import { errorIn } from '../openai-errors'

type Pair = [Block, string | null]

/** An item as it grows; `streamed`: what of it came in deltas. */
interface Growing {
  item: Record<string, unknown>
  streamed: string
  done: boolean
}

const HELD_BACK = 'The provider held the answer back.'

export function createResponsesReader(
  home: Home,
  onDelta: (kind: 'text' | 'reasoning', body: string) => void,
): StreamReader {
  const growing = new Map<number, Growing>()
  let response: unknown
  let ended = false
  let error: unknown = null
  let summaries = 0

  const say = (kind: 'text' | 'reasoning', body: string): void => {
    if (body !== '') onDelta(kind, normaliseText(body).text)
  }
  const item = (at: unknown, value: unknown, done: boolean): void => {
    if (typeof at !== 'number' || !isRecord(value)) return
    const had = growing.get(at)
    if (!had?.done) growing.set(at, { item: value, streamed: had?.streamed ?? '', done })
  }
  const delta = (event: unknown): string => {
    const at = field(event, 'output_index')
    const to = typeof at === 'number' ? growing.get(at) : undefined
    const body = text(field(event, 'delta'))
    if (to) to.streamed += body
    return body
  }
  const finish = (value: unknown): void => {
    response = value
    ended = true
    const output = field(value, 'output')
    if (Array.isArray(output)) for (const [at, whole] of output.entries()) item(at, whole, true)
  }

  return {
    push(event) {
      error ??= errorIn(event)
      switch (field(event, 'type')) {
        case 'response.created':
        case 'response.in_progress':
          response ??= field(event, 'response')
          return
        case 'response.output_item.added':
          return item(field(event, 'output_index'), field(event, 'item'), false)
        case 'response.output_item.done':
          return item(field(event, 'output_index'), field(event, 'item'), true)
        case 'response.output_text.delta':
          return say('text', delta(event))
        case 'response.refusal.delta':
        case 'response.function_call_arguments.delta':
          delta(event)
          return
        case 'response.reasoning_summary_part.added':
          if (summaries++ > 0) say('reasoning', '\n\n')
          return
        case 'response.reasoning_summary_text.delta':
        case 'response.reasoning_text.delta':
          return say('reasoning', delta(event))
        case 'response.completed':
        case 'response.incomplete':
          return finish(field(event, 'response'))
        case 'response.failed':
          error = { error: field(field(event, 'response'), 'error') ?? {} }
          return
        case 'error':
          // As the SDK's types have it; as it was recorded, the error is an object of its own.
          error ??= { error: event }
      }
    },
    whole: () => ended,
    failed: () => error,
    answer(): Whole {
      const incomplete = text(field(field(response, 'incomplete_details'), 'reason'))
      const items = [...growing.entries()].sort(([a], [b]) => a - b).map(([, at]) => at)
      const cutOff = field(response, 'status') === 'incomplete'
      const pairs = items.flatMap((at, i) => pairsOf(at, cutOff && i === items.length - 1))
      const refused = pairs.some(([block]) => block.type === 'refusal')
      const stop = stopOf(cutOff ? incomplete || 'unknown' : '', refused, pairs)
      if (stop === 'refusal' && !refused) pairs.push([{ type: 'refusal', text: HELD_BACK }, null])
      const kept = pairs.map(([, replay]) => replay)
      return {
        blocks: pairs.map(([block]) => block),
        stop,
        usage: usageOf(field(response, 'usage')),
        ...billedTier(text(field(response, 'service_tier'))),
        model: normaliseText(text(field(response, 'model'))).text || home.model,
        ...responseId(field(response, 'id')),
        ...(kept.some((replay) => replay !== null) ? { replay: { ...home, blocks: kept } } : {}),
      }
    },
  }
}

function stopOf(incomplete: string, refused: boolean, pairs: readonly Pair[]): StopReason {
  if (incomplete === 'max_output_tokens') return 'max_tokens'
  if (incomplete === 'content_filter' || refused) return 'refusal'
  if (incomplete !== '') return 'other'
  return pairs.some(([block]) => block.type === 'tool_call') ? 'tool_calls' : 'end'
}

/** The blocks of an item, each with the JSON text of what must go back with it. */
function pairsOf({ item, streamed, done }: Growing, cutOff: boolean): Pair[] {
  switch (item.type) {
    case 'message':
      return messageOf(item, streamed)
    case 'reasoning': {
      const { id: _id, status: _status, content, ...kept } = item
      const encrypted = done && text(item.encrypted_content) !== ''
      const said = [texts(item.summary), texts(content), streamed].find((words) => words !== '') ?? ''
      return [[reasoningBlock(said), encrypted ? JSON.stringify({ ...kept, summary: item.summary ?? [] }) : null]]
    }
    case 'function_call':
      return [[callBlock(text(item.name), text(item.arguments) || streamed, cutOff), null]]
    case undefined:
      return []
    default: {
      // A tool that the vendor ran itself, or an item that is newer than this code: kept as it is.
      const verbatim = JSON.stringify(item)
      return [[{ type: 'structured', json: verbatim }, verbatim]]
    }
  }
}

function messageOf(item: Record<string, unknown>, streamed: string): Pair[] {
  const content: readonly unknown[] = Array.isArray(item.content) ? item.content : []
  const parts = content.length > 0 || streamed === '' ? content : [{ type: 'output_text', text: streamed }]
  const phase = text(item.phase)
  return parts.flatMap((part): Pair[] => {
    const refusal = text(field(part, 'refusal'))
    if (refusal !== '') return [[{ type: 'refusal', text: normaliseText(refusal).text }, null]]
    const said = text(field(part, 'text'))
    if (said === '') return []
    const annotations = field(part, 'annotations')
    const cited = Array.isArray(annotations) && annotations.length > 0
    const kept = { ...(phase === '' ? {} : { phase }), ...(cited ? { annotations } : {}) }
    return [[textBlock(said), Object.keys(kept).length > 0 ? JSON.stringify(kept) : null]]
  })
}

/** The texts of a summary, or of reasoning in clear. */
function texts(parts: unknown): string {
  return Array.isArray(parts) ? parts.map((part: unknown) => text(field(part, 'text'))).join('\n\n') : ''
}

/** `input_tokens` counts what was read from a cache too. */
function usageOf(counts: unknown): Usage {
  if (!isRecord(counts)) return NO_USAGE
  return {
    input: tokens(counts.input_tokens),
    output: tokens(counts.output_tokens),
    cacheRead: tokens(field(counts.input_tokens_details, 'cached_tokens')),
    cacheWrite: tokens(field(counts.input_tokens_details, 'cache_write_tokens')),
    reasoning: tokens(field(counts.output_tokens_details, 'reasoning_tokens')),
  }
}

/** The text of an answer in one piece, as the events that it would have been streamed in. */
export function* eventsOfResponse(json: string): Generator<unknown> {
  const response: unknown = JSON.parse(json)
  if (isRecord(field(response, 'error'))) yield { type: 'response.failed', response }
  else if (Array.isArray(field(response, 'output')))
    yield { type: field(response, 'status') === 'incomplete' ? 'response.incomplete' : 'response.completed', response }
}
