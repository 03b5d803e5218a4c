/**
 * What servers of Chat Completions say when they do not answer: OpenAI's codes and types, and the words of those that have none.
 */
import type { FailureClass } from '../../contract/events'
import type { Verdict } from '../exchange'
import { classOfStatus, saysTooLong, type ErrorFacts } from '../failures'

const CODES: Readonly<Record<string, FailureClass>> = {
  insufficient_quota: 'budget',
  billing_hard_limit_reached: 'budget',
  context_length_exceeded: 'context_exceeded',
  exceed_context_size_error: 'context_exceeded',
  rate_limit_exceeded: 'rate_limited',
  invalid_api_key: 'auth',
  model_not_found: 'refused_request',
  invalid_request_error: 'refused_request',
  server_error: 'overloaded',
}

export function classifyChat(facts: ErrorFacts): Verdict {
  const known = CODES[facts.word ?? '']
  // A status outside 400 and the general `invalid_request_error` say more about each other than either alone.
  const general = known === undefined || known === 'refused_request' || known === 'rate_limited'
  const what = general && facts.status !== undefined ? classOfStatus(facts.status) : (known ?? 'overloaded')
  return { class: what === 'refused_request' && saysTooLong(facts.message) ? 'context_exceeded' : what }
}
