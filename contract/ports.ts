/**
 * The ports: what activities and the client need of the log, of providers and of tools. Implementations live in log/, providers/ and
 * tools/; none of them imports another. Everything that is normal is a status in the answer, never a throw.
 */
import type { Block, ContentBlock, BlobRef } from './blocks'
import type { Definition } from './definition'
import type { Attempt, FailureClass, NewEvent, Payload, Right, StoredEvent } from './events'
import type { SessionRef } from './ids'
import type { KeyLog } from './keys'
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
  /** Mine: go on. `attempts` are those before this one. */
  | { status: 'claimed'; token: string; attempt: number; attempts: Attempt[] }
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

  /** Rules 10 and 11. `safe`: a silent holder's row may be taken over; otherwise it is closed as `unknown`. */
  claimDraft(
    ref: SessionRef,
    epoch: number,
    step: string,
    options: { safe: boolean; token: string },
  ): Promise<DraftClaim>
  /** Rule 12: only by the token's holder, whatever the epoch is. Refused: a tool's result is kept as evidence. */
  finishDraft(ref: SessionRef, step: string, token: string, event: NewEvent): Promise<'finished' | 'refused'>
  /** Both in one transaction: the result is kept, also where the append is refused. `refused`: it was not, and nothing was appended. */
  finishAndAppend(ref: SessionRef, finish: Finish, append: Append): Promise<Appended | { status: 'refused' }>
  /** Gives the claim back without a result, so that the next attempt need not wait; says why. */
  releaseDraft(ref: SessionRef, step: string, token: string, why: FailureClass): Promise<void>
  /** "I live": for all rows that this process holds, in one write. Gives back the tokens that are no longer in charge. */
  beat(held: { ref: SessionRef; step: string; token: string }[]): Promise<string[]>
  /** What was streamed so far, by step. */
  partial(ref: SessionRef, steps: string[]): Promise<Map<string, Block[]>>

  /** Events in log order through the lineage, from `from` (1 is the first). */
  events(ref: SessionRef, from: number): Promise<StoredEvent[]>
  definition(space: string, hash: string): Promise<Definition>
  /** @throws SavefileError `blob_not_found` also where this session has no reference to it. */
  readBlob(ref: SessionRef, hash: string): Promise<Uint8Array>
  writeBlob(ref: SessionRef, bytes: Uint8Array, mediaType: string): Promise<BlobRef>
}

/** One chunk of the live stream of a step. `n` counts from 0 within an attempt. */
export interface Delta {
  ref: SessionRef
  step: string
  token: string
  n: number
  kind: 'text' | 'reasoning' | 'output'
  body: string
}

export type { Billed, ModelContext, ModelRequest, ModelResult, Provider, Sent, View, ViewEntry } from './provider-port'

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

// ---------------------------------------------------------------- the log, as people and their services use it

export interface Principal {
  /** `user:<principal>`. */
  actor: string
}

export type InputEvent =
  | { type: 'message_received'; payload: Payload<'message_received'> }
  | { type: 'approval_resolved'; payload: Payload<'approval_resolved'> }
  | { type: 'tool_finished'; payload: Payload<'tool_finished'> }
  | { type: 'definition_changed'; payload: Payload<'definition_changed'> }
  | { type: 'session_closed'; payload: Payload<'session_closed'> }
  /** Without a step: one that is given. */
  | { type: 'checkpoint_made'; payload: Payload<'checkpoint_made'> }

export type InputResult =
  | { status: 'appended' | 'duplicate'; seq: number; head: number }
  | { status: 'already_resolved'; seq: number }
  /** A deferred result of a call that was given up before: kept as `result_arrived_late`. */
  | { status: 'arrived_late'; seq: number; head: number }
  | {
      status:
        'closed' | 'inert' | 'stub' | 'session_not_found' | 'call_not_found' | 'not_requested' | 'idempotency_conflict'
    }

