/**
 * Import: a bundle into one space, in one transaction. Nothing is seen before its end, and whatever ends it leaves nothing behind. Events go in
 * by batches through a function that computes every hash again. Memory: two batches, and one blob.
 */
import type { Pool, PoolClient } from 'pg'
import { SavefileError, errorCode } from '../../contract/errors'
import type { Imported, ImportedSession, ImportOptions } from '../../contract/bundle-port'
import { asSavefileError } from '../pool'
import type { BundleEvent } from './event-line'
import type { SessionLine } from './format'
import { readBundle, type BundleItem } from './read'
import { invalid } from './refusals'

const BATCH_EVENTS = 1000
const BATCH_BYTES = 1024 * 1024
/** A step whose executor beat within it is under way. */
const FRESH_US = 60_000_000

interface Begun {
  status: 'new' | 'prefix' | 'there' | 'diverged' | 'behind' | 'busy' | 'base_missing'
  head: number
  head_hash: Buffer
  custody: ImportedSession['custody'] | 'arriving'
}

/** @throws SavefileError `invalid_bundle`, `newer_bundle`, `diverged`, `session_busy`, `database_unreachable` */
export function importBundle(
  pool: Pool,
  space: string,
  bytes: AsyncIterable<Uint8Array>,
  { limits, onProgress, signal }: ImportOptions = {},
): Promise<Imported> {
  return importItems(pool, space, readBundle(bytes, { limits, onProgress }), signal)
}

/** What a bundle holds, wherever it comes from. @throws SavefileError `invalid_bundle`, `diverged`, `session_busy`, `database_unreachable` */
export async function importItems(
  pool: Pool,
  space: string,
  items: AsyncIterable<readonly BundleItem[]> | Iterable<readonly BundleItem[]>,
  signal?: AbortSignal,
): Promise<Imported> {
  let client: PoolClient | null = null
  let broken = false
  try {
    client = await pool.connect()
    client.on('error', ignore)
    await client.query('begin')
    const sink = new Sink(client, space)
    for await (const some of items) {
      signal?.throwIfAborted()
      for (const item of some) {
        const pause = sink.take(item)
        if (pause) await pause // most events only wait for the rest of their batch
      }
    }
    await client.query('commit')
    return sink.imported()
  } catch (error) {
    await client?.query('rollback').catch(() => (broken = true))
    throw asSavefileError(error, pool)
  } finally {
    client?.off('error', ignore)
    client?.release(broken)
  }
}

/** The loss of a connection between two statements; the next one is told. Without a listener it would end the process. */
const ignore = (): void => undefined

class Sink {
  private header: { session: string; head: number; hash: string } | null = null
  private current: { part: SessionLine; begun: Begun } | null = null
  private batch: BundleEvent[] = []
  private batchBytes = 0
  private line = 0
  private flying: Promise<void> = Promise.resolve()
  private added = 0
  private readonly sessions: ImportedSession[] = []
  private readonly keys: Extract<BundleItem, { kind: 'key' }>[] = []

  constructor(
    private readonly client: PoolClient,
    private readonly space: string,
  ) {}

  /** Null: there is nothing to wait for. */
  take(item: BundleItem): Promise<unknown> | null {
    switch (item.kind) {
      case 'header':
        this.header = item.header
        return null
      case 'definition':
        return this.ask('select savefile.put_definition($1, $2)', [this.space, item.body])
      case 'key':
        this.keys.push(item)
        return null
      case 'session':
        this.line = item.line
        return this.begin(item.part, item.title, item.labels)
      case 'event':
        this.line = item.line
        return this.event(item.event)
      case 'blob':
        this.line = item.line
        return this.ask('select savefile.import_blob($1, $2, $3, $4)', [
          this.space,
          item.sessions,
          item.mediaType,
          item.content,
        ])
      case 'end':
        return this.putKeys()
    }
  }

  imported(): Imported {
    const { session = '', head = 0, hash = '' } = this.header ?? {}
    const main = this.sessions.find((s) => s.session === session)
    return {
      ...(main as ImportedSession),
      ...{ head, headHash: hash, events: this.added, sessions: this.sessions, keys: this.keys.length },
    }
  }

  /** Once their sessions are there. */
  private async putKeys(): Promise<void> {
    for (const { session, key, line } of this.keys) {
      this.line = line
      const wrapped = Buffer.from(key.wrapped, 'base64')
      await this.ask('select savefile.import_key($1, $2, $3, $4, $5)', [
        this.space,
        session,
        key.kid,
        key.owner,
        wrapped,
      ])
    }
  }

