/**
 * Blocks: the content of events, with no vendor in it (L11). DESIGN.md section 2 and 5.
 * JSON whose spelling matters (tool arguments, structured output, replay) is a string of its own.
 */
import { z } from 'zod'
import { normaliseText } from './text'

export const Sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be "sha256:" and 64 hex digits')

/** Content that lives in the blobs table. `bytes` is the size of what is stored there. */
export const BlobRef = z.strictObject({ hash: Sha256, bytes: z.int().nonnegative(), mediaType: z.string() })
export type BlobRef = z.infer<typeof BlobRef>

/** `normalised` counts characters that were replaced by U+FFFD at the boundary. A long text is in `blob`, and `text` is empty. */
export const TextBlock = z.strictObject({
  type: z.literal('text'),
  text: z.string(),
  blob: BlobRef.optional(),
  normalised: z.int().positive().optional(),
})
export const ReasoningBlock = z.strictObject({ type: z.literal('reasoning'), text: z.string() })
/** `args` is the JSON text that the model wrote. `problem` says why the call must not run: the model is told, nothing is executed. */
export const ToolCallBlock = z.strictObject({
  type: z.literal('tool_call'),
  call: z.string(),
  name: z.string(),
  args: z.string(),
  problem: z.string().optional(),
})
export const ImageBlock = z.strictObject({ type: z.literal('image'), blob: BlobRef })
/** `kept`: in the log for people, not sent to the model (the whole of an output that was cut). */
export const FileBlock = z.strictObject({
  type: z.literal('file'),
  blob: BlobRef,
  name: z.string().optional(),
  kept: z.boolean().optional(),
})
export const RefusalBlock = z.strictObject({ type: z.literal('refusal'), text: z.string() })
export const StructuredBlock = z.strictObject({ type: z.literal('structured'), json: z.string() })

export const Block = z.discriminatedUnion('type', [
  TextBlock,
  ReasoningBlock,
  ToolCallBlock,
  ImageBlock,
  FileBlock,
  RefusalBlock,
  StructuredBlock,
])
export type Block = z.infer<typeof Block>
export type TextBlock = z.infer<typeof TextBlock>
export type ToolCallBlock = z.infer<typeof ToolCallBlock>

/** What people send, and what tools give back. */
export const ContentBlock = z.discriminatedUnion('type', [TextBlock, ImageBlock, FileBlock, StructuredBlock])
export type ContentBlock = z.infer<typeof ContentBlock>

/** A text block whose text every store and provider can hold, with a count of what was replaced. */
export function textBlock(raw: string): TextBlock {
  const { text, normalised } = normaliseText(raw)
  return normalised > 0 ? { type: 'text', text, normalised } : { type: 'text', text }
}

/** The text of an answer or a message, without reasoning, calls and attachments. */
export function textOf(blocks: readonly Block[]): string {
  return blocks.flatMap((b) => (b.type === 'text' || b.type === 'refusal' ? [b.text] : [])).join('')
}
