/** What OpenAI, and servers that speak its APIs, say when they do not answer: codes and types, and the words of those that have none. */
import type { FailureClass } from '../contract/events'
import type { Verdict } from './exchange'
import { classOfStatus, isRecord, saysTooLong, type ErrorFacts } from './failures'

const CODES: Readonly<Record<string, FailureClass>> = {
  insufficient_quota: 'budget',
  billing_hard_limit_reached: 'budget',
  context_length_exceeded: 'context_exceeded',
  exceed_context_size_error: 'context_exceeded',
  rate_limit_exceeded: 'rate_limited',
  invalid_api_key: 'auth',
  model_not_found: 'refused_request',
  invalid_request_error: 'refused_request',
  invalid_prompt: 'refused_request',
  bio_policy: 'refused_request',
  server_error: 'overloaded',
  vector_store_timeout: 'overloaded',
}

/** An image that cannot be taken, in one of many words. */
const IMAGE = /^(?:invalid|empty|unsupported|failed_to_download)_?.*image|^image_/

/** @param replay words that say that the replay in the request was refused. */
export function classifyOpenAI(facts: ErrorFacts, replay: readonly RegExp[]): Verdict {
  const word = facts.word ?? ''
  const known = CODES[word] ?? (IMAGE.test(word) ? 'refused_request' : undefined)
  // A status outside 400 and the general `invalid_request_error` say more about each other than either alone.
  const general = known === undefined || known === 'refused_request' || known === 'rate_limited'
  const what = general && facts.status !== undefined ? classOfStatus(facts.status) : (known ?? 'overloaded')
  // As an event of a stream it has no status to say that it was a refusal.
  const refused = what === 'refused_request' || (known === undefined && facts.status === undefined)
  if (refused && replay.some((words) => words.test(word) || words.test(facts.message)))
    return { class: 'refused_request', replayRefused: true }
  return { class: what === 'refused_request' && saysTooLong(facts.message) ? 'context_exceeded' : what }
}

/** An error that came in the place of an event, or inside one; null where none did. */
export function errorIn(event: unknown): { error: unknown } | null {
  const error = isRecord(event) ? event.error : undefined
  if (isRecord(error)) return { error }
  return typeof error === 'string' && error !== '' ? { error: { message: error } } : null
}
