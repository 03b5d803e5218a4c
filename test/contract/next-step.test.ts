import { nextStep, type Decision, type DraftView, type Env } from '../../contract/next-step'
import { checkInvariants } from '../../contract/invariants'
import { modelStep, toolStep } from '../../contract/ids'
import { reduceUnknown, reduce } from '../../contract/reduce'
import { emptyState, type State } from '../../contract/state'
import * as g from './given'

/** Decides, and judges every event of the decision by the invariants. */
function decide(s: State, env: Env = g.env()): Decision {
  const d = nextStep(s, env)
  let state = s
  for (const { fromDraft: _, ...event } of d.events) {
    const known = g.after(state, event, env.now)
    const next = reduce(state, known)
    if (!next.ok) throw new Error(next.refusal)
    expect(checkInvariants(state, known, next.state)).toEqual([])
    state = next.state
  }
  expect(d.state).toEqual(state)
  expect(d.events.length === 0 || d.closes.length === 0).toBe(true)
  return d
}
const brief = (d: Decision) => ({
  events: d.events.map((e) =>
    'outcome' in e.payload
      ? `${e.type}:${e.payload.outcome}`
      : 'reason' in e.payload
        ? `${e.type}:${e.payload.reason}`
        : e.type,
  ),
  closes: d.closes.map((c) => `${c.step}:${c.outcome}${c.token === null ? ':absent' : ''}`),
  run: d.run.map((r) => r.step),
  waiting: d.waiting,
})
const nothing = { events: [], closes: [], run: [], waiting: 'nothing' }
const due = g.given(g.created, g.message())
const withCalls = (...calls: (string | g.CallSpec)[]) => g.then(due, (s) => g.answered(s, calls))
const step0 = (s: State) => toolStep(g.callAt(s, 0))
const step1 = (s: State) => toolStep(g.callAt(s, 1))
const fork = (s: State) => g.then(s, g.forked)

describe('nothing to do', () => {
  it('does nothing for a log that does not exist, is new, or is idle', () => {
    expect(brief(decide(emptyState))).toEqual(nothing)
    expect(brief(decide(g.given(g.created)))).toEqual(nothing)
    expect(brief(decide(g.given(g.created, g.stop)))).toEqual(nothing)
    expect(brief(decide(g.given(g.created, g.message(), g.answered, g.turnFinished)))).toEqual(nothing)
  })
  it('does nothing in a closed session, whatever was under way', () => {
    expect(brief(decide(g.then(due, g.closed)))).toEqual({ ...nothing, waiting: 'closed' })
    expect(brief(decide(g.then(withCalls('pay'), g.closed)))).toEqual({ ...nothing, waiting: 'closed' })
  })
  it('does not step over an event that this worker does not know', () => {
    const s = reduceUnknown(due, { seq: 3, type: 'checkpoint_made', v: 1 })
    const drafts = [g.modelRow(due)]
    expect(brief(decide(s, g.env({ drafts })))).toEqual({ ...nothing, waiting: 'newer_worker' })
  })
})

