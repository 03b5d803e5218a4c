/**
 * An answer as OpenAI's Responses API says it: one JSON response, or the events of a stream. Shapes from the vendor's SDK types and
 * recorded streams (stream-phase-reasoning, openai-reasoning-encrypted-content).
 */
import type {
  Response,
  ResponseOutputItem,
  ResponseOutputMessage,
  ResponseStreamEvent,
  ResponseUsage,
} from 'openai/resources/responses/responses'
import type { Answer } from './answer'
import { isReasoningModel } from './families'
import type { Frame } from './frame'
import { isRecord, type Json } from './json'
import { NOWHERE, seal } from './replay'

/** `output_text` is the SDK's own addition. */
export type WireResponse = Omit<Response, 'output_text'>
/** The SDK's events, whose number is given when they are written. */
type Event = ResponseStreamEvent extends infer E ? (E extends unknown ? Omit<E, 'sequence_number'> : never) : never

interface Piece {
  added: ResponseOutputItem
  done: ResponseOutputItem
  events: { event: Event; content: boolean }[]
}

export function response(answer: Answer, body: Json): WireResponse {
  return ended(
    answer,
    body,
    pieces(answer, body).map((piece) => piece.done),
  )
}

export function responseFrames(answer: Answer, body: Json): Frame[] {
  let count = 0
  const frame = (event: Event, delta = false): Frame => eventFrame(event, count++, delta)
  const begun = { ...shell(answer, body), status: 'in_progress' as const, output: [] } as unknown as Response
  const frames = [
    frame({ type: 'response.created', response: begun }),
    frame({ type: 'response.in_progress', response: begun }),
  ]
  const done: ResponseOutputItem[] = []
  for (const [index, piece] of pieces(answer, body).entries()) {
    frames.push(frame({ type: 'response.output_item.added', output_index: index, item: piece.added }))
    for (const { event, content } of piece.events) frames.push(frame(event, content))
    frames.push(frame({ type: 'response.output_item.done', output_index: index, item: piece.done }))
    done.push(piece.done)
  }
  const whole = ended(answer, body, done) as unknown as Response
  const last = { failed: 'response.failed', incomplete: 'response.incomplete' } as const
  const type = whole.status === 'failed' || whole.status === 'incomplete' ? last[whole.status] : 'response.completed'
  frames.push(frame({ type, response: whole }))
  return frames
}

/** An error in mid-stream, as recorded (openai-error.1): the event `error`, then the response that failed. */
export function responseErrorFrame(type: string, message: string, at: number): string {
  const error = { type, code: type, message, param: null }
  return `event: error\ndata: ${JSON.stringify({ type: 'error', sequence_number: at, error })}\n\n${responseFailedFrame(type, message, at + 1)}`
}

export function responseFailedFrame(code: string, message: string, at: number): string {
  const failed = {
    ...{ id: 'resp_scripted_failed', object: 'response', created_at: CREATED, status: 'failed', model: 'scripted' },
    ...{ error: { code, message }, incomplete_details: null, output: [], usage: null },
  }
  return `event: response.failed\ndata: ${JSON.stringify({ type: 'response.failed', sequence_number: at, response: failed })}\n\n`
}

function eventFrame(event: Event, sequence_number: number, delta: boolean): Frame {
  return { wire: `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number })}\n\n`, delta }
}

function pieces(answer: Answer, body: Json): Piece[] {
  const said: ((index: number, last: boolean) => Piece)[] = []
  // What reasons not, gives no reasoning back.
  const thinks = answer.reasoning.length > 0 && isReasoningModel(String(body.model)) !== false
  if (thinks) said.push((index) => reasoningPiece(answer, body, index))
  const id = answer.id + (thinks ? REASONED : '')
  if (answer.text.length > 0 || (answer.refusal ?? []).length > 0)
    said.push((index, last) => messagePiece(answer, id, index, last))
  for (const i of answer.calls.keys()) said.push((index, last) => callPiece(answer, id, i, index, last))
  return said.map((piece, index) => piece(index, index === said.length - 1))
}

/** In the ids of items that had reasoning before them: the vendor knows, and refuses them without it. */
export const REASONED = 'r'

function reasoningPiece(answer: Answer, body: Json, output_index: number): Piece {
  const item_id = `rs_scripted_${answer.id}${REASONED}`
  const token = seal(answer.place ?? NOWHERE, '')
  // The summary is sent where it was asked for; the text itself never is.
  const shown = isRecord(body.reasoning) && (body.reasoning.summary ?? body.reasoning.generate_summary) != null
  const text = answer.reasoning.join('')
  const at = { item_id, output_index, summary_index: 0 }
  const deltas = answer.reasoning.map((delta) => ({
    event: { type: 'response.reasoning_summary_text.delta' as const, ...at, delta },
    content: true,
  }))
  const item = { id: item_id, type: 'reasoning' as const }
  return {
    // Encrypted anew each time in the recorded streams; only that of `output_item.done` is good to send back.
    added: { ...item, summary: [], encrypted_content: `${token.slice(0, 24)}-not-done-yet` },
    done: { ...item, summary: shown ? [{ type: 'summary_text', text }] : [], encrypted_content: token },
    events: shown
      ? [
          quiet({ type: 'response.reasoning_summary_part.added', ...at, part: { type: 'summary_text', text: '' } }),
          ...deltas,
          quiet({ type: 'response.reasoning_summary_text.done', ...at, text }),
          quiet({ type: 'response.reasoning_summary_part.done', ...at, part: { type: 'summary_text', text } }),
        ]
      : [],
  }
}

