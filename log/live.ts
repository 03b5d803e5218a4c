/**
 * Live text. Writing: what all streams of a process produced in 100 ms goes into an UNLOGGED table in one statement, with one NOTIFY.
 * Reading: one query for all followed sessions of a process. A cursor for each step and attempt, by `n`, so that none is lost or repeated.
 */
import type { Pool } from 'pg'
import type { SessionRef } from '../contract/ids'
import type { Delta, DeltaSink } from '../contract/ports'
import type { Listener } from './listen'
import { query } from './pool'
import { createVault, deltaSlot, type Vault } from './vault'

const LIVE_CHANNEL = 'savefile_live'
const FLUSH_MS = 100
/** While Postgres is away live text is thrown away rather than kept: nobody can read it, and the events will hold it. */
const KEPT_CHARS = 8 * 1024 * 1024

/** `add` never waits; `flush` resolves once what was added is readable; a failure loses text, and nothing else. */
export function createDeltaWriter(pool: Pool, vault = createVault(pool, null)): DeltaSink & { close(): Promise<void> } {
  let buffer: Delta[] = []
  /** Of each attempt, what it added last: what goes on from that is one row with it, of some five that a stream makes in that time. */
  let newest = new Map<string, Delta>()
  let chars = 0
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()

  async function bodyOf(delta: Delta): Promise<string> {
    // A raw NUL has no place in a text column; the event's own text is normalised and counted elsewhere.
    const body = delta.body.replaceAll('\0', '\uFFFD')
    const sealer = await vault.sealer(delta.ref)
    return sealer?.text(deltaSlot(delta), body) ?? body
  }

  async function write(deltas: Delta[]): Promise<void> {
    try {
      const values = [
        deltas.map(({ ref }) => ref.space),
        deltas.map(({ ref }) => ref.session),
        deltas.map(({ step }) => step),
        deltas.map(({ token }) => token),
        deltas.map(({ n }) => n),
        deltas.map(({ kind }) => kind),
        await Promise.all(deltas.map(bodyOf)),
        LIVE_CHANNEL,
      ]
      await pool.query(`select savefile.write_deltas($1, $2, $3, $4, $5, $6, $7), pg_notify($8, '')`, values)
    } catch {
      // Live text is lost without harm.
    }
  }

  function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const deltas = buffer
    buffer = []
    newest = new Map()
    chars = 0
    if (deltas.length > 0) writing = writing.then(() => write(deltas))
    return writing
  }

  return {
    add(delta) {
      if (chars > KEPT_CHARS) return
      chars += delta.body.length
      const attempt = `${delta.ref.space}/${delta.ref.session} ${delta.step} ${delta.token}`
      const last = newest.get(attempt)
      if (last?.kind === delta.kind) last.body += delta.body
      else {
        const row = { ...delta }
        newest.set(attempt, row)
        buffer.push(row)
      }
      timer ??= setTimeout(() => void flush(), FLUSH_MS)
    },
    flush,
    close: flush,
  }
}

interface Stream {
  step: string
  token: string
  n: number
}

interface Watched {
  ref: SessionRef
  streams: Map<string, Stream>
  queues: Set<(delta: Delta) => void>
  /** Where its first read begins is known. */
  begun: boolean
}

export interface FollowLive {
  followLive(ref: SessionRef, options?: { signal?: AbortSignal }): AsyncIterable<Delta>
  close(): void
}

