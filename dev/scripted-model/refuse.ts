/** What the vendor would have refused, in its shape: the checkers of the three wires, and what holds for all. */
import type { IncomingHttpHeaders } from 'node:http'
import { anthropicProblem } from './check-anthropic'
import { chatProblem } from './check-chat'
import type { CheckOptions } from './check-options'
import { responsesProblem } from './check-responses'
import { hasBadText } from './check-text'
import type { Api } from './conversation'
import { isRecord, type Json } from './json'
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
  const found =
    api === 'anthropic'
      ? anthropicRefusal(body, headers, options)
      : openaiRefusal(api === 'openai-chat' ? chatProblem(body, options) : responsesProblem(body, options))
  return found ?? tooLongFor(api, raw.length, options.contextTokens) ?? misfit(api, body, options.validate)
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