function messagePiece(answer: Answer, id: string, output_index: number, last: boolean): Piece {
  const item_id = `msg_scripted_${id}`
  const events: Piece['events'] = []
  const content: ResponseOutputMessage['content'] = []
  if (answer.text.length > 0) {
    const at = { item_id, output_index, content_index: 0 }
    const part = (text: string) => ({ type: 'output_text' as const, annotations: [], logprobs: [], text })
    const text = answer.text.join('')
    events.push(
      quiet({ type: 'response.content_part.added', ...at, part: part('') }),
      ...answer.text.map((delta) => ({
        event: { type: 'response.output_text.delta' as const, ...at, delta, logprobs: [] },
        content: true,
      })),
      quiet({ type: 'response.output_text.done', ...at, text, logprobs: [] }),
      quiet({ type: 'response.content_part.done', ...at, part: part(text) }),
    )
    content.push(part(text))
  }
  if (answer.refusal && answer.refusal.length > 0) {
    const at = { item_id, output_index, content_index: content.length }
    const part = (refusal: string) => ({ type: 'refusal' as const, refusal })
    const refusal = answer.refusal.join('')
    events.push(
      quiet({ type: 'response.content_part.added', ...at, part: part('') }),
      ...answer.refusal.map((delta) => ({
        event: { type: 'response.refusal.delta' as const, ...at, delta },
        content: true,
      })),
      quiet({ type: 'response.refusal.done', ...at, refusal }),
      quiet({ type: 'response.content_part.done', ...at, part: part(refusal) }),
    )
    content.push(part(refusal))
  }
  const item = {
    ...{ id: item_id, type: 'message' as const, role: 'assistant' as const },
    ...(answer.phase ? { phase: answer.phase } : {}),
  }
  return {
    added: { ...item, status: 'in_progress', content: [] },
    done: { ...item, status: statusOf(answer, last), content },
    events,
  }
}

function callPiece(answer: Answer, id: string, i: number, output_index: number, last: boolean): Piece {
  const call = answer.calls[i] ?? { name: '', args: [] }
  const item_id = `fc_scripted_${id}_${i}`
  const item = {
    ...{ id: item_id, type: 'function_call' as const, name: call.name },
    call_id: `call_scripted_${answer.id}_${i}`,
  }
  const args = call.args.join('')
  return {
    added: { ...item, status: 'in_progress', arguments: '' },
    done: { ...item, status: statusOf(answer, last), arguments: args },
    events: [
      ...call.args.map((delta) => ({
        event: { type: 'response.function_call_arguments.delta' as const, item_id, output_index, delta },
        content: true,
      })),
      quiet({
        type: 'response.function_call_arguments.done',
        ...{ item_id, output_index, name: call.name, arguments: args },
      }),
    ],
  }
}

const quiet = (event: Event): Piece['events'][number] => ({ event, content: false })

/** What was being written when the tokens ended is marked. */
function statusOf(answer: Answer, last: boolean): 'completed' | 'incomplete' {
  return last && answer.stop === 'max_tokens' ? 'incomplete' : 'completed'
}

function ended(answer: Answer, body: Json, output: ResponseOutputItem[]): WireResponse {
  const whole = { ...shell(answer, body), output, completed_at: CREATED, usage: usageOf(answer) }
  if (answer.stop === 'max_tokens')
    return { ...whole, status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }
  if (answer.stop === 'refusal' && (answer.refusal ?? []).length === 0)
    return { ...whole, status: 'incomplete', incomplete_details: { reason: 'content_filter' } }
  if (answer.stop === 'context_exceeded')
    return {
      ...whole,
      status: 'failed',
      // Not in the SDK's list of codes, but what the API sends (public reports).
      error: { code: 'context_length_exceeded' as 'invalid_prompt', message: CONTEXT_EXCEEDED },
    }
  return { ...whole, status: 'completed' }
}

export const CONTEXT_EXCEEDED =
  'Your input exceeds the context window of this model. Please adjust your input and try again.'

// A constant, so that the same request gives the same answer byte for byte.
const CREATED = 1_700_000_000

/** The request's own settings come back with the response. */
function shell(answer: Answer, body: Json): WireResponse {
  const echoed = {
    instructions: body.instructions ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    temperature: body.temperature ?? 1,
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: body.top_p ?? 1,
    max_output_tokens: body.max_output_tokens ?? null,
    previous_response_id: body.previous_response_id ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: null, summary: null, ...(isRecord(body.reasoning) ? body.reasoning : {}) },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: body.service_tier == null || body.service_tier === 'auto' ? 'default' : body.service_tier,
    store: body.store ?? true,
    text: { format: { type: 'text' }, ...(isRecord(body.text) ? body.text : {}) },
    truncation: body.truncation ?? 'disabled',
  } as unknown as Partial<WireResponse>
  return {
    ...{ id: `resp_scripted_${answer.id}`, object: 'response', created_at: CREATED, model: answer.model },
    ...{ error: null, incomplete_details: null, output: [], background: false },
    ...echoed,
  } as WireResponse
}

function usageOf({ usage }: Answer): ResponseUsage {
  return {
    input_tokens: usage.input,
    input_tokens_details: { cached_tokens: usage.cacheRead, cache_write_tokens: usage.cacheWrite },
    output_tokens: usage.output,
    output_tokens_details: { reasoning_tokens: usage.reasoning },
    total_tokens: usage.input + usage.output,
  }
}
