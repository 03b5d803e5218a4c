/**
 * reduce: one event more. Pure; the state-by-event table below is total, so a phase or a type that is added without a rule for every
 * cell does not compile: hence one file of over 400 lines. A refused event is a corrupt log when it is read, and a bug or a race when it is about to be written.
 */
import type { ContentBlock } from './blocks'
import { BOUNDARIES_KEPT } from './compaction'
import type { EventType, KnownEvent, Payload, Usage } from './events'
import { emptyState, openCalls, phaseOf, type CallState, type Phase, type State, type Used } from './state'

/** Why an event cannot follow. */
export type Refusal =
  | 'not_created'
  | 'already_created'
  | 'closed'
  | 'no_turn'
  | 'not_due'
  | 'calls_open'
  | 'no_open_calls'
  | 'interrupt_pending'
  | 'after_interrupted'
  | 'nothing_to_interrupt'
  | 'work_left'
  | 'unknown_call'
  | 'call_finished'
  | 'already_started'
  | 'already_requested'
  | 'not_requested'
  | 'already_resolved'
  | 'wrong_step'
  | 'wrong_turn'
  | 'wrong_seq'
  | 'wrong_range'
  | 'wrong_next'

/** An image or a document, as so much text. */
const ATTACHMENT_CHARS = 8000

type Guard<T extends EventType> = (s: State, p: Payload<T>) => Refusal | null
type Row = { readonly [T in EventType]: Guard<T> }

const yes = (): null => null
const no = (why: Refusal) => (): Refusal => why

const findCall = (s: State, id: string): CallState | undefined => s.calls.find((call) => call.id === id)

const callGuard =
  (check: (call: CallState) => Refusal | null) =>
  (s: State, p: { call: string }): Refusal | null => {
    const call = findCall(s, p.call)
    if (!call) return 'unknown_call'
    return call.finished ? 'call_finished' : check(call)
  }
const mayRequest = callGuard((call) => (call.started ? 'already_started' : call.asked ? 'already_requested' : null))
const mayResolve = callGuard((call) => (!call.asked ? 'not_requested' : call.decision ? 'already_resolved' : null))
const mayStart = callGuard((call) => (call.started ? 'already_started' : null))
const mayFinish = callGuard(() => null)

const rightStep = (s: State, p: { step: string }): Refusal | null =>
  s.due && p.step === `model@${s.due}` ? null : s.due ? 'wrong_step' : 'not_due'
/** A failure goes on with a later fallback than the one that failed, or behind a checkpoint once: a turn can't go round. */
const mayFail: Guard<'model_failed'> = (s, p) => {
  const on = p.next
  const onward = !on || (on.kind === 'fallback' ? on.model > (s.turn?.fallback ?? 0) : s.turn?.recovery === null)
  return rightStep(s, p) ?? (onward ? null : 'wrong_next')
}
const rightTurn = (s: State, p: { turn: number }): Refusal | null => (s.turn?.opener === p.turn ? null : 'wrong_turn')
const mayInterrupt: Guard<'interrupted'> = (s, p) =>
  rightTurn(s, p) ?? (openCalls(s).length > 0 ? 'calls_open' : p.by === s.stop ? null : 'nothing_to_interrupt')

/** One that is given may come at any time; one that a step made, only in front of the model call that it was made for. */
const mayCheckpoint: Guard<'checkpoint_made'> = (s, p) =>
  p.step === undefined
    ? null
    : p.step !== `checkpoint@${s.due}`
      ? s.due
        ? 'wrong_step'
        : 'not_due'
      : s.boundaries.includes(p.hi) && p.hi > s.checkpoint
        ? null
        : 'wrong_range'

const idle: Row = {
  session_created: no('already_created'),
  forked: yes,
  definition_changed: yes,
  message_received: yes,
  model_answered: no('no_turn'),
  model_failed: no('no_turn'),
  approval_requested: no('no_turn'),
  approval_resolved: no('no_turn'),
  tool_started: no('no_turn'),
  tool_finished: no('no_turn'),
  result_arrived_late: yes,
  interrupted: no('no_turn'),
  checkpoint_made: mayCheckpoint,
  child_started: no('no_turn'),
  child_finished: no('no_turn'),
  turn_finished: no('no_turn'),
  custody_taken: yes,
  granted: yes,
  revoked: yes,
  session_closed: yes,
  key_destroyed: yes,
}
const always = (why: Refusal): Row => ({
  session_created: no(why),
  forked: no(why),
  definition_changed: no(why),
  message_received: no(why),
  model_answered: no(why),
  model_failed: no(why),
  approval_requested: no(why),
  approval_resolved: no(why),
  tool_started: no(why),
  tool_finished: no(why),
  result_arrived_late: no(why),
  interrupted: no(why),
  checkpoint_made: no(why),
  child_started: no(why),
  child_finished: no(why),
  turn_finished: no(why),
  custody_taken: no(why),
  granted: no(why),
  revoked: no(why),
  session_closed: no(why),
  key_destroyed: no(why),
})

