/**
 * The world that the explorer searches: sessions with their logs and draft rows, runs, activity processes, people, what was truly done.
 * Events are interned: a log is a list of numbers. Everything derived from a log is kept by its prefix.
 */
import { parseDefinition, type Definition } from '../../contract/definition'
import type { KnownEvent, NewEvent, Payload } from '../../contract/events'
import { checkInvariants } from '../../contract/invariants'
import type { Decision, Env } from '../../contract/next-step'
import { reduce, type Reduced } from '../../contract/reduce'
import { emptyState, unseenByModel, type State } from '../../contract/state'
import type { Scope } from './scope'

/** A draft row. `c` claimed, `f` finished, `x` closed; epoch and attempt are its token. `sent`: the whole request, as seqs. */
export interface Row {
  st: 'c' | 'f' | 'x'
  e: number
  a: number
  sent?: number[]
  saw?: number[]
  prev?: number
  /** Of a checkpoint: the end of the range that it summarises. */
  hi?: number
  o?: 'unknown' | 'cancelled'
}
export interface Session {
  log: number[]
  epoch: number
  owner: number
  drafts: Record<string, Row>
}
/** What a look at log and drafts decided, not yet committed. */
export interface Look {
  head: number
  events: number[]
  closes: { step: string; token: string | null; outcome: 'unknown' | 'cancelled' }[]
  run: string[]
  /** Events first, and then another look. */
  again: boolean
  waits: boolean
  settling: boolean
  sig: number
}
export interface Run {
  id: number
  epoch: number
  /** `grace`: an interrupt waits for live executors; a timer is set. */
  st: 'claim' | 'look' | 'wait' | 'ask' | 'grace'
  nudged: boolean
  grace: boolean
  /** Attempt of each step in flight. */
  flight: Record<string, number>
  look: Look | null
  sig: number
}
export type Proc =
  | {
      k: 'step'
      s: number
      c: number
      step: string
      e: number
      a: number
      pc: number
      frozen: boolean
      sent?: number[]
      slot?: string
    }
  | { k: 'claim'; s: number; id: number }
  | { k: 'append'; s: number; e: number; look: Look }
export const FAULTS = [
  'freeze',
  'crash',
  'loss',
  'dup',
  'lose',
  'steal',
  'retry',
  'reclaim',
  'noworker',
  'sweep',
] as const
export type Fault = (typeof FAULTS)[number]
export interface World {
  ses: Session[]
  runs: (Run | null)[][]
  runIds: number
  procs: Proc[]
  nudges: number[][]
  people: number[]
  left: Record<Fault, number> & { total: number }
  /** What happened outside: effects of calls, calls of the model, answers that reached a draft, steps ever claimed. */
  effects: Record<string, number>
  paid: Record<string, number>
  answered: Record<string, number>
  claimed: Record<string, number>
  signal: number
  bad: string
  /** What was received and refused though nobody had taken over. */
  lost: '' | 'answer' | 'result'
}

export type PersonStep = { s?: number; c?: number; noNudge?: boolean } & (
  | { do: 'msg'; id: string; delivery: 'queue' | 'steer' | 'interrupt' }
  | { do: 'stop'; seen?: KnownEvent['type'] }
  | { do: 'approve'; decision: 'allow' | 'deny' }
  | { do: 'finish' }
  | { do: 'fork'; at?: KnownEvent['type']; open?: Payload<'forked'>['open'] }
)

/** Rules of processes and database that a wrong rule switches off or on; the real ones are all absent. */
export type Switch =
  | 'retryBlind'
  | 'noClaim'
  | 'noFence'
  | 'noHead'
  | 'refuseOld'
  | 'finishNeedsEpoch'
  | 'finishAny'
  | 'gcOnPromote'
  | 'signalInterrupt'
  | 'reconcileNoRun'
  | 'waitOpen'
  | 'approvalThroughLineage'
  | 'deferredKey'
  | 'ownKeyOnly'
  | 'approveClosed'
  | 'claimNotById'
  | 'staleReclaim'
  | 'noWait'
  | 'sweepByRowEpoch'
  | 'claimNoEpoch'
  | 'completeBlind'

