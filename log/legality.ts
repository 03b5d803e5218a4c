/** Whether an event says what its type says and may follow those before it: reduce and the invariants, along a chain. */
import { errorCode } from '../contract/errors'
import { parseEvent } from '../contract/events'
import { checkInvariants } from '../contract/invariants'
import { reduce, reduceUnknown } from '../contract/reduce'
import { emptyState, type State } from '../contract/state'

export interface JudgedEvent {
  seq: number
  at: number
  type: string
  v: number
  actor: string
  /** Empty: readable. */
  kid: string
  payload: Uint8Array
}

/** Null, or why the event is wrong. An encrypted payload, like one of an unknown type, is passed over: nothing behind it can be judged. */
export type Legality = (event: JudgedEvent) => string | null

/** Begins behind the events that gave `state`; `onState` is told of each state reached. */
export function createLegality(from: State = emptyState, onState?: (state: State) => void): Legality {
  let state = from
  const next = (event: JudgedEvent): string | null => {
    try {
      const payload = Buffer.from(event.payload.buffer, event.payload.byteOffset, event.payload.byteLength).toString(
        'utf8',
      )
      const known = event.kid === '' ? parseEvent({ ...event, payload }) : null
      if (!known) {
        state = reduceUnknown(state, event)
        return null
      }
      const reduced = reduce(state, known)
      if (!reduced.ok) return `a ${event.type} cannot follow here: ${reduced.refusal}`
      const broken = checkInvariants(state, known, reduced.state)
      state = reduced.state
      return broken.length === 0 ? null : broken.join('; ')
    } catch (error) {
      if (errorCode(error) === 'corrupt_log') return (error as Error).message
      throw error
    }
  }
  return (event) => {
    const why = next(event)
    onState?.(state)
    return why
  }
}
