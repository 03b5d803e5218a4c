/**
 * What a transcript says, in no client's words: entries in a tree, as each format's reader makes them and session-writer.ts turns them into
 * events. A branch of the tree becomes a fork.
 */
import type { BlobRef, Block, ContentBlock } from '../contract/blocks'
import type { FailureClass, Outcome, StopReason, Usage } from '../contract/events'

export const TRANSCRIPT_FORMATS = ['claude-code', 'codex', 'pi'] as const
export type TranscriptFormat = (typeof TRANSCRIPT_FORMATS)[number]

export interface TranscriptFile {
  name: string
  bytes: Buffer
}

export type Item =
  | { kind: 'said'; blocks: ContentBlock[] }
  /** Tool calls are named as the transcript names them; `kept` is what the vendor needs verbatim, an entry a block. */
  | {
      kind: 'answer'
      provider: string
      platform: string
      model: string
      replayFormat: number
      blocks: Block[]
      kept: (string | null)[]
      stop: StopReason
      usage: Usage
      costUsdMicros?: number
      responseId?: string
    }
  | { kind: 'result'; call: string; outcome: Outcome; blocks: ContentBlock[]; code?: string; child?: Thread }
  /** A second result of a call that has one. */
  | { kind: 'late'; call: string; outcome: Outcome; blocks: ContentBlock[] }
  | { kind: 'failed'; class: FailureClass; status?: number; message: string }
  /** The person stopped the turn; `partial`: what the model had written. */
  | { kind: 'interrupted'; partial: Block[] }
  /** Nothing more was said in this branch, though another goes on from where it ends. */
  | { kind: 'end' }
  /** `keeps`: from this entry on what was said before stays beside the summary; absent: nothing does. */
  | { kind: 'checkpoint'; blocks: ContentBlock[]; keeps?: Entry }

export type AnswerItem = Extract<Item, { kind: 'answer' }>

export interface Entry {
  /** Unique in its transcript: names messages, branches and late results. */
  id: string
  line: number
  /** Microseconds since 1970. */
  at: number
  item: Item
  parent: Entry | null
}

/** A conversation of its own: a session, with a fork for each branch. */
export interface Thread {
  /** Of the client; fit for a session id, or not. */
  id: string
  /** The file that it stands in. */
  file: string
  title?: string
  system: string
  labels: Record<string, string>
  entries: Entry[]
}

/** Content that leaves its event. */
export interface Blobs {
  put(bytes: Uint8Array, mediaType: string): BlobRef
}
