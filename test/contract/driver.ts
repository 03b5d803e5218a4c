/**
 * A random driver: people, executors and draft outcomes, each choice drawn from a list of numbers that fast-check makes and shrinks.
 * It plays the database: an executor's decision is appended at once, so every log it makes is one that could have been written.
 */
import type { NewEvent } from '../../contract/events'
import { parseStep } from '../../contract/ids'
import { reduceChecked } from '../../contract/invariants'
import { nextStep, type Decision, type DraftView } from '../../contract/next-step'
import { emptyState, openCalls, type State } from '../../contract/state'
import * as g from './given'

export interface History {
  events: NewEvent[]
  times: number[]
  /** `states[n]` is the state behind the first n events. */
  states: State[]
  /** Whether the n-th event was an executor's. */
  executors: boolean[]
  drafts: Map<string, DraftView>
  now: number
}
const TOOLS = ['pay', 'look', 'put', 'ask', 'ask_look', 'never', 'wait', 'wait_ask', 'no_such_tool']

export const stateOf = (h: History): State => h.states[h.states.length - 1] ?? emptyState

export function append(h: History, event: NewEvent, executor: boolean): void {
  const s = stateOf(h)
  const { state, broken } = reduceChecked(s, g.after(s, event, h.now))
  if (broken.length > 0) throw new Error(`${event.type} at ${s.seq + 1}: ${broken.join('; ')}`)
  h.events.push(event)
  h.times.push(h.now)
  h.states.push(state)
  h.executors.push(executor)
}

export const decideIn = (h: History, grace: boolean): Decision =>
  nextStep(stateOf(h), { ...g.env(), now: h.now, drafts: h.drafts, grace })

function execute(h: History, grace: boolean, pick: (n: number) => number): void {
  const d = decideIn(h, grace)
  for (const { fromDraft: _, ...event } of d.events) append(h, event, true)
  for (const { step, token, outcome } of d.closes) {
    if ((h.drafts.get(step)?.token ?? null) !== token)
      throw new Error(`close of ${step} by a token that is not its own`)
    h.drafts.set(step, g.closedRow(step, outcome, pick(2) ? [{ type: 'text', text: 'half' }] : undefined))
  }
  for (const { step } of d.run) if (!h.drafts.has(step) && pick(3) > 0) h.drafts.set(step, g.running(step, pick(2) > 0))
}

/** A row that runs gets an end, or its holder goes silent. */
function outcome(h: History, pick: (n: number) => number): void {
  const rows = [...h.drafts.values()].filter((row) => row.state === 'running')
  const row = rows[pick(Math.max(1, rows.length))]
  if (!row) return
  const s = stateOf(h)
  const what = parseStep(row.step)
  if (pick(5) === 0) return void h.drafts.set(row.step, { ...row, fresh: false })
  if (what.kind === 'tool') {
    const i = s.calls.findIndex((c) => c.id === what.call)
    if (pick(5) === 0) h.drafts.set(row.step, g.closedRow(row.step, 'unknown'))
    else if (i >= 0) h.drafts.set(row.step, g.toolRow(s, i, pick(2) ? 'ok' : 'error'))
  } else if (what.due === s.due) {
    if (what.kind === 'checkpoint')
      return void h.drafts.set(
        row.step,
        pick(3) ? g.finishedRow(row.step, g.summary(s)) : g.closedRow(row.step, 'cancelled'),
      )
    if (pick(4) === 0)
      return void h.drafts.set(
        row.step,
        g.finishedRow(row.step, g.failedOf(s, pick(2) ? 'context_exceeded' : pick(3) ? 'overloaded' : 'internal')),
      )
    if (pick(8) === 0) return void h.drafts.set(row.step, g.finishedRow(row.step, g.paused(s)))
    const names = Array.from({ length: pick(4) }, () => TOOLS[pick(TOOLS.length)] ?? 'pay')
    const broken = pick(6) === 0
    h.drafts.set(
      row.step,
      g.modelRow(
        s,
        names.map((name) => (broken ? { name, problem: 'bad arguments' } : name)),
      ),
    )
  }
}

function person(h: History, pick: (n: number) => number): void {
  const s = stateOf(h)
  if (s.closed) return append(h, g.forked(s), false)
  const asked = s.calls.findIndex((c) => c.asked && !c.finished && !c.decision)
  const waiting = openCalls(s).find((c) => c.name.startsWith('wait') && c.started)
  switch (pick(8)) {
    case 0:
      return append(h, g.message('queue'), false)
    case 1:
      return append(h, g.message('steer'), false)
    case 2:
      return append(h, pick(2) ? g.message('interrupt') : g.stop, false)
    case 3:
    case 4:
      if (asked < 0 || s.turn?.interrupted) return
      return append(h, g.resolved(s, pick(3) ? 'allow' : 'deny', asked, { scope: pick(2) ? 'once' : 'session' }), false)
    case 5:
      if (!waiting) return
      return append(h, g.finished(s, 'ok', s.calls.indexOf(waiting)), false)
    case 6:
      if (pick(4) === 0) return append(h, pick(3) ? g.changed : g.closed, false)
      return
    default:
      if (pick(3)) return
      append(h, g.forked(s), false)
      h.drafts = new Map()
  }
}

/** The history that these choices make. */
export function play(choices: readonly number[]): History {
  const h: History = { events: [], times: [], states: [emptyState], executors: [], drafts: new Map(), now: g.T0 }
  append(h, g.created, false)
  append(h, g.message(), false)
  const rest = [...choices]
  const pick = (n: number): number => (rest.shift() ?? 0) % n
  while (rest.length > 0) {
    h.now += pick(4) * 5 * g.SECOND
    const kind = pick(8)
    if (kind < 3) execute(h, pick(4) === 0, pick)
    else if (kind < 6) outcome(h, pick)
    else person(h, pick)
  }
  return h
}

/** Executors and draft outcomes only, until nothing moves. */
export function settle(h: History): Decision {
  for (let i = 0; i < 400; i++) {
    const d = decideIn(h, false)
    if (d.events.length + d.closes.length + d.run.length === 0) return d
    execute(h, false, () => 1)
    for (const row of [...h.drafts.values()].filter((r) => r.state === 'running')) {
      const s = stateOf(h)
      const what = parseStep(row.step)
      if (what.kind === 'model' && what.due === s.due) h.drafts.set(row.step, g.modelRow(s))
      if (what.kind === 'checkpoint' && what.due === s.due)
        h.drafts.set(row.step, g.finishedRow(row.step, g.summary(s)))
      if (what.kind === 'tool')
        h.drafts.set(
          row.step,
          g.toolRow(
            s,
            s.calls.findIndex((c) => c.id === what.call),
          ),
        )
    }
  }
  throw new Error('does not settle')
}
