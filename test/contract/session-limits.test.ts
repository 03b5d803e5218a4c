/** Limits of a whole session: what counts, where it is checked, and what becomes of a message that comes too late. */
import type { DefinitionInput } from '../../contract/definition'
import type { Payload } from '../../contract/events'
import { nextStep } from '../../contract/next-step'
import type { State } from '../../contract/state'
import * as g from './given'

const limited = (sessionLimits: DefinitionInput['sessionLimits'], more: Parameters<typeof g.env>[0] = {}) =>
  g.env({ definition: g.defined({ sessionLimits }), ...more })
const closes = (s: State, limits: DefinitionInput['sessionLimits'], now?: number) =>
  nextStep(s, limited(limits, now === undefined ? {} : { now })).closes.map((c) => c.step)
/** What it ends with, once the row of the call that is not begun is closed. */
const end = (s: State, limits: DefinitionInput['sessionLimits'], now = g.T0 + 100 * g.SECOND) =>
  nextStep(s, limited(limits, { now, drafts: [g.closedRow(`model@${s.due}`, 'cancelled')] })).events
/** Two turns of one answer each, 15 tokens and 7 millionths; a third message. */
const third = g.given(
  ...[g.created, g.message(), g.answered, g.turnFinished],
  ...[g.message(), g.answered, g.turnFinished, g.message()],
)

it('counts what its own steps took, over all turns', () => {
  expect(third.spent).toEqual({ since: g.T0 + g.SECOND, steps: 2, tokens: 30, usdMicros: 14 })
  expect(third.turn).toMatchObject({ steps: 0, tokens: 0 })
})
it('counts failed calls as steps, and what summaries took', () => {
  const s = g.then(third, (x) => g.failed(x))
  expect(s.spent).toMatchObject({ steps: 3, tokens: 30 })
  const event = g.checkpoint(third)
  const usage = { input: 100, output: 10, cacheRead: 0, cacheWrite: 0, reasoning: 0 }
  const payload = { ...(event.payload as Payload<'checkpoint_made'>), usage, costUsdMicros: 3 }
  expect(g.then(third, { type: 'checkpoint_made', payload }).spent).toMatchObject({ tokens: 140, usdMicros: 17 })
})
it.each([
  ['session_steps', { steps: 2 }],
  ['session_tokens', { tokens: 30 }],
  ['session_usd', { usdMicros: 14 }],
  ['session_seconds', { seconds: 99 }],
] as const)('ends a turn before its first call, at %s, and leaves its message to a later one', (limit, limits) => {
  expect(closes(third, limits)).toEqual(['model@8'])
  const events = end(third, limits)
  expect(events).toEqual([{ type: 'turn_finished', payload: { turn: 8, reason: 'limit', limit } }])
  const after = g.then(third, events[0]!)
  expect(after).toMatchObject({ turn: null, extra: [8] })
  // More is allowed then, and somebody says something.
  expect(nextStep(g.then(g.then(after, g.changed), g.message()), g.env()).run.map((r) => r.step)).toEqual(['model@11'])
})
it.each([
  ['steps', { steps: 3 }],
  ['tokens', { tokens: 30 + third.context }],
  ['money', { usdMicros: 15 }],
  ['seconds', { seconds: 100 }],
])('goes on one below the limit of %s', (_what, limits) => expect(closes(third, limits)).toEqual([]))
it('does not begin a call whose request alone would go beyond the tokens that are left', () => {
  expect(third.context).toBe(17)
  expect(closes(third, { tokens: 46 })).toEqual(['model@8'])
})
it('comes before the limits of the turn, which another turn would not be bound by', () => {
  const definition = g.defined({ sessionLimits: { steps: 1 }, limits: { steps: 1 } })
  const s = g.given(g.created, g.message(), (x) => g.answered(x, ['look']), g.started, g.finished)
  const events = nextStep(s, g.env({ definition, drafts: [g.closedRow('model@5', 'cancelled')] })).events
  expect(events).toMatchObject([{ payload: { limit: 'session_steps' } }])
})
it('a fork begins to count anew, an adopted session goes on counting', () => {
  const fork = g.then(third, g.forked)
  expect(fork.spent).toEqual({ since: g.T0 + 9 * g.SECOND, steps: 0, tokens: 0, usdMicros: 0 })
  expect(closes(fork, { steps: 1, seconds: 92 })).toEqual([])
  expect(g.then(third, g.custody).spent).toEqual(third.spent)
})
it('ends each turn that was queued meanwhile too', () => {
  const s = g.then(third, g.message('queue'))
  const [first, ...rest] = end(s, { steps: 2 })
  expect([first, rest]).toEqual([
    { type: 'turn_finished', payload: { turn: 8, reason: 'limit', limit: 'session_steps' } },
    [],
  ])
  expect(closes(g.then(s, first!), { steps: 2 })).toEqual(['model@9'])
})
