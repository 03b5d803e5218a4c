/** A step that failed and is tried again: what a person who waits is told meanwhile. Read from the draft row, not an event. */
import type { Pool } from 'pg'
import type { FailureClass } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { Stalled } from '../contract/client-port'
import { OVERDUE_MS } from '../contract/timing'
import { query } from './pool'

export async function stalled(pool: Pool, ref: SessionRef): Promise<Stalled | null> {
  const rows = await query<{ step: string; why: FailureClass; attempt: number; due_in: number | null }>(
    pool,
    'select * from savefile.stalled($1, $2)',
    [ref.space, ref.session],
  )
  const [row] = rows
  if (!row) return null
  const { step, why, attempt } = row
  // The session counts as overdue so long after the attempt.
  return { step, why, attempt, againInMs: Math.max(0, Math.round((row.due_in ?? 0) / 1000) - OVERDUE_MS) }
}
