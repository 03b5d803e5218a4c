/** The port of the log as people and their services use it, through the client. Everything that is normal is a status in the answer. */
import type { BlobRef } from './blocks'
import type { Definition } from './definition'
import type { FailureClass, Payload, Right, StoredEvent } from './events'
import type { SessionRef } from './ids'
import type { KeyLog } from './keys'
import type { Delta, Outlook } from './ports'
import type { Adopted, Arriving, BundleOptions, ImportOptions, Imported } from './bundle-port'

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
  exportBundle(ref: SessionRef, options?: BundleOptions): AsyncIterable<Uint8Array>
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
