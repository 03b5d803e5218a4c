/** Reading events through the lineage. Seqs have no hole, so a range is also a count, and every page is one indexed query. */
import type { Pool } from 'pg'
import type { StoredEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import { query } from './pool'
import type { Vault } from './vault'

const PAGE_EVENTS = 1000
/** Of payload, so that a thousand large events do not meet in memory. */
const PAGE_BYTES = 8 * 1024 * 1024
/** At most, in UTF-8, or as a third more of base64; and what an envelope adds to an event, at most. */
const BYTES_PER_CHAR = 4
const ENVELOPE_CHARS = 100

export interface EventRow {
  seq: number
  session_id: string
  type: string
  v: number
  at: number
  actor: string
  key: string
  kid: string | null
  payload: string
  prev_hash: string
  hash: string
}

export const toEvent = ({
  seq,
  session_id,
  type,
  v,
  at,
  actor,
  key,
  kid,
  payload,
  prev_hash,
  hash,
}: EventRow): StoredEvent => ({
  seq,
  session: session_id,
  type,
  v,
  at,
  actor,
  key,
  kid,
  payload,
  prevHash: prev_hash,
  hash,
})

/** Events from `from`, at most up to `to`: one page, at least one event where there is one. */
export async function readPage(
  pool: Pool,
  vault: Vault,
  ref: SessionRef,
  from: number,
  to = Number.MAX_SAFE_INTEGER,
): Promise<StoredEvent[]> {
  const rows = await query<EventRow & Record<string, unknown>>(
    pool,
    'select * from savefile.read_events($1, $2, $3, $4, $5)',
    [ref.space, ref.session, ...pageFrom(from, to)],
  )
  return vault.openEvents(ref.space, rows.map(toEvent))
}

/** The arguments of `read_events` behind the session's. `from` null: no page. */
export function pageFrom(from: number | null, to = Number.MAX_SAFE_INTEGER): (number | null)[] {
  return [from, from === null ? null : Math.min(to, from + PAGE_EVENTS - 1), PAGE_BYTES]
}

/** A page that the log goes on behind, as far as can be told from the page: neither limit was reached where it ended. */
function isFull(page: readonly StoredEvent[]): boolean {
  const chars = page.reduce((sum, event) => sum + event.payload.length + ENVELOPE_CHARS, 0)
  return page.length >= PAGE_EVENTS || chars * BYTES_PER_CHAR >= PAGE_BYTES
}

/** The events of a page that somebody has read, and all behind it. */
export async function readOn(pool: Pool, vault: Vault, ref: SessionRef, rows: EventRow[]): Promise<StoredEvent[]> {
  const page = await vault.openEvents(ref.space, rows.map(toEvent))
  const last = page.at(-1)
  if (!last || !isFull(page)) return page
  return [...page, ...(await readEvents(pool, vault, ref, last.seq + 1, Number.MAX_SAFE_INTEGER))]
}

/** Page by page; memory does not grow with the log. */
export async function* pages(
  pool: Pool,
  vault: Vault,
  ref: SessionRef,
  from: number,
  to: number,
): AsyncGenerator<StoredEvent[]> {
  for (let next = from; next <= to;) {
    const page = await readPage(pool, vault, ref, next, to)
    if (page.length === 0) return
    yield page
    next = (page.at(-1)?.seq ?? to) + 1
    // Saves the commonest reader (what is new of a session) a second, empty page.
    if (!isFull(page)) return
  }
}

export async function readEvents(
  pool: Pool,
  vault: Vault,
  ref: SessionRef,
  from: number,
  to: number,
): Promise<StoredEvent[]> {
  const events: StoredEvent[] = []
  for await (const page of pages(pool, vault, ref, from, to)) events.push(...page)
  return events
}

/** Null where there is no such session. */
export async function readHead(pool: Pool, ref: SessionRef): Promise<number | null> {
  const rows = await query<{ head: number }>(
    pool,
    'select head from savefile.sessions where space_id = $1 and session_id = $2',
    [ref.space, ref.session],
  )
  return rows[0]?.head ?? null
}
