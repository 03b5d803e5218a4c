/**
 * From the chunks of a Chat Completions stream to the blocks of an answer. Servers differ: reasoning in either of two fields, calls without
 * an index or all with the same, ids repeated or left out, several choices, usage in the last chunk, in all or in none. Takes whatever comes.
 */
import { textBlock, type Block } from '../../contract/blocks'
import type { StopReason, Usage } from '../../contract/events'
import { normaliseText } from '../../contract/text'
import { NO_USAGE, billedTier, callBlock, field, reasoningBlock, responseId, text, tokens } from '../answer-blocks'
import type { Home } from '../content'
import type { StreamReader, Whole } from '../exchange'
import { isRecord } from '../failures'
import { errorIn } from '../openai-errors'
import { argsProblem } from '../wire-names'
import { addDetail, wordsOf, type Detail } from './reasoning-details'
import { REASONING_FIELDS, type ReasoningField } from './request'

const STOPS: Readonly<Record<string, StopReason>> = {
  stop: 'end',
  length: 'max_tokens',
  tool_calls: 'tool_calls',
  function_call: 'tool_calls',
  content_filter: 'refusal',
}

interface GrowingCall {
  index: number | undefined
  id: string
  name: string
  args: string
}

export function createChatReader(
  home: Home,
  onDelta: (kind: 'text' | 'reasoning', body: string) => void,
): StreamReader {
  const calls: GrowingCall[] = []
  let said = ''
  let thought = ''
  let refusal = ''
  let thoughtIn: ReasoningField | undefined
  const details: Detail[] = []
  let finish: unknown
  let usage: Usage = NO_USAGE
  let model = ''
  let id: unknown
  let tier = ''
  let error: unknown = null

  const say = (kind: 'text' | 'reasoning', body: string): string => {
    if (body !== '') onDelta(kind, normaliseText(body).text)
    return body
  }
  const delta = (d: unknown): void => {
    // Some send both fields with the same words: only one is read.
    const came = REASONING_FIELDS.find((name) => text(field(d, name)) !== '')
    if (came && (thoughtIn === undefined || thoughtIn === came)) {
      thoughtIn = came
      thought += say('reasoning', text(field(d, came)))
    }
    const pieces = field(d, 'reasoning_details')
    if (Array.isArray(pieces))
      for (const piece of pieces) {
        addDetail(details, piece)
        // The same words are in a field, as a rule.
        if (thoughtIn === undefined) thought += say('reasoning', wordsOf(piece))
      }
    said += say('text', text(field(d, 'content')))
    refusal += text(field(d, 'refusal'))
    const toolCalls = field(d, 'tool_calls')
    if (Array.isArray(toolCalls)) for (const call of toolCalls) callDelta(calls, call)
  }

  return {
    push(chunk) {
      id ??= field(chunk, 'id')
      model ||= text(field(chunk, 'model'))
      tier = text(field(chunk, 'service_tier')) || tier
      error ??= errorIn(chunk)
      const counts = field(chunk, 'usage')
      if (isRecord(counts)) usage = usageOf(counts)
      const choices = field(chunk, 'choices')
      if (!Array.isArray(choices)) return
      // Only one answer was asked for.
      const choice: unknown = choices.find((c: unknown) => (field(c, 'index') ?? 0) === 0)
      delta(field(choice, 'delta'))
      finish = field(choice, 'finish_reason') ?? finish
    },
    whole: () => typeof finish === 'string' && finish !== '',
    failed: () => error,
    answer(): Whole {
      const mapped = STOPS[text(finish)] ?? 'other'
      const stop = mapped === 'end' && calls.length > 0 ? 'tool_calls' : refusal !== '' ? 'refusal' : mapped
      const blocks: Block[] = []
      const reasoned = thought !== '' || details.length > 0
      if (reasoned) blocks.push(reasoningBlock(thought))
      if (said !== '') blocks.push(textBlock(said))
      if (stop === 'refusal')
        blocks.push({ type: 'refusal', text: normaliseText(refusal).text || 'The provider held the answer back.' })
      for (const [i, call] of calls.entries())
        blocks.push(callBlock(call.name, call.args, stop === 'max_tokens' && i === calls.length - 1))
      const own = JSON.stringify({ field: thoughtIn, ...(details.length > 0 ? { details } : {}) })
      const kept = blocks.map((block) => (block.type === 'reasoning' ? own : null))
      return {
        blocks,
        stop,
        usage,
        ...billedTier(tier),
        model: model || home.model,
        ...responseId(id),
        ...(reasoned ? { replay: { ...home, blocks: kept } } : {}),
      }
    },
  }
}

/** The text of an answer in one piece, as the chunk that it would have been streamed in. */
export function* eventsOfCompletion(json: string): Generator<unknown> {
  const body: unknown = JSON.parse(json)
  if (!isRecord(body)) return
  const choices = Array.isArray(body.choices) ? (body.choices as unknown[]) : []
  yield { ...body, choices: choices.map((choice) => ({ ...(choice as object), delta: field(choice, 'message') })) }
}

/** Finds the call that a delta goes on with, or begins one. */
function callDelta(calls: GrowingCall[], d: unknown): void {
  const fn = field(d, 'function')
  const id = text(field(d, 'id'))
  const name = text(field(fn, 'name'))
  const at = field(d, 'index')
  const index = typeof at === 'number' ? at : undefined
  const args = field(fn, 'arguments')
  const written = typeof args === 'string' ? args : isRecord(args) ? JSON.stringify(args) : ''
  let call = goesOn(calls, id, index, name)
  if (!call) {
    if (id === '' && name === '' && written === '') return
    call = { index, id, name: '', args: '' }
    calls.push(call)
  }
  call.id ||= id
  // Sent once, or with every delta.
  call.name ||= name
  call.args += written
}

function goesOn(
  calls: readonly GrowingCall[],
  id: string,
  index: number | undefined,
  name: string,
): GrowingCall | undefined {
  const last = calls.at(-1)
  if (id !== '') {
    const same = calls.find((call) => call.id === id)
    if (same) return same
    // Another id under the same index is another call: some servers number every one 0.
    return index === undefined ? undefined : calls.findLast((call) => call.index === index && call.id === '')
  }
  if (index !== undefined) return calls.findLast((call) => call.index === index)
  return name !== '' && last && last.name !== '' && argsProblem(last.args) === null ? undefined : last
}

/** `prompt_tokens` counts what was read from a cache too. DeepSeek has a name of its own for that. */
function usageOf(counts: Record<string, unknown>): Usage {
  const details = counts.prompt_tokens_details
  return {
    input: tokens(counts.prompt_tokens),
    output: tokens(counts.completion_tokens),
    cacheRead: tokens(field(details, 'cached_tokens')) || tokens(counts.prompt_cache_hit_tokens),
    cacheWrite: tokens(field(details, 'cache_write_tokens')),
    reasoning: tokens(field(counts.completion_tokens_details, 'reasoning_tokens')),
  }
}
