/** What follows a model call that failed for good, a request that was too long, and an answer that its provider paused. */
import { recoveryRange } from '../../contract/compaction'
import { parseDefinition, type DefinitionInput } from '../../contract/definition'
import { modelAsked, nextAfter } from '../../contract/fallbacks'
import { nextStep } from '../../contract/next-step'
import { reduce } from '../../contract/reduce'
import { unseenByModel, type State } from '../../contract/state'
import * as g from './given'

const due = g.given(g.created, g.message())
/** One turn is over, another begun: there is a step that a checkpoint can stand for. */
const second = g.given(g.created, g.message(), g.answered, g.turnFinished, g.message())
const defining = (fallbacks: DefinitionInput['fallbacks']) => parseDefinition({ ...g.DEFINITION_INPUT, fallbacks })
const none = defining(undefined)
const decided = (s: State, more: Parameters<typeof g.env>[0] = {}) => {
  const d = nextStep(s, g.env(more))
  return {
    events: d.events.map((e) => e.type),
    closes: d.closes.map((c) => c.step),
    run: d.run.map((r) => r.step),
  }
}
const failedRow = (s: State, ...how: [Parameters<typeof g.failedOf>[1], ReturnType<typeof defining>?]) =>
  g.finishedRow(`model@${s.due}`, g.failedOf(s, ...how))

describe('a fallback', () => {
  it('is asked under a step of its own, named by the failure, whatever was said meanwhile', () => {
    const s = g.then(due, g.message('steer'))
    const d = nextStep(s, g.env({ drafts: [failedRow(due, 'overloaded')] }))
    expect(d.events).toMatchObject([{ type: 'model_failed', payload: { next: { kind: 'fallback', model: 1 } } }])
    expect(d.run.map((run) => run.step)).toEqual(['model@4'])
    expect(d.state).toMatchObject({ due: 4, turn: { fallback: 1, failed: false, steps: 1 }, unseen: [2, 3] })
    expect(modelAsked(g.DEFINITION, d.state)).toMatchObject({ fallback: 1, model: { name: 'second' } })
  })
  it('comes after a fallback, until there is none; then the turn has failed', () => {
    const one = g.then(due, (s) => g.failedOf(s, 'overloaded'))
    const two = g.then(one, (s) => g.failedOf(s, 'auth'))
    expect(modelAsked(g.DEFINITION, two)).toMatchObject({ fallback: 2, model: { name: 'third' } })
    expect(nextAfter(two, g.DEFINITION, 'overloaded')).toBeUndefined()
    expect(decided(two, { drafts: [failedRow(two, 'overloaded')] })).toMatchObject({
      events: ['model_failed', 'turn_finished'],
      run: [],
    })
  })
  it('goes on being asked within the turn; the next turn begins with the first model', () => {
    const s = [
      (x: State) => g.failedOf(x, 'overloaded'),
      (x: State) => g.answered(x, ['look']),
      g.started,
      g.finished,
    ].reduce<State>((x, e) => g.then(x, e as g.Given), due)
    expect(modelAsked(g.DEFINITION, s).fallback).toBe(1)
    const next = [(x: State) => g.answered(x), g.turnFinished, g.message()].reduce<State>(
      (x, e) => g.then(x, e as g.Given),
      s,
    )
    expect(modelAsked(g.DEFINITION, next).fallback).toBe(0)
  })
  it('is for the failures that the definition names, and else for all but our own', () => {
    const some = defining({ models: [{ provider: 'openai-chat', name: 'x' }], on: ['overloaded', 'internal'] })
    const kinds = ['overloaded', 'rate_limited', 'auth', 'internal'] as const
    expect(kinds.filter((kind) => nextAfter(due, some, kind))).toEqual(['overloaded', 'internal'])
    expect(kinds.filter((kind) => nextAfter(due, g.DEFINITION, kind))).toEqual(['overloaded', 'rate_limited', 'auth'])
    expect(kinds.filter((kind) => nextAfter(due, none, kind))).toEqual([])
  })
  it('that another definition no longer has is none: its own model is asked', () => {
    const two = g.then(
      g.then(due, (s) => g.failedOf(s, 'overloaded')),
      (s) => g.failedOf(s, 'overloaded'),
    )
    const one = defining({ models: [{ provider: 'openai-chat', name: 'only' }] })
    expect(modelAsked(one, two)).toMatchObject({ fallback: 0, model: { name: 'scripted' } })
    expect(nextAfter(two, one, 'overloaded')).toBeUndefined()
  })
  it('does not outlive a change of the definition, nor one that came while the call failed', () => {
    const one = g.then(due, (s) => g.failedOf(s, 'overloaded'))
    expect(g.then(one, g.changed).turn?.fallback).toBe(0)
    expect(g.then(one, g.forked).turn?.fallback).toBe(0)
    const manifest = { view: 1, definition: g.HASH, prev: 0, saw: [2], dropped: [], requestHash: '00' }
    const late = g.then(g.then(due, g.changed), (s) => g.failed(s, { manifest, next: { kind: 'fallback', model: 1 } }))
    expect(late).toMatchObject({ due: 4, turn: { fallback: 0, failed: false } })
  })
  it('never goes back: a failure that names the model that failed cannot follow', () => {
    const one = g.then(due, (s) => g.failedOf(s, 'overloaded'))
    const back = g.failed(one, { next: { kind: 'fallback', model: 1 } })
    expect(reduce(one, g.after(one, back))).toMatchObject({ ok: false, refusal: 'wrong_next' })
  })
  it('does not begin behind an interrupt', () => {
    const s = g.then(due, g.stop)
    const d = decided(s, { drafts: [failedRow(due, 'overloaded')] })
    expect(d).toEqual({ events: ['model_failed', 'interrupted', 'turn_finished'], closes: [], run: [] })
  })
  it('counts as a step of the turn and of the session, so that limits end a chain', () => {
    const env = g.env({ definition: g.defined({ limits: { steps: 1 } }), drafts: [failedRow(due, 'overloaded')] })
    const d = nextStep(due, env)
    expect([d.again, d.events.map((e) => e.type), d.run]).toEqual([true, ['model_failed'], []])
    expect(decided(d.state, { definition: g.defined({ limits: { steps: 1 } }) }).closes).toEqual(['model@3'])
  })
  it('follows also where a call was given up, if the definition says so', () => {
    const internal = () => defining({ models: [{ provider: 'openai-chat', name: 'x' }], on: ['internal'] })
    const drafts = [g.closedRow('model@2', 'cancelled')]
    expect(decided(due, { definition: internal, drafts })).toMatchObject({ events: ['model_failed'], run: ['model@3'] })
  })
})

