/**
 * What people send, checked and made storable once, at the boundary: NUL and lone surrogates are replaced and counted, bytes go
 * to blobs, sizes are refused before anything is written. (Long text becomes a blob in the log.)
 */
import { ContentBlock, textBlock, type BlobRef } from '../contract/blocks'
import { SavefileError } from '../contract/errors'
import { MAX_BLOB_BYTES, MAX_MESSAGE_BYTES } from '../contract/limits'

/** Bytes to be kept as a blob; `mediaType` as in `image/png`. */
export type Attachment =
  | { type: 'image'; bytes: Uint8Array; mediaType: string }
  | { type: 'file'; bytes: Uint8Array; mediaType: string; name?: string }

/** A text, or a list of texts, attachments and ready blocks. */
export type Content = string | readonly (string | Attachment | ContentBlock)[]

export type WriteBlob = (bytes: Uint8Array, mediaType: string) => Promise<BlobRef>

/**
 * The blocks of a message.
 * @throws SavefileError `invalid_input` (nothing in it, or not a block), `too_large`.
 */
export async function toBlocks(content: Content, writeBlob: WriteBlob): Promise<ContentBlock[]> {
  const parts = (typeof content === 'string' ? [content] : content).map(checkPart)
  const bytes = parts.reduce((sum, part) => sum + weightOf(part), 0)
  if (bytes > MAX_MESSAGE_BYTES) throw tooLarge('The message', bytes, MAX_MESSAGE_BYTES)
  const empty = parts.every((part) => 'text' in part && !('blob' in part && part.blob) && part.text.trim() === '')
  if (empty) throw new SavefileError('invalid_input', 'The message is empty: send some text, an image or a file.')

  const blocks: ContentBlock[] = []
  for (const part of parts) blocks.push('bytes' in part ? await stored(part, writeBlob) : part)
  return blocks
}

function checkPart(part: string | Attachment | ContentBlock, index: number): Attachment | ContentBlock {
  if (typeof part === 'string') return textBlock(part)
  if ('bytes' in part) {
    if (part.bytes.byteLength > MAX_BLOB_BYTES) throw tooLarge(`Block ${index}`, part.bytes.byteLength, MAX_BLOB_BYTES)
    return part
  }
  const parsed = ContentBlock.safeParse(part)
  if (!parsed.success) {
    const why = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'type'}: ${issue.message}`).join('; ')
    throw new SavefileError('invalid_input', `Block ${index} of the message is not a content block: ${why}`, {
      block: index,
    })
  }
  const block = parsed.data
  if (block.type === 'text' && !block.blob && !block.normalised) return textBlock(block.text)
  if (block.type === 'structured') checkJson(block.json, index)
  return block
}

function checkJson(json: string, index: number): void {
  try {
    JSON.parse(json)
  } catch (cause) {
    const message = `Block ${index} of the message is "structured", and its json is not JSON text.`
    throw new SavefileError('invalid_input', message, { block: index }, { cause })
  }
}

async function stored(part: Attachment, writeBlob: WriteBlob): Promise<ContentBlock> {
  const blob = await writeBlob(part.bytes, part.mediaType)
  if (part.type === 'image') return { type: 'image', blob }
  return part.name === undefined ? { type: 'file', blob } : { type: 'file', blob, name: textBlock(part.name).text }
}

function weightOf(part: Attachment | ContentBlock): number {
  if ('bytes' in part) return part.bytes.byteLength
  const blob = 'blob' in part ? (part.blob?.bytes ?? 0) : 0
  return blob + ('text' in part ? Buffer.byteLength(part.text) : 'json' in part ? Buffer.byteLength(part.json) : 0)
}

function tooLarge(what: string, bytes: number, limit: number): SavefileError {
  return new SavefileError('too_large', `${what} weighs ${bytes} bytes; at most ${limit} are taken.`, { bytes, limit })
}
