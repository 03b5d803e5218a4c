/**
 * The fetch of one model call: sees the bytes that the SDKs hide. Gives the hash of what was sent, the time of the first byte, and ends a
 * call from which nothing is heard (pings count as bytes: the vendor sends them so that nobody gives up).
 */
import { createHash } from 'node:crypto'
import type { RawJson } from './raw-json'

export type Fetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>

export interface Limits {
  /** Without a byte. */
  silenceMs: number
  /** In all. */
  totalMs?: number | undefined
  /** The answer comes as one JSON document. */
  whole: boolean
}

/** Once an answer is whole, how long its connection may take to end, so that it can be used again. */
const GRACE_MS = 2000
/** What is kept of a page that came instead of a stream. */
const PAGE_CHARS = 4000

export class WatchedCall {
  /** sha256 of the request body, hex; empty before it was sent. */
  requestHash = ''
  firstByteMs: number | undefined
  /** Nothing was heard for the whole time allowed. */
  silent = false
  /** It took longer than it may in all. */
  late = false
  /** A page or a JSON document came with status 200 where a stream was asked for. */
  page: { contentType: string; body: string } | null = null
  /** Headers with a status of success have arrived. */
  began = false
  readonly signal: AbortSignal
  private readonly own = new AbortController()
  private startedAt = 0
  private timer: NodeJS.Timeout | undefined
  private total: NodeJS.Timeout | undefined
  private limitMs: number
  /** What the timer was set to. */
  private timed = 0

  constructor(
    private readonly base: Fetch,
    private readonly raw: RawJson,
    outer: AbortSignal,
    private readonly limits: Limits,
  ) {
    this.limitMs = limits.silenceMs
    this.signal = AbortSignal.any([outer, this.own.signal])
  }

  /** The answer is whole: what follows is only the end of the connection. */
  whole(): void {
    this.limitMs = Math.min(this.limitMs, GRACE_MS)
    this.heard()
  }

  end(): void {
    clearTimeout(this.timer)
    clearTimeout(this.total)
  }

  readonly fetch: Fetch = async (url, init) => {
    const body = typeof init?.body === 'string' ? this.raw.restore(init.body) : init?.body
    if (typeof body === 'string') this.requestHash = createHash('sha256').update(body).digest('hex')
    this.startedAt = performance.now()
    this.heard()
    if (this.limits.totalMs !== undefined)
      this.total = setTimeout(() => {
        this.late = true
        this.own.abort()
      }, this.limits.totalMs)
    const response = await this.base(url, { ...init, body })
    this.heard()
    if (!response.ok || !response.body) return response
    if (this.limits.whole) this.firstByteMs = Math.round(performance.now() - this.startedAt)
    this.began = true
    const contentType = response.headers.get('content-type') ?? ''
    if ((this.limits.whole ? /^text\/html\b/ : /^(?:text\/html|application\/json)\b/).test(contentType)) {
      this.page = { contentType, body: (await response.text()).slice(0, PAGE_CHARS) }
      throw new Error(`not an answer: ${contentType}`)
    }
    if (this.limits.whole) return response
    // Any iterable is read (sse.ts): a second stream around the first would cost as much as parsing.
    const heard: AsyncIterable<Uint8Array> = this.listening(response.body)
    return Object.defineProperty(response, 'body', { value: heard })
  }

  private heard(): void {
    if (this.timer && this.timed === this.limitMs) return void this.timer.refresh()
    clearTimeout(this.timer)
    this.timed = this.limitMs
    this.timer = setTimeout(() => {
      this.silent = true
      this.own.abort()
    }, this.limitMs)
  }

  private async *listening(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      this.firstByteMs ??= Math.round(performance.now() - this.startedAt)
      this.heard()
      yield chunk
    }
  }
}