export interface SessionInfo {
  space: string
  session: string
  title: string | null
  labels: Record<string, string>
  /** Hash of the definition that it runs under now. */
  definition: string
  head: number
  headHash: string
  /** Microseconds since 1970. */
  createdAt: number
  updatedAt: number
  state: Outlook['state'] | 'closed'
  dueAt: number | null
  epoch: number
  parent: { session: string; seq: number } | null
  /** `inert`: imported, and not adopted; `stub`: an ancestor of which only a stretch was imported. Only what is `live` goes on here. */
  custody: 'live' | 'inert' | 'stub'
  /** Of a compaction: the session that its summary is of. */
  compactedFrom: string | null
  /** Null: in clear. `erased`: the key is destroyed. */
  encryption: { kid: string; erased: boolean } | null
}

export interface NewSession {
  /** A compaction of another session's events `lo`..`hi`: its second event is this checkpoint. */
  compaction?: { session: string; lo: number; hi: number; checkpoint: Payload<'checkpoint_made'> }
  definition: string
  /** Its content is kept under a key of its own, which `erase` destroys. */
  encrypted?: boolean
  title?: string
  labels?: Record<string, string>
  workFolder?: string
}

export interface ForkOptions {
  /** What the fork adds is kept under a key of its own; what it inherits stays under its parent's. */
  encrypted?: boolean
  /** The parent's where absent. */
  definition?: string
  title?: string
  labels?: Record<string, string>
  /** The parent's, shared, where absent. */
  workFolder?: string
  folder?: Payload<'forked'>['folder']
  open?: Payload<'forked'>['open']
  brought?: Payload<'forked'>['brought']
  quiet?: true
}

/** What stands at an event of a session. */
export interface Place {
  /** Hex, of the event. */
  hash: string
  /** Under which definition, and in which work folder, the session goes on from there. */
  definition: string
  workFolder: string | null
  /** The session is; its forks are too, where nobody says otherwise. */
  encrypted: boolean
}

/** A stretch of a session: events `lo`..`hi` are those of `session`'s own rows. */
export interface Stretch {
  session: string
  lo: number
  hi: number
}

/** A step whose last attempt failed and that is tried again: not in the log, which has the attempts once the step ends. */
export interface Stalled {
  step: string
  why: FailureClass
  /** The one that failed. */
  attempt: number
  againInMs: number
}

/** What `verify` found: the first bad seq and why, or all is well up to the head. */
export type Verified =
  | { ok: true; events: number; head: number; headHash: string; anchors: number }
  | { ok: false; events: number; seq: number; why: string }

// ---------------------------------------------------------------- bundles (docs/bundle.md)

/** How far an export, an import or a check is; `bytes` are unpacked ones. */
export interface BundleProgress {
  events: number
  bytes: number
}

/** What a reader takes from a bundle that it knows nothing of. */
export interface BundleLimits {
  lineBytes: number
  lines: number
  sessions: number
  definitions: number
  blobs: number
  blobBytes: number
  /** Of the JSON of a line, a payload, a definition. */
  depth: number
  /** Unpacked bytes. */
  totalBytes: number
  /** Unpacked bytes for each packed one, once more than `ratioFromBytes` were unpacked. */
  ratio: number
  ratioFromBytes: number
}

export interface ImportOptions {
  limits?: Partial<BundleLimits>
  onProgress?: (progress: BundleProgress) => void
  /** Aborted: the import ends by throwing the signal's reason, and nothing was taken. */
  signal?: AbortSignal
}

export interface ImportedSession {
  session: string
  /** `present`: nothing of it was new. */
  status: 'imported' | 'fast_forwarded' | 'present'
  custody: SessionInfo['custody']
  /** Of what is here now. */
  head: number
}

export interface Imported extends ImportedSession {
  /** Of the bundle. */
  headHash: string
  /** How many were new here. */
  events: number
  /** All of the bundle's, ancestors first. */
  sessions: ImportedSession[]
}

/** An event of a session that was made up from something else (a transcript). `payload` is its JSON text. */
export interface ArrivingEvent {
  type: string
  v: number
  at: number
  actor: string
  key: string
  /** Of `forked`: the hash of the parent's event is filled in. */
  payload: string
}

export interface ArrivingSession {
  session: string
  /** The event that its own go on from, and whose row that is; null where the log begins of itself. */
  base: { session: string; seq: number } | null
  /** Whose fork it is. */
  parent: string | null
  events: readonly ArrivingEvent[]
}

