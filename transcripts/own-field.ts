/**
 * `savefile` in a line that our own export wrote: what the format could not say. Read as anything else that nobody checked: where it is not
 * what it must be, it is as good as absent.
 */
import { z } from 'zod'
import { Block, ContentBlock, type BlobRef } from '../contract/blocks'
import { FailureClass, Outcome } from '../contract/events'
import type { Blobs } from './items'
import { count, list, object, text, type Json } from './json'

const Blocks = z.array(Block)
const Contents = z.array(ContentBlock)

/** Null: it says nothing of blocks. */
export function ownBlocks(own: Json, blobs: Blobs): Block[] | null {
  const parsed = Blocks.safeParse(own.blocks)
  return parsed.success ? parsed.data.map((block) => withBytes(block, object(own.blobs), blobs)) : null
}

export function ownContent(own: Json, blobs: Blobs): ContentBlock[] | null {
  const parsed = Contents.safeParse(ownBlocks(own, blobs))
  return parsed.success ? parsed.data : null
}

/** A block whose bytes did not come is told of. */
function withBytes(block: Block, given: Json, blobs: Blobs): Block {
  const ref = 'blob' in block ? block.blob : undefined
  if (!ref) return block
  const base64 = text(given[ref.hash])
  if (base64 === '') return missing(ref)
  const blob = blobs.put(Buffer.from(base64, 'base64'), ref.mediaType)
  return { ...block, blob } as Block
}

function missing({ mediaType, bytes }: BlobRef): Block {
  return { type: 'text', text: `[${mediaType}, ${bytes} bytes: not in the transcript]` }
}

export function ownOutcome(own: Json): Outcome | undefined {
  return Outcome.safeParse(own.outcome).data
}

export function ownFailure(own: Json): { class: FailureClass; message: string; status?: number } | null {
  const known = FailureClass.safeParse(own.class)
  if (!known.success) return null
  const status = count(own.status)
  return { class: known.data, message: text(own.message), ...(status > 0 ? { status } : {}) }
}

/** Whose replay an answer has; null where it has none of its own. */
export function ownReplay(
  own: Json,
): { provider: string; platform: string; replayFormat: number; kept: (string | null)[] } | null {
  if (text(own.provider) === '') return null
  const kept = list(own.kept).map((entry) => (typeof entry === 'string' ? entry : null))
  return { provider: text(own.provider), platform: text(own.platform), replayFormat: count(own.replayFormat), kept }
}
