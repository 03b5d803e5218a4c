/** Which request belongs to an event of a log: that of an answer or a failure, else the one that would be made behind it. */
import type { Definition, ModelSpec } from '../contract/definition'
import type { RequestEncoder } from '../contract/encoder'
import { SavefileError } from '../contract/errors'
import { parseEvent, type KnownEvent, type Manifest } from '../contract/events'
import { modelAsked } from '../contract/fallbacks'
import type { SessionRef } from '../contract/ids'
import type { ClientLog } from '../contract/client-port'
import type { View } from '../contract/provider-port'
import { reduce } from '../contract/reduce'
import { emptyState, unseenByModel, type State } from '../contract/state'
import { storedEvents } from './stored-events'

export interface RequestAt {
  /** The events that it may show. */
  events: readonly KnownEvent[]
  /** Hash of the definition. */
  definition: string
  /** What it names for the first time. */
  saw: readonly number[]
  /** What was made of it, where it was made. */
  made: { event: Extract<KnownEvent, { type: 'model_answered' | 'model_failed' }>; manifest: Manifest } | null
  /** Behind the last of the events. */
  state: State
}

/**
 * @param next the one that would be made behind the event, whatever it is.
 * @throws SavefileError `newer_worker_needed`, `key_missing`, `key_destroyed`, `corrupt_log`: what nobody can read cannot be shown.
 */
export async function requestAt(log: ClientLog, ref: SessionRef, at: number, next = false): Promise<RequestAt> {
  const events: KnownEvent[] = []
  let state = emptyState
  for await (const stored of storedEvents(log, ref, at)) {
    const event = parseEvent(stored)
    if (!event) throw unreadable(ref.session, stored)
    const made = event.seq === at && !next ? madeBy(event) : null
    if (made) return { events, definition: made.manifest.definition, saw: made.manifest.saw, made, state }
    const reduced = reduce(state, event)
    if (!reduced.ok)
      throw new SavefileError('corrupt_log', `Event ${event.seq} (${event.type}) cannot follow: ${reduced.refusal}.`, {
        seq: event.seq,
      })
    state = reduced.state
    events.push(event)
  }
  return { events, definition: state.definition, saw: unseenByModel(state), made: null, state }
}

function madeBy(event: KnownEvent): RequestAt['made'] {
  if (event.type !== 'model_answered' && event.type !== 'model_failed') return null
  const { manifest } = event.payload
  return manifest ? { event, manifest } : null
}

function unreadable(
  session: string,
  { seq, type, v, locked }: { seq: number; type: string; v: number; locked?: 'key_missing' | 'key_destroyed' },
): SavefileError {
  if (locked === 'key_missing')
    return new SavefileError('key_missing', `Event ${seq} of session ${session} is encrypted, and its key is not here.`)
  if (locked === 'key_destroyed')
    return new SavefileError('key_destroyed', `Event ${seq} of session ${session} was erased: its key is destroyed.`)
  return new SavefileError(
    'newer_worker_needed',
    `Event ${seq} of session ${session} is of a type that this version does not know: ${type} version ${v}.`,
    { seq, type, v },
  )
}

/** The model that was asked, or would be: the definition's own, or one of its fallbacks. */
export function modelOf(definition: Definition, { made, state }: RequestAt): ModelSpec {
  if (!made) return modelAsked(definition, state).model
  return definition.fallbacks?.models[(made.manifest.fallback ?? 0) - 1] ?? definition.model
}

export function viewAt(encoder: RequestEncoder, request: RequestAt, definition: Definition, raw = false): View {
  const view = encoder.buildView(request.events, definition, request.saw, { raw })
  if (!request.made) return view
  // What was sent then was below the cut of then.
  const { replayCut: _, ...rest } = view
  const { replayCut } = request.made.manifest
  return { ...rest, ...(replayCut === undefined ? {} : { replayCut }) }
}
