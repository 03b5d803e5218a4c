/**
 * What is done to content on its way in: characters that no store can hold are replaced, long texts move to blobs, and what is too large
 * is refused. Once, here, before the bytes that are hashed exist.
 */
import type { BlobRef, Block } from '../contract/blocks'
import { SavefileError } from '../contract/errors'
import { VERSIONS, type EventType, type NewEvent } from '../contract/events'
import { INLINE_TEXT_BYTES, MAX_PAYLOAD_BYTES } from '../contract/limits'
import { normaliseText } from '../contract/text'
import { eventSlot, type Sealer } from './vault'

export type WriteBlob = (bytes: Uint8Array, mediaType: string) => Promise<BlobRef>

/** An event as the append functions take it: the payload is the JSON text that will be stored, verbatim, or what it is sealed as. */
export interface Prepared {
  type: EventType
  v: number
  payload: string
}

/** @throws SavefileError `too_large` */
export function prepare(event: NewEvent, sealer: Sealer | null): Prepared {
  const plain = JSON.stringify(event.payload)
  const payload = sealer?.text(eventSlot(event.type), plain) ?? plain
  const bytes = Buffer.byteLength(payload)
  if (bytes > MAX_PAYLOAD_BYTES)
    throw new SavefileError(
      'too_large',
      `An event of type ${event.type} would weigh ${bytes} bytes; ${MAX_PAYLOAD_BYTES} are allowed. Send large content as files (blobs).`,
      { bytes, limit: MAX_PAYLOAD_BYTES },
    )
  return { type: event.type, v: VERSIONS[event.type], payload }
}

/** The same event, its texts such that every store and provider can hold them, and short: long ones are in blobs. */
export async function externalise<E extends NewEvent>(event: E, writeBlob: WriteBlob): Promise<E> {
  const payload = clean(event.payload) as E['payload']
  if (!('blocks' in payload)) return { ...event, payload }
  const blocks: Block[] = []
  for (const block of payload.blocks) blocks.push(await shorten(block, writeBlob))
  return { ...event, payload: { ...payload, blocks } }
}

async function shorten(block: Block, writeBlob: WriteBlob): Promise<Block> {
  if (block.type !== 'text' || block.text.length * 3 <= INLINE_TEXT_BYTES) return block
  const bytes = Buffer.from(block.text, 'utf8')
  if (bytes.length <= INLINE_TEXT_BYTES) return block
  return { ...block, text: '', blob: await writeBlob(bytes, 'text/plain; charset=utf-8') }
}

/** How JSON spells what cannot be held. A text that holds such a spelling itself is looked at closely for nothing. */
const UNHOLDABLE = /\\u(?:0000|d[89a-f])/

/** With unholdable characters replaced; a text block records how many. The same object where there are none, as nearly always. */
function clean(value: unknown): unknown {
  return UNHOLDABLE.test(JSON.stringify(value)) ? cleaned(value) : value
}

function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return normaliseText(value).text
  if (Array.isArray(value)) return value.map(cleaned)
  if (typeof value !== 'object' || value === null) return value
  const copy = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [normaliseText(key).text, cleaned(inner)]),
  )
  const { type, text, normalised } = value as { type?: unknown; text?: unknown; normalised?: unknown }
  if (type === 'text' && typeof text === 'string') {
    const count = normaliseText(text).normalised
    if (count > 0) copy['normalised'] = count + (typeof normalised === 'number' ? normalised : 0)
  }
  return copy
}
