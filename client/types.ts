/**
 * What the client offers, as types. Sessions are named by their full id; `find` makes one of a prefix.
 * Every failure is a SavefileError whose `code` says what it is (docs/errors.md).
 */
import type { Definition, DefinitionInput } from '../contract/definition'
import type { Delivery } from '../contract/events'
import type { Keeper, Rekeyed, Retained, RetentionOptions, Sharer } from '../contract/keys'
import type { Imported, ImportOptions } from '../contract/bundle-port'
import type { Anchor, SessionInfo, Stalled, Verified, VerifyOptions } from '../contract/client-port'
import type { Delta } from '../contract/ports'
import type { PendingApproval } from './approvals'
import type { AuditEntry } from './audit'
import type { ExportOptions } from './bundles'
import type { Content } from './content'
import type { ExportAsOptions } from './exports'
import type { Context, ContextOptions } from './context'
import type { FamilyMember, SessionDiff } from './family'
import type { LogEvent } from './log-events'
import type { Migrated, MigrateRequest } from './migrate'
import type { SharingClient } from './sharing'
import type { TranscriptFile, TranscriptImported, TranscriptOptions } from './transcripts'
import type { TurnEnd } from './turn-watch'

export interface CreateOptions {
  /** What the session runs under: written out, or the hash of one that is stored. */
  definition: DefinitionInput | string
  /** 1 to 64 of a-z, 0-9, "_" and "-"; 25 random characters where absent. */
  session?: string
  title?: string
  labels?: Record<string, string>
  /** An existing folder that the file tools are confined to; the absolute path is stored. */
  workFolder?: string
  /** Its content is kept encrypted under a key of its own, which `erase` destroys. Needs an owner key. */
  encrypted?: boolean
}

export interface SendOptions {
  /** `queue` (default): after the turn that runs; `steer`: at its next model call; `interrupt`: stop it, then this. */
  delivery?: Delivery
  /** The same key with the same content is the same message, however often it is sent. Random where absent. */
  key?: string
}

/** An input that is committed. */
export interface Accepted {
  session: string
  seq: number
  key: string
  /** It was there already, under the same key. */
  duplicate: boolean
  /** False: Temporal could not be told just now; the input is in the log, and is handled when Temporal is back. */
  nudged: boolean
}

export interface Decision {
  decision: 'allow' | 'deny'
  /** `session`: also for later calls of the same tool in this session. */
  scope?: 'once' | 'session'
  /** For the model to read, where denied. */
  note?: string
  /** JSON text that replaces the model's arguments, where allowed. */
  args?: string
}

export interface WaitOptions {
  /** Aborted: the wait ends by throwing the signal's reason. The turn goes on. */
  signal?: AbortSignal
  /** The wait ends with the error `timeout`. The turn goes on: wait again for the same message. */
  timeoutMs?: number
  /**
   * Told of each call that waits for a person; what it gives back is the answer, undefined leaves it to others.
   * `'return'`: the wait ends with what is pending.
   */
  onApproval?: ((approval: PendingApproval) => Promise<Decision | undefined>) | 'return'
}

/** The turn that handled a message has ended. */
export interface Answer extends TurnEnd {
  waiting: null
  session: string
  /** Seq of the message. */
  seq: number
}

/** Calls wait for a person: answer them, then wait for the same message again. */
export interface WaitingForApproval {
  waiting: 'approval'
  session: string
  seq: number
  calls: PendingApproval[]
}

export interface ForkRequest {
  /** As its parent where absent. */
  encrypted?: boolean
  /** The last event that is shared; the head where absent. */
  at?: number
  session?: string
  /** The parent's where absent. */
  definition?: DefinitionInput | string
  /** The parent's definition, with these instead: fields of its model, its tools, the task queue of its tools (null: the session's own). */
  model?: Partial<DefinitionInput['model']>
  tools?: Definition['tools']
  queue?: string | null
  title?: string
  labels?: Record<string, string>
  /** A folder that exists. Absent: as `folder` says. */
  workFolder?: string
  /**
   * Of the parent's work folder, where it has one: a copy beside it (default) or a git worktree, both made on this host and as it is now; or
   * the same one, shared.
   */
  folder?: 'copy' | 'worktree' | 'share'
  /** Told what is about to be copied, and where to. */
  onCopy?: (size: { files: number; bytes: number }, to: string) => void
  /**
   * Calls that were started before the fork and have no result there. `rule` (default): those that are safe to repeat run again, others are
   * `unknown`. `rerun`: all run again, and what they do may be done twice.
   */
  open?: 'rule' | 'rerun'
  /** The model is not told of the fork. */
  quiet?: true
}