describe('a request that was too long', () => {
  it('is made again behind a checkpoint, also where the definition has no compaction; before any fallback', () => {
    const d = nextStep(second, g.env({ drafts: [failedRow(second, 'context_exceeded')] }))
    expect(d.events).toMatchObject([{ type: 'model_failed', payload: { next: { kind: 'checkpoint' } } }])
    expect(d.run.map((run) => run.step)).toEqual(['checkpoint@6'])
    const made = nextStep(d.state, g.env({ drafts: [g.finishedRow('checkpoint@6', g.summary(d.state))] }))
    expect(made.events.map((e) => e.type)).toEqual(['checkpoint_made'])
    expect(made.run.map((run) => run.step)).toEqual(['model@6'])
    expect(unseenByModel(made.state)).toEqual([5, 7])
    expect(modelAsked(g.DEFINITION, made.state).fallback).toBe(0)
  })
  const refused = g.then(second, (s) => g.failedOf(s, 'context_exceeded'))
  const again = g.then(refused, g.summary)
  it('is helped once: the next failure for the same reason goes to a fallback, or ends the turn', () => {
    expect(nextAfter(again, g.DEFINITION, 'context_exceeded')).toEqual({ kind: 'fallback', model: 1 })
    expect(nextAfter(again, none, 'context_exceeded')).toBeUndefined()
    const round = g.failed(again, { class: 'context_exceeded', next: { kind: 'checkpoint' } })
    expect(reduce(again, g.after(again, round))).toMatchObject({ ok: false, refusal: 'wrong_next' })
  })
  it('may be helped again once a model has answered', () => {
    const later = [(s: State) => g.answered(s), g.turnFinished, g.message()].reduce<State>(
      (s, e) => g.then(s, e as g.Given),
      again,
    )
    expect(nextAfter(later, none, 'context_exceeded')).toEqual({ kind: 'checkpoint' })
  })
  it('ends, whatever the failures, after finitely many calls', () => {
    let s = second
    let calls = 0
    for (; s.due; calls++) {
      const checkpoint = nextStep(s, g.env()).run[0]?.step.startsWith('checkpoint')
      s = g.then(s, checkpoint ? (x) => g.summary(x) : (x) => g.failedOf(x, 'context_exceeded'))
    }
    // Three models, one checkpoint, and one call more for it.
    expect([calls, s.turn?.failed]).toEqual([5, true])
  })
  it('fails as too long where no summary could be made: its row is closed first, so that nobody begins it', () => {
    const closed = g.closedRow('checkpoint@6', 'cancelled')
    expect(decided(refused, { drafts: [closed] })).toEqual({ events: [], closes: ['model@6'], run: [] })
    const rows = { drafts: [closed, g.closedRow('model@6', 'cancelled')] }
    const d = nextStep(refused, g.env({ ...rows, definition: () => none }))
    expect(d.events).toMatchObject([
      { type: 'model_failed', payload: { class: 'context_exceeded', message: expect.stringContaining('no summary') } },
      { type: 'turn_finished', payload: { reason: 'failed' } },
    ])
    expect(decided(refused, rows)).toMatchObject({ events: ['model_failed'], run: ['model@7'] })
  })
  it('goes on without a summary where somebody gave one meanwhile', () => {
    expect(decided(g.then(refused, g.checkpoint)).run).toEqual(['model@6'])
    const row = g.finishedRow('checkpoint@6', g.summary(refused))
    expect(decided(g.then(refused, g.checkpoint), { drafts: [row] }).run).toEqual(['model@6'])
  })
  it('is not helped where a checkpoint has nothing to stand for, or only what is as long itself', () => {
    expect(nextAfter(due, none, 'context_exceeded')).toBeUndefined()
    const bigResult = g.given(g.created, g.message(), (s) => g.answered(s, ['look']), g.started, g.finished)
    expect(recoveryRange(bigResult)).toBeNull()
    expect(nextAfter(bigResult, none, 'context_exceeded')).toBeUndefined()
  })
  it('is summarised up to the step before the last, whose own request did fit; else up to the last answer', () => {
    expect(recoveryRange(second)).toBe(3)
    const two = [
      (s: State) => g.answered(s, ['look']),
      g.started,
      g.finished,
      (s: State) => g.answered(s, ['look']),
      g.started,
      g.finished,
    ].reduce<State>((s, e) => g.then(s, e as g.Given), second)
    expect([two.boundaries, two.lastAnswer, recoveryRange(two)]).toEqual([[3, 8, 11], 9, 8])
  })
  it('may be stopped: nothing of the checkpoint is left', () => {
    const s = g.then(refused, g.stop)
    expect(decided(s, { drafts: [g.running('checkpoint@6')] }).run).toEqual([])
    const d = decided(s, { drafts: [g.closedRow('model@6', 'cancelled')] })
    expect(d).toEqual({ events: ['interrupted', 'turn_finished'], closes: [], run: [] })
  })
})

