import type { NewEvent } from '../../contract/events'
import { checkInvariants, INVARIANTS, reduceChecked } from '../../contract/invariants'
import { reduce } from '../../contract/reduce'
import { emptyState, type State } from '../../contract/state'
import * as g from './given'

const idle = g.given(g.created)
const due = g.then(idle, g.message())
const calls = g.then(due, (s) => g.answered(s, ['ask', 'pay']))
const asked = g.then(calls, g.requested)
const stopping = g.then(calls, g.stop)
const settled = g.then(due, (s) => g.answered(s))
const stopped = g.then(g.then(due, g.stop), g.interrupted)
const fallen = g.then(due, (s) => g.failedOf(s, 'overloaded'))
const recovered = g.then(g.then(g.then(settled, g.turnFinished), g.message()), (s) => g.failedOf(s, 'context_exceeded'))

/** What reduce makes of it, or, where it refuses, the state with only the seq moved on: a reducer that let it through. */
function lenient(s: State, event: NewEvent): State {
  const r = reduce(s, g.after(s, event))
  return r.ok ? r.state : { ...s, seq: s.seq + 1 }
}
const answer = (s: State, change: object, manifest: object = {}): NewEvent => {
  const event = g.answered(s)
  if (event.type !== 'model_answered') throw new Error('not an answer')
  return { ...event, payload: { ...event.payload, ...change, manifest: { ...event.payload.manifest, ...manifest } } }
}
type Broken = [string, State, NewEvent, ((after: State) => State)?]
const broken: Broken[] = [
  ['I1', due, g.message(), (s) => ({ ...s, seq: s.seq + 1 })],
  ['I2', emptyState, g.message()],
  ['I2', idle, g.created],
  ['I3', idle, g.message(), (s) => ({ ...s, definition: 'other' })],
  ['I3', idle, g.changed, (s) => ({ ...s, definition: g.HASH })],
  ['I4', due, answer(due, { step: 'model@1' })],
  ['I4', settled, answer(settled, {})],
  ['I5', calls, answer(calls, {})],
  ['I6', due, answer(due, {}, { saw: [] })],
  ['I6', due, answer(due, {}, { saw: [1, 2] })],
  ['I6', due, answer(due, {}, { prev: 1 })],
  ['I6', due, answer(due, {}, { saw: [2, 99] })],
  ['I7', due, g.answered({ ...due, due: 1 }, ['pay']), (s) => ({ ...s, calls: [{ ...calls.calls[0]!, id: 's:1.0' }] })],
  ['I8', g.then(calls, g.started), g.started(calls)],
  ['I8', asked, g.started(asked)],
  ['I8', g.then(asked, (s) => g.resolved(s, 'deny')), g.started(asked)],
  ['I9', asked, g.requested(asked)],
  ['I9', g.then(calls, g.started), g.requested(calls)],
  ['I10', calls, g.resolved(calls, 'allow')],
  ['I10', g.then(asked, (s) => g.resolved(s, 'allow')), g.resolved(asked, 'deny')],
  ['I11', calls, g.finished(calls, 'ok')],
  ['I11', calls, g.finished(calls, 'unknown')],
  ['I11', g.then(calls, g.started), g.finished(calls, 'denied')],
  ['I11', g.then(calls, (s) => g.finished(s, 'cancelled')), g.finished(calls, 'cancelled')],
  ['I12', stopping, g.started(stopping)],
  ['I12', stopping, g.requested(stopping)],
  ['I12', stopped, answer(stopped, {})],
  ['I13', due, g.interrupted(due)],
  ['I13', stopping, g.interrupted(stopping)],
  ['I14', due, g.turnFinished(due)],
  ['I14', calls, g.turnFinished(calls)],
  ['I14', stopping, g.turnFinished(stopping, 'interrupted')],
  ['I14', stopped, g.turnFinished(stopped)],
  ['I14', settled, g.turnFinished(settled, 'failed')],
  ['I15', due, g.message(), (s) => ({ ...s, queued: [] })],
  ['I15', g.then(due, g.message()), answer(due, {}), (s) => ({ ...s, queued: [] })],
  ['I16', settled, g.changed, (s) => ({ ...s, turn: null, due: 2 })],
  ['I16', due, g.changed, (s) => ({ ...s, turn: null, due: 0, stop: 2 })],
  ['I17', due, g.message(), (s) => ({ ...s, extra: [2], unseen: [2] })],
  ['I17', calls, g.changed, (s) => ({ ...s, calls: [...s.calls, ...s.calls] })],
  ['I18', settled, g.changed, (s) => ({ ...s, turn: null })],
  ['I18', idle, g.message(), (s) => ({ ...s, turns: 7 })],
  ['I19', asked, g.message(), (s) => ({ ...s, inherited: 1 })],
  [
    'I19',
    g.then(asked, (s) => g.resolved(s, 'allow')),
    g.forked(asked),
    (s) => ({ ...s, calls: s.calls.map((c) => ({ ...c, decision: 'allow' })) }),
  ],
  ['I20', g.then(idle, g.closed), g.message()],
  ['I21', calls, g.late(calls), (s) => ({ ...s, due: 3 })],
  ['I22', due, g.message('steer'), (s) => ({ ...s, extra: [1] })],
  ['I23', due, g.checkpoint(due), (s) => ({ ...s, due: 0 })],
  ['I23', due, g.checkpoint(due), (s) => ({ ...s, checkpoint: 2 })],
  ['I24', due, g.failed(due), (s) => ({ ...s, due: 2 })],
  ['I24', due, g.failedOf(due, 'overloaded'), (s) => ({ ...s, due: 2 })],
  ['I24', fallen, g.failed(fallen, { next: { kind: 'fallback', model: 1 } }), (s) => ({ ...s, due: 4 })],
  ['I24', recovered, g.failed(recovered, { next: { kind: 'checkpoint' } }), (s) => ({ ...s, due: s.seq })],
  ['I25', due, g.failed(due), (s) => ({ ...s, spent: due.spent })],
  ['I25', settled, g.message(), (s) => ({ ...s, spent: { ...s.spent, tokens: 0 } })],
  ['I25', settled, g.forked(settled), (s) => ({ ...s, spent: settled.spent })],
]

describe('each invariant is seen to break', () => {
  it.each(broken)('%s (case %#)', (id, before, event, change = (s: State) => s) => {
    const after = change(lenient(before, event))
    expect(checkInvariants(before, g.after(before, event), after).map((text) => text.split(':')[0])).toContain(id)
  })
  it('has a case for every one, and numbers them without a gap', () => {
    expect(INVARIANTS.map((i) => i.id)).toEqual(INVARIANTS.map((_, i) => `I${i + 1}`))
    expect(new Set(broken.map(([id]) => id))).toEqual(new Set(INVARIANTS.map((i) => i.id)))
  })
  it('says of a refused event that it cannot follow, and leaves the state', () => {
    expect(reduceChecked(due, g.after(due, g.turnFinished(due)))).toEqual({
      state: due,
      broken: ['turn_finished cannot follow in phase due: work_left'],
    })
  })
})
