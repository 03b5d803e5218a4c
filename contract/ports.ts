/**
 * The ports of activities: what they need of the log and of tools. What the client needs of the log is in client-port.ts, what is asked of
 * providers in provider-port.ts. Implementations live in log/, providers/ and tools/; none of them imports another. Everything that is normal
 * is a status in the answer, never a throw.
 */
import type { Block, ContentBlock, BlobRef } from './blocks'
import type { Definition } from './definition'
import type { Attempt, FailureClass, NewEvent, StoredEvent } from './events'
import type { SessionRef } from './ids'
import type { Close, PlannedEvent, StepResult } from './next-step'
import type { State } from './state'

// ---------------------------------------------------------------- the log, as an executor uses it (PROTOCOL.md rules 1 to 15)

/** Who executes: a workflow run of a cluster. */
export interface Owner {
  cluster: string
  run: string
}

export type Claimed =
  | { status: 'claimed'; epoch: number }
  /** Another cluster's run was heard of lately; try again after so long. */
  | { status: 'owned_elsewhere'; retryMs: number }
  | { status: 'session_not_found' | 'closed' }
  /** It came with a bundle and was not adopted. */
  | { status: 'inert' | 'stub' }

export interface DraftRow {
  step: string
  state: 'running' | 'finished' | 'closed'
  token: string
  attempt: number
  epoch: number
  fresh: boolean
  outcome: 'unknown' | 'cancelled' | null
  /** Of a finished row: the type and the payload (JSON text) of the event that it becomes. */
  type: StepResult['type'] | null
  payload: string | null
  /** It was sealed where it ran, with a key that opens no more than it: the log takes what it says, and not its bytes. */
  byHost?: boolean
}

/** A tool result that was refused because its row was closed or taken over: evidence, not yet in the log. */
export interface Evidence {
  call: string
  token: string
  payload: string
}

export type Look =
  | {
      status: 'ok'
      head: number
      /** The newest snapshot that applies, where the caller's own state was older or absent. */
      snapshot: { seq: number; state: State } | null
      /** Every event after the caller's `after`, or after the snapshot. */
      events: StoredEvent[]
      /** Rows of this session that are not swept. */
      drafts: DraftRow[]
      evidence: Evidence[]
      /** What the session row says now: it is written again only where it differs. */
      outlook: Outlook
      /** The database's clock, microseconds since 1970. */
      now: number
    }
  | { status: 'session_not_found' | 'stale_epoch' }
  /** What it would decide on is encrypted, and this process cannot read it. `now` as above. */
  | { status: 'locked'; why: 'key_missing' | 'key_destroyed'; head: number; outlook: Outlook; now: number }

export type Appended =
  | { status: 'appended'; head: number; seqs: number[] }
  | { status: 'stale_epoch' | 'closed' | 'session_not_found' }
  | { status: 'head_moved'; head: number }

/** One append: what was decided, at which head, under which epoch. */
export interface Append {
  epoch: number
  head: number
  events: readonly PlannedEvent[]
  outlook: Outlook
}

/** The end of a step, by its token's holder. */
export interface Finish {
  step: string
  token: string
  event: StepResult
}

/** What the reconciler and `ls` go by: `dueAt` in microseconds, null when nothing is due before somebody speaks. */
export interface Outlook {
  state: 'idle' | 'running' | 'waiting_approval' | 'waiting_result' | 'newer_worker' | 'locked'
  dueAt: number | null
}

export type DraftClaim =
  /** Mine: go on. `attempts` are those before this one; `events` those asked for. */
  | { status: 'claimed'; token: string; attempt: number; attempts: Attempt[]; events: StoredEvent[] }
  /** Its executor was heard of lately: wait and look again. */
  | { status: 'busy'; retryMs: number }
  /** There is nothing left to do for this key. */
  | { status: 'finished' | 'closed' | 'stale_epoch' }

export interface ExecutorLog {
  claim(ref: SessionRef, owner: Owner, options?: { takeover?: boolean }): Promise<Claimed>
  /** Session, state and drafts in one round trip. `after`: the seq of the caller's own state, or null. */
  look(ref: SessionRef, epoch: number, after: number | null): Promise<Look>
  append(
    ref: SessionRef,
    epoch: number,
    expectedHead: number,
    events: PlannedEvent[],
    outlook: Outlook,
    evidence?: Evidence[],
  ): Promise<Appended>
  /** Only the outlook; no event. `head`: nothing is written where the head has moved on, so that what came meanwhile stays due. */
  setOutlook(ref: SessionRef, epoch: number, outlook: Outlook, head?: number): Promise<void>
  /** Compare-and-set on each row; those that changed meanwhile are left as they are. */
  close(ref: SessionRef, epoch: number, closes: Close[]): Promise<'closed' | 'stale_epoch'>
  saveSnapshot(ref: SessionRef, seq: number, state: State): Promise<void>