/** What the executor goes by: the real functions, or a wrong rule wrapped around one of them. */
export interface Rules {
  reduce(s: State, e: KnownEvent): Reduced
  nextStep(s: State, env: Env, me: { epoch: number; events: readonly Entry[] }): Decision
  /** The whole request, as seqs, from the one before. */
  request(s: State, before: readonly number[], events: readonly Entry[]): number[]
}

/** An interned event: `e` the epoch of an executor's append, 0 for a person's; `sent` what the model truly got. */
export interface Entry {
  key: string
  e: number
  event: NewEvent
  sent?: number[]
}
const table: Entry[] = []
const index = new Map<string, number>()
export function intern(entry: Entry): number {
  const text = JSON.stringify(entry)
  const known = index.get(text)
  if (known !== undefined) return known
  table.push(entry)
  index.set(text, table.length - 1)
  return table.length - 1
}
export const entry = (id: number): Entry => table[id]!

/** The unique key of an event, as the append function makes it (rule 6). */
export function keyOf(event: NewEvent, client = ''): string {
  switch (event.type) {
    case 'model_answered':
    case 'model_failed':
      return event.payload.step
    case 'checkpoint_made':
      return event.payload.step ?? `checkpoint:${client}`
    case 'approval_requested':
      return `requested:${event.payload.call}`
    case 'approval_resolved':
      return `approval:${event.payload.call}`
    case 'tool_started':
      return `started:${event.payload.call}`
    case 'tool_finished':
      return `result:${event.payload.call}`
    case 'interrupted':
      return `interrupted:${event.payload.turn}`
    case 'turn_finished':
      return `finished:${event.payload.turn}`
    default:
      return `${event.type}:${client}`
  }
}

const schema = '{"type":"object"}'
export const HASH = `sha256:${'0'.repeat(64)}`
/** Tools are named by what they are: u unsafe, i idempotent, d deferred; with a, approval is asked. */
export const DEFINITION = parseDefinition({
  model: { provider: 'anthropic', name: 'm' },
  limits: { steps: 1000, seconds: 1_000_000_000 },
  tools: ['u', 'ua', 'i', 'ia', 'd', 'da'].map((name) => ({
    name,
    description: '',
    inputSchema: schema,
    idempotent: name.startsWith('i'),
    deferred: name.startsWith('d'),
    approval: name.endsWith('a') ? 'ask' : 'allow',
  })),
})
/** The same, with a checkpoint due behind every step, and with a model to fall back on. */
export const definitionOf = ({ compaction, fallback }: Pick<Scope, 'compaction' | 'fallback'>): Definition => ({
  ...DEFINITION,
  ...(compaction && compaction !== 'forced' ? { compaction: { atTokens: 1, keepSteps: 0 } } : {}),
  ...(fallback ? { fallbacks: { models: [DEFINITION.model] } } : {}),
})
export const isSafeKind = (kind: string): boolean => kind.startsWith('i')
export const isDeferredKind = (kind: string): boolean => kind.startsWith('d')

/** What became of a call over the whole log: state itself forgets the calls before the last answer. */
export interface CallFact {
  id: string
  kind: string
  answer: number
  asked: number
  started: number
  finished: number
  outcome: Payload<'tool_finished'>['outcome'] | null
  /** Allowed by an approval in the log's own rows. */
  allowedHere: boolean
}
export interface Folded {
  /** By the rules that are tried, and by the real ones. */
  tried: State
  truth: State
  sent: number[]
  answers: number
  calls: CallFact[]
  epoch: number
  bad: string | null
}
const EMPTY: Folded = { tried: emptyState, truth: emptyState, sent: [], answers: 0, calls: [], epoch: 0, bad: null }

/** Reads logs under the given rules, judging each event by the invariants and the real reduce. */
export function makeReader(rules: Rules): (log: readonly number[]) => Folded {
  const memo = new Map<string, Folded>([['', EMPTY]])
  const fold = (log: readonly number[]): Folded => {
    const key = log.join()
    const known = memo.get(key)
    if (known) return known
    const before = fold(log.slice(0, -1))
    const made = extend(rules, before, log)
    if (memo.size > 300_000) memo.clear()
    memo.set(key, made).set('', EMPTY)
    return made
  }
  return fold
}

