/** What the vendor would have refused, in its shape: the checkers of the three wires, and what holds for all. */
import type { IncomingHttpHeaders } from 'node:http'
import { anthropicProblem } from './check-anthropic'
import { chatProblem } from './check-chat'
import { hostOf } from './check-chat-host'
import type { CheckOptions } from './check-options'
import { responsesProblem } from './check-responses'
import { hasBadText } from './check-text'
import type { Api } from './conversation'
import { isRecord, str, type Json } from './json'
import type { OpenAIProblem } from './openai-problem'
import { anthropicError } from './wire-anthropic'
import { CONTEXT_EXCEEDED } from './wire-responses'
import { errorBody } from './wires'

/** What Anthropic takes at most; more is 413. */
const MAX_BODY_BYTES = 32 * 1024 * 1024

export interface Refusal {
  status: number
  body: Json
}

/**
 * Says in one line what does not fit the vendor's own schema, or null: tests hand one in. It is asked last, so that the words of the
 * rules come first.
 */
export type Validate = (api: Api, body: Json) => string | null

export interface RefuseOptions extends CheckOptions {
  contextTokens?: number
  /** Absent: any name is one. */
  models?: readonly string[]
  validate?: Validate
}

export function refusal(
  api: Api,
  headers: IncomingHttpHeaders,
  raw: Buffer,
  body: unknown,
  options: RefuseOptions,
): Refusal | null {
  if (raw.length > MAX_BODY_BYTES) return plain(api, 413, 'Request exceeds the maximum size')
  if (!isRecord(body)) return plain(api, 400, 'The request body is not valid JSON')
  if (hasBadText(raw.toString('utf8'), body))
    return plain(api, 400, 'The request body is not valid JSON: NUL or a lone surrogate in a string')
  const name = str(body.model)
  if (options.models && name !== '' && !options.models.includes(name)) return noSuchModel(api, name, options)
  const found =
    api === 'anthropic'
      ? anthropicRefusal(body, headers, options)
      : openaiRefusal(api === 'openai-chat' ? chatProblem(body, options) : responsesProblem(body, options))
  return found ?? tooLongFor(api, raw.length, options.contextTokens) ?? misfit(api, body, options.validate)
}

/**
 * Recorded of Anthropic (error-404-model) and OpenAI (chat/error-404-model); reported of Responses, DeepSeek, OpenRouter, Ollama and vLLM, in
 * whose words they are.
 */
function noSuchModel(api: Api, name: string, { compat }: CheckOptions): Refusal {
  if (api === 'anthropic') return { status: 404, body: anthropicError(404, `model: ${name}`) }
  const error = (status: number, message: string, type: string, code: string | number | null): Refusal => ({
    status,
    body: { error: { message, type, param: null, code } },
  })
  const invalid = 'invalid_request_error'
  if (api === 'openai-responses')
    return {
      status: 400,
      body: {
        error: {
          message: `The requested model '${name}' does not exist.`,
          type: invalid,
          param: 'model',
          code: 'model_not_found',
        },
      },
    }
  switch (hostOf({ model: name }, compat)) {
    case 'deepseek':
      return error(400, 'Model Not Exist', invalid, invalid)
    case 'openrouter':
      return { status: 400, body: { error: { message: `${name} is not a valid model ID`, code: 400 } } }
    case 'ollama':
      return error(404, `model "${name}" not found, try pulling it first`, 'not_found_error', null)
    case 'vllm':
      return error(404, `The model \`${name}\` does not exist.`, 'NotFoundError', 404)
    default:
      return error(
        404,
        `The model \`${name}\` does not exist or you do not have access to it.`,
        invalid,
        'model_not_found',
      )
  }
}

function plain(api: Api, status: number, message: string): Refusal {
  return { status, body: errorBody(api, status, message) }
}

function anthropicRefusal(body: Json, headers: IncomingHttpHeaders, options: CheckOptions): Refusal | null {
  const text = (name: string): string => String(headers[name] ?? '')
  const message = anthropicProblem(body, {
    ...options,
    version: text('anthropic-version'),
    betas: text('anthropic-beta').split(/\s*,\s*/),
  })
  return message === null ? null : { status: 400, body: anthropicError(400, message) }
}

function openaiRefusal(found: OpenAIProblem | null): Refusal | null {
  if (!found) return null
  const { status = 400, type = 'invalid_request_error', message, param, code } = found
  return { status, body: { error: { message, type, param, code } } }
}

/** Reported words of each vendor. */
function tooLongFor(api: Api, bytes: number, limit: number | undefined): Refusal | null {
  const tokens = Math.ceil(bytes / 4)
  if (limit === undefined || tokens <= limit) return null
  if (api === 'anthropic') return plain(api, 400, `prompt is too long: ${tokens} tokens > ${limit} maximum`)
  if (api === 'openai-responses')
    return openaiRefusal({ message: CONTEXT_EXCEEDED, param: 'input', code: 'context_length_exceeded' })
  return openaiRefusal({
    message: `This model's maximum context length is ${limit} tokens. However, your messages resulted in ${tokens} tokens. Please reduce the length of the messages.`,
    param: 'messages',
    code: 'context_length_exceeded',
  })
}

function misfit(api: Api, body: Json, validate: Validate | undefined): Refusal | null {
  const message = validate?.(api, body) ?? null
  return message === null ? null : plain(api, 400, `Does not fit the vendor's schema: ${message}`)
}
