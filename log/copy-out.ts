/**
 * Rows by COPY in binary form: bytes come as they are stored (a query's rows come as text, bytea in hex), row by row as they arrive, and
 * the server is held back while nobody takes them. So a pass over a log costs neither parsing nor memory.
 */
import type { Connection, Pool, PoolClient, Submittable } from 'pg'
import { asSavefileError } from './pool'

/** Batches are handed on at this many rows, or bytes of rows. */
const BATCH_ROWS = 1024
const BATCH_BYTES = 512 * 1024
/** The server is held back while so much waits. */
const WAITING_BYTES = 2 * 1024 * 1024
/** Signature, flags, and the length of an extension that no version has. */
const HEADER_BYTES = 19

/** One COPY on one connection; pg calls its handlers. `map` sees each row while its bytes are there, and must copy what it keeps. */
class CopyOut<T> implements Submittable {
  private readonly ready: { items: T[]; bytes: number }[] = []
  private filling: { items: T[]; bytes: number } = { items: [], bytes: 0 }
  private waiting = 0
  private begun = false
  private ended = false
  private failure: unknown
  private paused = false
  private connection: Connection | null = null
  private wake: (() => void) | null = null

  constructor(
    private readonly text: string,
    private readonly map: (row: Buffer) => T,
  ) {}

  submit(connection: Connection): void {
    this.connection = connection
    connection.query(this.text)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    let row = chunk
    if (!this.begun) {
      this.begun = true
      row = chunk.subarray(HEADER_BYTES)
      if (row.length === 0) return
    }
    if (this.failure !== undefined || row.readInt16BE(0) < 0) return // the end, or nobody wants the rest
    try {
      this.filling.items.push(this.map(row))
    } catch (error) {
      this.failure = error
      return
    }
    this.filling.bytes += row.length
    this.waiting += row.length
    if (this.filling.items.length >= BATCH_ROWS || this.filling.bytes >= BATCH_BYTES) this.hand()
    if (this.waiting > WAITING_BYTES && !this.paused) this.hold(true)
  }

  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}

  handleError(error: unknown): void {
    this.failure ??= error
    this.end()
  }

  handleReadyForQuery(): void {
    this.end()
  }

  /** The next batch; null at the end. */
  async next(): Promise<T[] | null> {
    for (;;) {
      const batch = this.ready.shift()
      if (batch) {
        this.waiting -= batch.bytes
        if (this.paused && this.waiting < WAITING_BYTES / 2) this.hold(false)
        return batch.items
      }
      if (this.ended) {
        if (this.failure !== undefined) throw this.failure
        return null
      }
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }

  private hand(): void {
    if (this.filling.items.length > 0) this.ready.push(this.filling)
    this.filling = { items: [], bytes: 0 }
    this.wake?.()
  }

  private end(): void {
    this.ended = true
    this.hand()
  }

  private hold(held: boolean): void {
    this.paused = held
    const stream = this.connection?.stream as { pause(): void; resume(): void } | undefined
    if (held) stream?.pause()
    else stream?.resume()
  }
}

/** The loss of the connection is told by the statement that runs. Without a listener it would end the process. */
const ignore = (): void => undefined

/**
 * The rows of a query in batches, each made into something of the caller's by `map`. The text takes no parameters: see `literal`.
 * Whoever leaves before the end costs the connection, not the server's patience.
 */
export async function* copyOut<T>(pool: Pool, select: string, map: (row: Buffer) => T): AsyncGenerator<T[]> {
  let client: PoolClient | null = null
  let whole = false
  try {
    client = await pool.connect()
    client.on('error', ignore)
    const copy = client.query(new CopyOut(`copy (${select}) to stdout (format binary)`, map))
    for (;;) {
      const batch = await copy.next()
      if (!batch) break
      yield batch
    }
    whole = true
  } catch (error) {
    throw asSavefileError(error, pool)
  } finally {
    client?.off('error', ignore)
    client?.release(!whole)
  }
}
