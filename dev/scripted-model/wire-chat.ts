/**
 * An answer as Chat Completions says it: one JSON completion, or the chunks of a stream with `[DONE]` behind. Shapes from the vendor's SDK
 * types and recorded exchanges; `reasoning_content` is the compatible servers' field.
 */
import type { ChatCompletion, ChatCompletionChunk } from 'openai/resources/chat/completions'
import type { CompletionUsage } from 'openai/resources/completions'
import type { Answer } from './answer'
import type { Frame } from './frame'
import type { Json } from './json'

type Finish = NonNullable<ChatCompletionChunk.Choice['finish_reason']>
type ChunkDelta = ChatCompletionChunk.Choice.Delta & { reasoning_content?: string }

const FINISH: Record<Answer['stop'], Finish> = {
  end: 'stop',
  tool_calls: 'tool_calls',
  max_tokens: 'length',
  stop_sequence: 'stop',
  refusal: 'content_filter',
  pause: 'stop',
  context_exceeded: 'length',
}

/** A refusal in its own field ends like any answer; content that a filter took is the other kind. */
function finish({ stop, refusal = [] }: Answer): Finish {
  return stop === 'refusal' && refusal.length > 0 ? 'stop' : FINISH[stop]
}

export function chatCompletion(answer: Answer): ChatCompletion {
  const reasoning = answer.reasoning.join('')
  const message = {
    role: 'assistant' as const,
    content: answer.text.length > 0 ? answer.text.join('') : null,
    refusal: answer.refusal && answer.refusal.length > 0 ? answer.refusal.join('') : null,
    annotations: [],
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(answer.calls.length === 0
      ? {}
      : {
          tool_calls: answer.calls.map((call, i) => ({
            id: callId(answer, i),
            type: 'function' as const,
            function: { name: call.name, arguments: call.args.join('') },
          })),
        }),
  }
  return {
    ...shell(answer),
    object: 'chat.completion',
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish(answer) }],
    usage: usageOf(answer),
  }
}

export function chatFrames(answer: Answer, includeUsage: boolean): Frame[] {
  const frame = (choices: ChatCompletionChunk.Choice[], delta = false, usage: CompletionUsage | null = null): Frame => {
    const chunk: ChatCompletionChunk = {
      ...shell(answer),
      object: 'chat.completion.chunk',
      choices,
      ...(includeUsage ? { usage } : {}),
    }
    return { wire: `data: ${JSON.stringify(chunk)}\n\n`, delta }
  }
  const say = (delta: ChunkDelta, content: boolean): Frame =>
    frame([{ index: 0, delta, logprobs: null, finish_reason: null }], content)
  const call = (
    index: number,
    rest: Omit<ChatCompletionChunk.Choice.Delta.ToolCall, 'index'>,
    content: boolean,
  ): Frame => say({ tool_calls: [{ index, ...rest }] }, content)
  return [
    say({ role: 'assistant', content: answer.text.length > 0 ? '' : null, refusal: null }, false),
    ...answer.reasoning.map((part) => say({ reasoning_content: part }, true)),
    ...answer.text.map((part) => say({ content: part }, true)),
    ...(answer.refusal ?? []).map((part) => say({ refusal: part }, true)),
    ...answer.calls.flatMap(({ name, args }, i) => [
      call(i, { id: callId(answer, i), type: 'function', function: { name, arguments: '' } }, false),
      ...args.map((part) => call(i, { function: { arguments: part } }, true)),
    ]),
    frame([{ index: 0, delta: {}, logprobs: null, finish_reason: finish(answer) }]),
    ...(includeUsage ? [frame([], false, usageOf(answer))] : []),
    { wire: 'data: [DONE]\n\n', delta: false },
  ]
}

/** The `type` and `code` that go with an HTTP status. */
const ERRORS: Record<number, { type: string; code: string | null }> = {
  400: { type: 'invalid_request_error', code: null },
  401: { type: 'invalid_request_error', code: 'invalid_api_key' },
  403: { type: 'invalid_request_error', code: null },
  404: { type: 'invalid_request_error', code: 'model_not_found' },
  429: { type: 'requests', code: 'rate_limit_exceeded' },
}

export function chatError(status: number, message: string, param: string | null = null, code?: string | null): Json {
  const known = ERRORS[status] ?? { type: 'server_error', code: null }
  return { error: { message, type: known.type, param, code: code === undefined ? known.code : code } }
}

export function chatErrorFrame(type: string, message: string): string {
  return `data: ${JSON.stringify({ error: { message, type, param: null, code: null } })}\n\n`
}

/** At most 40 characters: some hosts refuse longer ones. */
function callId(answer: Answer, index: number): string {
  return `call_scripted_${answer.id.slice(0, 16)}_${index}`
}

function shell(answer: Answer): Pick<ChatCompletion, 'id' | 'created' | 'model' | 'system_fingerprint'> {
  // A constant, so that the same request gives the same answer byte for byte.
  return {
    id: `chatcmpl-scripted-${answer.id}`,
    created: 1_700_000_000,
    model: answer.model,
    system_fingerprint: 'fp_scripted',
  }
}

function usageOf({ usage }: Answer): CompletionUsage {
  return {
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_tokens_details: { cached_tokens: usage.cacheRead, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}
