/** About how many tokens the parts of a view come to: four characters a token, and of an image or a document its size up to a limit. */
import type { Block, ContentBlock } from '../contract/blocks'
import type { Manifest } from '../contract/events'
import type { View, ViewEntry } from '../contract/provider-port'

export interface ContextPart {
  what: 'system' | 'tools' | ViewEntry['role']
  /** Of the event, or of the first of them; null for what is no event's. */
  seq: number | null
  tokens: number
  /** What is dropped or altered of it, and why. */
  dropped: { what: string; why: string }[]
}

const ATTACHMENT_CHARS = 8000
const CHARS_PER_TOKEN = 4

export function partsOfView({ system, tools, entries }: View, dropped: Manifest['dropped']): ContextPart[] {
  const bySeq = new Map<number, ContextPart['dropped']>()
  for (const { seq, what, why } of dropped) bySeq.set(seq, [...(bySeq.get(seq) ?? []), { what, why }])
  const shown = tools.reduce(
    (sum, tool) => sum + tool.name.length + tool.description.length + tool.inputSchema.length,
    0,
  )
  return [
    { what: 'system', seq: null, tokens: tokensOf(system.length), dropped: [] },
    { what: 'tools', seq: null, tokens: tokensOf(shown), dropped: [] },
    ...entries.map((entry): ContextPart => {
      const seqs = [...new Set(entry.role === 'results' ? entry.results.map(({ seq }) => seq) : [entry.seq])]
      const gone = seqs.flatMap((seq) => bySeq.get(seq) ?? [])
      for (const seq of seqs) bySeq.delete(seq)
      const thinks = !gone.some(({ what }) => what === 'reasoning')
      return { what: entry.role, seq: entry.seq, tokens: tokensOf(charsOf(entry, thinks)), dropped: gone }
    }),
  ]
}

function charsOf(entry: ViewEntry, thinks: boolean): number {
  if (entry.role === 'results')
    return entry.results.reduce((sum, { blocks }) => sum + blocks.reduce((n, block) => n + sizeOf(block), 0), 0)
  return entry.blocks.reduce((n, block) => n + (block.type === 'reasoning' && !thinks ? 0 : sizeOf(block)), 0)
}

function sizeOf(block: Block | ContentBlock): number {
  switch (block.type) {
    case 'text':
      return block.blob?.bytes ?? block.text.length
    case 'reasoning':
    case 'refusal':
      return block.text.length
    case 'structured':
      return block.json.length
    case 'tool_call':
      return block.name.length + block.args.length
    case 'image':
    case 'file':
      return Math.min(block.blob.bytes, ATTACHMENT_CHARS)
  }
}

function tokensOf(chars: number): number {
  return Math.ceil(chars / CHARS_PER_TOKEN)
}
