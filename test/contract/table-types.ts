/**
 * Checked by tsc, not run: a state-by-event table that lacks a cell or a phase does not compile. Where one of these compiled, its
 * expectation would be unused, which is an error of its own.
 */
import { EVENT_TYPES, type EventType } from '../../contract/events'
import { TABLE } from '../../contract/reduce'
import { PHASES, type Phase } from '../../contract/state'

const { turn_finished: _cell, ...withoutCell } = TABLE.due
const { stopped: _phase, ...withoutPhase } = TABLE

// @ts-expect-error the cell of turn_finished in `due` is missing
export const missingCell: typeof TABLE = { ...TABLE, due: withoutCell }
// @ts-expect-error the phase `stopped` is missing
export const missingPhase: typeof TABLE = withoutPhase
// @ts-expect-error there is no such event
export const strangeEvent: typeof TABLE = { ...TABLE, due: { ...TABLE.due, turn_paused: () => null } }
// @ts-expect-error there is no such phase
export const strangePhase: typeof TABLE = { ...TABLE, paused: TABLE.due }

// Every phase that the state can be in, and every type that has a schema, has its row and column.
export const phases: readonly Phase[] = PHASES
export const rows: readonly (keyof typeof TABLE)[] = PHASES
export const columns: readonly (keyof (typeof TABLE)[Phase])[] = EVENT_TYPES
export const types: readonly EventType[] = Object.keys(TABLE.new) as (keyof typeof TABLE.new)[]