/** What may follow in which phase. */
export const TABLE: { readonly [P in Phase]: Row } = {
  new: { ...always('not_created'), session_created: yes },
  idle,
  due: {
    ...idle,
    model_answered: rightStep,
    model_failed: mayFail,
    approval_requested: no('no_open_calls'),
    approval_resolved: no('no_open_calls'),
    tool_started: no('no_open_calls'),
    tool_finished: no('no_open_calls'),
    interrupted: no('nothing_to_interrupt'),
    child_started: yes,
    child_finished: yes,
    turn_finished: (s, p) => rightTurn(s, p) ?? (p.reason === 'limit' ? null : 'work_left'),
  },
  calls: {
    ...idle,
    model_answered: no('calls_open'),
    model_failed: no('calls_open'),
    approval_requested: mayRequest,
    approval_resolved: mayResolve,
    tool_started: mayStart,
    tool_finished: mayFinish,
    interrupted: no('nothing_to_interrupt'),
    child_started: yes,
    child_finished: yes,
    turn_finished: no('calls_open'),
  },
  settled: {
    ...idle,
    model_answered: no('not_due'),
    model_failed: no('not_due'),
    approval_requested: no('no_open_calls'),
    approval_resolved: no('no_open_calls'),
    tool_started: no('no_open_calls'),
    tool_finished: no('no_open_calls'),
    interrupted: no('nothing_to_interrupt'),
    child_started: yes,
    child_finished: yes,
    turn_finished: rightTurn,
  },
  stopping: {
    ...idle,
    model_answered: (s, p) => (openCalls(s).length > 0 ? 'calls_open' : rightStep(s, p)),
    model_failed: (s, p) => (openCalls(s).length > 0 ? 'calls_open' : mayFail(s, p)),
    approval_requested: no('interrupt_pending'),
    approval_resolved: mayResolve,
    tool_started: no('interrupt_pending'),
    tool_finished: mayFinish,
    interrupted: mayInterrupt,
    child_started: no('interrupt_pending'),
    child_finished: yes,
    turn_finished: no('interrupt_pending'),
  },
  stopped: {
    ...idle,
    model_answered: no('after_interrupted'),
    model_failed: no('after_interrupted'),
    approval_requested: no('after_interrupted'),
    approval_resolved: no('after_interrupted'),
    tool_started: no('after_interrupted'),
    tool_finished: no('after_interrupted'),
    interrupted: no('after_interrupted'),
    child_started: no('after_interrupted'),
    child_finished: no('after_interrupted'),
    turn_finished: rightTurn,
  },
  closed: {
    ...always('closed'),
    forked: yes,
    result_arrived_late: yes,
    // Who may read a closed session still changes, and its content can still be erased.
    granted: yes,
    revoked: yes,
    key_destroyed: yes,
  },
}

export type Reduced = { ok: true; state: State } | { ok: false; refusal: Refusal; phase: Phase }

/** The state after one more event, or why the event cannot follow. */
export function reduce(s: State, event: KnownEvent): Reduced {
  const phase = phaseOf(s)
  if (event.seq !== s.seq + 1) return { ok: false, refusal: 'wrong_seq', phase }
  if (s.unsupported) return { ok: true, state: { ...s, seq: event.seq } }
  const refusal = (TABLE[phase][event.type] as Guard<EventType>)(s, event.payload)
  if (refusal) return { ok: false, refusal, phase }
  return { ok: true, state: { ...apply(s, event), seq: event.seq } }
}

/** The state after an event that this code does not know: kept, shown, and never stepped over. */
export function reduceUnknown(s: State, event: { seq: number; type: string; v: number }): State {
  return { ...s, seq: event.seq, unsupported: s.unsupported ?? { seq: event.seq, type: event.type, v: event.v } }
}

