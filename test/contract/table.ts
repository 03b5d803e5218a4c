/**
 * What may follow in which phase, cell by cell, as literals: `ok`, or why not. The event offered is the one that would be right there
 * (right step, right turn, the first call), so a guard's own refusals are tested apart.
 */
import type { EventType, NewEvent } from '../../contract/events'
import type { Refusal } from '../../contract/reduce'
import type { Phase, State } from '../../contract/state'
import { emptyState } from '../../contract/state'
import * as g from './given'

export const IN_PHASE: Record<Phase, State> = {
  new: emptyState,
  idle: g.given(g.created),
  due: g.given(g.created, g.message()),
  calls: g.given(g.created, g.message(), (s) => g.answered(s, ['ask'])),
  settled: g.given(g.created, g.message(), (s) => g.answered(s)),
  stopping: g.given(g.created, g.message(), g.stop),
  stopped: g.given(g.created, g.message(), g.stop, g.interrupted),
  closed: g.given(g.created, g.closed),
}

export const OFFERED: { [T in EventType]: (s: State) => NewEvent } = {
  session_created: () => g.created,
  forked: g.forked,
  definition_changed: () => g.changed,
  message_received: () => g.message(),
  model_answered: (s) => g.answered(s),
  model_failed: g.failed,
  approval_requested: (s) => g.requested(s),
  approval_resolved: (s) => g.resolved(s, 'allow'),
  tool_started: (s) => g.started(s),
  tool_finished: (s) => g.finished(s, 'error'),
  result_arrived_late: (s) => g.late(s),
  interrupted: g.interrupted,
  turn_finished: (s) => g.turnFinished(s, s.turn?.interrupted ? 'interrupted' : 'done'),
  checkpoint_made: g.checkpoint,
  child_started: () => g.childStarted,
  child_finished: () => g.childFinished,
  custody_taken: g.custody,
  granted: () => g.granted,
  revoked: () => g.revoked,
  session_closed: () => g.closed,
  key_destroyed: () => g.keyDestroyed,
}

type Cell = 'ok' | Refusal
const all = (why: Cell): Record<EventType, Cell> => ({
  session_created: why,
  forked: why,
  definition_changed: why,
  message_received: why,
  model_answered: why,
  model_failed: why,
  approval_requested: why,
  approval_resolved: why,
  tool_started: why,
  tool_finished: why,
  result_arrived_late: why,
  interrupted: why,
  turn_finished: why,
  checkpoint_made: why,
  child_started: why,
  child_finished: why,
  custody_taken: why,
  granted: why,
  revoked: why,
  session_closed: why,
  key_destroyed: why,
})
const anytime = {
  session_created: 'already_created',
  forked: 'ok',
  definition_changed: 'ok',
  message_received: 'ok',
  result_arrived_late: 'ok',
  custody_taken: 'ok',
  granted: 'ok',
  revoked: 'ok',
  session_closed: 'ok',
  key_destroyed: 'ok',
} as const

const inTurn = { child_started: 'ok', child_finished: 'ok' } as const

export const EXPECTED: Record<Phase, Record<EventType, Cell>> = {
  new: { ...all('not_created'), session_created: 'ok' },
  idle: { ...all('no_turn'), ...anytime, checkpoint_made: 'ok' },
  due: {
    ...anytime,
    model_answered: 'ok',
    model_failed: 'ok',
    approval_requested: 'no_open_calls',
    approval_resolved: 'no_open_calls',
    tool_started: 'no_open_calls',
    tool_finished: 'no_open_calls',
    interrupted: 'nothing_to_interrupt',
    ...inTurn,
    checkpoint_made: 'ok',
    turn_finished: 'work_left',
  },
  calls: {
    ...anytime,
    model_answered: 'calls_open',
    model_failed: 'calls_open',
    approval_requested: 'ok',
    approval_resolved: 'not_requested',
    tool_started: 'ok',
    tool_finished: 'ok',
    interrupted: 'nothing_to_interrupt',
    ...inTurn,
    checkpoint_made: 'ok',
    turn_finished: 'calls_open',
  },
  settled: {
    ...anytime,
    model_answered: 'not_due',
    model_failed: 'not_due',
    approval_requested: 'no_open_calls',
    approval_resolved: 'no_open_calls',
    tool_started: 'no_open_calls',
    tool_finished: 'no_open_calls',
    interrupted: 'nothing_to_interrupt',
    ...inTurn,
    checkpoint_made: 'ok',
    turn_finished: 'ok',
  },
  stopping: {
    ...anytime,
    model_answered: 'ok',
    model_failed: 'ok',
    approval_requested: 'interrupt_pending',
    approval_resolved: 'unknown_call',
    tool_started: 'interrupt_pending',
    tool_finished: 'unknown_call',
    interrupted: 'ok',
    checkpoint_made: 'ok',
    child_started: 'interrupt_pending',
    child_finished: 'ok',
    turn_finished: 'interrupt_pending',
  },
  stopped: { ...all('after_interrupted'), ...anytime, checkpoint_made: 'ok', turn_finished: 'ok' },
  closed: {
    ...all('closed'),
    forked: 'ok',
    result_arrived_late: 'ok',
    granted: 'ok',
    revoked: 'ok',
    key_destroyed: 'ok',
  },
}
