import fc from 'fast-check'
import type { NewEvent } from '../../contract/events'
import { checkInvariants } from '../../contract/invariants'
import { parseStep } from '../../contract/ids'
import { nextStep, type Decision, type Env } from '../../contract/next-step'
import { reduce, reduceUnknown } from '../../contract/reduce'
import { emptyState, phaseOf, unseenByModel, type State } from '../../contract/state'
import { play, settle, stateOf, type History } from './driver'
import * as g from './given'

// Counted runs. A failure prints the seed and the shrunk choices; `fc.assert(..., { seed, path })` runs it again.
const RUNS = { numRuns: 300 }
const histories = fc.array(fc.nat(1000), { minLength: 20, maxLength: 400 }).map(play)
const env = (h: History, more: Partial<Env> = {}): Env => ({ ...g.env(), now: h.now, ...more })
const copy = <T>(x: T): T => JSON.parse(JSON.stringify(x)) as T
const eventAt = (h: History, i: number) => g.after(h.states[i]!, h.events[i]!, h.times[i])

function accepts(s: State, events: NewEvent[], now: number): void {
  let state = s
  for (const event of events) {
    const known = g.after(state, event, now)
    const r = reduce(state, known)
    if (!r.ok) throw new Error(`${event.type}: ${r.refusal}`)
    expect(checkInvariants(state, known, r.state)).toEqual([])
    state = r.state
  }
}

/** Rows that are closed under the name of an event that is not in the log yet: somebody else's may get its seq. */
const closesAhead = (s: State, d: Decision): string[] =>
  d.closes.flatMap(({ step }) => {
    const what = parseStep(step)
    return what.kind !== 'tool' && what.due > s.seq ? [step] : []
  })

