/**
 * What a model is sent of an output: at most TOOL_OUTPUT_CHARS characters, head and tail, with a line between them that says how much is
 * left out; the whole is kept as a blob, in the log for people. Text is normalised here, so that every store and provider can hold it.
 */
import type { ContentBlock } from '../contract/blocks'
import { MAX_BLOB_BYTES, TOOL_OUTPUT_CHARS } from '../contract/limits'
import type { ToolContext } from '../contract/ports'
import { cutText, normaliseText } from '../contract/text'

/** Of a cut text, this share is its end: errors and sums stand there. */
const TAIL_SHARE = 0.4
/** However little is left of the room, a text shows this much. */
const LEAST_CHARS = 500

/** What is kept of an output whose text is cut. `partial`: it is itself not all there was. */
export interface Whole {
  bytes: Uint8Array
  mediaType: string
  partial?: boolean
}

type Keep = ToolContext['writeBlob']

/**
 * Blocks as they may stand in an event: normalised, together no longer than the limit (but each shows a little), each cut text with its whole.
 * `whole` belongs to the first block.
 */
export async function fitBlocks(blocks: readonly ContentBlock[], keep: Keep, whole?: Whole): Promise<ContentBlock[]> {
  const fitted: ContentBlock[] = []
  let room = TOOL_OUTPUT_CHARS
  for (const [i, block] of blocks.entries()) {
    if (block.type === 'image' || block.type === 'file') {
      fitted.push(block)
      continue
    }
    const raw = block.type === 'text' ? block.text : block.json
    const mine = Math.max(room, LEAST_CHARS)
    room -= raw.length
    if (raw.length <= mine) fitted.push(block.type === 'text' ? normalised(block) : block)
    else fitted.push(...(await cut(raw, mine, keep, (i === 0 && whole) || wholeOf(raw, block.type))))
  }
  return fitted
}

function normalised(block: Extract<ContentBlock, { type: 'text' }>): ContentBlock {
  const { text, normalised } = normaliseText(block.text)
  const count = normalised + (block.normalised ?? 0)
  return { ...block, text, ...(count > 0 ? { normalised: count } : {}) }
}

function wholeOf(raw: string, type: 'text' | 'structured'): Whole {
  return { bytes: Buffer.from(raw), mediaType: type === 'text' ? 'text/plain; charset=utf-8' : 'application/json' }
}

async function cut(raw: string, room: number, keep: Keep, whole: Whole): Promise<ContentBlock[]> {
  const blob = await keepWhole(keep, whole)
  const kept = !blob
    ? 'the whole could not be kept'
    : whole.partial
      ? 'what was kept of it is in the log'
      : 'the whole is kept in the log'
  const words = (left: number): string => `\n[... ${left} of ${raw.length} characters left out; ${kept} ...]\n`
  const shown = room - words(raw.length).length
  const tailChars = Math.floor(shown * TAIL_SHARE)
  const head = cutText(raw, shown - tailChars)
  const tail = tailOf(raw, tailChars)
  const text = head + words(raw.length - head.length - tail.length) + tail
  return [
    normalised({ type: 'text', text }),
    ...(blob ? [{ type: 'file' as const, blob, name: 'full output', kept: true }] : []),
  ]
}

/** A result that is known must not be lost because its whole could not be kept: then that is said, and the cut text stands alone. */
async function keepWhole(keep: Keep, whole: Whole): Promise<Awaited<ReturnType<Keep>> | null> {
  if (whole.bytes.byteLength > MAX_BLOB_BYTES) return null
  try {
    return await keep(whole.bytes, whole.mediaType)
  } catch {
    return null
  }
}

/** The last `chars` characters, never beginning in half a surrogate pair. */
function tailOf(text: string, chars: number): string {
  const from = text.length - chars
  const code = text.charCodeAt(from)
  return text.slice(code >= 0xdc00 && code <= 0xdfff ? from + 1 : from)
}