describe('an answer that its provider paused', () => {
  const paused = g.then(due, g.paused)
  it('is carried on at once, under its own seq', () => {
    expect(paused).toMatchObject({ due: 3, turn: { paused: true } })
    expect(decided(paused).run).toEqual(['model@3'])
    expect(decided(due, { drafts: [g.finishedRow('model@2', g.paused(due))] })).toMatchObject({
      events: ['model_answered'],
      run: ['model@3'],
    })
  })
  it('comes first: what people say meanwhile is shown once it is whole, and then answered', () => {
    const steered = g.then(paused, g.message('steer'))
    expect(unseenByModel(steered)).toEqual([])
    const whole = g.then(steered, (s) => g.answered(s))
    expect(whole).toMatchObject({ due: 4, unseen: [4], turn: { paused: false } })
    expect(unseenByModel(whole)).toEqual([4])
  })
  it('is no end of a step: no checkpoint parts it from what carries it on', () => {
    expect(paused.boundaries).toEqual([])
    expect(g.then(paused, (s) => g.answered(s)).boundaries).toEqual([4])
  })
  it('is bound by limits, and can be stopped', () => {
    expect(decided(paused, { definition: g.defined({ limits: { steps: 1 } }) }).closes).toEqual(['model@3'])
    expect(decided(g.then(paused, g.stop)).closes).toEqual(['model@3'])
  })
  it('with calls is like any other', () => {
    const event = g.answered(due, ['look'])
    const s = g.then(due, { ...event, payload: { ...event.payload, stop: 'pause' } } as typeof event)
    expect(s).toMatchObject({ due: 0, turn: { paused: false } })
  })
})