/** `listener` null: only by polling. */
export function createFollowLive(pool: Pool, vault: Vault, listener: Listener | null, pollMs: number): FollowLive {
  const watched = new Map<string, Watched>()
  const ended = new AbortController()
  let poll: NodeJS.Timeout | undefined
  let unlisten: (() => void) | undefined
  let reading = false
  let again = false

  async function read(): Promise<void> {
    if (reading) return void (again = true)
    reading = true
    try {
      do {
        again = false
        await readOnce()
      } while (again && watched.size > 0)
    } catch {
      // Postgres is away; the next poll or NOTIFY reads on from the cursors.
    } finally {
      reading = false
    }
  }

  async function readOnce(): Promise<void> {
    const sessions = [...watched.values()]
    await Promise.all(sessions.map((session) => session.begun || begin(session)))
    const cursors = sessions.flatMap(({ ref, streams }) => [...streams.values()].map((stream) => ({ ref, ...stream })))
    const rows = await query<{
      space_id: string
      session_id: string
      step: string
      token: string
      n: number
      kind: Delta['kind']
      body: string
    }>(pool, 'select * from savefile.live_since($1, $2, $3, $4, $5, $6, $7)', [
      sessions.map(({ ref }) => ref.space),
      sessions.map(({ ref }) => ref.session),
      cursors.map(({ ref }) => ref.space),
      cursors.map(({ ref }) => ref.session),
      cursors.map(({ step }) => step),
      cursors.map(({ token }) => token),
      cursors.map(({ n }) => n),
    ])
    for (const row of rows) {
      const { space_id, session_id, step, token, n, kind } = row
      const session = watched.get(`${space_id}/${session_id}`)
      if (!session) continue
      advance(session.streams, { step, token, n })
      const body = await vault.openOwn(session.ref, deltaSlot(row), row.body).catch(() => null)
      if (body === null) continue // whoever lacks the key sees no live text
      for (const push of session.queues) push({ ref: session.ref, step, token, n, kind, body })
    }
  }

  /** From the first text on of what runs now; what ended before is in the log. */
  async function begin(session: Watched): Promise<void> {
    const { ref, streams } = session
    const rows = await query<Stream & Record<string, unknown>>(
      pool,
      `select x.step, x.token, max(x.n) as n from savefile.draft_deltas x
       where x.space_id = $1 and x.session_id = $2 and not exists (
         select from savefile.drafts d
         where d.space_id = x.space_id and d.session_id = x.session_id and d.step = x.step and d.token = x.token and d.state = 'running')
       group by x.step, x.token`,
      [ref.space, ref.session],
    )
    for (const { step, token, n } of rows) streams.set(`${step} ${token}`, { step, token, n })
    session.begun = true
  }

  function watch(ref: SessionRef, push: (delta: Delta) => void): () => void {
    const key = `${ref.space}/${ref.session}`
    let session = watched.get(key)
    if (!session) {
      session = { ref, streams: new Map(), queues: new Set(), begun: false }
      watched.set(key, session)
    }
    const mine = session
    mine.queues.add(push)
    poll ??= setInterval(() => void read(), pollMs)
    unlisten ??= listener?.listen(LIVE_CHANNEL, () => void read())
    void read()
    return () => {
      mine.queues.delete(push)
      if (mine.queues.size === 0 && watched.get(key) === mine) watched.delete(key)
      if (watched.size > 0) return
      clearInterval(poll)
      poll = undefined
      unlisten?.()
      unlisten = undefined
    }
  }

  async function* followLive(ref: SessionRef, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Delta> {
    const stop = signal ? AbortSignal.any([signal, ended.signal]) : ended.signal
    if (stop.aborted) return
    let waiting: Delta[] = []
    let resume: (() => void) | undefined
    const unwatch = watch(ref, (delta) => {
      waiting.push(delta)
      resume?.()
    })
    const onAbort = (): void => resume?.()
    stop.addEventListener('abort', onAbort, { once: true })
    try {
      while (!stop.aborted) {
        const batch = waiting
        waiting = []
        for (const delta of batch) {
          if (stop.aborted) return
          yield delta
        }
        if (waiting.length === 0 && !stop.aborted) await new Promise<void>((resolve) => (resume = resolve))
        resume = undefined
      }
    } finally {
      stop.removeEventListener('abort', onAbort)
      unwatch()
    }
  }

  return { followLive, close: () => ended.abort() }
}

/**
 * Moves a cursor on. The first text of a model step says that the one before was promoted, and its promotion deleted the text of all that
 * was before it: those cursors can go, so that a long session does not carry one for every step.
 */
function advance(streams: Map<string, Stream>, stream: Stream): void {
  const key = `${stream.step} ${stream.token}`
  if (!streams.has(key) && stream.step.startsWith('model@')) {
    const keys = [...streams.keys()]
    const previous = keys.findLastIndex((other) => other.startsWith('model@') && !other.startsWith(`${stream.step} `))
    for (const old of keys.slice(0, Math.max(0, previous))) streams.delete(old)
  }
  streams.set(key, stream)
}
