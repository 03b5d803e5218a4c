import type { EventType, NewEvent } from '../../contract/events'
import { EVENT_TYPES } from '../../contract/events'
import { reduceChecked } from '../../contract/invariants'
import { reduce, reduceUnknown, TABLE, type Refusal } from '../../contract/reduce'
import { emptyState, phaseOf, PHASES, unseenByModel, type Phase, type State } from '../../contract/state'
import * as g from './given'
import { EXPECTED, IN_PHASE, OFFERED } from './table'

const refusal = (s: State, event: NewEvent): Refusal | 'ok' => {
  const r = reduce(s, g.after(s, event))
  return r.ok ? 'ok' : r.refusal
}
const cells = PHASES.flatMap((phase) => EVENT_TYPES.map((type): [Phase, EventType] => [phase, type]))

describe('the state-by-event table', () => {
  it('has a cell for every phase and every type', () => {
    expect(Object.keys(TABLE).sort()).toEqual([...PHASES].sort())
    for (const phase of PHASES) expect(Object.keys(TABLE[phase]).sort()).toEqual([...EVENT_TYPES].sort())
  })
  it.each(cells)('%s, then %s', (phase, type) => {
    const s = IN_PHASE[phase]
    expect(phaseOf(s)).toBe(phase)
    const event = OFFERED[type](s)
    expect(event.type).toBe(type)
    const expected = EXPECTED[phase][type]
    expect(refusal(s, event)).toBe(expected)
    if (expected === 'ok') expect(reduceChecked(s, g.after(s, event)).broken).toEqual([])
  })
  it.each(cells)('refuses in %s a %s whose seq is not the next', (phase, type) => {
    const s = IN_PHASE[phase]
    for (const seq of [s.seq, s.seq + 2, 0]) {
      const r = reduce(s, { ...g.after(s, OFFERED[type](s)), seq })
      expect(r).toEqual({ ok: false, refusal: 'wrong_seq', phase })
    }
  })
})

describe('what a guard refuses', () => {
  const { due, calls, settled, stopping } = IN_PHASE
  const asked = g.then(calls, g.requested)
  const allowed = g.then(asked, (s) => g.resolved(s, 'allow'))
  const running = g.then(allowed, g.started)
  const two = g.given(g.created, g.message(), (s) => g.answered(s, ['pay', 'look']))
  const oneDone = g.then(g.then(two, g.started), g.finished)
  const stoppingCalls = g.then(running, g.stop)
  const wrongStep = { ...g.failed(due), payload: { ...g.failed(due).payload, step: 'model@99' } } as NewEvent

  it.each<[string, State, NewEvent, Refusal]>([
    ['an answer under another step', due, wrongStep, 'wrong_step'],
    ['a request for a call that nobody made', calls, { ...g.requested(emptyState) }, 'unknown_call'],
    ['a second request', asked, g.requested(asked), 'already_requested'],
    ['a request after the start', running, g.requested(running), 'already_started'],
    ['a second resolution', allowed, g.resolved(allowed, 'deny'), 'already_resolved'],
    ['a resolution of a call that has its result', g.then(two, g.started), g.resolved(two, 'allow'), 'not_requested'],
    ['a second start', running, g.started(running), 'already_started'],
    ['a second result', oneDone, g.finished(oneDone), 'call_finished'],
    ['a start after the result', oneDone, g.started(oneDone), 'call_finished'],
    ['the end of another turn', settled, { type: 'turn_finished', payload: { turn: 9, reason: 'done' } }, 'wrong_turn'],
    [
      'interrupted in another turn',
      stopping,
      { type: 'interrupted', payload: { turn: 9, by: 3, partial: [] } },
      'wrong_turn',
    ],
    [
      'interrupted by another message',
      stopping,
      { type: 'interrupted', payload: { turn: 2, by: 2, partial: [] } },
      'nothing_to_interrupt',
    ],
    ['interrupted over an open call', stoppingCalls, g.interrupted(stoppingCalls), 'calls_open'],
    ['an answer over an open call, while stopping', stoppingCalls, g.answered(stoppingCalls), 'calls_open'],
    ['a failure over an open call, while stopping', stoppingCalls, g.failed(stoppingCalls), 'calls_open'],
  ])('%s', (_name, s, event, why) => expect(refusal(s, event)).toBe(why))

  it('lets a limit end a turn whose next call is due', () =>
    expect(refusal(due, g.turnFinished(due, 'limit'))).toBe('ok'))
  it('takes the result and the approval of an open call while stopping', () => {
    expect(refusal(stoppingCalls, g.finished(stoppingCalls, 'unknown'))).toBe('ok')
    const waiting = g.then(asked, g.stop)
    expect(refusal(waiting, g.resolved(waiting, 'deny'))).toBe('ok')
  })
})

