/**
 * From a script and a conversation to an answer, still without a wire. Pure: the same request gives the same answer, ids included.
 */
import { cutText } from '../../contract/text'
import type { Conversation } from './conversation'
import type { Place } from './replay'
import type { Rule, Say, Script } from './script'
import { fillText, fillValue } from './template'

export const NO_RULE_FITS = 'This is a scripted model; nothing in its script fits this.'
/** Said by a model that was told to reason, where its script does not say what. */
const REASONS_ANYHOW = 'A scripted model does not reason.'
/** Marks every model name that this server gives back. */
export const SCRIPTED = ' (scripted)'

export interface AnswerUsage {
  input: number
  output: number
  cacheRead: number
  cacheWrite: number
  reasoning: number
}

export interface Answer {
  /** Hex; wire ids are made of it. */
  id: string
  model: string
  reasoning: string[]
  text: string[]
  refusal?: string[]
  redacted?: boolean
  phase?: 'commentary' | 'final_answer'
  /** Where its reasoning stands, for its signature. */
  place?: Place
  /** `args` is JSON text, or what the script says instead; each list is its deltas. */
  calls: { name: string; args: string[] }[]
  stop: NonNullable<Say['stop']>
  usage: AnswerUsage
}

const DEFAULT: Rule = {
  name: 'default',
  when: {},
  say: { text: NO_RULE_FITS, calls: [], firstByteMs: 0, deltaMs: 0 },
}

/** The rule that answers, and the name that the journal knows it by. */
export function chooseRule(script: Script, c: Conversation): { rule: Rule; name: string } {
  const index = script.rules.findIndex(({ when }) => fits(when, c))
  const rule = script.rules[index] ?? DEFAULT
  return { rule, name: rule.name ?? `rule ${index}` }
}

function fits(when: Rule['when'], c: Conversation): boolean {
  return (
    (when.step ?? c.step) === c.step &&
    (when.turn ?? c.turn) === c.turn &&
    (when.call ?? c.call) === c.call &&
    (when.text === undefined || c.lastUser.includes(when.text)) &&
    (when.result === undefined || c.results.some((text) => text.includes(when.result ?? ''))) &&
    (when.model ?? c.model) === c.model &&
    (when.provider ?? c.api) === c.api
  )
}

/**
 * `requestHash` (hex) and `requestBytes` are those of the request's body; `mustReason` where the vendor's model would not answer without
 * (a thinking budget), and would then refuse what has none.
 */
export function makeAnswer(
  say: Say,
  c: Conversation,
  requestHash: string,
  requestBytes: number,
  signs: { mustReason: boolean; place: () => Place },
): Answer {
  const calls = say.loop !== undefined && c.step >= say.loop ? [] : say.calls
  // While a loop runs, its text is kept for the end: then only filler stands beside the calls.
  const said = say.loop !== undefined && calls.length > 0 ? undefined : say.text
  const text = [said === undefined ? '' : fillText(said, c), say.bytes === undefined ? '' : filler(say.bytes)]
    .filter(Boolean)
    .join('\n')
  const reasoning = fillText(say.reasoning ?? (signs.mustReason ? REASONS_ANYHOW : ''), c)
  const refusal = say.refusal === undefined ? '' : fillText(say.refusal, c)
  const args = calls.map((call) =>
    typeof call.args === 'string' ? call.args : JSON.stringify(fillValue(call.args, c)),
  )
  const outputBytes = [text, refusal, reasoning, ...args].reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  return {
    id: requestHash.slice(0, 20),
    model: c.model + SCRIPTED,
    reasoning: deltas(reasoning, say.deltaChars),
    text: deltas(text, say.deltaChars),
    refusal: deltas(refusal, say.deltaChars),
    ...(say.redacted ? { redacted: true } : {}),
    phase: say.phase ?? (calls.length > 0 ? 'commentary' : 'final_answer'),
    // Read from the whole request, which costs: only where something is to be signed.
    ...(reasoning === '' ? {} : { place: signs.place() }),
    calls: calls.map((call, i) => ({ name: call.tool, args: deltas(args[i] ?? '', say.deltaChars) })),
    stop: say.stop ?? (calls.length > 0 ? 'tool_calls' : refusal === '' ? 'end' : 'refusal'),
    usage: say.usage ?? {
      input: Math.ceil(requestBytes / 4),
      output: Math.ceil(outputBytes / 4),
      cacheRead: 0,
      cacheWrite: 0,
      reasoning: Math.ceil(Buffer.byteLength(reasoning) / 4),
    },
  }
}

/** Words with the space before them, or pieces of so many characters (never half a surrogate pair). */
function deltas(text: string, chars: number | undefined): string[] {
  if (chars === undefined) return text.match(/\s*\S+|\s+$/g) ?? []
  const pieces: string[] = []
  for (let at = 0; at < text.length;) {
    // One character that is a pair is longer than a cut of 1 allows.
    const piece = cutText(text.slice(at, at + chars + 1), chars) || text.slice(at, at + 2)
    pieces.push(piece)
    at += piece.length
  }
  return pieces
}

const FILLER = 'filler of a scripted model '

function filler(bytes: number): string {
  return FILLER.repeat(Math.ceil(bytes / FILLER.length)).slice(0, bytes)
}
