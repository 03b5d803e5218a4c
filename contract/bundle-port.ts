/** What goes in and comes out with bundles (docs/bundle.md), and with transcripts, which come in as they do. */
import type { SessionInfo } from './client-port'

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

export interface BundleOptions {
  onProgress?: (progress: BundleProgress) => void
  /** The data keys of encrypted sessions too, wrapped with their owner's key: what is erased later stays readable from this file. */
  withKeys?: boolean
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
  /** How many data keys came with it, wrapped. */
  keys: number
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