describe('turns and messages (rules 5, 7 and 8)', () => {
  it('opens a turn at the first message, named by its seq, and makes the model call due under it', () => {
    expect(g.given(g.created, g.message())).toMatchObject({ turn: { opener: 2, n: 1 }, due: 2, unseen: [2] })
  })
  it('keeps what is queued for the next turn, and opens it with all of it', () => {
    const s = g.given(g.created, g.message(), g.message('queue'), g.message('queue'), (x) => g.answered(x))
    expect(s).toMatchObject({ queued: [3, 4], due: 0 })
    expect(g.then(s, g.turnFinished)).toMatchObject({ turn: { opener: 3, n: 2 }, due: 3, unseen: [3, 4], queued: [] })
  })
  it('does not move a due step for a steering message, which the next request shows', () => {
    expect(g.given(g.created, g.message(), g.message('steer'))).toMatchObject({ due: 2, unseen: [2, 3] })
  })
  it('makes a call due for a steering message after the last answer, and for one that the answer had not seen', () => {
    expect(g.given(g.created, g.message(), (s) => g.answered(s), g.message('steer'))).toMatchObject({ due: 4 })
    expect(g.given(g.created, g.message(), g.message('steer'), (s) => g.answered(s, [], [2]))).toMatchObject({
      due: 3,
      unseen: [3],
    })
  })
  it('names the call after the results by the last result, whatever order they came in', () => {
    const s = g.given(
      g.created,
      g.message(),
      (x) => g.answered(x, ['pay', 'look']),
      g.started,
      (x) => g.started(x, 1),
    )
    const done = g.then(
      g.then(s, (x) => g.finished(x, 'ok', 1)),
      (x) => g.finished(x, 'ok', 0),
    )
    expect(done.due).toBe(7)
    expect(unseenByModel(done)).toEqual([7, 6])
  })
  it('binds an interrupt to the open turn, the first one where there are two, and to nothing where none is open', () => {
    expect(g.given(g.created, g.stop)).toMatchObject({ stop: 0, turn: null })
    expect(g.given(g.created, g.message(), g.stop, g.stop)).toMatchObject({ stop: 3 })
    expect(g.given(g.created, g.message(), g.stop, g.message('interrupt'))).toMatchObject({ stop: 3, queued: [4] })
    expect(g.given(g.created, g.message('interrupt'))).toMatchObject({ stop: 0, turn: { opener: 2 } })
  })
  it('opens the next turn with the message that interrupted', () => {
    const s = g.given(g.created, g.message(), g.message('interrupt'), g.interrupted, (x) =>
      g.turnFinished(x, 'interrupted'),
    )
    expect(s).toMatchObject({ turn: { opener: 3, interrupted: false }, due: 3, unseen: [3], stop: 0 })
    expect(unseenByModel(s)).toEqual([2, 3, 4])
  })
  it('shows the next request what a failed turn left unanswered', () => {
    const s = g.given(
      g.created,
      g.message(),
      g.failed,
      g.message('steer'),
      (x) => g.turnFinished(x, 'failed'),
      g.message(),
    )
    expect(unseenByModel(s)).toEqual([2, 4, 6])
  })
  it('does not answer a steering message after a failure, and says nothing is due', () => {
    expect(g.given(g.created, g.message(), g.failed, g.message('steer'))).toMatchObject({
      due: 0,
      turn: { failed: true },
    })
  })
  it('counts steps, tokens and money of a turn', () => {
    const s = g.given(
      g.created,
      g.message(),
      (x) => g.answered(x, ['look']),
      g.started,
      g.finished,
      (x) => g.answered(x),
    )
    expect(s.turn).toMatchObject({ steps: 2, tokens: 30, usdMicros: 14 })
    expect(g.then(s, g.turnFinished).turn).toBeNull()
  })
})

describe('approvals', () => {
  const asked = g.given(g.created, g.message(), (s) => g.answered(s, ['ask', 'ask']), g.requested)
  it('remembers a tool for the session only where it was allowed for the session', () => {
    expect(g.then(asked, (s) => g.resolved(s, 'allow', 0, { scope: 'session' })).allowed).toEqual(['ask'])
    expect(g.then(asked, (s) => g.resolved(s, 'allow')).allowed).toEqual([])
    expect(g.then(asked, (s) => g.resolved(s, 'deny', 0, { scope: 'session' })).allowed).toEqual([])
  })
  it('takes edited arguments and a note', () => {
    const s = g.then(asked, (x) => g.resolved(x, 'allow', 0, { args: '{"to":1}', note: 'less' }))
    expect(s.calls[0]).toMatchObject({ args: '{"to":1}', note: 'less', decision: 'allow' })
    expect(s.calls[1]).toMatchObject({ args: '{}', decision: null })
  })
})

describe('forks (rule 21)', () => {
  it('turns the decisions of the parent into inherited ones, forgets what was allowed for its session, and reopens', () => {
    const parent = g.given(
      g.created,
      g.message(),
      (s) => g.answered(s, ['ask']),
      g.requested,
      (s) => g.resolved(s, 'allow', 0, { scope: 'session' }),
      g.closed,
    )
    const fork = g.then(parent, g.forked)
    expect(fork).toMatchObject({
      inherited: 6,
      allowed: [],
      closed: false,
      calls: [{ decision: null, inheritedDecision: 'allow' }],
    })
    expect(refusal(fork, g.resolved(fork, 'deny'))).toBe('ok')
  })
  it('keeps an inherited decision through a fork of a fork, and the later one where there are two', () => {
    const parent = g.given(
      g.created,
      g.message(),
      (s) => g.answered(s, ['ask']),
      g.requested,
      (s) => g.resolved(s, 'allow'),
      g.forked,
    )
    expect(g.then(parent, g.forked).calls[0]).toMatchObject({ inheritedDecision: 'allow' })
    const denied = g.then(parent, (s) => g.resolved(s, 'deny'))
    expect(g.then(denied, g.forked).calls[0]).toMatchObject({ inheritedDecision: 'deny', decision: null })
  })
})

describe('events that this code does not know', () => {
  const unknown = { seq: 3, type: 'checkpoint_made', v: 1 }
  it('are counted and remembered, the first of them; nothing behind them is applied', () => {
    const s = reduceUnknown(IN_PHASE.due, unknown)
    expect(s).toEqual({ ...IN_PHASE.due, seq: 3, unsupported: unknown })
    expect(reduceUnknown(s, { ...unknown, seq: 4 }).unsupported).toEqual(unknown)
    const later = reduceChecked(s, g.after(s, g.message()))
    expect(later).toEqual({ state: { ...s, seq: 4 }, broken: [] })
  })
})
