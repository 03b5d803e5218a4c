/** When a checkpoint is due, what it may stand for, and that everything goes on where none comes of it. */
import fc from 'fast-check'
import { parseDefinition, type DefinitionInput } from '../../contract/definition'
import type { NewEvent, Payload } from '../../contract/events'
import { reduceChecked } from '../../contract/invariants'
import { nextStep } from '../../contract/next-step'
import { reduce } from '../../contract/reduce'
import { unseenByModel, type State } from '../../contract/state'
import { play } from './driver'
import * as g from './given'

const compacting = (change: Partial<NonNullable<DefinitionInput['compaction']>> = {}) => {
  const definition = parseDefinition({ ...g.DEFINITION_INPUT, compaction: { atTokens: 1000, keepSteps: 0, ...change } })
  return () => definition
}
/** An answer whose request was so long. */
const long = (s: State, calls: string[] = [], input = 5000): NewEvent => {
  const event = g.answered(s, calls) as Extract<NewEvent, { type: 'model_answered' }>
  return { ...event, payload: { ...event.payload, usage: { ...event.payload.usage, input } } }
}
const made = (s: State, change: Partial<Payload<'checkpoint_made'>> = {}): NewEvent => ({
  type: 'checkpoint_made',
  payload: {
    step: `checkpoint@${s.due}`,
    lo: 1,
    hi: s.boundaries.at(-1) ?? 1,
    blocks: [{ type: 'text', text: 'sum' }],
    method: 'model',
    usage: { input: 100, output: 10, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
    ...change,
  },
})
const step = (...calls: string[]): g.Given[] => [(s) => long(s, calls), (s) => g.started(s), (s) => g.finished(s)]
const afterOneStep = g.given(g.created, g.message(), ...step('look'))
const keys = (s: State, more: Parameters<typeof g.env>[0] = {}) =>
  nextStep(s, g.env({ definition: compacting(), ...more })).run.map((run) => run.step)

describe('a checkpoint is due', () => {
  it('before the model call behind a request that was too long, and only where the definition says so', () => {
    expect(keys(afterOneStep)).toEqual(['checkpoint@5'])
    expect(keys(afterOneStep, { definition: () => g.DEFINITION })).toEqual(['model@5'])
    expect(keys(afterOneStep, { definition: compacting({ atTokens: 1_000_000 }) })).toEqual(['model@5'])
  })
  it('not before a first answer, nor where all there is must be kept', () => {
    expect(keys(g.given(g.created, g.message()))).toEqual(['model@2'])
    expect(keys(afterOneStep, { definition: compacting({ keepSteps: 1 }) })).toEqual(['model@5'])
  })
  it('not beside a call that has begun: what its draft holds counts', () => {
    expect(keys(afterOneStep, { drafts: [g.running('model@5')] })).toEqual(['model@5'])
  })
  it('again only some steps later, so that not every step pays for one', () => {
    let s = g.then(afterOneStep, made)
    expect(s).toMatchObject({ checkpoint: 5, context: 0 })
    const due: boolean[] = []
    for (let i = 0; i < 4; i++) {
      s = step('look').reduce<State>((state, e) => g.then(state, e), s)
      due.push(keys(s)[0]?.startsWith('checkpoint') ?? false)
    }
    expect(due).toEqual([false, false, true, true])
  })
  it('also where a result, not the answer, made it too long', () => {
    const s = g.given(
      g.created,
      g.message(),
      (x) => long(x, ['look'], 10),
      (x) => g.started(x),
    )
    const big = g.finished(s) as Extract<NewEvent, { type: 'tool_finished' }>
    const blocks = [{ type: 'text' as const, text: 'x'.repeat(8000) }]
    expect(keys(g.then(s, { ...big, payload: { ...big.payload, blocks } }))).toEqual(['checkpoint@5'])
  })
})

describe('the step of a checkpoint', () => {
  it('is promoted, and the call that was due follows under its own key, with the summary among what it names', () => {
    const row = g.finishedRow('checkpoint@5', made(afterOneStep))
    const d = nextStep(afterOneStep, g.env({ definition: compacting(), drafts: [row] }))
    expect(d.events.map((e) => e.type)).toEqual(['checkpoint_made'])
    expect(d.run.map((run) => run.step)).toEqual(['model@5'])
    expect(unseenByModel(d.state)).toEqual([5, 6])
    expect(d.state.turn?.tokens).toBe((afterOneStep.turn?.tokens ?? 0) + 110)
  })
  it('that is closed changes nothing: the call goes on without', () => {
    expect(keys(afterOneStep, { drafts: [g.closedRow('checkpoint@5', 'cancelled')] })).toEqual(['model@5'])
    const next = step('look').reduce<State>((s, e) => g.then(s, e), afterOneStep)
    expect(keys(next, { drafts: [g.closedRow('checkpoint@5', 'cancelled')] })).toEqual(['checkpoint@8'])
  })
  it('that says nothing new any more is passed over', () => {
    const given = g.then(afterOneStep, made(afterOneStep, { step: undefined, method: 'given' }))
    const row = g.finishedRow('checkpoint@5', made(afterOneStep))
    expect(keys(given, { drafts: [row] })).toEqual(['model@5'])
  })
  it('stops at an interrupt, and is kept where it had finished', () => {
    const stopped = g.then(afterOneStep, g.stop)
    const running = nextStep(stopped, g.env({ definition: compacting(), drafts: [g.running('checkpoint@5')] }))
    expect(running.run).toEqual([])
    const finished = nextStep(
      stopped,
      g.env({
        definition: compacting(),
        drafts: [g.finishedRow('checkpoint@5', made(afterOneStep)), g.closedRow('model@5', 'cancelled')],
      }),
    )
    expect(finished.events.map((e) => e.type)).toEqual(['checkpoint_made', 'interrupted', 'turn_finished'])
  })
  it('may not stand for half a step, for less than the one before, or for another call', () => {
    const refused = (s: State, change: Partial<Payload<'checkpoint_made'>>) => {
      const r = reduce(s, g.after(s, made(s, change)))
      return r.ok ? 'ok' : r.refusal
    }
    expect(refused(afterOneStep, { hi: 4 })).toBe('wrong_range')
    expect(refused(g.then(afterOneStep, made), {})).toBe('wrong_range')
    expect(refused(afterOneStep, { step: 'checkpoint@2' })).toBe('wrong_step')
    expect(refused(g.given(g.created), { step: 'checkpoint@1' })).toBe('not_due')
  })
})

it('one that is given may come at any point of any log, and takes nothing from what is due (L10)', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { minLength: 20, maxLength: 300 }).map(play), fc.nat(2000), (h, hi) => {
      for (const s of h.states) {
        if (!s.created || s.closed) continue
        const event = made(s, { step: undefined, method: 'given', hi: hi + 1 })
        const { state, broken } = reduceChecked(s, g.after(s, event, h.now))
        expect(broken).toEqual([])
        expect(unseenByModel(state).slice(0, unseenByModel(s).length)).toEqual(unseenByModel(s))
        // The pure decision judges each event that it makes.
        nextStep(state, { ...g.env(), now: h.now })
      }
    }),
    { numRuns: 100 },
  )
})