describe('random histories', () => {
  it('reach every phase, so that what follows says something', () => {
    const phases = new Set<string>()
    fc.assert(
      fc.property(histories, (h) => h.states.forEach((s) => phases.add(phaseOf(s)))),
      { ...RUNS, seed: 7 },
    )
    expect([...phases].sort()).toEqual(['calls', 'closed', 'due', 'idle', 'new', 'settled', 'stopped', 'stopping'])
  })
  it('of any prefix: the next step is legal, also without any draft, and in a fork cut there (L1, rule 22)', () => {
    fc.assert(
      fc.property(histories, (h) => {
        for (const s of h.states) {
          const d = nextStep(s, env(h))
          accepts(s, d.events, h.now)
          expect(d.events.length === 0 || d.closes.length === 0).toBe(true)
          expect(closesAhead(s, d)).toEqual([])
          if (!s.created) continue
          const fork = reduce(s, g.after(s, g.forked(s), h.now))
          if (!fork.ok) throw new Error(fork.refusal)
          accepts(fork.state, nextStep(fork.state, env(h)).events, h.now)
        }
      }),
      RUNS,
    )
  })
  it('go on to an end: idle, closed, or waiting for a person', () => {
    fc.assert(
      fc.property(histories, (h) => {
        const d = settle(h)
        expect(['nothing', 'closed', 'approval', 'deferred']).toContain(d.waiting)
        if (d.waiting === 'nothing') expect(phaseOf(stateOf(h))).toBe('idle')
      }),
      RUNS,
    )
  })
  it('close no row under the name of an event that is yet to come, with the drafts as they are', () => {
    fc.assert(
      fc.property(histories, fc.boolean(), (h, grace) => {
        const d = nextStep(stateOf(h), env(h, { drafts: h.drafts, grace }))
        expect(closesAhead(stateOf(h), d)).toEqual([])
      }),
      RUNS,
    )
  })
  it('give the same decision again, from a copy of the state and from draft rows in another order', () => {
    fc.assert(
      fc.property(histories, fc.boolean(), (h, grace) => {
        const s = stateOf(h)
        const one = nextStep(s, env(h, { drafts: h.drafts, grace }))
        const two = nextStep(copy(s), env(h, { drafts: new Map([...h.drafts].reverse()), grace }))
        expect(two).toEqual(one)
        expect(copy(one)).toEqual(JSON.parse(JSON.stringify(two)))
      }),
      RUNS,
    )
  })
  it('do not change what they are given', () => {
    const freeze = <T>(x: T): T => {
      if (typeof x === 'object' && x !== null && !(x instanceof Map)) Object.values(Object.freeze(x)).forEach(freeze)
      return x
    }
    fc.assert(
      fc.property(histories, (h) => {
        for (const [i, s] of h.states.entries()) {
          freeze(s)
          if (i < h.events.length) reduce(s, freeze(eventAt(h, i)))
          nextStep(s, env(h))
        }
        for (const row of h.drafts.values()) freeze(row)
        nextStep(stateOf(h), env(h, { drafts: h.drafts }))
      }),
      { numRuns: 60 },
    )
  })
  it('refuse a stale event everywhere, and an executor event a second time', () => {
    fc.assert(
      fc.property(histories, (h) => {
        h.events.forEach((event, i) => {
          const now = h.states[i + 1]!
          expect(reduce(now, eventAt(h, i))).toMatchObject({ ok: false, refusal: 'wrong_seq' })
          expect(reduce(stateOf(h), eventAt(h, i))).toMatchObject({ ok: false, refusal: 'wrong_seq' })
          if (h.executors[i]) expect(reduce(now, g.after(now, event)).ok).toBe(false)
        })
      }),
      RUNS,
    )
  })
  it('give the same state from any snapshot', () => {
    fc.assert(
      fc.property(histories, fc.nat(), (h, n) => {
        const from = n % h.states.length
        let s = copy(h.states[from]!)
        for (let i = from; i < h.events.length; i++) {
          const r = reduce(s, copy(eventAt(h, i)))
          if (!r.ok) throw new Error(r.refusal)
          s = r.state
        }
        expect(s).toEqual(stateOf(h))
        expect(copy(s)).toEqual(s)
      }),
      RUNS,
    )
  })
  it('name each event to the model once, and extend every request by the next (L10)', () => {
    fc.assert(
      fc.property(histories, (h) => {
        let sent: number[] = []
        h.events.forEach((event, i) => {
          if (event.type !== 'model_answered') return
          const before = h.states[i]!
          const request = before.lastAnswer
            ? [...sent, before.lastAnswer, ...event.payload.manifest.saw]
            : event.payload.manifest.saw
          expect(request.slice(0, sent.length)).toEqual(sent)
          expect(new Set(request).size).toBe(request.length)
          expect(request.every((seq) => seq <= before.seq)).toBe(true)
          sent = request
        })
        expect(unseenByModel(stateOf(h)).filter((seq) => sent.includes(seq))).toEqual([])
      }),
      RUNS,
    )
  })
  it('stop at an event that this code does not know, wherever it stands', () => {
    fc.assert(
      fc.property(histories, fc.nat(), (h, n) => {
        const s = h.states[1 + (n % (h.states.length - 1))]!
        const unknown = reduceUnknown(s, { seq: s.seq + 1, type: 'never_heard_of', v: 1 })
        const later = reduce(unknown, g.after(unknown, g.message()))
        for (const state of [unknown, later.ok ? later.state : emptyState])
          expect(nextStep(state, env(h, { drafts: h.drafts }))).toMatchObject({
            events: [],
            closes: [],
            run: [],
            waiting: 'newer_worker',
          })
      }),
      RUNS,
    )
  })
})

describe('the state stays bounded (L12)', () => {
  const turn = [
    g.message(),
    (s: State) => g.answered(s, ['pay', 'look']),
    g.started,
    (s: State) => g.started(s, 1),
    g.finished,
    (s: State) => g.finished(s, 'ok', 1),
    (s: State) => g.answered(s),
    g.turnFinished,
  ]
  const size = (turns: number): number => {
    let s = g.given(g.created)
    for (let i = 0; i < turns; i++) s = turn.reduce<State>((state, e) => g.then(state, e as never), s)
    // Numbers get longer, lists must not.
    return JSON.stringify(s).replace(/\d+/g, '0').length
  }
  it('is as large after 400 turns as after five', () => expect(size(400)).toBe(size(5)))
  it('holds no more than the calls of the last answer and what no model was shown', () => {
    fc.assert(
      fc.property(histories, (h) => {
        const s = stateOf(h)
        const shown = new Set(h.events.flatMap((e) => (e.type === 'model_answered' ? e.payload.manifest.saw : [])))
        const unshown = h.events.filter(
          (e, i) =>
            ['message_received', 'interrupted', 'forked', 'checkpoint_made'].includes(e.type) && !shown.has(i + 1),
        )
        expect(s.unseen.length + s.extra.length + s.queued.length).toBeLessThanOrEqual(unshown.length)
        expect(s.calls.length).toBeLessThanOrEqual(3)
        expect(s.allowed.length).toBeLessThanOrEqual(8)
      }),
      RUNS,
    )
  })
})