export interface CheckpointRequest {
  /** The summary stands for everything up to the end of the last turn at or before this event; the head where absent. */
  at?: number
  /** The summary itself; made by a model where absent. */
  summary?: string
  /** Of the summarising model, what is other than the session's. */
  model?: Partial<DefinitionInput['model']>
  /** What it is asked, instead of the usual. */
  instructions?: string
  signal?: AbortSignal
  timeoutMs?: number
}

export interface CompactRequest extends CheckpointRequest {
  /** Of the new session. */
  session?: string
  title?: string
  labels?: Record<string, string>
  /** The one that counts at the end of the range where absent. */
  definition?: DefinitionInput | string
}

export interface Client extends SharingClient {
  readonly space: string
  /**
   * A new session.
   * @throws `session_exists`, `invalid_definition` (which field), `definition_not_found`, `work_folder_missing`, `invalid_input` (the id)
   */
  create(options: CreateOptions): Promise<SessionInfo>
  /**
   * Commits a message to the log, then tells Temporal. Accepted while Temporal is down, refused while Postgres is.
   * @throws `session_not_found`, `session_closed`, `too_large`, `invalid_input`, `idempotency_conflict` (the key has another content)
   */
  send(session: string, content: Content, options?: SendOptions): Promise<Accepted>
  /**
   * Sends, and waits for the end of the turn that handles the message. Called again with the same key (after a crash, a timeout) it sends
   * nothing a second time and gives the same answer. A turn that failed, was interrupted or reached a limit is an answer with that reason.
   * @throws what `send` throws; `timeout`; `session_closed` where the session is closed meanwhile
   */
  ask(
    session: string,
    content: Content,
    options: SendOptions & WaitOptions & { onApproval: 'return' },
  ): Promise<(Answer | WaitingForApproval) & { key: string }>
  ask(session: string, content: Content, options?: SendOptions & WaitOptions): Promise<Answer & { key: string }>
  /** The second half of `ask`, for a message that was sent: `seq` is what `send` gave back. */
  awaitTurn(
    session: string,
    seq: number,
    options: WaitOptions & { onApproval: 'return' },
  ): Promise<Answer | WaitingForApproval>
  awaitTurn(session: string, seq: number, options?: WaitOptions): Promise<Answer>
  /**
   * Answers a call that waits. `call` is its id, or the short form (`12.0`); undefined: the only one that waits.
   * The same decision again is a duplicate; another one is refused.
   * @throws `call_not_found`, `not_requested`, `already_resolved` (by whom, how), `invalid_input` (several wait; args are not JSON)
   */
  resolve(session: string, call: string | undefined, decision: Decision): Promise<Accepted & { call: string }>
  /** `resolve` with `allow`. */
  approve(session: string, call?: string, options?: Omit<Decision, 'decision'>): Promise<Accepted & { call: string }>
  /** `resolve` with `deny`. */
  deny(session: string, call?: string, options?: Pick<Decision, 'note'>): Promise<Accepted & { call: string }>
  /** The calls that wait for a person now, or waited as of event `at`. */
  approvals(session: string, at?: number): Promise<PendingApproval[]>
  /** Stops the turn that runs; what it had written is kept. With content: that is the next turn's message. Without a turn it stops nothing. `stopped`: a turn was open; null for who may not see. */
  interrupt(
    session: string,
    content?: Content,
    options?: { key?: string },
  ): Promise<Accepted & { stopped: boolean | null }>
  /**
   * The result of a deferred call, by whoever did it. Where the call was given up before (`late`), it is kept as evidence, and nothing follows.
   * @throws `call_not_found`, `already_resolved`, `too_large`
   */
  finishCall(
    session: string,
    call: string,
    result: { outcome: 'ok' | 'error'; content: Content; code?: string; key?: string },
  ): Promise<Accepted & { late?: true }>
  /** The session goes on under another definition (another model, other tools). `seq` is null where it is the same one. */
  changeDefinition(
    session: string,
    definition: DefinitionInput | string,
    options?: { why?: string; key?: string },
  ): Promise<{ definition: string; changed: string[]; seq: number | null }>
  /**
   * A new session that shares the events up to `at`; nothing of the log is copied, and the parent goes on undisturbed (docs/forks.md).
   * @throws `session_not_found`, `session_exists`, `invalid_input` (no such event; the folder), `definition_not_found`, `invalid_definition`,
   *   `work_folder_missing`, `too_large` (the folder), `fork_refused` (a tool)
   */
  fork(parent: string, request?: ForkRequest): Promise<SessionInfo>
  /**
   * A lossy fork: a new session that begins with a summary of this one, which stays as it is. It works in the same folder.
   * @throws `summary_failed` (and nothing was made), `session_not_found`, `session_exists`, `invalid_input` (no turn has ended), `timeout`
   */
  compact(session: string, request?: CompactRequest): Promise<SessionInfo>
  /**
   * From its next model call on the session's model is sent a summary in place of what came before. The log stays whole.
   * @throws `summary_failed` (and nothing was changed), `session_not_found`, `session_closed`, `invalid_input` (no turn has ended), `timeout`
   */
  checkpoint(session: string, request?: CheckpointRequest): Promise<{ seq: number; lo: number; hi: number }>
  /**
   * The session goes on with another model (docs/views.md), at its next call; with `fork` a fork of it does, with `dryRun` nobody. The report
   * says what the new provider is not sent, or sent otherwise.
   * @throws `session_not_found`, `session_closed`, `invalid_input`, `invalid_definition`, `definition_not_found`, with `fork` what `fork` throws
   */
  migrate(session: string, request: MigrateRequest): Promise<Migrated>
  /**
   * What a model was sent for an answer, byte for byte, or would be sent behind any other event: here, or `as` another provider.
   * @throws `session_not_found`, `invalid_input` (no such event, no such model), `newer_worker_needed`, `key_missing`, `key_destroyed`
   */
  context(session: string, options?: ContextOptions): Promise<Context>
  /** The session that all its relations were forked from, with every fork below it. @throws `session_not_found` */
  family(session: string): Promise<FamilyMember>
  /** Where two sessions part: `read` from the event after `shared`. @throws `session_not_found` */
  diff(a: string, b: string): Promise<SessionDiff>
  /** Nothing can be appended afterwards; reading and forking stay. */
  close(session: string, options?: { reason?: string; key?: string }): Promise<Accepted>

