/** What a provider answered, as the entries that it becomes in the next view. */
import type { Block } from '../../../contract/blocks'
import type { ModelResult, ViewEntry } from '../../../contract/provider-port'

export type Answered = Extract<ModelResult, { ok: true }>

export function entry(seq: number, { blocks, replay, stop }: Answered): ViewEntry {
  let n = 0
  return {
    role: 'assistant',
    seq,
    blocks: blocks.map((b): Block => (b.type === 'tool_call' ? { ...b, call: `s:${seq}.${n++}` } : b)),
    ...(replay ? { replay } : {}),
    ...(stop === 'pause' ? { paused: true } : {}),
  }
}

export function results(answered: ViewEntry, outputs: string[]): ViewEntry {
  const calls = answered.role === 'assistant' ? answered.blocks.filter((b) => b.type === 'tool_call') : []
  return {
    role: 'results',
    seq: answered.seq + 1,
    results: calls.map((c, i) => ({
      seq: answered.seq + 1 + i,
      call: c.call,
      name: c.name,
      outcome: 'ok',
      blocks: [{ type: 'text', text: outputs[i] ?? '' }],
    })),
  }
}
