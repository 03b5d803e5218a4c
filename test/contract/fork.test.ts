/** What a fork does with what was open (rules 21 and 22, docs/forks.md), at every event of a log that has everything. */
import { isSafe, toolNamed } from '../../contract/definition'
import type { NewEvent, Payload } from '../../contract/events'
import { reduceChecked } from '../../contract/invariants'
import { nextStep } from '../../contract/next-step'
import { emptyState, openCalls, phaseOf, unseenByModel, type State } from '../../contract/state'
import { append, settle, stateOf, type History } from './driver'
import * as g from './given'

type Policy = Payload<'forked'>['open']

/** Parallel calls of every kind, an approval and a denial, steering, a queued message, an interrupt, a limit. */
const RICH: g.Given[] = [
  g.created,
  g.message('queue', 'first'),
  (s) => g.answered(s, ['pay', 'look', 'put', 'ask', 'ask_look', 'never', 'wait', 'wait_ask']),
  (s) => g.started(s, 0),
  (s) => g.started(s, 1),
  (s) => g.started(s, 2),
  (s) => g.requested(s, 3),
  (s) => g.requested(s, 4),
  (s) => g.finished(s, 'denied', 5),
  (s) => g.started(s, 6),
  (s) => g.requested(s, 7),
  (s) => g.finished(s, 'ok', 1),
  g.message('steer', 'also this'),
  (s) => g.resolved(s, 'allow', 3),
  (s) => g.started(s, 3),
  (s) => g.resolved(s, 'allow', 4, { scope: 'session' }),
  (s) => g.started(s, 4),
  g.message('queue', 'later'),
  (s) => g.finished(s, 'ok', 3),
  (s) => g.finished(s, 'ok', 4),
  (s) => g.resolved(s, 'deny', 7),
  (s) => g.finished(s, 'denied', 7),
  (s) => g.finished(s, 'unknown', 0),
  (s) => g.finished(s, 'ok', 2),
  (s) => g.finished(s, 'ok', 6),
  (s) => g.answered(s),
  (s) => g.turnFinished(s),
  (s) => g.answered(s, ['pay', 'put']),
  (s) => g.started(s, 0),
  (s) => g.started(s, 1),
  g.stop,
  (s) => g.finished(s, 'unknown', 0),
  (s) => g.finished(s, 'cancelled', 1),
  (s) => g.interrupted(s),
  (s) => g.turnFinished(s, 'interrupted'),
  g.message('queue', 'again'),
  (s) => g.turnFinished(s, 'limit'),
  g.closed,
]

function prefixes(): { at: number; state: State }[] {
  const states = [emptyState]
  for (const e of RICH) states.push(g.then(states.at(-1)!, e))
  return states.slice(1).map((state, i) => ({ at: i + 1, state }))
}

function forkOf(state: State, open: Policy): History {
  const h: History = {
    events: [],
    times: [],
    states: [state],
    executors: [],
    drafts: new Map(),
    now: g.T0 + 1000 * g.SECOND,
  }
  append(h, g.forked(state, open), false)
  return h
}

/** People answer what waits, executors do the rest. Gives what the fork itself appended. */
function driven(h: History): NewEvent[] {
  for (let i = 0; i < 30; i++) {
    const d = settle(h)
    const s = stateOf(h)
    const asked = s.calls.findIndex((c) => c.asked && !c.finished && !c.decision)
    const waiting = s.calls.findIndex((c) => c.name.startsWith('wait') && c.started && !c.finished)
    if (d.waiting === 'approval' && asked >= 0) append(h, g.resolved(s, 'allow', asked), false)
    else if (d.waiting === 'deferred' && waiting >= 0) append(h, g.finished(s, 'ok', waiting), false)
    else return h.events
  }
  throw new Error('people are asked without end')
}

describe.each<Policy>(['rule', 'rerun'])('a fork at any event of a log that has everything, policy %s', (open) => {
  it.each(prefixes())('goes on legally from event $at to its end', ({ state }) => {
    const h = forkOf(state, open)
    const events = driven(h)
    expect(phaseOf(stateOf(h))).toBe('idle')
    const result = (id: string) => events.find((e) => e.type === 'tool_finished' && e.payload.call === id)?.payload
    for (const call of openCalls(state)) {
      const tool = toolNamed(g.DEFINITION, call.name)!
      const own = result(call.id) as Payload<'tool_finished'> | undefined
      expect(own).toBeDefined()
      if (state.stop || state.turn?.interrupted) continue
      if (call.started && !isSafe(tool)) expect(own?.outcome).toBe(open === 'rule' ? 'unknown' : 'ok')
      if (call.started && isSafe(tool)) expect(own?.outcome).toBe('ok')
      // Whatever was allowed in the parent: what is unsafe and has not started needs a yes given here.
      const started = events.findIndex((e) => e.type === 'tool_started' && e.payload.call === call.id)
      const yes = events.findIndex((e) => e.type === 'approval_resolved' && e.payload.call === call.id)
      if (!call.started && !isSafe(tool) && started >= 0) expect(yes >= 0 && yes < started).toBe(true)
    }
  })

  it.each(prefixes())('names itself to the model once, behind what was already due (event $at)', ({ at, state }) => {
    const h = forkOf(state, open)
    expect(unseenByModel(stateOf(h)).slice(0, unseenByModel(state).length)).toEqual(unseenByModel(state))
    append(h, g.message('queue', 'go on'), false)
    const saw = driven(h).flatMap((e) => (e.type === 'model_answered' ? e.payload.manifest.saw : []))
    expect(saw.filter((seq) => seq === at + 1)).toEqual([at + 1])
  })

  it.each(prefixes())('and a fork of that fork, at each of its own events, does so too (event $at)', ({ state }) => {
    const first = forkOf(state, open)
    driven(first)
    for (const inner of first.states.slice(1)) {
      const second = forkOf(inner, open)
      driven(second)
      expect(phaseOf(stateOf(second))).toBe('idle')
    }
  })
})

describe('idempotency keys', () => {
  const callIn = (session: string): string => {
    const s = g.given(g.created, g.message(), (s) => {
      const event = g.answered(s, ['put']) as Extract<NewEvent, { type: 'model_answered' }>
      const blocks = event.payload.blocks.map((b) =>
        b.type === 'tool_call' ? { ...b, call: b.call.replace(/^[^:]+/, session) } : b,
      )
      return { ...event, payload: { ...event.payload, blocks } }
    })
    const [event] = nextStep(s, g.env()).events
    if (event?.type !== 'tool_started') throw new Error('nothing was started')
    return event.payload.idempotencyKey
  }
  it('of calls that a fork answers are its own', () => expect(callIn('fork')).not.toBe(callIn('parent')))
  it('of a call that was started before the fork stay what they were', () => {
    const parent = g.given(
      g.created,
      g.message(),
      (s) => g.answered(s, ['put']),
      (s) => g.started(s),
    )
    const h = forkOf(parent, 'rule')
    expect(stateOf(h).calls[0]?.idempotencyKey).toBe(parent.calls[0]?.idempotencyKey)
    expect(driven(h).some((e) => e.type === 'tool_started')).toBe(false)
  })
})

it('a quiet fork is not named to the model', () => {
  const s = g.given(g.created)
  const event = g.forked(s) as Extract<NewEvent, { type: 'forked' }>
  const { state, broken } = reduceChecked(s, g.after(s, { ...event, payload: { ...event.payload, quiet: true } }))
  expect(broken).toEqual([])
  expect(unseenByModel(state)).toEqual([])
})