function extend(rules: Rules, f: Folded, log: readonly number[]): Folded {
  const me = entry(log[log.length - 1]!)
  const seq = log.length
  const event = { seq, at: 0, actor: 'system', ...me.event } as KnownEvent
  const call =
    'call' in event.payload ? f.calls.find((c) => 'call' in event.payload && c.id === event.payload.call) : undefined
  let bad = f.bad
  const say = (what: string): void => void (bad ??= what)

  if (log.slice(f.truth.inherited, -1).some((id) => entry(id).key === me.key)) say(`event twice ~ ${me.key}`)
  if (me.e && me.e < f.epoch) say(`a stale epoch appended ~ ${me.key}`)
  if (event.type === 'tool_finished' && call?.finished) say(`a second result for one call ~ ${call.id}`)
  if (event.type === 'approval_resolved' && call?.finished) say(`approval of a closed call ~ ${call.id}`)
  if (
    event.type === 'tool_started' &&
    call &&
    call.answer <= f.truth.inherited &&
    !isSafeKind(call.kind) &&
    !call.allowedHere
  )
    say(`started in a fork without an approval given there ~ ${call.id}`)
  const truth = rules.reduce === reduce ? f.tried : f.truth
  const real = reduce(truth, event)
  if (me.sent && event.type === 'model_answered') {
    const expected = f.truth.lastAnswer ? [...f.sent, f.truth.lastAnswer] : []
    if (JSON.stringify(me.sent.slice(0, expected.length)) !== JSON.stringify(expected))
      say(`a later request rewrites an earlier one (L10) ~ ${JSON.stringify(expected)} then ${JSON.stringify(me.sent)}`)
    if (real.ok && JSON.stringify(me.sent.slice(expected.length)) !== JSON.stringify(event.payload.manifest.saw))
      say(`the manifest names events that the model was not sent ~ ${me.key}`)
  }
  if (!real.ok) say(`${event.type} cannot follow in phase ${real.phase}: ${real.refusal}`)
  else {
    const broken = checkInvariants(truth, event, real.state)
    if (broken.length > 0) say(broken.join('; '))
  }
  const tried = rules.reduce === reduce ? real : rules.reduce(f.tried, event)
  return {
    tried: tried.ok ? tried.state : { ...f.tried, seq },
    truth: real.ok ? real.state : { ...truth, seq },
    sent: me.sent ?? f.sent,
    answers: f.answers + (event.type === 'model_answered' || event.type === 'model_failed' ? 1 : 0),
    calls: factsAfter(f.calls, event),
    epoch: event.type === 'forked' ? 0 : Math.max(f.epoch, me.e),
    bad,
  }
}

function factsAfter(calls: CallFact[], e: KnownEvent): CallFact[] {
  const change = (id: string, by: Partial<CallFact>): CallFact[] =>
    calls.map((c) => (c.id === id ? { ...c, ...by } : c))
  switch (e.type) {
    case 'model_answered':
      return e.payload.blocks.reduce(
        (all, b) =>
          b.type === 'tool_call'
            ? [
                ...all,
                {
                  id: b.call,
                  kind: b.name,
                  answer: e.seq,
                  asked: 0,
                  started: 0,
                  finished: 0,
                  outcome: null,
                  allowedHere: false,
                },
              ]
            : all,
        calls,
      )
    case 'approval_requested':
      return change(e.payload.call, { asked: e.seq })
    case 'approval_resolved':
      return e.payload.decision === 'allow' ? change(e.payload.call, { allowedHere: true }) : calls
    case 'tool_started':
      return change(e.payload.call, { started: e.seq })
    case 'tool_finished':
      return calls.some((c) => c.id === e.payload.call && c.finished)
        ? calls
        : change(e.payload.call, { finished: e.seq, outcome: e.payload.outcome })
    case 'forked':
      return calls.map((c) => ({ ...c, allowedHere: false }))
    default:
      return calls
  }
}

/** The real request: the one before, its answer, and what is unseen, in view order (rule 9). */
export function realRequest(s: State, before: readonly number[]): number[] {
  return s.lastAnswer ? [...before, s.lastAnswer, ...unseenByModel(s)] : unseenByModel(s)
}
