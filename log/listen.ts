/**
 * One connection of a process that LISTENs, for all its followers, opened by the first and closed with the last. Where it breaks it is
 * opened again, and everybody is told to look, since what was said meanwhile is lost. It needs Postgres itself, or PgBouncer in session
 * mode; without it followers poll.
 */
import { Client, type Pool } from 'pg'

export interface Listener {
  /** `heard` gets each payload, and null where something may have been missed. Gives back how to stop. */
  listen(channel: string, heard: (payload: string | null) => void): () => void
  close(): Promise<void>
}

const RETRY_MS = { first: 100, last: 5_000 }

export function createListener(pool: Pool): Listener {
  const listeners = new Map<string, Set<(payload: string | null) => void>>()
  let client: Client | undefined
  let opening: Promise<void> | undefined
  let retry: NodeJS.Timeout | undefined
  let retryMs = RETRY_MS.first
  let closed = false

  const tellAll = (): void => {
    for (const set of listeners.values()) for (const heard of set) heard(null)
  }

  async function open(): Promise<void> {
    const { connectionString } = pool.options
    const fresh = new Client({
      connectionString,
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
      application_name: 'savefile listen',
    })
    let broken = false
    const lost = (): void => {
      if (broken) return
      broken = true
      if (client === fresh) client = undefined
      // Ends the socket of a connection that never came to be, too.
      fresh.end().catch(() => undefined)
      again()
    }
    fresh.on('error', lost)
    fresh.on('end', lost)
    fresh.on('notification', ({ channel, payload }) => {
      for (const heard of listeners.get(channel) ?? []) heard(payload ?? '')
    })
    try {
      await fresh.connect()
      for (const channel of listeners.keys()) await fresh.query(`listen "${channel}"`)
    } catch {
      // Postgres is away: tried again, and followers poll meanwhile.
      lost()
      return
    }
    if (broken) return
    client = fresh
    retryMs = RETRY_MS.first
    if (closed || listeners.size === 0) return void (await shut())
    // Channels asked for while the connection was being made.
    for (const channel of listeners.keys()) await subscribe(channel)
    tellAll()
  }

  async function subscribe(channel: string): Promise<void> {
    try {
      await client?.query(`listen "${channel}"`)
    } catch {
      // The connection is gone, and its end has been heard: it is opened again with all channels.
    }
  }

  function again(): void {
    if (closed || listeners.size === 0 || retry) return
    retry = setTimeout(() => {
      retry = undefined
      start()
    }, retryMs)
    retry.unref()
    retryMs = Math.min(retryMs * 2, RETRY_MS.last)
  }

  function start(): void {
    opening ??= open().finally(() => (opening = undefined))
  }

  async function shut(): Promise<void> {
    const old = client
    client = undefined
    old?.removeAllListeners('end')
    await old?.end().catch(() => undefined)
  }

  return {
    listen(channel, heard) {
      const set = listeners.get(channel) ?? new Set()
      const isNew = set.size === 0
      listeners.set(channel, set.add(heard))
      if (!client) start()
      else if (isNew) void subscribe(channel)
      return () => {
        set.delete(heard)
        if (set.size === 0 && listeners.get(channel) === set) listeners.delete(channel)
        if (listeners.size === 0 && !opening) void shut()
      }
    },
    async close() {
      closed = true
      clearTimeout(retry)
      listeners.clear()
      await opening
      await shut()
    },
  }
}