  /**
   * Rules 10 and 11. `safe`: a silent holder's row may be taken over; otherwise it is closed as `unknown`. `from`: the events from this
   * seq (1 is the first) on, in log order through the lineage, come with the claim: a round trip less a step.
   */
  claimDraft(
    ref: SessionRef,
    epoch: number,
    step: string,
    options: { safe: boolean; token: string; from?: number },
  ): Promise<DraftClaim>
  /** Rule 12: only by the token's holder, whatever the epoch is. Refused: a tool's result is kept as evidence. */
  finishDraft(ref: SessionRef, step: string, token: string, event: NewEvent): Promise<'finished' | 'refused'>
  /** Both in one transaction: the result is kept, also where the append is refused. `refused`: it was not, and nothing was appended. */
  finishAndAppend(ref: SessionRef, finish: Finish, append: Append): Promise<Appended | { status: 'refused' }>
  /**
   * Of an encrypted session: leaves what the call takes where the host of its queue finds it, sealed for that host. Once a call; does nothing
   * where the session is in clear.
   */
  handOver(ref: SessionRef, epoch: number, call: QueuedCall & { id: string }, to: QueueHost): Promise<void>
  /** Gives the claim back without a result, so that the next attempt need not wait; says why. */
  releaseDraft(ref: SessionRef, step: string, token: string, why: FailureClass): Promise<void>
  /** "I live": for all rows that this process holds, in one write. Gives back the tokens that are no longer in charge. */
  beat(held: { ref: SessionRef; step: string; token: string }[]): Promise<string[]>
  /** What was streamed so far, by step. */
  partial(ref: SessionRef, steps: string[]): Promise<Map<string, Block[]>>

  definition(space: string, hash: string): Promise<Definition>
  /** @throws SavefileError `blob_not_found` also where this session has no reference to it. */
  readBlob(ref: SessionRef, hash: string): Promise<Uint8Array>
  writeBlob(ref: SessionRef, bytes: Uint8Array, mediaType: string): Promise<BlobRef>
}

/** A piece of the live stream of a step. `n` grows within an attempt; a reader gets what came within a moment as one piece, by its first `n`. */
export interface Delta {
  ref: SessionRef
  step: string
  token: string
  n: number
  kind: 'text' | 'reasoning' | 'output'
  body: string
}

// ---------------------------------------------------------------- tools (DESIGN.md section 6)

export interface ToolContext {
  ref: SessionRef
  call: string
  /** The same for every run of the same call. */
  idempotencyKey: string
  /** Aborted at the timeout and at an interrupt: end, with your children, and give back what there is. */
  signal: AbortSignal
  workFolder: string | null
  onOutput(chunk: string): void
  writeBlob(bytes: Uint8Array, mediaType: string): Promise<BlobRef>
}

export interface ToolResult {
  outcome: 'ok' | 'error' | 'cancelled'
  blocks: ContentBlock[]
  code?: string
}

/** A fork that is about to be made. */
export interface ForkContext {
  /** The last event that both share. */
  seq: number
  /** The work folders of the one and of the other. */
  workFolder: { from: string | null; to: string | null }
}

/** A tool that this process can run. `run` never throws for what is the model's or the world's fault: that is an `error` result. */
export interface Tool {
  readonly name: string
  /** Null where the arguments (JSON text) are right; else what is wrong, for the model to read. */
  problem(args: string): string | null
  run(args: string, context: ToolContext): Promise<ToolResult>
  /**
   * Brings along for a fork what the tool keeps outside the log (a database, a browser's profile): called before the fork exists, where the
   * fork is made. The note is told to the fork's model. A throw refuses the fork.
   */
  fork?(from: SessionRef, to: SessionRef, context: ForkContext): Promise<{ note: string } | null>
}

/** Who runs the calls of a tool, and the public key of whoever may know what they take. */
export interface QueueHost {
  queue: string
  key: string
}

/** A call that a queue's host has claimed: all that it takes to run it. */
export interface QueuedCall {
  tool: string
  args: string
  idempotencyKey: string | null
  timeoutMs: number
  workFolder: string | null
  /** Its definition says that it may be run again. */
  safe: boolean
}

/** The log as a queue's host has it, whose database login sees the calls of its own queue and nothing else (docs/sharing.md). */
export interface QueueLog extends Pick<ExecutorLog, 'beat' | 'finishDraft' | 'releaseDraft'> {
  /** `call_not_found`: there is none, or it is of another queue than the login's. `key_missing`: it is sealed for a key that is not here. */
  claimCall(
    ref: SessionRef,
    epoch: number,
    step: string,
    token: string,
  ): Promise<
    | { claim: Extract<DraftClaim, { status: 'claimed' }>; call: QueuedCall }
    | { claim: Exclude<DraftClaim, { status: 'claimed' }> | { status: 'call_not_found' } | { status: 'key_missing' } }
  >
  /** @throws SavefileError `stale_claim` where the call is not held by this token any more */
  writeBlob(ref: SessionRef, step: string, token: string, bytes: Uint8Array, mediaType: string): Promise<BlobRef>
}

/** What the reconciler reads. */
export interface DueLog {
  /** Sessions that are overdue and silent, at most `limit`; their `due_at` moves on by `againMs`, `stalls` counts how often without progress. */
  takeDue(limit: number, againMs: number): Promise<{ ref: SessionRef; stalls: number }[]>
  /** Tables that have grown much since they were last looked at get statistics, so that plans of when they were small are not kept. */
  analyse(): Promise<string[]>
}

/** Where live text goes: buffered, written in one batch for the whole process, lost without harm. */
export interface DeltaSink {
  add(delta: Delta): void
  flush(): Promise<void>
}
