/** Where sessions come from: what stands at an event, of which stretches a session consists, and its whole family. */
import type { Pool } from 'pg'
import type { SessionRef } from '../contract/ids'
import type { Place, SessionInfo, Stretch } from '../contract/client-port'
import { query } from './pool'
import { SESSION_COLUMNS, withTitle, type SessionRow } from './sessions'
import { eventSlot, type Vault } from './vault'

/** A folder is set where a stretch begins (created, forked): the newest that names one counts. Costs the same at any seq. */
/** @throws SavefileError `key_missing`, `key_destroyed` where that stretch is encrypted, and cannot be read here or anywhere */
export async function placeAt(pool: Pool, vault: Vault, ref: SessionRef, seq: number): Promise<Place | null> {
  const [row] = await query<{ hash: string | null; definition: string | null; encrypted: boolean | null }>(
    pool,
    `select (select hash from savefile.read_events($1, $2, $3, $3, 1)) as hash, savefile.definition_at($1, $2, $3) as definition,
       (select kid is not null from savefile.sessions where space_id = $1 and session_id = $2) as encrypted`,
    [ref.space, ref.session, seq],
  )
  if (!row || row.hash === null || row.definition === null) return null
  const begins = await query<{ type: string; payload: Buffer }>(
    pool,
    `select e.type, e.payload from savefile.lineage l
     join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.seq = l.lo
     where l.space_id = $1 and l.session_id = $2 and l.lo <= $3 order by l.lo desc`,
    [ref.space, ref.session, seq],
  )
  let workFolder: string | null = null
  for (const { type, payload } of begins) {
    const text = await vault.openText(ref.space, eventSlot(type), payload.toString('utf8'))
    workFolder = (JSON.parse(text) as { workFolder?: string }).workFolder ?? null
    if (workFolder !== null) break
  }
  return { hash: row.hash, definition: row.definition, workFolder, encrypted: row.encrypted ?? false }
}

/** A session as it is at one moment: its head, and the stretches that it consists of, in order, its own cut at that head. */
export interface Extent {
  head: number
  /** Hex. */
  hash: string
  stretches: Stretch[]
}

/** Null where there is no such session. One statement: read apart, a head and the stretches of a log that grows would not fit. */
export async function extentOf(pool: Pool, ref: SessionRef): Promise<Extent | null> {
  const rows = await query<{ head: number; hash: string; session: string | null; lo: number; hi: number }>(
    pool,
    `select s.head, encode(s.head_hash, 'hex') as hash, l.src as session, l.lo, least(l.hi, s.head) as hi
     from savefile.sessions s left join savefile.lineage l on l.space_id = s.space_id and l.session_id = s.session_id and l.lo <= s.head
     where s.space_id = $1 and s.session_id = $2 order by l.lo`,
    [ref.space, ref.session],
  )
  const [first] = rows
  if (!first) return null
  const stretches = rows.flatMap(({ session, lo, hi }) => (session === null ? [] : [{ session, lo, hi }]))
  return { head: first.head, hash: first.hash, stretches }
}

/** Up by the parents, then down by the forks: each an indexed step (`offset 0`: never a join with all sessions). */
export async function family(pool: Pool, vault: Vault, ref: SessionRef): Promise<SessionInfo[]> {
  const rows = await query<SessionRow & Record<string, unknown>>(
    pool,
    `with recursive up as (
       select s.session_id, coalesce(s.parent_id, s.compacted_from) as parent_id, 0 as n from savefile.sessions s where s.space_id = $1 and s.session_id = $2
       union all
       select p.session_id, coalesce(p.parent_id, p.compacted_from), up.n + 1 from up
       cross join lateral (select * from savefile.sessions s where s.space_id = $1 and s.session_id = up.parent_id offset 0) p
     ), down as (
       select (select u.session_id from up u order by u.n desc limit 1) as id, 0 as depth
       union all
       select c.session_id, down.depth + 1 from down
       cross join lateral (
         select f.session_id from savefile.sessions f where f.space_id = $1 and f.parent_id = down.id
         union all
         select f.session_id from savefile.sessions f where f.space_id = $1 and f.compacted_from = down.id
         offset 0) c
     )
     select ${SESSION_COLUMNS} from down
     cross join lateral (select * from savefile.sessions s where s.space_id = $1 and s.session_id = down.id offset 0) s
     order by down.depth, fork_seq, created_at, session_id`,
    [ref.space, ref.session],
  )
  return Promise.all(rows.map((row) => withTitle(vault, row)))
}
