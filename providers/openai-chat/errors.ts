/** What servers of Chat Completions say when they do not answer. */
import type { Verdict } from '../exchange'
import type { ErrorFacts } from '../failures'
import { classifyOpenAI } from '../openai-errors'

/**
 * A server that does not read back the field in which it sent its reasoning (BerriAI/litellm#30835, earendil-works/pi#4514). DeepSeek's
 * "must be passed back" is not among these: it lacks reasoning, and without replay it would lack more.
 */
const REPLAY = [
  /extra inputs? (?:are|is) not permitted.*\breasoning(?:_content)?\b/is,
  // What OpenRouter passes on of its vendors: thinking, encrypted reasoning and signatures that they do not know again.
  /(?:invalid|thought).?`?signature`?.*\b(?:thinking|block|thought)|invalid `?thought_?signature/i,
  /`?thinking`? or `?redacted_thinking`? blocks.* cannot be modified|bound to a different conversation/i,
  /encrypted content .* could not be (?:verified|decrypted)|invalid_encrypted_content/i,
  /\bmessages?\b.*\breasoning(?:_content)?\b.*(?:extra|forbidden|unsupported|not permitted|not supported)/is,
]

export function classifyChat(facts: ErrorFacts): Verdict {
  return classifyOpenAI(facts, REPLAY)
}
