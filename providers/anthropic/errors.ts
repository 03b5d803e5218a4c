/**
 * What Anthropic says when it does not answer. Its error types hold in a status as well as in an event of the stream.
 */
import type { FailureClass } from '../../contract/events'
import type { Verdict } from '../exchange'
import { classOfStatus, saysTooLong, type ErrorFacts } from '../failures'

const TYPES: Readonly<Record<string, FailureClass>> = {
  overloaded_error: 'overloaded',
  api_error: 'overloaded',
  rate_limit_error: 'rate_limited',
  timeout_error: 'timeout',
  authentication_error: 'auth',
  permission_error: 'auth',
  billing_error: 'budget',
  request_too_large: 'context_exceeded',
  invalid_request_error: 'refused_request',
  not_found_error: 'refused_request',
}

export function classifyAnthropic(facts: ErrorFacts): Verdict {
  const known = TYPES[facts.word ?? ''] ?? (facts.status === undefined ? 'overloaded' : classOfStatus(facts.status))
  if (known !== 'refused_request') return { class: known }
  // An empty account is told as an invalid request.
  if (/credit balance/i.test(facts.message)) return { class: 'budget' }
  return { class: saysTooLong(facts.message) ? 'context_exceeded' : 'refused_request' }
}
