/**
 * From what a stream held to the blocks of an answer, the same for every vendor.
 */
import type { Block, ToolCallBlock } from '../contract/blocks'
import type { Usage } from '../contract/events'
import type { Billed } from '../contract/provider-port'
import { normaliseText } from '../contract/text'
import { isRecord } from './failures'
import { argsProblem } from './wire-names'

/**
 * A call as the model wrote it. `cutOff`: the answer reached a limit while this call was its last block.
 * Empty arguments are those of a tool without parameters, unless the call was cut off before they began.
 */
export function callBlock(name: string, written: string, cutOff: boolean): ToolCallBlock {
  const args = normaliseText(written).text
  const block: ToolCallBlock = {
    type: 'tool_call',
    call: '',
    name: normaliseText(name).text,
    args: args.trim() === '' ? '{}' : args,
  }
  if (cutOff && (args.trim() === '' || argsProblem(args) !== null))
    return { ...block, args, problem: 'truncated: the answer reached its limit in the middle of the arguments' }
  const problem = argsProblem(block.args) ?? (name.trim() === '' ? 'the call names no tool' : null)
  return problem === null ? block : { ...block, problem }
}

export function reasoningBlock(written: string): Block {
  return { type: 'reasoning', text: normaliseText(written).text }
}

/** A count of tokens as a vendor may send it: anything that is none is 0. */
export function tokens(value: unknown): number {
  return typeof value === 'number' && value > 0 && value <= Number.MAX_SAFE_INTEGER ? Math.trunc(value) : 0
}

export const NO_USAGE: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 }

/** A field of an event, whatever the event is. */
export function field(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** OpenAI's word for the tier that an answer was made in: of the standard one nothing is said. */
export function billedTier(tier: string): { billed?: Billed } {
  return tier === '' || tier === 'default' || tier === 'auto' ? {} : { billed: { tier } }
}

/** The id of an answer, where the vendor gives one. */
export function responseId(value: unknown): { responseId?: string } {
  const id = normaliseText(text(value)).text
  return id === '' ? {} : { responseId: id }
}
