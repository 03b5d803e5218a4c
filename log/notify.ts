/**
 * Tells followers that a session has new events: only its id, what comes within a few milliseconds in one statement, and outside the
 * append's transaction (NOTIFY serialises commits: a third of the throughput at 16 connections). Lost without harm: followers also poll.
 */
import type { Pool } from 'pg'

export const EVENTS_CHANNEL = 'savefile'
const COALESCE_MS = 10

export interface Notifier {
  notify(session: string): void
  /** Sends what is left. */
  close(): Promise<void>
}

export function createNotifier(pool: Pool): Notifier {
  let waiting = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<void> = Promise.resolve()

  async function send(sessions: string[]): Promise<void> {
    try {
      await pool.query('select pg_notify($1, s) from unnest($2::text[]) s', [EVENTS_CHANNEL, sessions])
    } catch {
      // Postgres is away: who follows polls, and finds the events by their seq.
    }
  }

  function flush(): void {
    timer = undefined
    const sessions = [...waiting]
    waiting = new Set()
    if (sessions.length > 0) sending = sending.then(() => send(sessions))
  }

  return {
    notify(session) {
      waiting.add(session)
      timer ??= setTimeout(flush, COALESCE_MS)
    },
    async close() {
      clearTimeout(timer)
      flush()
      await sending
    },
  }
}
