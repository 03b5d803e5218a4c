/**
 * What holds after every event of every log, numbered. Written apart from reduce's table, so that a wrong cell there is seen here.
 * Pure: tests assert it after each event, the explorer in every state it reaches, `verify` along the whole chain.
 */
import type { EventType, KnownEvent } from './events'
import { modelStep } from './ids'
import { reduce } from './reduce'
import { openCalls, unseenByModel, type CallState, type State } from './state'

export interface Invariant {
  id: `I${number}`
  text: string
  /** What keeps it true; PROTOCOL rule numbers are those of docs/protocol.md. */
  enforcedBy: string
  holds(before: State, event: KnownEvent, after: State): boolean
}

const PEOPLES: readonly EventType[] = [
  'message_received',
  'definition_changed',
  'session_closed',
  'forked',
  'custody_taken',
  'granted',
  'revoked',
  'key_destroyed',
  'result_arrived_late',
  'checkpoint_made',
]
const BEGINS: readonly EventType[] = ['approval_requested', 'tool_started', 'child_started']
/** What a closed session still takes. */
const BEHIND_THE_END: readonly EventType[] = ['result_arrived_late', 'granted', 'revoked', 'key_destroyed']
const WITHOUT_EFFECT: readonly EventType[] = [
  'result_arrived_late',
  'child_started',
  'child_finished',
  'granted',
  'revoked',
  'key_destroyed',
]

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
const isPrefix = (short: readonly number[], long: readonly number[]): boolean => short.every((x, i) => x === long[i])
const ascends = (list: readonly number[]): boolean => list.every((x, i) => i === 0 || x > (list[i - 1] ?? 0))
const callOf = (s: State, id: string): CallState | undefined => s.calls.find((c) => c.id === id)
/** Everything that a later request still has to name. */
const owed = (s: State): number[] => [...s.unseen, ...s.queued, ...s.extra].sort((a, b) => a - b)

const when =
  <T extends EventType>(
    types: readonly T[],
    holds: (b: State, e: Extract<KnownEvent, { type: T }>, a: State) => boolean,
  ) =>
  (b: State, e: KnownEvent, a: State): boolean =>
    !(types as readonly EventType[]).includes(e.type) || holds(b, e as Extract<KnownEvent, { type: T }>, a)