/** Sessions that come together, all or none. `blob`: what their events name. */
export interface Arriving {
  /** The one that the others belong to. */
  session: string
  /** Bodies. */
  definitions: readonly string[]
  /** Whoever is gone on from stands before. */
  sessions: readonly ArrivingSession[]
  blob(hash: string): { bytes: Uint8Array; mediaType: string } | undefined
  /** Kept for `session` besides what events name. */
  kept: readonly { bytes: Uint8Array; mediaType: string }[]
}

/** `seq`: of custody_taken, the last; 0 where a live session never was anywhere else. */
export type Adopted =
  { status: 'adopted' | 'live'; seq: number } | { status: 'stub' | 'arriving' | 'closed' | 'session_not_found' }

/** A head, signed by the owner of the log and kept elsewhere; `at` in microseconds since 1970. Its signature was checked when it was read. */
export interface Anchor {
  k: 'savefile-anchor'
  v: 1
  session: string
  head: number
  hash: string
  at: number
  key: string
  signature: string
}

export interface VerifyOptions {
  /** Also that each event says what its type says and may follow those before it: some four times the work. */
  deep?: boolean
  /** Of this session and of those that it inherits from; others are passed over. */
  anchors?: readonly Anchor[]
  onProgress?: (events: number) => void
}

export interface ClientLog extends KeyLog {
  /** Stores a definition under its hash; the same bytes again are the same definition. */
  putDefinition(space: string, definition: Definition): Promise<string>
  definition(space: string, hash: string): Promise<Definition>
  create(
    ref: SessionRef,
    by: Principal,
    session: NewSession,
  ): Promise<{ status: 'created' | 'session_exists' | 'definition_not_found' }>
  fork(
    parent: SessionRef,
    seq: number,
    child: string,
    by: Principal,
    options: ForkOptions,
  ): Promise<{ status: 'created' | 'session_exists' | 'session_not_found' | 'no_such_event' | 'definition_not_found' }>
  /** Null where the session has no such event. */
  placeAt(ref: SessionRef, seq: number): Promise<Place | null>
  /** Of what a session consists, from its first event to its head. */
  stretches(ref: SessionRef): Promise<Stretch[]>
  /** The session that all its relations were forked from, and every fork below it: parents before their forks. */
  family(ref: SessionRef): Promise<SessionInfo[]>
  /** A person's append: no lease, no expected head; `key` makes it happen once. Sets `due_at`. */
  input(ref: SessionRef, by: Principal, key: string, event: InputEvent): Promise<InputResult>
  info(ref: SessionRef): Promise<SessionInfo | null>
  /** Newest first; `prefix` of the id; pages by `before` (the `updatedAt` and id of the last row had). */
  list(
    space: string,
    options?: { prefix?: string; limit?: number; before?: { updatedAt: number; session: string } },
  ): Promise<SessionInfo[]>
  /** Events `from`..`to` in log order through the lineage, at most `limit` (default 1000). */
  read(ref: SessionRef, options?: { from?: number; to?: number; limit?: number }): Promise<StoredEvent[]>
  /** The last `count` events, oldest first. */
  tail(ref: SessionRef, count: number): Promise<StoredEvent[]>
  /** Every event from `from` on, as it comes: no gap, no repeat, until `signal`. Survives a restart of Postgres. */
  follow(ref: SessionRef, options?: { from?: number; signal?: AbortSignal }): AsyncIterable<StoredEvent>
  /** The step that failed and is tried again, if one is. */
  stalled(ref: SessionRef): Promise<Stalled | null>
  /** The live text of steps that run now, from the moment of the call; a loss (crash of Postgres) is not made good. */
  followLive(ref: SessionRef, options?: { signal?: AbortSignal }): AsyncIterable<Delta>
  readBlob(ref: SessionRef, hash: string): Promise<Uint8Array>
  writeBlob(ref: SessionRef, bytes: Uint8Array, mediaType: string): Promise<BlobRef>
  /** One streaming pass over the chain; memory does not grow. */
  verify(ref: SessionRef, options?: VerifyOptions): Promise<Verified>
  /** Ids in their order after `after`, with their heads: for whoever goes through all sessions of a space. */
  heads(space: string, after: string, limit: number): Promise<{ session: string; head: number; hash: string }[]>
  /** The bytes of a bundle (docs/bundle.md), unpacked. The same head gives the same bytes. */
  exportBundle(ref: SessionRef, onProgress?: (progress: BundleProgress) => void): AsyncIterable<Uint8Array>
  /** All of it or nothing. `bytes` may be packed with gzip or zstd. */
  importBundle(space: string, bytes: AsyncIterable<Uint8Array>, options?: ImportOptions): Promise<Imported>
  /** The same for sessions that no bundle holds: they are hashed and chained here. They are inert until they are adopted. */
  importSessions(
    space: string,
    arriving: Arriving,
    options?: Pick<ImportOptions, 'onProgress' | 'signal'>,
  ): Promise<Imported>
  /** An imported session goes on here. `original`: the files that it was made from. */
  adopt(ref: SessionRef, by: Principal, why?: string, original?: Payload<'custody_taken'>['original']): Promise<Adopted>
  readonly sharing: SharingLog
  close(): Promise<void>
}

