/**
 * One exchange with a provider: encode, send, read the stream, and say how it ended. The same for every adapter, which brings the encoding,
 * the parser and the vendor's words for what goes wrong. Nothing here throws: whatever happens is a ModelResult.
 */
import { errorCode } from '../contract/errors'
import type { ModelContext, ModelRequest, ModelResult, Sent } from '../contract/ports'
import {
  classOfConnection,
  factsOf,
  failure,
  retryAfterMs,
  safeMessage,
  type ErrorFacts,
  type Failure,
} from './failures'
import { createRawJson, type RawJson } from './raw-json'
import { WatchedCall, type Fetch } from './watched-fetch'

export type Whole = Omit<Extract<ModelResult, { ok: true }>, keyof Sent | 'ok' | 'firstByteMs'>

/** Reads a stream's events, whatever they hold. */
export interface StreamReader {
  push(event: unknown): void
  /** Everything that makes the answer has arrived. */
  whole(): boolean
  answer(): Whole
}

export interface Adapter<P> {
  encode(request: ModelRequest, raw: RawJson): Promise<{ params: P; dropped: Sent['dropped'] }>
  open(params: P, fetch: Fetch, signal: AbortSignal, timeoutMs: number): Promise<AsyncIterable<unknown>>
  reader(request: ModelRequest, context: ModelContext): StreamReader
  /** Of an error that the provider itself reported: with a status, or as an event of the stream. */
  classify(facts: ErrorFacts): Verdict
}

export type Verdict = Pick<Failure, 'class'> & Partial<Pick<Failure, 'retryable'>>

export interface ExchangeOptions {
  fetch: Fetch
  /** Removed from every message. */
  secrets: readonly string[]
}

export async function exchange<P>(
  adapter: Adapter<P>,
  request: ModelRequest,
  context: ModelContext,
  options: ExchangeOptions,
): Promise<ModelResult> {
  const raw = createRawJson()
  const watch = new WatchedCall(options.fetch, raw, context.signal, request.model.silenceMs)
  let dropped: Sent['dropped'] = []
  const result = async (): Promise<Failure | (Whole & { ok: true })> => {
    let params: P
    try {
      const encoded = await adapter.encode(request, raw)
      params = encoded.params
      dropped = encoded.dropped
    } catch (error) {
      // A blob that cannot be read: away for now, or gone.
      return failure('internal', safeMessage(factsOf(error).message, options.secrets), {
        retryable: errorCode(error) !== 'blob_not_found',
      })
    }
    const reader = adapter.reader(request, context)
    try {
      // The SDK's own limit ends with the headers; silence is watched here, so it comes second.
      for await (const event of await adapter.open(params, watch.fetch, watch.signal, request.model.silenceMs + 1000)) {
        if (context.signal.aborted) return stopped()
        const before = reader.whole()
        reader.push(event)
        if (!before && reader.whole()) watch.whole()
      }
    } catch (error) {
      if (context.signal.aborted) return stopped()
      const facts = factsOf(error)
      const verdict = facts.reported ? adapter.classify(facts) : null
      // What breaks once the answer is whole costs nothing: it is not paid for again.
      if (verdict || !reader.whole()) return failed(facts, verdict, watch, request, options.secrets)
    }
    if (context.signal.aborted) return stopped()
    if (reader.whole()) return { ok: true, ...reader.answer() }
    return watch.silent ? silence(request) : failure('cut_off', 'The stream ended before the answer did.')
  }
  try {
    const outcome = await result()
    const sent = { requestHash: watch.requestHash, dropped }
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

function stopped(): Failure {
  return failure('cut_off', 'The call was stopped.', { retryable: false })
}

function silence(request: ModelRequest): Failure {
  return failure('timeout', `Nothing was heard from the provider for ${request.model.silenceMs} ms.`)
}

function failed(
  facts: ErrorFacts,
  verdict: Verdict | null,
  watch: WatchedCall,
  request: ModelRequest,
  secrets: readonly string[],
): Failure {
  if (watch.silent) return silence(request)
  if (watch.page) {
    const words = `The server answered with ${watch.page.contentType} instead of a stream (is the base URL right?): ${watch.page.body}`
    return failure('refused_request', safeMessage(words, secrets))
  }
  const message = safeMessage(facts.message, secrets)
  const status = facts.status === undefined ? {} : { status: facts.status }
  if (!verdict) return failure(classOfConnection(facts, watch.began), message, status)
  const after = retryAfterMs(facts.header, Date.now())
  return failure(verdict.class, message, {
    ...(verdict.retryable === undefined ? {} : { retryable: verdict.retryable }),
    ...(after === undefined ? {} : { retryAfterMs: after }),
    ...status,
  })
}
