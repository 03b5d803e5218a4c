/** Ports and answers of encryption, erasure and retention (docs/erase.md). */
import type { SessionRef } from './ids'
import type { Principal } from './client-port'

/** Which data key: a wrapped key opens for this session and kid only. */
export interface WrappedFor {
  kid: string
  session: string
}

/** `owner` names the owner's key that it is wrapped with. */
export interface WrappedKey {
  owner: string
  wrapped: Uint8Array
}

/** Who holds the owner's keys: a file, the environment, or a key management service. Content never passes through it. */
export interface Keyring {
  /** The name of the key that wraps what is new. */
  readonly owner: string
  wrap(dataKey: Uint8Array, place: WrappedFor): Promise<WrappedKey>
  /** Null where it does not have that owner's key. Throws where it cannot be asked just now. */
  unwrap(key: WrappedKey, place: WrappedFor): Promise<Uint8Array | null>
}

/** A session that shares events with another, up to `sharedTo`. */
export interface Sharer {
  session: string
  sharedTo: number
}

/**
 * A session that says in words of its own what another one says: a compaction of it begins with its summary, a sub-agent has its task. It has a
 * key of its own, and keeps what it says.
 */
export interface Keeper {
  session: string
  how: 'compaction' | 'child'
  /** The session that it is of: the one asked for, a fork of it, or another keeper. */
  of: string
  /** In clear: nothing of it can be erased. */
  encrypted: boolean
}

/** `seq`: of `key_destroyed`; null where the session does not go on here, and so takes no event. */
export type Erased =
  { status: 'erased'; seq: number | null; head: number } | { status: 'session_not_found' | 'not_encrypted' }

/** Data keys by what became of them; `missing`: those that no key of this keyring opens. */
export interface Rekeyed {
  owner: string
  rewrapped: number
  already: number
  missing: number
}

/** What retention dropped, or would drop. `kept`: references that could not be judged, since their session's content cannot be read here. */
export interface Retained {
  blobs: number
  blobBytes: number
  references: number
  kept: number
  drafts: number
  deltas: number
  snapshots: number
  keys: number
}

export interface RetentionOptions {
  /** Nothing younger is looked at. */
  olderThanMs: number
  /** Counts only. */
  dryRun?: boolean
  onProgress?: (sofar: Retained) => void
}

/** The part of the client's log that is about keys, and about what nobody needs any more. */
export interface KeyLog {
  /** Who loses content with it when it is erased. */
  sharers(ref: SessionRef): Promise<Sharer[]>
  /** Who keeps what it says, erased or not; those that are erased themselves are not named. */
  keepers(ref: SessionRef): Promise<Keeper[]>
  /** Destroys its key: nobody reads its content again, and the chain still verifies. Closes it. Again is the same. */
  erase(ref: SessionRef, by: Principal, why?: string): Promise<Erased>
  /** The data keys of a space under the keyring's current owner key. @throws SavefileError `key_missing` without a keyring */
  rekey(space: string, onProgress?: (keys: number) => void): Promise<Rekeyed>
  /** Drops what nothing refers to; loses every race with who writes. */
  retain(space: string, options: RetentionOptions): Promise<Retained>
}
