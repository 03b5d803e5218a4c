/**
 * The port of providers, on one page (DESIGN.md section 7): what a model is shown, what is asked, and what comes back.
 */
import type { Block, ContentBlock } from './blocks'
import type { ModelSpec, ProviderName } from './definition'
import type { FailureClass, Manifest, Outcome, Replay, StopReason, Usage } from './events'

/** A message of a view: neutral, in view order. Tool results are grouped into one entry, in the order of the calls. */
export type ViewEntry =
  | { role: 'user'; seq: number; actor: string; blocks: ContentBlock[] }
  /**
   * `paused`: the provider stopped in the middle of it, and goes on where it is sent back as the last message. `moved`: it was made before a
   * checkpoint took the place of what stood there: what is bound to that is no longer good.
   */
  | { role: 'assistant'; seq: number; blocks: Block[]; replay?: Replay; paused?: true; moved?: true }
  | {
      role: 'results'
      seq: number
      results: { seq: number; call: string; name: string; outcome: Outcome; blocks: ContentBlock[] }[]
    }

export interface View {
  system: string
  tools: { name: string; description: string; inputSchema: string }[]
  entries: ViewEntry[]
  /** Answers up to this seq go without their replay: a provider refused it once (a manifest says so). 0 or absent: none. */
  replayCut?: number
}

export interface ModelRequest {
  model: ModelSpec
  view: View
  /** Loads what a block refers to. */
  blob(hash: string): Promise<Uint8Array>
}

export interface ModelContext {
  /** Aborted: stop at once and give back what there is. */
  signal: AbortSignal
  onDelta(kind: 'text' | 'reasoning', body: string): void
}

/** What was sent, for the manifest. */
export interface Sent {
  requestHash: string
  dropped: Manifest['dropped']
  /** The host that it went to: it decides on what is sent back, and how. */
  platform?: string
}

/** What changes the price of an answer, as its provider says it. */
export interface Billed {
  /** The service tier that it was answered in, where that is not the standard one. */
  tier?: string
  /** Of the tokens written to the cache: those that are kept for an hour. */
  cacheWrite1h?: number
}

export interface ModelFailure {
  ok: false
  class: FailureClass
  retryable: boolean
  retryAfterMs?: number
  status?: number
  message: string
  /** It is the replay in the request that was refused: without it, the same request may be taken. */
  replayRefused?: true
}

export type ModelResult = Sent &
  (
    | {
        ok: true
        /** Tool calls come with `call` empty: the log names them. */
        blocks: Block[]
        stop: StopReason
        usage: Usage
        /** The model that answered, as the provider names it. */
        model: string
        responseId?: string
        replay?: Replay
        firstByteMs?: number
        billed?: Billed
      }
    | ModelFailure
  )

/** A wire API with its adapter. Whatever goes wrong at or on the way to the provider is a result, never a throw. */
export interface Provider {
  readonly name: ProviderName
  call(request: ModelRequest, context: ModelContext): Promise<ModelResult>
}
