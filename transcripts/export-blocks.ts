/** What the exports of other clients' formats share: names that follow from the log, and blocks with the bytes that they name. */
import { createHash } from 'node:crypto'
import { textBlock, type BlobRef, type Block, type TextBlock } from '../contract/blocks'
import { OUTCOME_SAID, type Outcome } from '../contract/events'
import type { ExportSource } from './exporting'
import type { Json } from './json'

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const NO_TEXT = '(no text)'

/** A block as a format writes it. `exact`: read again, it is the same block. */
export interface Wire {
  parts: unknown[]
  exact: boolean
}

/** The blocks themselves, and the bytes that they name. */
export async function exact(blocks: readonly Block[], source: ExportSource): Promise<Json> {
  const blobs: Record<string, string> = {}
  for (const block of blocks) {
    const ref = 'blob' in block ? block.blob : undefined
    const bytes = ref ? await source.blob(ref.hash) : null
    if (ref && bytes) blobs[ref.hash] = Buffer.from(bytes).toString('base64')
  }
  return {
    blocks: blocks.map((block) => (block.type === 'tool_call' ? { ...block, call: wireId(block.call) } : block)),
    ...(Object.keys(blobs).length > 0 ? { blobs } : {}),
  }
}

export async function textOf(block: Extract<Block, { type: 'text' }>, source: ExportSource): Promise<string> {
  const bytes = block.blob ? await source.blob(block.blob.hash) : null
  return bytes ? Buffer.from(bytes).toString('utf8') : block.text
}

export function wireId(call: string): string {
  return `toolu_${createHash('sha256').update(call).digest('hex').slice(0, 24)}`
}

/** A uuid that follows from a text: the same head gives the same file. */
export function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

export function notShown(type: string, { mediaType, bytes }: BlobRef, name: string | undefined): string {
  return `[${type} ${name === undefined ? '' : `${name}, `}${mediaType}, ${bytes} bytes: not shown]`
}

/** Read again, a text is the same block. */
export function isPlain(block: Extract<Block, { type: 'text' }>): boolean {
  return block.normalised === undefined && (block.text !== '' || block.blob !== undefined)
}

/** What a client's model has to know of an outcome: no format has a place for it. */
export function saidOf(outcome: Outcome): TextBlock[] {
  const said = OUTCOME_SAID[outcome]
  return said === null ? [] : [textBlock(said)]
}
