/**
 * Events as the client gives them out: parsed where this code knows the type and version, kept as they are where it does not.
 */
import { parseEvent, type KnownEvent, type StoredEvent } from '../contract/events'

interface Stored {
  /** The session whose own row this is: an ancestor's, in a stretch that a fork inherited. */
  session: string
  /** Hex. */
  hash: string
}

/** An event of a type or version that this code does not know, or whose content is locked: shown, never guessed at. */
export interface UnknownEvent extends Stored {
  unknown: true
  seq: number
  at: number
  actor: string
  type: string
  v: number
  payload: unknown
  /** Why nobody knows here what it says: its key is not here, or was destroyed. */
  locked?: 'key_missing' | 'key_destroyed'
}

/** `at` is in microseconds since 1970. Look at `unknown` first; then `type` tells the shape of `payload`. */
export type LogEvent = (KnownEvent & Stored & { unknown: false }) | UnknownEvent

/** @throws SavefileError `corrupt_log` where the payload of a known event does not validate. */
export function toLogEvent(stored: StoredEvent): LogEvent {
  const { seq, at, actor, type, v, session, hash } = stored
  if (stored.locked)
    return { unknown: true, seq, at, actor, type, v, payload: null, session, hash, locked: stored.locked }
  const known = parseEvent(stored)
  if (known) return { ...known, session, hash, unknown: false }
  return { unknown: true, seq, at, actor, type, v, payload: jsonOrText(stored.payload), session, hash }
}

function jsonOrText(payload: string): unknown {
  try {
    return JSON.parse(payload)
  } catch (error) {
    if (error instanceof SyntaxError) return payload // a later format may not be JSON: still shown
    throw error
  }
}
