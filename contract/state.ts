/**
 * The state that `reduce` keeps: only what the next step needs, so that it stays small however long the log is (L12).
 */
import type { Outcome } from './events'

/** Raised with every change of what reduce keeps: a snapshot of another version is not read. */
export const REDUCER_VERSION = 5

export interface CallState {
  id: string
  name: string
  args: string
  problem?: string
  /** Seq of the answer that made it, and the definition that the answer ran under. */
  answer: number
  definition: string
  /** Seq of approval_requested; 0 where nobody was asked. */
  asked: number
  expiresAt: number | null
  /** What was decided in this session's own rows, and in an inherited stretch. */
  decision: 'allow' | 'deny' | null
  inheritedDecision: 'allow' | 'deny' | null
  note?: string
  /** Seq of tool_started, of tool_finished; 0 where absent. */
  started: number
  idempotencyKey: string | null
  finished: number
  outcome: Outcome | null
}

/** What counts for limits. */
export interface Used {
  steps: number
  tokens: number
  usdMicros: number
}

export interface TurnState extends Used {
  /** Seq of the message that opened it: the turn's name. */
  opener: number
  /** Which turn of the session this is, from 1. */
  n: number
  openedAt: number
  interrupted: boolean
  failed: boolean
  /** Which of the definition's fallback models is asked, from 1; 0: its own. */
  fallback: number
  /** A request was too long: `due`: a checkpoint comes before it is made again; `tried`: it came, or none did. Once between two answers. */
  recovery: 'due' | 'tried' | null
  /** The provider paused its last answer: the call that is due carries it on, and what people said meanwhile waits until it is whole. */
  paused: boolean
}

export interface State {
  v: number
  /** Seq of the last event reduced. */
  seq: number
  /** Seq up to which the log is inherited: 0 unless a fork or an adopted import. */
  inherited: number
  /** Names who goes on from there: part of the idempotency keys of tools. Empty unless a fork or an adopted import. */
  custody: string
  /** Unsafe calls that were started in the inherited stretch, and have no result there, are run again: its owner said so at the fork. */
  rerun: boolean
  created: boolean
  closed: boolean
  definition: string
  workFolder: string | null
  turns: number
  turn: TurnState | null
  /** By this session's own rows, which begin at `since`: for the limits of the session. */
  spent: Used & { since: number }
  /** T of `model@T`; 0 where no model call is due. */
  due: number
  /** Messages that no manifest names yet and that belong to the open turn. */
  unseen: number[]
  /** Other events that the next request shows: forks, checkpoints, interruptions, what an ended turn left unanswered. */
  extra: number[]
  /** Messages that wait for the next turn. */
  queued: number[]
  /** Seq of an interrupt that is not yet carried out; 0 where none. */
  stop: number
  /** Seq of the last answer; its calls. */
  lastAnswer: number
  calls: CallState[]
  /** Tokens of the last request and its answer, and what came since, estimated. */
  context: number
  /** Seqs at which the last steps ended: an answer without calls, or the last result of a batch. A checkpoint's range may end there. */
  boundaries: number[]
  /** Up to where the last checkpoint of this log stands for what came before; 0 where there is none. Answers since. */
  checkpoint: number
  stepsSince: number
  /** Tools that were allowed for the whole session, in this session's own rows. */
  allowed: string[]
  /** An event that this code does not know: it does not advance the session. */
  unsupported: { seq: number; type: string; v: number } | null
}

export const emptyState: State = {
  v: REDUCER_VERSION,
  seq: 0,
  inherited: 0,
  custody: '',
  rerun: false,
  created: false,
  closed: false,
  definition: '',
  workFolder: null,
  turns: 0,
  turn: null,
  spent: { since: 0, steps: 0, tokens: 0, usdMicros: 0 },
  due: 0,
  unseen: [],
  extra: [],
  queued: [],
  stop: 0,
  lastAnswer: 0,
  calls: [],
  context: 0,
  boundaries: [],
  checkpoint: 0,
  stepsSince: 0,
  allowed: [],
  unsupported: null,
}

/**
 * Where a session is.
 *
 *   new ─▶ idle ─message─▶ due ─answer─▶ calls ─results─▶ due … ─answer without calls─▶ settled ─turn_finished─▶ idle
 *                           └───────── an interrupt in any of these ─▶ stopping ─interrupted─▶ stopped ─turn_finished─▶ idle
 */
export const PHASES = ['new', 'idle', 'due', 'calls', 'settled', 'stopping', 'stopped', 'closed'] as const
export type Phase = (typeof PHASES)[number]

export function phaseOf(s: State): Phase {
  if (!s.created) return 'new'
  if (s.closed) return 'closed'
  if (!s.turn) return 'idle'
  if (s.turn.interrupted) return 'stopped'
  if (s.stop) return 'stopping'
  if (openCalls(s).length > 0) return 'calls'
  return s.due ? 'due' : 'settled'
}

export function openCalls(s: State): CallState[] {
  return s.calls.filter((call) => !call.finished)
}

/** The events that the next request names for the first time, in view order: results in the order of the calls, then by seq. */
export function unseenByModel(s: State): number[] {
  const results = s.calls.flatMap((call) => (call.finished ? [call.finished] : []))
  return [...results, ...[...s.extra, ...(s.turn?.paused ? [] : s.unseen)].sort((a, b) => a - b)]
}