/** Rule 21: what came before is another's, whether a fork's parent or whoever had the session before its import. */
function inherit(s: State, { seq, at }: { seq: number; at: number }): State {
  return {
    ...s,
    inherited: seq - 1,
    rerun: false,
    // Of this log only: the calls that begin from here on are nobody else's, whatever call ids and seqs they share.
    custody: `${seq}.${at}`,
    allowed: [],
    // The limit of seconds counts from here: an old turn would else end before its first step.
    turn: s.turn && { ...s.turn, openedAt: at },
    calls: s.calls.map((call) => ({
      ...call,
      decision: null,
      inheritedDecision: call.decision ?? call.inheritedDecision,
    })),
  }
}

function openTurn(s: State, opener: number, at: number, unseen: number[]): State {
  const turns = s.turns + 1
  const turn = {
    ...{ opener, n: turns, openedAt: at, interrupted: false, failed: false },
    ...{ fallback: 0, recovery: null, paused: false, steps: 0, tokens: 0, usdMicros: 0 },
  }
  return { ...s, turns, turn, due: opener, unseen, stop: 0 }
}

/** For the limits: a step, or the tokens and money of one. */
function counted(s: State, steps: number, usage?: Usage, usdMicros = 0): State {
  const tokens = usage ? usage.input + usage.output : 0
  const more = <T extends Used>(used: T): T => ({
    ...used,
    steps: used.steps + steps,
    tokens: used.tokens + tokens,
    usdMicros: used.usdMicros + usdMicros,
  })
  return { ...s, spent: more(s.spent), turn: s.turn && more(s.turn) }
}

/** Under a definition that is set anew its own model is asked first. */
const firstModel = (s: State): State => (s.turn?.fallback ? { ...s, turn: { ...s.turn, fallback: 0 } } : s)

function withCall(s: State, id: string, change: Partial<CallState>): State {
  return { ...s, calls: s.calls.map((call) => (call.id === id ? { ...call, ...change } : call)) }
}

function apply(s: State, e: KnownEvent): State {
  switch (e.type) {
    case 'session_created':
      return {
        ...emptyState,
        created: true,
        definition: e.payload.definition,
        workFolder: e.payload.workFolder ?? null,
        spent: { ...emptyState.spent, since: e.at },
      }
    case 'forked':
      return {
        ...firstModel(inherit(s, e)),
        spent: { ...emptyState.spent, since: e.at },
        rerun: e.payload.open === 'rerun',
        closed: false,
        extra: e.payload.quiet ? s.extra : [...s.extra, e.seq],
        definition: e.payload.definition,
        workFolder: e.payload.workFolder ?? s.workFolder,
      }
    case 'custody_taken':
      return inherit(s, e)
    case 'definition_changed':
      return { ...firstModel(s), definition: e.payload.definition }
    case 'message_received':
      return message({ ...s, context: s.context + tokensOf(e.payload.blocks) }, e.seq, e.at, e.payload)
    case 'model_answered':
      return answered(s, e.seq, e.payload)
    case 'model_failed':
      return failed(counted(s, 1), e.seq, e.payload)
    case 'approval_requested':
      return withCall(s, e.payload.call, { asked: e.seq, expiresAt: e.payload.expiresAt ?? null })
    case 'approval_resolved': {
      const { call, decision, scope, args, note } = e.payload
      const next = withCall(s, call, {
        decision,
        ...(args === undefined ? {} : { args }),
        ...(note === undefined ? {} : { note }),
      })
      const tool = findCall(s, call)?.name
      return decision === 'allow' && scope === 'session' && tool && !s.allowed.includes(tool)
        ? { ...next, allowed: [...s.allowed, tool] }
        : next
    }
    case 'tool_started':
      return withCall(s, e.payload.call, { started: e.seq, idempotencyKey: e.payload.idempotencyKey })
    case 'tool_finished': {
      const ended = withCall(s, e.payload.call, { finished: e.seq, outcome: e.payload.outcome })
      const next = { ...ended, context: s.context + tokensOf(e.payload.blocks) }
      return openCalls(next).length === 0 ? { ...stepEnded(next, e.seq), due: e.seq } : next
    }
    case 'interrupted':
      return { ...s, stop: 0, due: 0, turn: s.turn && { ...s.turn, interrupted: true }, extra: [...s.extra, e.seq] }
    case 'turn_finished':
      return finished(s, e.at)
    case 'session_closed':
      return { ...s, closed: true }
    case 'checkpoint_made': {
      const { step, hi, usage, costUsdMicros } = e.payload
      const next = counted(s, 0, usage, costUsdMicros)
      const recovery = step === undefined ? next.turn?.recovery : next.turn?.recovery && 'tried'
      return {
        ...next,
        // What it comes to is known with the next answer.
        context: 0,
        // Of a compaction's first one the range is another log's.
        checkpoint: Math.max(s.checkpoint, Math.min(hi, s.boundaries.at(-1) ?? 0)),
        stepsSince: 0,
        extra: [...s.extra, e.seq],
        turn: next.turn && { ...next.turn, recovery: recovery ?? null },
      }
    }
    case 'result_arrived_late':
    case 'child_started':
    case 'child_finished':
    case 'granted':
    case 'revoked':
    case 'key_destroyed':
      return s
  }
}

