/**
 * One exchange with a provider: encode, send, read the stream, and say how it ended. The same for every adapter, which brings the encoding,
 * the parser and the vendor's words for what goes wrong. Nothing here throws: whatever happens is a ModelResult.
 */
import type { ModelSpec } from '../contract/definition'
import { errorCode } from '../contract/errors'
import type { ModelContext, ModelRequest, ModelResult, Sent } from '../contract/provider-port'
import type { ModelFailure } from '../contract/provider-port'
import {
  classOfConnection,
  factsOf,
  failure,
  retryAfterMs,
  safeMessage,
  saysNoSuchModel,
  type ErrorFacts,
} from './failures'
import { createRawJson, type RawJson } from './raw-json'
import { eventsOf } from './sse'
import { WatchedCall, type Fetch } from './watched-fetch'

export type Whole = Omit<Extract<ModelResult, { ok: true }>, keyof Sent | 'ok' | 'firstByteMs'>

/** Reads a stream's events, whatever they hold. */
export interface StreamReader {
  push(event: unknown): void
  /** Everything that makes the answer has arrived. */
  whole(): boolean
  answer(): Whole
  /** The error that came as an event, in the shape of an SDK's error; null where none did. */
  failed?(): unknown
}

export interface Encoded<P> {
  params: P
  dropped: Sent['dropped']
  /** Some of what goes out is a provider's replay. */
  replays: boolean
}

export interface Adapter<P> {
  encode(request: ModelRequest, raw: RawJson): Promise<Encoded<P>>
  /** The response, a stream or not: its events are read here. */
  open(params: P, fetch: Fetch, signal: AbortSignal, timeoutMs: number): Promise<Response>
  /** An answer in one piece, as the events that a stream would have had. */
  whole(json: string): Iterable<unknown>
  reader(request: ModelRequest, context: ModelContext): StreamReader
  /** Of an error that the provider itself reported: with a status, or as an event of the stream. */
  classify(facts: ErrorFacts): Verdict
}

export type Verdict = Pick<ModelFailure, 'class'> & Partial<Pick<ModelFailure, 'retryable' | 'replayRefused'>>

export interface ExchangeOptions {
  fetch: Fetch
  /** The host that requests go to. */
  platform: string
  /** Removed from every message. */
  secrets: readonly string[]
}

/** An answer in one piece has no byte before its last: how long it may take where nothing else is said. */
const WHOLE_MS = 600_000

function limitsOf({ stream, silenceMs, totalMs }: ModelSpec) {
  return stream === false
    ? { silenceMs: totalMs === undefined ? Math.max(silenceMs, WHOLE_MS) : totalMs + 1000, totalMs, whole: true }
    : { silenceMs, totalMs, whole: false }
}

export async function exchange<P>(
  adapter: Adapter<P>,
  request: ModelRequest,
  context: ModelContext,
  options: ExchangeOptions,
): Promise<ModelResult> {
  const raw = createRawJson()
  const limits = limitsOf(request.model)
  const watch = new WatchedCall(options.fetch, raw, context.signal, limits)
  let dropped: Sent['dropped'] = []
  let replays = false
  const result = async (): Promise<ModelFailure | (Whole & { ok: true })> => {
    let params: P
    try {
      const encoded = await adapter.encode(request, raw)
      params = encoded.params
      dropped = encoded.dropped
      replays = encoded.replays
    } catch (error) {
      // A blob that cannot be read: away for now, or gone.
      return failure('internal', safeMessage(factsOf(error).message, options.secrets), {
        retryable: errorCode(error) !== 'blob_not_found',
      })
    }
    const reader = adapter.reader(request, context)
    const ended = (error: unknown): ModelFailure | null => {
      const facts = factsOf(error)
      const verdict = facts.reported ? adapter.classify(facts) : null
      // What breaks once the answer is whole costs nothing: it is not paid for again.
      if (!verdict && reader.whole()) return null
      if (verdict && !replays) delete verdict.replayRefused
      return failed(facts, verdict, watch, request, options)
    }
    try {
      // The SDK's own limit ends with the headers; silence is watched here, so it comes second.
      const response = await adapter.open(params, watch.fetch, watch.signal, limits.silenceMs + 1000)
      const streamed = request.model.stream !== false
      for await (const events of streamed ? eventsOf(response) : inOnePiece(response, adapter.whole))
        for (const event of events) {
          if (context.signal.aborted) return stopped()
          const before = reader.whole()
          reader.push(event)
          const error = reader.failed?.() ?? null
          if (error !== null) return ended(error) ?? stopped()
          if (!before && reader.whole()) watch.whole()
        }
    } catch (error) {
      if (context.signal.aborted) return stopped()
      const end = ended(error)
      if (end) return end
    }
    if (context.signal.aborted) return stopped()
    if (reader.whole()) return { ok: true, ...reader.answer() }
    return overdue(watch, request) ?? failure('cut_off', 'The stream ended before the answer did.')
  }
  try {
    const outcome = await result()
    const sent = { requestHash: watch.requestHash, dropped, platform: options.platform }
    if (!outcome.ok || watch.firstByteMs === undefined) return { ...outcome, ...sent }
    return { ...outcome, ...sent, firstByteMs: watch.firstByteMs }
  } catch (error) {
    // A bug of ours, but still no throw: the session must not hang on it.
    const message = safeMessage(`This adapter failed: ${factsOf(error).message}`, options.secrets)
    return { ...failure('internal', message), requestHash: watch.requestHash, dropped }
  } finally {
    watch.end()
  }
}

function stopped(): ModelFailure {
  return failure('cut_off', 'The call was stopped.', { retryable: false })
}

function overdue(watch: WatchedCall, { model }: ModelRequest): ModelFailure | null {
  if (watch.late) return failure('timeout', `The answer was not there after ${model.totalMs} ms, the limit in all.`)
  return watch.silent
    ? failure('timeout', `Nothing was heard from the provider for ${limitsOf(model).silenceMs} ms.`)
    : null
}

function failed(
  facts: ErrorFacts,
  verdict: Verdict | null,
  watch: WatchedCall,
  request: ModelRequest,
  { secrets, platform }: ExchangeOptions,
): ModelFailure {
  const late = overdue(watch, request)
  if (late) return late
  if (watch.page) {
    const words = `The server answered with ${watch.page.contentType} instead of a stream (is the base URL right?): ${watch.page.body}`
    return failure('refused_request', safeMessage(words, secrets))
  }
  const message = safeMessage(facts.message, secrets)
  const status = facts.status === undefined ? {} : { status: facts.status }
  if (!verdict) return failure(classOfConnection(facts, watch.began), message, status)
  const { class: what, ...more } = verdict
  if (what === 'refused_request' && saysNoSuchModel(facts)) {
    const advice = `There is no model ${request.model.name} at ${platform} for this key: look at its name, or go on with another one (savefile migrate <session> --model <name>).`
    return failure(what, `${message}\n${advice}`, { ...more, ...status })
  }
  const after = retryAfterMs(facts.header, Date.now())
  return failure(what, message, { ...more, ...(after === undefined ? {} : { retryAfterMs: after }), ...status })
}

/** The events of an answer that came as one JSON document. */
async function* inOnePiece(
  response: { text(): Promise<string> },
  events: (json: string) => Iterable<unknown>,
): AsyncGenerator<Iterable<unknown>> {
  yield events(await response.text())
}
