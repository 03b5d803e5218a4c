/** What the clients' formats share: attachments in base64, calls as their models wrote them, failures by their words. */
import { createHash } from 'node:crypto'
import { textBlock, type BlobRef, type ContentBlock, type ToolCallBlock } from '../contract/blocks'
import type { FailureClass } from '../contract/events'
import { normaliseText } from '../contract/text'
import type { Blobs } from './items'

export interface StoredBlob {
  ref: BlobRef
  bytes: Uint8Array
}

export class BlobStore implements Blobs {
  readonly stored = new Map<string, StoredBlob>()

  put(bytes: Uint8Array, mediaType: string): BlobRef {
    const hash = sha256Name(bytes)
    const known = this.stored.get(hash)
    if (known) return { ...known.ref, mediaType }
    const ref = { hash, bytes: bytes.length, mediaType }
    this.stored.set(hash, { ref, bytes })
    return ref
  }
}

export function sha256Name(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Blocks without those that say nothing at all; blank ones stay. */
export function texts(...raw: string[]): ContentBlock[] {
  return raw.flatMap((text) => (text === '' ? [] : [textBlock(text)]))
}

/** Null: it is no base64. */
export function attached(data: string, mediaType: string, blobs: Blobs, name?: string): ContentBlock | null {
  const bytes = Buffer.from(data, 'base64')
  if (bytes.length === 0) return null
  const type = normaliseText(mediaType || 'application/octet-stream').text
  const blob = blobs.put(bytes, type)
  if (type.startsWith('image/')) return { type: 'image', blob }
  return name === undefined || name === ''
    ? { type: 'file', blob }
    : { type: 'file', blob, name: normaliseText(name).text }
}

export function structured(value: unknown): Extract<ContentBlock, { type: 'structured' }> {
  return { type: 'structured', json: JSON.stringify(value) }
}

/** `args`: JSON text as the model wrote it, or what the client made of it. */
export function callBlock(call: string, name: string, args: string): ToolCallBlock {
  const written = normaliseText(args).text
  return { type: 'tool_call', call, name: normaliseText(name).text, args: written.trim() === '' ? '{}' : written }
}

const CLASSES: readonly (readonly [RegExp, FailureClass])[] = [
  [/\b429\b|rate.?limit|usage limit|too many requests/i, 'rate_limited'],
  [/prompt is too long|context.{0,20}(?:length|window|limit)|too many tokens/i, 'context_exceeded'],
  [/\b40[13]\b|authenticat|api key|unauthori[sz]ed|permission/i, 'auth'],
  [/credit|billing|quota/i, 'budget'],
  [/time.?d? ?out/i, 'timeout'],
  [/\b5\d\d\b|overloaded|internal server error/i, 'overloaded'],
  [/connect|network|ENOTFOUND|ECONN|fetch failed/i, 'unreachable'],
  [/\b400\b|invalid.?request/i, 'refused_request'],
]

/** By the words that a client showed: the first that fit. */
export function failureClass(message: string): FailureClass {
  return CLASSES.find(([words]) => words.test(message))?.[1] ?? 'cut_off'
}