function message(s: State, seq: number, at: number, p: Payload<'message_received'>): State {
  const onlyStop = p.delivery === 'interrupt' && p.blocks.length === 0
  if (onlyStop) return s.turn && !s.turn.interrupted ? { ...s, stop: s.stop || seq } : s
  if (!s.turn) return openTurn(s, seq, at, [seq])
  if (p.delivery !== 'steer') {
    const queued = [...s.queued, seq]
    return p.delivery === 'interrupt' && !s.turn.interrupted ? { ...s, queued, stop: s.stop || seq } : { ...s, queued }
  }
  const due = s.due || openCalls(s).length > 0 || s.turn.interrupted || s.turn.failed ? s.due : seq
  return { ...s, unseen: [...s.unseen, seq], due }
}

/** What comes next is due under this event's own seq: the step that failed is over, and its draft with it. */
function failed(s: State, seq: number, { next, manifest }: Payload<'model_failed'>): State {
  if (!s.turn) return s
  // Nothing new begins behind an interrupt.
  if (!next || s.stop) return { ...s, due: 0, turn: { ...s.turn, failed: true } }
  if (next.kind === 'checkpoint') return { ...s, due: seq, turn: { ...s.turn, recovery: 'due' } }
  // Decided under another definition: the one of now begins with its own model.
  const stale = manifest !== undefined && manifest.definition !== s.definition
  const recovery = s.turn.recovery && 'tried'
  return { ...s, due: seq, turn: { ...s.turn, fallback: stale ? 0 : next.model, recovery } }
}

function answered(before: State, seq: number, p: Payload<'model_answered'>): State {
  const s = counted(before, 1, p.usage, p.costUsdMicros)
  const saw = new Set(p.manifest.saw)
  const unseen = s.unseen.filter((x) => !saw.has(x))
  const calls = p.blocks.flatMap((block): CallState[] =>
    block.type !== 'tool_call'
      ? []
      : [
          {
            id: block.call,
            name: block.name,
            args: block.args,
            ...(block.problem === undefined ? {} : { problem: block.problem }),
            answer: seq,
            definition: p.manifest.definition,
            asked: 0,
            expiresAt: null,
            decision: null,
            inheritedDecision: null,
            started: 0,
            idempotencyKey: null,
            finished: 0,
            outcome: null,
          },
        ],
  )
  const paused = calls.length === 0 && p.stop === 'pause'
  return {
    ...(calls.length > 0 || paused ? s : stepEnded(s, seq)),
    context: p.usage.input + p.usage.output,
    stepsSince: s.stepsSince + 1,
    unseen,
    extra: s.extra.filter((x) => !saw.has(x)),
    lastAnswer: seq,
    calls,
    due: calls.length > 0 ? 0 : paused ? seq : (unseen[0] ?? 0),
    turn: s.turn && { ...s.turn, recovery: null, paused },
  }
}

const stepEnded = (s: State, seq: number): State => ({
  ...s,
  boundaries: [...s.boundaries, seq].slice(-BOUNDARIES_KEPT),
})

/** About: four bytes a token, and of what is no text its size as text. */
function tokensOf(blocks: readonly ContentBlock[]): number {
  const chars = blocks.map((block) => {
    if (block.type === 'structured') return block.json.length
    if (block.type === 'text') return block.blob?.bytes ?? block.text.length
    return block.type === 'file' && block.kept ? 0 : Math.min(block.blob.bytes, ATTACHMENT_CHARS)
  })
  return Math.ceil(chars.reduce((sum, n) => sum + n, 0) / 4)
}

function finished(s: State, at: number): State {
  const closed: State = {
    ...s,
    turn: null,
    due: 0,
    stop: 0,
    calls: s.calls,
    unseen: [],
    extra: [...s.extra, ...s.unseen],
  }
  const [opener, ...rest] = s.queued
  return opener === undefined ? closed : openTurn({ ...closed, queued: [] }, opener, at, [opener, ...rest])
}
