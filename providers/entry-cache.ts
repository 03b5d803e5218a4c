/**
 * What an entry of a view became on the wire, kept for as long as the entry lives (it never changes): the next request encodes what is new.
 * Disposable, like all that is computed from a log (L9).
 */
import type { Manifest } from '../contract/events'
import type { ViewEntry } from '../contract/provider-port'
import { collectDropped, type Drop, type Home } from './content'

interface Kept {
  key: string
  value: unknown
  dropped: Manifest['dropped']
}

const kept = new WeakMap<ViewEntry, Kept>()

/** An image or a document is encoded for each request: kept, it would cost its size in memory for every session that has one. */
const MAX_KEPT_CHARS = 100_000

/**
 * What `make` makes of an entry, and what it drops; the same key is the same provider, and makes the same of it. At once where it is kept: a
 * long view has a thousand entries, and a promise for each would cost more than the rest.
 */
export function madeOnce<T>(
  entry: ViewEntry,
  key: string,
  drop: Drop,
  make: (drop: Drop) => Promise<{ value: T; chars: number }>,
): T | Promise<T> {
  const had = kept.get(entry)
  return had?.key === key ? (told(had, drop) as T) : madeNow(entry, key, drop, make)
}

async function madeNow<T>(
  entry: ViewEntry,
  key: string,
  drop: Drop,
  make: (drop: Drop) => Promise<{ value: T; chars: number }>,
): Promise<T> {
  const { dropped, drop: note } = collectDropped()
  const { value, chars } = await make(note)
  const made = { key, value, dropped }
  if (chars <= MAX_KEPT_CHARS) kept.set(entry, made)
  return told(made, drop) as T
}

function told({ value, dropped }: Kept, drop: Drop): unknown {
  for (const { seq, what, why } of dropped) drop(seq, what, why)
  return value
}

/** Waits only for what is not there yet. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise
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
