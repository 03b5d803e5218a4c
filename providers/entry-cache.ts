/**
 * What an entry of a view became on the wire, kept for as long as the entry lives (it never changes): the next request encodes what is new.
 * Disposable, like all that is computed from a log (L9).
 */
import type { Manifest } from '../contract/events'
import type { ViewEntry } from '../contract/ports'
import { collectDropped, type Drop, type Home } from './content'

interface Kept {
  key: string
  value: unknown
  dropped: Manifest['dropped']
}

const kept = new WeakMap<ViewEntry, Kept>()

/** An image or a document is encoded for each request: kept, it would cost its size in memory for every session that has one. */
const MAX_KEPT_CHARS = 100_000

/** What `make` makes of an entry, and what it drops; the same key is the same provider, and makes the same of it. */
export async function madeOnce<T>(
  entry: ViewEntry,
  key: string,
  drop: Drop,
  make: (drop: Drop) => Promise<{ value: T; chars: number }>,
): Promise<T> {
  let had = kept.get(entry)
  if (had?.key !== key) {
    const { dropped, drop: note } = collectDropped()
    const { value, chars } = await make(note)
    had = { key, value, dropped }
    if (chars <= MAX_KEPT_CHARS) kept.set(entry, had)
  }
  for (const { seq, what, why } of had.dropped) drop(seq, what, why)
  return had.value as T
}

/** Of all entries of one request: where it goes, and whatever else the encoding of an entry goes by. */
export function homeKey({ provider, platform, model, format }: Home, more = ''): string {
  return [provider, platform, model, format, more].join('\n')
}

/** Below a cut an entry is encoded otherwise, and says up to where. */
export function cutKey(key: string, { seq }: ViewEntry, cut: number | undefined): string {
  return cut !== undefined && seq <= cut ? `${key}\ncut ${cut}` : key
}

export function charsOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length, 0)
}
