/** What OpenAI says when Responses does not answer: with a status, or as an event of the stream. */
import type { Verdict } from '../exchange'
import type { ErrorFacts } from '../failures'
import { classifyOpenAI } from '../openai-errors'

/**
 * Its own items, sent back, and refused: reasoning that it cannot decrypt any more (openai/codex#8145, Wei-Shaw/sub2api#2863), that lacks its
 * following item (recorded: modified-history-2-error-400) or that an item lacks (continuedev/continue#11994), an item that it does not find
 * (vercel/ai#7543).
 */
const REPLAY = [
  /^invalid_encrypted_content$/,
  /encrypted content .*could not be (?:verified|decrypted)/is,
  /of type 'reasoning' was provided without its required following item/i,
  /was provided without its required 'reasoning' item/i,
  /items are not persisted when `?store`? is set to false/i,
]

export function classifyResponses(facts: ErrorFacts): Verdict {
  return classifyOpenAI(facts, REPLAY)
}
