/**
 * The bundle's lines (docs/bundle.md is the specification): JSON objects, one a line, their order fixed, so that one pass can check them and
 * the same head gives the same bytes.
 *
 *   savefile-bundle   definition…   (session key? (event)…)…   (blob chunk…)…   end
 */
import type { BundleLimits } from '../../contract/bundle-port'

/** The newest that is read. Without keys a bundle is of version 1, which every reader knows; with keys of version 2. */
export const BUNDLE_VERSION = 2
export const WITHOUT_KEYS = 1

export interface HeaderLine {
  k: 'savefile-bundle'
  version: number
  session: string
  head: number
  /** Of the event `head`, hex, as all hashes in a bundle. */
  hash: string
}

/** A session's own events `from`..`to` follow. */
export interface SessionLine {
  k: 'session'
  session: string
  /** The event that its own rows go on from, and the session whose row that is, which stands before; null for a log that begins of itself. */
  base: { session: string; seq: number } | null
  /** Whose fork it is; the base is then an event that the parent has, of itself or inherited. */
  parent: string | null
  from: number
  to: number
  /** Of the event `to`. */
  hash: string
  /** False: a stretch of an ancestor, whose log goes on elsewhere. */
  whole: boolean
  /** Seqs before `to` that later sessions of the bundle go on from, ascending. */
  marks: number[]
  /** As stored beside the log; only where the first event is encrypted, which otherwise says it. */
  title?: string
  labels?: string
}

/** The data key of the session above, wrapped with its owner's key. */
export interface KeyLine {
  k: 'key'
  kid: string
  owner: string
  /** Base64. */
  wrapped: string
}

export interface EventLine {
  k: 'event'
  seq: number
  type: string
  v: number
  at: number
  actor: string
  key: string
  kid?: string
  /** Under which definition the session runs from here on; only where the payload that says it is encrypted. */
  definition?: string
  prev: string
  hash: string
  /** The payload as text, verbatim; or, where it is no text, its bytes in base64. Last, so that it can be taken off. */
  payload?: string
  bytes?: string
}

export interface EndLine {
  k: 'end'
  lines: number
  events: number
  blobs: number
  sessions: { session: string; from: number; to: number; events: number; hash: string }[]
  /** Of every byte before this line. */
  sha256: string
}

export const CHUNK_BYTES = 512 * 1024

export const DEFAULT_LIMITS: Readonly<BundleLimits> = {
  lineBytes: 16 * 1024 * 1024,
  lines: 200_000_000,
  sessions: 10_000,
  definitions: 100_000,
  blobs: 1_000_000,
  blobBytes: 64 * 1024 * 1024,
  depth: 64,
  totalBytes: 1024 ** 4,
  ratio: 200,
  ratioFromBytes: 64 * 1024 * 1024,
}

/** Types whose payload says under which definition the session runs from there on. */
export const SETS_DEFINITION: ReadonlySet<string> = new Set(['session_created', 'forked', 'definition_changed'])

const BLOB_NAME = Buffer.from('"sha256:')

/** The blobs that a payload refers to. A quote inside a JSON string is escaped, so no text can look like this. */
export function blobsIn(payload: Buffer): string[] {
  if (payload.indexOf(BLOB_NAME) < 0) return []
  return [...payload.toString('latin1').matchAll(/"hash"\s*:\s*"(sha256:[0-9a-f]{64})"/g)].map((m) => m[1] as string)
}
