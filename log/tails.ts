/**
 * The newest events of many sessions in one query, for the followers of a process that have read all there was: under load their reads come
 * together, a few times a second; a lone one goes out at once. Only a session's own rows are looked at, since nothing new is inherited.
 */
import type { Pool } from 'pg'
import type { StoredEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import { query } from './pool'
import { toEvent, type EventRow } from './read'
import type { Vault } from './vault'

/** From the begin of one query to the begin of the next, at least: what a reader may wait, and what saves Postgres most of the queries. */
const GAP_MS = 40
const SESSIONS_A_QUERY = 200
/** What is more, or larger, is read page by page, as ever: so a query's answer stays small. */
const EVENTS_A_SESSION = 8
const EVENT_BYTES = 64 * 1024

const SELECT = `select f.n, e.seq, e.session_id, e.type, e.v, e.at, e.actor, e.key, e.kid, encode(e.prev_hash, 'hex') as prev_hash, encode(e.hash, 'hex') as hash,
    case when octet_length(e.payload) <= ${EVENT_BYTES} then convert_from(e.payload, 'UTF8') end as payload
  from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality f (space_id, session_id, lo, n)
  cross join lateral (
    select x.* from savefile.events x
    where x.space_id = f.space_id and x.session_id = f.session_id and x.seq >= f.lo order by x.seq limit ${EVENTS_A_SESSION} offset 0) e
  order by f.n, e.seq`

interface Row extends Omit<EventRow, 'payload'>, Record<string, unknown> {
  n: number
  payload: string | null
}

interface Request {
  ref: SessionRef
  from: number
  resolve(events: StoredEvent[] | null): void
  reject(error: unknown): void
}

export interface Tails {
  /** Own events of a session from `from` on. Null: there may be more than is read here; ask for a page. */
  read(ref: SessionRef, from: number): Promise<StoredEvent[] | null>
}

export function createTails(pool: Pool, vault: Vault): Tails {
  let waiting: Request[] = []
  let busy = false

  async function go(): Promise<void> {
    busy = true
    while (waiting.length > 0) {
      const gap = new Promise((resolve) => setTimeout(resolve, GAP_MS))
      const batch = waiting.slice(0, SESSIONS_A_QUERY)
      waiting = waiting.slice(SESSIONS_A_QUERY)
      await answer(batch).catch((error: unknown) => {
        for (const { reject } of batch) reject(error)
      })
      await gap
    }
    busy = false
  }

  async function answer(batch: readonly Request[]): Promise<void> {
    const rows = await query<Row>(pool, SELECT, [
      batch.map(({ ref }) => ref.space),
      batch.map(({ ref }) => ref.session),
      batch.map(({ from }) => from),
    ])
    const found = batch.map((): Row[] => [])
    for (const row of rows) found[row.n - 1]?.push(row)
    await Promise.all(
      batch.map(async ({ ref, resolve }, i) => {
        const own = found[i] ?? []
        const events = own.flatMap(({ payload, ...row }) => (payload === null ? [] : [toEvent({ ...row, payload })]))
        const more = own.length === EVENTS_A_SESSION || events.length < own.length
        resolve(more ? null : await vault.openEvents(ref.space, events))
      }),
    )
  }

  return {
    read: (ref, from) =>
      new Promise((resolve, reject) => {
        waiting.push({ ref, from, resolve, reject })
        if (!busy) void go()
      }),
  }
}
