/**
 * `reasoning_details`, in which OpenRouter gives what its vendors need back verbatim: signed, encrypted and summarised reasoning, in order.
 * A stream gives a detail in pieces that share type and index: words are joined, of the rest what comes counts (a signature comes last,
 * with no words). What is encrypted comes whole, and each is one of its own. Sources: openrouter.ai/docs (reasoning tokens), the recorded
 * exchanges, agno-agi/agno#8794 (pieces sent back as they came are refused), pydantic/pydantic-ai#7214.
 */
import { isRecord } from '../failures'

export type Detail = Record<string, unknown>

const WORDS = ['text', 'summary'] as const

export function addDetail(details: Detail[], piece: unknown): void {
  if (!isRecord(piece)) return
  const words = WORDS.find((name) => typeof piece[name] === 'string' || piece.type === `reasoning.${name}`)
  const same = ({ type, index }: Detail): boolean => type === piece.type && index === piece.index
  const open = words === undefined ? undefined : piece.index == null ? lastOf(details, same) : details.findLast(same)
  if (!open || words === undefined) return void details.push({ ...piece })
  for (const [name, value] of Object.entries(piece)) {
    if (name === words) open[name] = `${wordsIn(open[name])}${wordsIn(value)}`
    else if (value != null) open[name] = value
  }
}

/** Without an index, only what follows at once belongs together. */
function lastOf(details: readonly Detail[], same: (detail: Detail) => boolean): Detail | undefined {
  const last = details.at(-1)
  return last && same(last) ? last : undefined
}

/** What people may read of it. */
export function wordsOf(piece: unknown): string {
  return isRecord(piece) ? wordsIn(piece.text) || wordsIn(piece.summary) : ''
}

function wordsIn(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
