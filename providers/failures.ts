/**
 * What went wrong, as a class, whether trying again may help and when, with the provider's own words made safe to keep. Pure; each adapter
 * adds what its vendor says in its own way.
 */
import type { FailureClass } from '../contract/events'
import type { ModelFailure } from '../contract/provider-port'
import { cutText, normaliseText } from '../contract/text'

/** The parts of an SDK's error, read without `instanceof`: errors cross realms. */
export interface ErrorFacts {
  name: string
  message: string
  status?: number
  /** The vendor's own word for it: Anthropic's `error.type`, OpenAI's `error.code` or `error.type`. */
  word?: string
  /** The provider said it, not the network. */
  reported: boolean
  header(name: string): string | null
  /** System and socket codes, from the error and its causes. */
  codes: string[]
}

const MESSAGE_CHARS = 2000

const RETRYABLE: Readonly<Record<FailureClass, boolean>> = {
  rate_limited: true,
  overloaded: true,
  refused_request: false,
  context_exceeded: false,
  cut_off: true,
  timeout: true,
  unreachable: true,
  auth: false,
  budget: false,
  internal: false,
}

export function failure(
  what: FailureClass,
  message: string,
  more: Partial<Omit<ModelFailure, 'ok' | 'class' | 'message'>> = {},
): ModelFailure {
  return { ok: false, class: what, retryable: RETRYABLE[what], message, ...more }
}

/** By HTTP status, where the vendor's words say nothing better. */
export function classOfStatus(status: number): FailureClass {
  if (status === 401 || status === 403) return 'auth'
  if (status === 402) return 'budget'
  if (status === 408 || status === 504) return 'timeout'
  if (status === 413) return 'context_exceeded'
  if (status === 429) return 'rate_limited'
  if (status === 409 || status === 425) return 'overloaded'
  return status >= 500 && status !== 501 ? 'overloaded' : 'refused_request'
}

const TOO_LONG =
  /prompt is too long|exceeds? (?:the )?(?:model'?s? )?(?:maximum |available )?context|maximum context length|context[_ ](?:length|size|window)[_ ]?exceed|context limit|exceed_context_size|too many (?:input )?tokens/i

/** A refused request whose words say that it was too long. */
export function saysTooLong(words: string): boolean {
  return TOO_LONG.test(words)
}

/** In the words of Anthropic, OpenAI, Ollama and vLLM (404), of Responses, DeepSeek and OpenRouter (400). */
const NO_MODEL =
  /^model: \S+$|\bmodel\b.{0,200}\b(?:does not exist|not found)\b|\bmodel not exist\b|\bnot a valid model id\b/is

/** The model that was named is not there, or not for this key. */
export function saysNoSuchModel({ word, status, message }: ErrorFacts): boolean {
  return word === 'model_not_found' || ((status === 404 || status === 400) && NO_MODEL.test(message))
}

/** Milliseconds from `retry-after-ms`, or from `retry-after` in seconds or as a date; undefined where absent, past or no number. */
export function retryAfterMs(header: (name: string) => string | null, nowMs: number): number | undefined {
  const ms = Number(header('retry-after-ms') ?? NaN)
  if (ms >= 0) return Math.round(ms)
  const text = header('retry-after')?.trim()
  if (!text) return undefined
  const wait = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return Number.isFinite(wait) && wait >= 0 ? Math.round(wait) : undefined
}

const KEYS = [
  /\b(?:sk|pk|rk|gsk|hf|xai|pplx|nvapi|AIza|ghp|glpat)[-_][A-Za-z0-9*._-]{6,}/g,
  /\bAIza[A-Za-z0-9_-]{20,}/g,
  /\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}/gi,
  /((?:api[-_ ]?key|authorization|x-api-key|token|secret)["']?\s*[:=]\s*["']?)[A-Za-z0-9._~+/*=-]{8,}/gi,
  /\b(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9_-]{40,}\b/g,
]

/** The provider's words, at most 2,000 characters, without `secrets` and without what looks like a key. */
export function safeMessage(words: string, secrets: readonly string[]): string {
  let text = normaliseText(words).text
  for (const secret of secrets) if (secret.length >= 4) text = text.replaceAll(secret, '[key]')
  for (const pattern of KEYS)
    text = text.replace(pattern, (_, kept: unknown) => `${typeof kept === 'string' ? kept : ''}[key]`)
  return cutText(text, MESSAGE_CHARS)
}

/** A connection that could not be made or did not last. `began`: an answer had begun. */
export function classOfConnection(facts: ErrorFacts, began: boolean): FailureClass {
  if (facts.codes.some((code) => /TIMEOUT|ETIMEDOUT/.test(code)) || /timed? ?out/i.test(facts.message)) return 'timeout'
  return began ? 'cut_off' : 'unreachable'
}

/** Reads an error of either SDK, or of the network below it. */
export function factsOf(error: unknown): ErrorFacts {
  const codes: string[] = []
  const messages: string[] = []
  let at: unknown = error
  for (let depth = 0; depth < 6 && isRecord(at); depth++) {
    if (typeof at.code === 'string') codes.push(at.code)
    if (typeof at.message === 'string' && at.message !== '') messages.push(at.message)
    // Node tries each address of a name; the errors are beside the cause.
    at = at.cause ?? (Array.isArray(at.errors) ? at.errors[0] : undefined)
  }
  const top = isRecord(error) ? error : {}
  const body = isRecord(top.error) ? top.error : {}
  const inner = isRecord(body.error) ? body.error : body
  const word = [inner.code, inner.type, top.code, top.type].find((w): w is string => typeof w === 'string' && w !== '')
  const status = [top.status, inner.code].find((n): n is number => typeof n === 'number' && n >= 100 && n < 600)
  const said = typeof inner.message === 'string' ? inner.message : ''
  const words = said === '' ? [...new Set(messages)].join(': ') : [said, ...passedOn(inner.metadata)].join(': ')
  const headers = top.headers
  return {
    name: typeof top.name === 'string' ? top.name : 'Error',
    message: words || String(error),
    ...(status === undefined ? {} : { status }),
    ...(word === undefined ? {} : { word }),
    reported: status !== undefined || isRecord(top.error) || typeof top.error === 'string',
    header: (name) => (headers instanceof Headers || hasGet(headers) ? (headers.get(name) ?? null) : null),
    codes,
  }
}

/** What a gateway's vendor said, beside its own "Provider returned error" (recorded: openrouter-error-429). */
function passedOn(metadata: unknown): string[] {
  return isRecord(metadata) && typeof metadata.raw === 'string' && metadata.raw !== '' ? [metadata.raw] : []
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function hasGet(value: unknown): value is { get(name: string): string | null | undefined } {
  return isRecord(value) && typeof value.get === 'function'
}