  /** @throws `session_not_found` */
  info(session: string): Promise<SessionInfo>
  /** As it was at one of its events: head, definition, time. @throws `session_not_found`, `invalid_input` (no such event) */
  infoAt(session: string, seq: number): Promise<SessionInfo>
  /** The full id of the one session whose id begins so. @throws `session_not_found`, `ambiguous_id` (with the candidates) */
  find(prefix: string): Promise<string>
  /** Newest first. `before` is the last row of the page before. */
  list(options?: {
    prefix?: string
    limit?: number
    before?: { updatedAt: number; session: string }
  }): Promise<SessionInfo[]>
  /** Events in log order, at most `limit` (1000). */
  read(session: string, range?: { from?: number; to?: number; limit?: number }): Promise<LogEvent[]>
  /** The last events, oldest first. */
  tail(session: string, count: number): Promise<LogEvent[]>
  /** Every event from `from` (default 1) on, then each as it is committed: no gap, no repeat, until `signal` or the loop is left. */
  follow(session: string, options?: { from?: number; signal?: AbortSignal }): AsyncIterable<LogEvent>
  /** The step that failed (rate limits, a provider that is away) and is tried again, if one is: for whoever waits. */
  stalled(session: string): Promise<Stalled | null>
  /** What models and tools write just now, chunk by chunk. Not the record: what counts comes as an event. */
  followLive(session: string, options?: { signal?: AbortSignal }): AsyncIterable<Delta>
  /** Sessions that share events with this one: they lose what they share when it is erased. @throws `session_not_found` */
  sharers(session: string): Promise<Sharer[]>
  /**
   * Sessions that say what this one says in words of their own, and keep it when it is erased: compactions, sub-agents.
   * @throws `session_not_found`
   */
  keepers(session: string): Promise<Keeper[]>
  /**
   * Destroys the session's key: from then on nobody can read its content, here or in any copy; the chain still verifies. Closes it. Its forks
   * lose what they inherit (`sharers` names them). Again does the same.
   * @throws `session_not_found`, `not_encrypted`
   */
  erase(session: string, options?: { why?: string }): Promise<{ session: string; seq: number | null }>
  /** Wraps every data key of the space with the keyring's current owner key. The log is not touched. @throws `key_missing` */
  rekey(onProgress?: (keys: number) => void): Promise<Rekeyed>
  /** Drops blobs and rows that nothing refers to. */
  retain(options: RetentionOptions): Promise<Retained>
  /** Recomputes the chain; gives the first bad seq, if any. */
  verify(session: string, options?: VerifyOptions): Promise<Verified>
  /** The head as it is now, signed (ed25519, PEM): keep it where the database is not. @throws `session_not_found`, `invalid_input` (the key) */
  anchor(session: string, privateKey: string): Promise<Anchor>
  /** Of every session of the space, in the order of their ids; a stream. */
  anchorAll(privateKey: string): AsyncIterable<Anchor>
  /**
   * Who did what when, in log order: who spoke, what a model was sent and answered, what ran, who allowed it. A stream.
   * @throws `session_not_found`
   */
  audit(session: string): AsyncIterable<AuditEntry>
  /**
   * The session as a bundle (docs/bundle.md): its log, the stretches of its ancestors that it goes on from, its children, definitions and
   * blobs. A stream: nothing is held back, and the same head gives the same bytes. Read it to its end, or it is no bundle.
   * @throws `session_not_found`, `session_stub`, `corrupt_log` (an event is not what was written), `invalid_input` (no zstd in this Node)
   */
  exportBundle(session: string, options?: ExportOptions): AsyncIterable<Uint8Array>
  /**
   * Takes a bundle into this space, all of it or nothing; it may be packed. The same head again is no news, a longer log moves the one that
   * is here on. What came is inert until `adopt`.
   * @throws `invalid_bundle` (line and reason), `newer_bundle`, `diverged`, `session_busy`
   */
  importBundle(bytes: AsyncIterable<Uint8Array>, options?: ImportOptions): Promise<Imported>
  /**
   * A transcript of another agent's client as a session (docs/transcripts.md): branches as forks, sub-agents as children, all of it or nothing.
   * It is adopted at once, with no turn open. The same file again is no news (`present`); a longer version moves on a session that did not
   * go on here.
   * @throws `invalid_transcript` (no format that is known, nothing in it, no model), `too_large`, `diverged`, `session_busy`,
   *   `invalid_definition`, `definition_not_found`, `invalid_input` (the id; a client whose sessions are encrypted)
   */
  importTranscript(file: TranscriptFile, options?: TranscriptOptions): Promise<TranscriptImported>
  /**
   * The session in another form (docs/transcripts.md): a stream of text, up to the head of now.
   * @throws `session_not_found`, `invalid_input` (no such format)
   */
  exportAs(session: string, format: string, options?: ExportAsOptions): AsyncIterable<string>
  /**
   * An imported session goes on here, from its head; what was open is treated as in a fork. See that it goes on nowhere else.
   * `seq` is that of `custody_taken`; where the session is live already, nothing happens.
   * @throws `session_not_found`, `session_stub`, `session_closed`
   */
  adopt(session: string, options?: { why?: string }): Promise<{ session: string; seq: number; adopted: boolean }>
  /** @throws `definition_not_found` */
  definition(hash: string): Promise<Definition>
  /** Content that left its event. @throws `blob_not_found` */
  blob(session: string, hash: string): Promise<Uint8Array>
  /** Lets go of both connections; waits that are open end with an error. */
  disconnect(): Promise<void>
}