/** Who holds which right in a session (DESIGN.md section 9). Times are microseconds since 1970. */
export interface Grant {
  grant: string
  /** Where it was given: the session itself, or an ancestor whose grant covers forks; and the seq of its event there. */
  session: string
  seq: number
  /** Null: whoever has the link. */
  principal: string | null
  rights: Right[]
  forks: boolean
  label: string | null
  grantedAt: number
  grantedBy: string
  expiresAt: number | null
  revokedAt: number | null
}

/** `rights`: over the whole space, beside what grants give. */
export interface TokenInfo {
  id: string
  principal: string
  rights: ('create' | 'own')[]
  label: string | null
  createdAt: number
  createdBy: string
  expiresAt: number | null
  revokedAt: number | null
}

export interface NewGrant {
  grant: string
  principal: string | null
  rights: Right[]
  forks: boolean
  expiresAt?: number
  label?: string
  /** The token of a share link, where `principal` is null. Only its hash is sent and kept. */
  link?: string
}

/** Grants and tokens. Every change of a session's grants is an event of it, in the same transaction. */
export interface SharingLog {
  grant(
    ref: SessionRef,
    by: Principal,
    grant: NewGrant,
  ): Promise<{
    status: 'appended' | 'duplicate' | 'session_not_found' | 'inert' | 'stub' | 'idempotency_conflict'
    seq: number
  }>
  /** Where it was given, a grant ends everywhere; in a fork that it reaches, it ends there. */
  revoke(
    ref: SessionRef,
    by: Principal,
    grant: string,
  ): Promise<{
    status: 'appended' | 'duplicate' | 'session_not_found' | 'inert' | 'stub' | 'grant_not_found'
    seq: number
  }>
  /** What reaches the session, those that have ended included. */
  grants(ref: SessionRef): Promise<Grant[]>
  /** Only the token's hash is sent and kept. `rights` undefined: the principal keeps those it has. Gives back the token's id. */
  createToken(
    space: string,
    by: Principal,
    token: { principal: string; token: string; rights?: TokenInfo['rights']; expiresAt?: number; label?: string },
  ): Promise<string>
  tokens(space: string): Promise<TokenInfo[]>
  revokeToken(space: string, id: string): Promise<boolean>
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
  /** `call_not_found`: there is none, or it is of another queue than the login's. */
  claimCall(
    ref: SessionRef,
    epoch: number,
    step: string,
    token: string,
  ): Promise<
    | { claim: Extract<DraftClaim, { status: 'claimed' }>; call: QueuedCall }
    | { claim: Exclude<DraftClaim, { status: 'claimed' }> | { status: 'call_not_found' } }
  >
  /** @throws SavefileError `stale_claim` where the call is not held by this token any more */
  writeBlob(ref: SessionRef, step: string, token: string, bytes: Uint8Array, mediaType: string): Promise<BlobRef>
}

/** What the reconciler reads. */
export interface DueLog {
  /** Sessions that are overdue and silent, at most `limit`; their `due_at` moves on by `againMs`, `stalls` counts how often without progress. */
  takeDue(limit: number, againMs: number): Promise<{ ref: SessionRef; stalls: number }[]>
}

/** Where live text goes: buffered, written in one batch for the whole process, lost without harm. */
export interface DeltaSink {
  add(delta: Delta): void
  flush(): Promise<void>
}
