/** The end of a session's content: its key is destroyed, in one transaction (sql/000019.sql). And the same keys under another owner's key. */
import type { Pool } from 'pg'
import { SavefileError } from '../contract/errors'
import { VERSIONS } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { Erased, Keeper, Keyring, Rekeyed, Sharer } from '../contract/keys'
import type { Principal } from '../contract/client-port'
import { query, queryRow } from './pool'
import type { Vault } from './vault'

/** Sessions that share its events, and lose them with it. */
export async function sharersOf(pool: Pool, ref: SessionRef): Promise<Sharer[]> {
  const rows = await query<{ session_id: string; shared_to: number }>(
    pool,
    `select session_id, hi as shared_to from savefile.lineage
     where space_id = $1 and src = $2 and src <> session_id order by session_id`,
    [ref.space, ref.session],
  )
  return rows.map(({ session_id: session, shared_to: sharedTo }) => ({ session, sharedTo }))
}

/**
 * Compactions of it and of its forks, its sub-agents, and the same of those. Each step goes by an index; children by the key of the event that
 * started them, which is in clear also where the payload is not.
 */
export async function keepersOf(pool: Pool, ref: SessionRef): Promise<Keeper[]> {
  return query<Keeper & Record<string, unknown>>(
    pool,
    `with recursive known as (
       select $2::text as id, null::text as how, null::text as of, true as own
       union
       select session_id, null, null, false from savefile.lineage where space_id = $1 and src = $2 and src <> session_id
       union
       select k.id, k.how, known.id, true from known
       cross join lateral (
         select c.session_id as id, 'compaction' as how from savefile.sessions c
         where c.space_id = $1 and c.compacted_from = known.id
         union all
         select substr(e.key, 9), 'child' from savefile.events e
         where known.own and e.space_id = $1 and e.session_id = known.id and e.type = 'child_started'
         offset 0) k
     )
     select s.session_id as session, known.how, known.of, s.kid is not null as encrypted from known
     join savefile.sessions s on s.space_id = $1 and s.session_id = known.id
     where known.how is not null and not s.erased and s.session_id <> $2
     order by s.created_at, s.session_id`,
    [ref.space, ref.session],
  )
}

export async function eraseSession(
  pool: Pool,
  vault: Vault,
  ref: SessionRef,
  by: Principal,
  why: string | undefined,
): Promise<Erased> {
  const row = await queryRow<{ status: Erased['status']; seq: number | null; head: number | null; kid: string | null }>(
    pool,
    `select e.*, (select kid from savefile.sessions where space_id = $1 and session_id = $2) as kid
     from savefile.erase_session($1, $2, $3, $4, $5, $6) e`,
    [ref.space, ref.session, by.actor, VERSIONS.key_destroyed, VERSIONS.session_closed, why ?? null],
  )
  if (row.status !== 'erased') return { status: row.status }
  if (row.kid !== null) vault.forget(ref.space, row.kid)
  return { status: 'erased', seq: row.seq, head: row.head ?? 0 }
}

const PAGE = 500

/**
 * Every data key of a space that another owner's key wraps is wrapped anew with the current one. The log is not touched; may be stopped and
 * repeated at will. `missing`: those that none of this keyring's keys opens.
 */
export async function rekey(
  pool: Pool,
  keyring: Keyring | null,
  space: string,
  onProgress: (keys: number) => void = () => undefined,
): Promise<Rekeyed> {
  if (!keyring)
    throw new SavefileError(
      'key_missing',
      'There is no owner key to wrap with. Set SAVEFILE_KEY_FILE to a file with the new key first, and the old ones below it.',
    )
  const done: Rekeyed = { owner: keyring.owner, rewrapped: 0, already: 0, missing: 0 }
  for (let after = ''; ;) {
    const rows = await query<{ kid: string; session_id: string; owner: string; wrapped: Buffer }>(
      pool,
      `select kid, session_id, owner, wrapped from savefile.session_keys
       where space_id = $1 and kid > $2 and wrapped is not null order by kid limit $3`,
      [space, after, PAGE],
    )
    for (const { kid, session_id: session, owner, wrapped } of rows) {
      if (owner === keyring.owner) {
        done.already++
        continue
      }
      const dataKey = await keyring.unwrap({ owner, wrapped }, { kid, session })
      if (!dataKey) {
        done.missing++
        continue
      }
      const anew = await keyring.wrap(dataKey, { kid, session })
      const values = [space, kid, owner, anew.owner, Buffer.from(anew.wrapped)]
      const row = await queryRow<{ done: boolean }>(
        pool,
        'select savefile.rewrap_key($1, $2, $3, $4, $5) as done',
        values,
      )
      if (row.done) done.rewrapped++
    }
    const last = rows.at(-1)
    if (!last) return done
    after = last.kid
    onProgress(done.rewrapped + done.already + done.missing)
  }
}