  private async begin(part: SessionLine, title: string | null, labels: string): Promise<void> {
    const { session, whole, base, parent, to, hash } = part
    const [begun] = await this.ask<Begun>(
      'select * from savefile.import_begin($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)',
      [
        this.space,
        session,
        !whole,
        base?.session ?? null,
        base?.seq ?? null,
        parent,
        title,
        labels,
        to,
        Buffer.from(hash, 'hex'),
        FRESH_US,
      ],
    )
    if (!begun) throw new Error('import_begin gave no row')
    const { status, head, custody } = begun
    if (status === 'diverged' || (status === 'prefix' && head < part.from))
      throw diverged(session, Math.min(head, to), this.line)
    if (status === 'behind')
      throw new SavefileError(
        'diverged',
        `Session ${session} is at event ${head} here, and what is to be imported was forked from its event ${to}. Import a bundle of ${session} first.`,
        { session, seq: head, line: this.line },
      )
    if (status === 'busy')
      throw new SavefileError(
        'session_busy',
        `Session ${session} is executed here just now. Wait until it rests, or interrupt it, and import again.`,
        { session, line: this.line },
      )
    if (status === 'base_missing') throw invalid(this.line, `session ${session} goes on from an event that is not here`)
    this.current = { part, begun }
    if (status === 'there')
      this.sessions.push({ session, status: 'present', custody: custody === 'arriving' ? 'inert' : custody, head })
  }

  private event(event: BundleEvent): Promise<void> | null {
    const { part, begun } = this.current as { part: SessionLine; begun: Begun }
    if (begun.status === 'there') return null
    if (begun.status === 'prefix' && event.seq <= begun.head) {
      if (event.seq === begun.head && event.hash !== begun.head_hash.toString('hex'))
        throw diverged(part.session, event.seq, this.line)
      return null
    }
    this.batch.push(event)
    this.batchBytes += event.payload.length
    if (event.seq === part.to) return this.flush().then(() => this.finish(part, begun))
    return this.batch.length >= BATCH_EVENTS || this.batchBytes >= BATCH_BYTES ? this.flush() : null
  }

  /** While the database writes a batch, the next one is read. */
  private async flush(): Promise<void> {
    const { batch } = this
    this.batch = []
    this.batchBytes = 0
    await this.flying
    this.added += batch.length
    this.flying = this.ask('select savefile.import_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)', [
      this.space,
      batch[0]?.session,
      textArray(batch, (e) => e.type),
      numberArray(batch, (e) => e.v),
      numberArray(batch, (e) => e.at),
      textArray(batch, (e) => e.actor),
      textArray(batch, (e) => e.key),
      textArray(batch, (e) => e.kid),
      textArray(batch, (e) => e.definition),
      numberArray(batch, (e) => e.payload.length),
      Buffer.concat(batch.map((e) => e.payload)),
      Buffer.from(batch.map((e) => e.hash).join(''), 'hex'),
    ]).then(() => undefined)
    this.flying.catch(() => undefined) // told by the next await
  }

  private async finish(part: SessionLine, begun: Begun): Promise<void> {
    await this.flying
    const { session, to, hash } = part
    // A session that came whole before stays so, though this bundle has only a stretch of it.
    const stub = !part.whole && begun.custody !== 'inert'
    const [row] = await this.ask<{ ok: boolean }>('select savefile.import_end($1, $2, $3, $4, $5) as ok', [
      this.space,
      session,
      stub,
      to,
      Buffer.from(hash, 'hex'),
    ])
    if (!row?.ok) throw invalid(this.line, `session ${session} runs under no definition that is here`)
    this.sessions.push({
      session,
      status: begun.status === 'new' ? 'imported' : 'fast_forwarded',
      custody: stub ? 'stub' : 'inert',
      head: to,
    })
  }

  /** What the database refuses of a bundle's content is the bundle's fault. */
  private async ask<R extends object>(text: string, values: unknown[]): Promise<R[]> {
    const { line } = this
    try {
      return (await this.client.query<R>(text, values)).rows
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: string }
      if (errorCode(error) || typeof code !== 'string') throw error
      if (code === '23505') throw invalid(line, 'at or before it two events of a session have the same key', error)
      if (code.startsWith('22') || code.startsWith('23') || code === 'XX001')
        throw invalid(line, `at or before it the database takes something for wrong (${message ?? code})`, error)
      throw error
    }
  }
}

/** Arrays as Postgres reads them: pg makes them element by element, at a tenth of what an event costs here. */
function numberArray<T>(items: readonly T[], of: (item: T) => number): string {
  let text = ''
  for (const item of items) text += text === '' ? of(item) : `,${of(item)}`
  return `{${text}}`
}

function textArray<T>(items: readonly T[], of: (item: T) => string | undefined): string {
  let text = ''
  for (const item of items) {
    const value = of(item)
    if (text !== '') text += ','
    text += value === undefined ? 'NULL' : `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`
  }
  return `{${text}}`
}

function diverged(session: string, seq: number, line: number): SavefileError {
  return new SavefileError(
    'diverged',
    `Session ${session} went on differently here and in the bundle, at or before event ${seq}. Nothing was taken. Import it into another space or database to keep both.`,
    { session, seq, line },
  )
}
