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

/**
 * Its own thinking, sent back, and refused: a signature that is not valid or is bound to another prefix (the same words, and more); thinking
 * that was changed, or stands where it must not; a block of its own tools that it does not know again. Words from public reports
 * (anthropics/claude-code#10627, #63284, #20705, anthropic-sdk-python#1598) and docs (preserved-thinking).
 */
const REPLAY = [
  /invalid `?signature`? in `?thinking`? block/i,
  /bound to a different conversation/i,
  /`?thinking`? or `?redacted_thinking`? blocks.* cannot be modified/i,
  /expected `?thinking`? or `?redacted_thinking`?, but found/i,
  /first block must be `?thinking`? or `?redacted_thinking`?/i,
  /each thinking block must contain thinking/i,
  /invalid `?data`? in `?redacted_thinking`? block/i,
  /invalid `?encrypted_(?:content|index|stdout)`?/i,
]

export function classifyAnthropic(facts: ErrorFacts): Verdict {
  const known = TYPES[facts.word ?? ''] ?? (facts.status === undefined ? 'overloaded' : classOfStatus(facts.status))
  if (known !== 'refused_request') return { class: known }
  // An empty account is told as an invalid request.
  if (/credit balance/i.test(facts.message)) return { class: 'budget' }
  if (REPLAY.some((words) => words.test(facts.message))) return { class: known, replayRefused: true }
  return { class: saysTooLong(facts.message) ? 'context_exceeded' : 'refused_request' }
}
