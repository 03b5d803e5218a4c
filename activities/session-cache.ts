/**
 * What this process remembers of sessions, so that a step costs the same at event 10 and at event 10,000 (L12). A log only grows, so
 * nothing here is ever wrong, only behind; and all of it may be dropped at any time (L9).
 */
import { SavefileError } from '../contract/errors'
import { parseEvent, type KnownEvent, type StoredEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import { reduce, reduceUnknown } from '../contract/reduce'
import type { State } from '../contract/state'

/**
 * The state after these events, and those of them that this code knows.
 * @throws SavefileError `corrupt_log` where an event cannot follow.
 */
export function fold(from: State, stored: readonly StoredEvent[]): { state: State; known: KnownEvent[] } {
  let state = from
  const known: KnownEvent[] = []
  for (const event of stored) {
    const parsed = parseEvent(event)
    if (parsed === null) {
      state = reduceUnknown(state, event)
      continue
    }
    const reduced = reduce(state, parsed)
    if (!reduced.ok)
      throw new SavefileError(
        'corrupt_log',
        `Event ${event.seq} (${event.type}) cannot follow in phase ${reduced.phase}: ${reduced.refusal}.`,
        { seq: event.seq },
      )
    state = reduced.state
    known.push(parsed)
  }
  return { state, known }
}

/** The state of a session at some seq, and up to where it is kept as a snapshot. */
export interface CachedState {
  state: State
  snapshot: number
}

/** A least-recently-used map, bounded by a weight. */
export class Lru<V> {
  private readonly entries = new Map<string, { value: V; weight: number }>()
  private total = 0

  constructor(private readonly limit: number) {}

  get(ref: SessionRef): V | undefined {
    const key = `${ref.space}/${ref.session}`
    const entry = this.entries.get(key)
    if (!entry) return undefined
    this.entries.delete(key)
    this.entries.set(key, entry)
    return entry.value
  }

  set(ref: SessionRef, value: V, weight = 1): void {
    const key = `${ref.space}/${ref.session}`
    this.drop(key)
    this.entries.set(key, { value, weight })
    this.total += weight
    for (const oldest of this.entries.keys()) {
      if (this.total <= this.limit || oldest === key) break
      this.drop(oldest)
    }
  }

  forget(ref: SessionRef): void {
    this.drop(`${ref.space}/${ref.session}`)
  }

  private drop(key: string): void {
    this.total -= this.entries.get(key)?.weight ?? 0
    this.entries.delete(key)
  }
}