describe('a model call is due (rules 5, 13 and 16 c)', () => {
  it('runs it under the step of the event that made it due', () => {
    expect(brief(decide(due))).toEqual({ ...nothing, run: ['model@2'], waiting: 'steps' })
    const after = g.given(g.created, g.message(), (s) => g.answered(s, ['pay']), g.started, g.finished)
    expect(decide(after).run).toMatchObject([{ step: 'model@5', kind: 'model', n: 2, queue: null, local: false }])
  })
  it('is not moved by what arrives while it is due', () => {
    const s = [g.message('steer'), g.message('queue')].reduce(g.then, due)
    expect(brief(decide(s)).run).toEqual(['model@2'])
  })
  it('runs it again while a row is running, fresh or not: the claim sorts it out', () => {
    for (const fresh of [true, false])
      expect(brief(decide(due, g.env({ drafts: [g.running('model@2', fresh)] }))).run).toEqual(['model@2'])
  })
  it('promotes a finished row, starts its calls in the same append, and runs them at once', () => {
    const d = decide(due, g.env({ drafts: [g.modelRow(due, ['pay', 'look'])] }))
    expect(brief(d)).toEqual({
      events: ['model_answered', 'tool_started', 'tool_started'],
      closes: [],
      run: ['tool@s:2.0', 'tool@s:2.1'],
      waiting: 'steps',
    })
    expect(d.events.map((e) => e.fromDraft)).toEqual(['model@2', undefined, undefined])
  })
  it('ends the turn after an answer without calls, and opens the next with what was queued', () => {
    const s = g.then(due, g.message('queue'))
    const d = decide(s, g.env({ drafts: [g.modelRow(due)] }))
    expect(brief(d)).toEqual({
      events: ['model_answered', 'turn_finished:done'],
      closes: [],
      run: ['model@3'],
      waiting: 'steps',
    })
  })
  it('calls again for a steering message that the answer had not seen', () => {
    const s = g.then(due, g.message('steer'))
    const d = decide(s, g.env({ drafts: [g.modelRow(due)] }))
    expect(brief(d)).toEqual({ events: ['model_answered'], closes: [], run: ['model@3'], waiting: 'steps' })
  })
  it('ends the turn as failed after model_failed, and leaves its message to the next request', () => {
    const d = decide(due, g.env({ drafts: [g.finishedRow('model@2', g.failed(due))] }))
    expect(brief(d)).toEqual({ ...nothing, events: ['model_failed', 'turn_finished:failed'] })
    expect(d.state.extra).toEqual([2])
  })
  it('says that a call was given up where its row was closed and no interrupt is there', () => {
    const d = decide(due, g.env({ drafts: [g.closedRow('model@2', 'cancelled')] }))
    expect(brief(d).events).toEqual(['model_failed', 'turn_finished:failed'])
  })
  it('refuses an answer that had not seen what made it due, rather than promoting it for ever', () => {
    const blind = g.finishedRow('model@2', g.answered(due, [], []))
    expect(() => nextStep(due, g.env({ drafts: [blind] }))).toThrow('model@2 is due again')
  })
})

describe('limits', () => {
  const loop = g.given(g.created, g.message(), (s) => g.answered(s, ['look']), g.started, g.finished)
  const limited = (limits: object) => g.env({ definition: g.defined({ limits }) })
  it.each([
    ['steps', { steps: 1 }],
    ['tokens', { tokens: 15 }],
    ['usd', { usdMicros: 7 }],
    ['seconds', { seconds: 97 }],
  ])('closes the absent row first, then ends the turn, at the limit of %s', (limit, limits) => {
    const e = limited(limits)
    expect(brief(decide(loop, e))).toEqual({ ...nothing, closes: ['model@5:cancelled:absent'], waiting: 'settling' })
    const d = decide(loop, { ...e, drafts: new Map([['model@5', g.closedRow('model@5', 'cancelled')]]) })
    expect(d.events).toEqual([{ type: 'turn_finished', payload: { turn: 2, reason: 'limit', limit } }])
  })
  it.each([
    ['steps', { steps: 2 }],
    ['tokens', { tokens: 16 }],
    ['usd', { usdMicros: 8 }],
    ['seconds', { seconds: 99 }],
  ])('goes on one below the limit of %s', (_limit, limits) => {
    expect(brief(decide(loop, limited(limits))).run).toEqual(['model@5'])
  })
  it('promotes an answer that is there, and leaves a call that runs alone, whatever the limit', () => {
    const e = limited({ steps: 1 })
    expect(brief(decide(loop, { ...e, drafts: new Map([['model@5', g.running('model@5')]]) })).run).toEqual(['model@5'])
    const d = decide(loop, { ...e, drafts: new Map([['model@5', g.modelRow(loop)]]) })
    expect(brief(d).events).toEqual(['model_answered', 'turn_finished:done'])
  })
  it('counts anew in the next turn', () => {
    const next = [g.turnFinished(loop, 'limit'), g.message()].reduce(g.then, loop)
    expect(brief(decide(next, limited({ steps: 1 }))).run).toEqual(['model@7'])
  })
  it('counts the seconds of an inherited turn from the fork, so that an old turn goes on (rule 22)', () => {
    const old = g.then(loop, (s) => g.forked(s))
    const late = g.T0 + 6 * g.SECOND + 50 * g.SECOND
    expect(brief(decide(old, { ...limited({ seconds: 52 }), now: late })).run).toEqual(['model@5'])
  })
})