export const INVARIANTS: readonly Invariant[] = [
  {
    id: 'I1',
    text: 'seq is gapless',
    enforcedBy: 'append function, under the lock of the session row (rule 3)',
    holds: (b, e, a) => e.seq === b.seq + 1 && a.seq === e.seq,
  },
  {
    id: 'I2',
    text: 'a log begins with session_created, and has no second one',
    enforcedBy: 'create writes both rows in one transaction; reduce',
    holds: (b, e, a) => (e.type === 'session_created') === !b.created && a.created,
  },
  {
    id: 'I3',
    text: 'a definition is always set, and changes only where an event says so',
    enforcedBy: 'schema of the payloads; reduce',
    holds: (b, e, a) =>
      a.definition !== '' &&
      (e.type === 'session_created' || e.type === 'forked' || e.type === 'definition_changed'
        ? a.definition === e.payload.definition
        : a.definition === b.definition),
  },
  {
    id: 'I4',
    text: 'a model answers or fails only when due, under the step of the event that made it due',
    enforcedBy: 'step key from the log, unique key of the event (rules 5 and 6)',
    holds: when(['model_answered', 'model_failed'], (b, e) => b.due > 0 && e.payload.step === modelStep(b.due)),
  },
  {
    id: 'I5',
    text: 'no answer while calls are open',
    enforcedBy: 'nextStep (rule 16)',
    holds: when(['model_answered', 'model_failed'], (b) => openCalls(b).length === 0),
  },
  {
    id: 'I6',
    text: 'a manifest extends the request before it, and names what was due then, if only a paused answer: each event once over a lineage, in view order',
    enforcedBy: 'base fixed in the draft row at its claim (rule 9)',
    holds: when(['model_answered'], (b, e) => {
      const { prev, saw } = e.payload.manifest
      return prev === b.lastAnswer && (saw.length > 0 || b.turn?.paused === true) && isPrefix(saw, unseenByModel(b))
    }),
  },
  {
    id: 'I7',
    text: 'calls are named by the step of their answer and their place in it',
    enforcedBy: 'callModel names them; rule 6',
    holds: when(['model_answered'], (b, _e, a) =>
      a.calls.every((c, i) => c.id.endsWith(`:${b.due}.${i}`) && c.answer === a.seq),
    ),
  },
  {
    id: 'I8',
    text: 'a call starts once, before its result, and, where somebody was asked, only after an allow',
    enforcedBy: 'key started:<call>; nextStep (rules 6 and 16)',
    holds: when(['tool_started'], (b, e) => {
      const c = callOf(b, e.payload.call)
      if (!c || c.started || c.finished || c.problem !== undefined) return false
      return !c.asked || (c.decision ?? c.inheritedDecision) === 'allow' || b.allowed.includes(c.name)
    }),
  },
  {
    id: 'I9',
    text: 'an approval is requested once, for a call that has neither started nor a result',
    enforcedBy: 'key approval-requested:<call>, through the lineage (rule 4)',
    holds: when(['approval_requested'], (b, e) => {
      const c = callOf(b, e.payload.call)
      return c !== undefined && !c.asked && !c.started && !c.finished
    }),
  },
  {
    id: 'I10',
    text: 'an approval is resolved once in a session, after its request and before the result of its call',
    enforcedBy: 'key approval:<call> in own rows; append function (rule 4)',
    holds: when(['approval_resolved'], (b, e) => {
      const c = callOf(b, e.payload.call)
      return c !== undefined && c.asked > 0 && c.decision === null && !c.finished
    }),
  },
  {
    id: 'I11',
    text: 'a call has one result; ok and unknown only if it started, denied only if it did not',
    enforcedBy: 'key result:<call>, through the lineage (rules 4 and 6)',
    holds: when(['tool_finished'], (b, e) => {
      const c = callOf(b, e.payload.call)
      if (!c || c.finished) return false
      const { outcome } = e.payload
      return outcome === 'ok' || outcome === 'unknown' ? c.started > 0 : outcome === 'denied' ? c.started === 0 : true
    }),
  },
  {
    id: 'I12',
    text: 'nothing begins after an interrupt; after interrupted only turn_finished and what people say',
    enforcedBy: 'expected head of every executor append (rules 3 and 16)',
    holds: (b, e) =>
      !(b.stop && BEGINS.includes(e.type)) &&
      !(b.turn?.interrupted && e.type !== 'turn_finished' && !PEOPLES.includes(e.type)),
  },
  {
    id: 'I13',
    text: 'interrupted needs an interrupt of this turn, and no open call',
    enforcedBy: 'nextStep; expected head (rule 8)',
    holds: when(['interrupted'], (b, e, a) => {
      const bound = b.stop > 0 && e.payload.by === b.stop && e.payload.turn === b.turn?.opener && b.stop > b.turn.opener
      return bound && openCalls(b).length === 0 && a.turn?.interrupted === true
    }),
  },
  {
    id: 'I14',
    text: 'turn_finished stands over no open call and no interrupt; over due work only for the reasons that say so',
    enforcedBy: 'nextStep; expected head (rules 3 and 16)',
    holds: when(['turn_finished'], (b, e) => {
      if (!b.turn || e.payload.turn !== b.turn.opener || b.stop > 0 || openCalls(b).length > 0) return false
      const { reason, limit } = e.payload
      if ((reason === 'interrupted') !== b.turn.interrupted || (reason === 'limit') !== (limit !== undefined))
        return false
      if (reason === 'done' || reason === 'awaiting_input') return !b.due && b.unseen.length === 0 && !b.turn.failed
      return reason !== 'failed' || b.turn.failed
    }),
  },
  {
    id: 'I15',
    text: 'no message is lost: what a request still has to name leaves only by a manifest',
    enforcedBy: 'reduce (rules 7 and 9)',
    holds: (b, e, a) => {
      const saw = e.type === 'model_answered' ? e.payload.manifest.saw : []
      const stopOnly =
        e.type === 'message_received' && e.payload.delivery === 'interrupt' && e.payload.blocks.length === 0
      const told = (e.type === 'message_received' && !stopOnly) || (e.type === 'forked' && !e.payload.quiet)
      const news = told || e.type === 'interrupted' || e.type === 'checkpoint_made' ? [e.seq] : []
      return same(owed(a), [...owed(b).filter((x) => !saw.includes(x)), ...news])
    },
  },
  {
    id: 'I16',
    text: 'a model call is due only in an open turn without open calls; an interrupt is pending only in an open turn',
    enforcedBy: 'reduce',
    holds: (_b, _e, a) => {
      if (a.due && (!a.turn || a.turn.interrupted || a.turn.failed || openCalls(a).length > 0 || a.due > a.seq))
        return false
      if (a.stop && (!a.turn || a.turn.interrupted || a.stop > a.seq)) return false
      return a.turn !== null || (openCalls(a).length === 0 && a.unseen.length === 0 && a.queued.length === 0)
    },
  },
  {
    id: 'I17',
    text: 'the state stays bounded: one event adds at most one entry, calls come only with an answer, lists hold nothing twice',
    enforcedBy: 'reduce (L12)',
    holds: (b, e, a) =>
      owed(a).length <= owed(b).length + 1 &&
      ascends(owed(a)) &&
      (e.type === 'model_answered' || a.calls.length === b.calls.length) &&
      a.allowed.length <= b.allowed.length + 1 &&
      new Set(a.allowed).size === a.allowed.length,
  },
  {
    id: 'I18',
    text: 'a turn opens at a message when none is open, is named by it, and ends only at turn_finished',
    enforcedBy: 'reduce (rule 7)',
    holds: (b, e, a) => {
      if (b.turn && e.type !== 'turn_finished') return a.turn?.opener === b.turn.opener && a.turns === b.turns
      if (!a.turn) return a.turns === b.turns
      const opener = e.type === 'turn_finished' ? b.queued[0] : e.type === 'message_received' ? e.seq : undefined
      return a.turn.opener === opener && a.turns === b.turns + 1 && a.due === opener && !a.turn.interrupted
    },
  },
  {
    id: 'I19',
    text: 'inheritance begins at forked or custody_taken, which leave no decision and no remembered permission of the parent in force as its own',
    enforcedBy: 'reduce (rule 21)',
    holds: (b, e, a) =>
      e.type === 'forked' || e.type === 'custody_taken'
        ? a.inherited === e.seq - 1 &&
          a.custody !== b.custody &&
          a.allowed.length === 0 &&
          a.calls.every((c) => c.decision === null)
        : a.inherited === b.inherited && a.custody === b.custody,
  },
  {
    id: 'I20',
    text: 'a closed session takes nothing but late evidence, grants, revocations and the end of its key',
    enforcedBy: 'append function; reduce',
    holds: (b, e, a) => !b.closed || e.type === 'forked' || (BEHIND_THE_END.includes(e.type) && a.closed),
  },
  {
    id: 'I21',
    text: 'late evidence, children, grants and the end of a key change nothing of what is due',
    enforcedBy: 'reduce (L8)',
    holds: (b, e, a) => !WITHOUT_EFFECT.includes(e.type) || same(a, { ...b, seq: e.seq }),
  },
  {
    id: 'I22',
    text: 'while a call is due, later events only lengthen what it would be sent: the base that a draft fixed stays a prefix',
    enforcedBy: 'view order (rule 9, L10)',
    holds: (b, _e, a) => !b.due || a.due !== b.due || isPrefix(unseenByModel(b), unseenByModel(a)),
  },
  {
    id: 'I23',
    text: 'a checkpoint takes nothing from what a request has to name; one that a step made ends where a step ended, behind the one before',
    enforcedBy: 'nextStep; reduce (L10)',
    holds: when(['checkpoint_made'], (b, e, a) => {
      const step = e.payload.step === undefined || (b.boundaries.includes(e.payload.hi) && e.payload.hi > b.checkpoint)
      return step && a.due === b.due && a.lastAnswer === b.lastAnswer && a.checkpoint <= (a.boundaries.at(-1) ?? 0)
    }),
  },
  {
    id: 'I24',
    text: 'a failed call ends its turn, or goes on under its own seq: with a later fallback, or once between two answers behind a checkpoint',
    enforcedBy: 'callModel decides, reduce refuses (rules 5 and 16)',
    holds: when(['model_failed'], (b, e, a) => {
      const { next } = e.payload
      if (!next || b.stop) return a.due === 0 && a.turn?.failed === true
      const onward = next.kind === 'fallback' ? next.model > (b.turn?.fallback ?? 0) : b.turn?.recovery === null
      return onward && a.due === e.seq && a.turn?.failed === false
    }),
  },
  {
    id: 'I25',
    text: 'what a session has spent grows with its steps, and counts from its creation or its fork',
    enforcedBy: 'reduce (limits, rule 16)',
    holds: (b, e, a) => {
      const { since, steps, tokens, usdMicros } = a.spent
      if (e.type === 'session_created' || e.type === 'forked') return since === e.at && steps + tokens + usdMicros === 0
      const ended = e.type === 'model_answered' || e.type === 'model_failed' ? 1 : 0
      const grown = tokens >= b.spent.tokens && usdMicros >= b.spent.usdMicros
      return since === b.spent.since && steps === b.spent.steps + ended && grown
    },
  },
]

/** The invariants that this event breaks, each as `I<n>: text`; empty where all is well. `after` is reduce's answer. */
export function checkInvariants(before: State, event: KnownEvent, after: State): string[] {
  // An event behind one that this code does not know is counted and kept, not judged.
  if (before.unsupported) return same(after, { ...before, seq: before.seq + 1 }) ? [] : ['I1: seq is gapless']
  return INVARIANTS.filter((i) => !i.holds(before, event, after)).map((i) => `${i.id}: ${i.text}`)
}

/** One event more, judged: the state behind it, and what it breaks. A refused event leaves the state as it was. */
export function reduceChecked(before: State, event: KnownEvent): { state: State; broken: string[] } {
  const reduced = reduce(before, event)
  if (!reduced.ok)
    return { state: before, broken: [`${event.type} cannot follow in phase ${reduced.phase}: ${reduced.refusal}`] }
  return { state: reduced.state, broken: checkInvariants(before, event, reduced.state) }
}
