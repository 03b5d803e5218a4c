/**
 * An answer as Anthropic's Messages API says it: one JSON message, or the events of a stream. Shapes from the vendor's SDK types and
 * recorded exchanges (version 2026-10-21).
 */
import type {
  ContentBlock,
  Message,
  RawContentBlockDelta,
  RawMessageStreamEvent,
  StopReason,
} from '@anthropic-ai/sdk/resources/messages'
import type { Answer, AnswerUsage } from './answer'
import type { Frame } from './frame'
import { isRecord, type Json } from './json'
import { NOWHERE, seal } from './replay'

const STOP: Record<Answer['stop'], StopReason> = {
  end: 'end_turn',
  tool_calls: 'tool_use',
  max_tokens: 'max_tokens',
  stop_sequence: 'stop_sequence',
  refusal: 'refusal',
  pause: 'pause_turn',
  context_exceeded: 'model_context_window_exceeded',
}

export function anthropicMessage(answer: Answer, body: Json = {}): Message {
  const done = STOP[answer.stop]
  return {
    ...shell(answer),
    content: pieces(answer, body).map((piece) => piece.whole),
    stop_reason: done,
    usage: fullUsage(answer.usage, answer.usage.output),
  }
}

export function anthropicFrames(answer: Answer, body: Json = {}): Frame[] {
  const frames = [frame({ type: 'message_start', message: { ...shell(answer), usage: fullUsage(answer.usage, 1) } })]
  frames.push({ wire: 'event: ping\ndata: {"type": "ping"}\n\n', delta: false })
  for (const [index, { start, deltas }] of pieces(answer, body).entries()) {
    frames.push(frame({ type: 'content_block_start', index, content_block: start }))
    for (const { delta, content } of deltas) frames.push(frame({ type: 'content_block_delta', index, delta }, content))
    frames.push(frame({ type: 'content_block_stop', index }))
  }
  const usage = { ...wireUsage(answer.usage), output_tokens: answer.usage.output, server_tool_use: null }
  const delta = { container: null, stop_details: null, stop_reason: STOP[answer.stop], stop_sequence: null }
  frames.push(frame({ type: 'message_delta', delta, usage }), frame({ type: 'message_stop' }))
  return frames
}

/** The type that goes with an HTTP status. */
const ERROR_TYPES: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

export function anthropicError(status: number, message: string, type?: string): Json {
  return {
    type: 'error',
    error: { type: type ?? ERROR_TYPES[status] ?? 'api_error', message },
    request_id: 'req_scripted',
  }
}

/** The status that a mid-stream error would have had, for requests that do not stream. */
export function statusOfErrorType(type: string): number {
  return Number(Object.entries(ERROR_TYPES).find(([, known]) => known === type)?.[0] ?? 500)
}

export function anthropicErrorFrame(type: string, message: string): string {
  return `event: error\ndata: ${JSON.stringify(anthropicError(200, message, type))}\n\n`
}

function frame(event: RawMessageStreamEvent, delta = false): Frame {
  return { wire: `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`, delta }
}

interface Piece {
  whole: ContentBlock
  start: ContentBlock
  deltas: { delta: RawContentBlockDelta; content: boolean }[]
}

function pieces(answer: Answer, body: Json): Piece[] {
  const found: Piece[] = []
  // Left out on request, but signed all the same.
  const omitted = isRecord(body.thinking) && body.thinking.display === 'omitted'
  const thinking = omitted ? '' : answer.reasoning.join('')
  const signature = seal(answer.place ?? NOWHERE, answer.redacted ? '' : thinking)
  if (answer.reasoning.length > 0 && answer.redacted) {
    const whole = { type: 'redacted_thinking' as const, data: signature }
    found.push({ whole, start: whole, deltas: [] })
  } else if (answer.reasoning.length > 0) {
    found.push({
      whole: { type: 'thinking', thinking, signature },
      start: { type: 'thinking', thinking: '', signature: '' },
      deltas: [
        ...(omitted ? [] : answer.reasoning).map((part) => ({
          delta: { type: 'thinking_delta' as const, thinking: part, estimated_tokens: null },
          content: true,
        })),
        { delta: { type: 'signature_delta', signature }, content: false },
      ],
    })
  }
  // A refusal has no place of its own here: it is what the model says, and the stop reason.
  const text = [...answer.text, ...(answer.refusal ?? [])]
  if (text.length > 0) {
    found.push({
      whole: { type: 'text', text: text.join(''), citations: null },
      start: { type: 'text', text: '', citations: null },
      deltas: text.map((part) => ({ delta: { type: 'text_delta', text: part }, content: true })),
    })
  }
  for (const [i, call] of answer.calls.entries()) {
    const block = {
      type: 'tool_use' as const,
      id: `toolu_scripted_${answer.id}_${i}`,
      name: call.name,
      caller: { type: 'direct' as const },
    }
    found.push({
      whole: { ...block, input: inputOf(call.args.join('')) },
      start: { ...block, input: {} },
      deltas: [
        { delta: { type: 'input_json_delta', partial_json: '' }, content: false },
        ...call.args.map((part) => ({
          delta: { type: 'input_json_delta' as const, partial_json: part },
          content: true,
        })),
      ],
    })
  }
  return found
}

/** Outside a stream the vendor gives an object, whatever the model wrote: text that is not JSON has no place there. */
function inputOf(args: string): Json {
  try {
    const value: unknown = JSON.parse(args)
    return isRecord(value) ? value : {}
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

function shell(answer: Answer): Omit<Message, 'usage'> {
  return {
    id: `msg_scripted_${answer.id}`,
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    container: null,
    diagnostics: null,
  }
}

function wireUsage(usage: AnswerUsage) {
  return {
    input_tokens: usage.input - usage.cacheRead - usage.cacheWrite,
    cache_creation_input_tokens: usage.cacheWrite,
    cache_read_input_tokens: usage.cacheRead,
    output_tokens_details: { thinking_tokens: usage.reasoning },
  }
}

function fullUsage(usage: AnswerUsage, output: number): Message['usage'] {
  return {
    ...wireUsage(usage),
    output_tokens: output,
    cache_creation: { ephemeral_5m_input_tokens: usage.cacheWrite, ephemeral_1h_input_tokens: 0 },
    inference_geo: null,
    server_tool_use: null,
    service_tier: 'standard',
    speed: 'standard',
  }
}
