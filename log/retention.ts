/**
 * Drops what nothing refers to: blobs, references whose event never came, rows beside the log that no step needs. It may run at any time and
 * beside anything: whoever writes wins. Nothing younger than the grace period is looked at; what is dropped is judged again under a lock.
 *
 * A reference is written before the event that needs it, so that an event never lacks its blob. It is looked for once in its session's own
 * events (opened, where they are encrypted) and drafts; found, it is needed for ever.
 */
import type { Pool } from 'pg'
import { errorCode } from '../contract/errors'
import type { SessionRef } from '../contract/ids'
import type { Retained, RetentionOptions } from '../contract/keys'
import { REDUCER_VERSION } from '../contract/state'
import { isHostSealed } from './hand-over'
import { query, queryRow } from './pool'
import { eventSlot, type Vault } from './vault'

const SESSIONS = 100
const EVENTS = 1000
const ROWS = 1000
const HASH = /sha256:[0-9a-f]{64}/g

export async function retain(
  pool: Pool,
  vault: Vault,
  space: string,
  { olderThanMs, dryRun = false, onProgress = () => undefined }: RetentionOptions,
): Promise<Retained> {
  const done: Retained = { blobs: 0, blobBytes: 0, references: 0, kept: 0, drafts: 0, deltas: 0, snapshots: 0, keys: 0 }
  const graceUs = Math.round(olderThanMs * 1000)
  for await (const { session, hashes } of doubtful(pool, space, graceUs)) {
    const judged = await judge(pool, vault, { space, session }, hashes)
    if (judged === null) done.kept += hashes.length
    else done.references += await drop(pool, { space, session }, graceUs, judged, dryRun)
    onProgress(done)
  }
  for (const what of ['drafts', 'deltas', 'snapshots', 'keys'] as const) {
    for (let more = true; more;) {
      const { n } = await queryRow<{ n: number }>(pool, 'select savefile.retain_rows($1, $2, $3, $4, $5, $6) as n', [
        space,
        what,
        graceUs,
        REDUCER_VERSION,
        ROWS,
        dryRun,
      ])
      done[what] += n
      more = !dryRun && n > 0
      onProgress(done)
    }
  }
  for (let more = true; more;) {
    const row = await queryRow<{ blobs: number; bytes: number }>(
      pool,
      'select * from savefile.retain_blobs($1, $2, $3, $4)',
      [space, graceUs, ROWS, dryRun],
    )
    done.blobs += row.blobs
    done.blobBytes += row.bytes
    more = !dryRun && row.blobs > 0
    onProgress(done)
  }
  return done
}

/** References of which no event is known, by session. */
async function* doubtful(
  pool: Pool,
  space: string,
  graceUs: number,
): AsyncGenerator<{ session: string; hashes: string[] }> {
  for (let after = ''; ;) {
    const rows = await query<{ session_id: string; hashes: string[] }>(
      pool,
      `select session_id, array_agg(hash) as hashes from savefile.blob_refs
       where space_id = $1 and session_id > $2 and not known and touched_at < savefile.now_us() - $3
       group by session_id order by session_id limit $4`,
      [space, after, graceUs, SESSIONS],
    )
    for (const { session_id: session, hashes } of rows) yield { session, hashes }
    const last = rows.at(-1)
    if (!last) return
    after = last.session_id
  }
}

interface Judged {
  /** Up to which event was looked. */
  head: number
  found: string[]
  lost: string[]
}

/** Null where it cannot be said: somebody works on it, or its content cannot be opened here. */
async function judge(pool: Pool, vault: Vault, ref: SessionRef, hashes: readonly string[]): Promise<Judged | null> {
  const { space, session } = ref
  const [at] = await query<{ head: number; running: boolean }>(
    pool,
    `select s.head, exists (
       select from savefile.drafts d where d.space_id = s.space_id and d.session_id = s.session_id and d.state = 'running') as running
     from savefile.sessions s where s.space_id = $1 and s.session_id = $2`,
    [space, session],
  )
  if (!at || at.running) return null
  const missing = new Set(hashes)
  const found: string[] = []
  const look = async (type: string, kid: string | null, payload: Buffer): Promise<void> => {
    const text =
      kid === null ? payload.toString('utf8') : await vault.openText(space, eventSlot(type), payload.toString('utf8'))
    for (const [hash] of text.matchAll(HASH)) if (missing.delete(hash)) found.push(hash)
  }
  try {
    const beside = await query<{ type: string; kid: string | null; payload: Buffer }>(
      pool,
      `select d.type, s.kid, d.payload from savefile.drafts d join savefile.sessions s using (space_id, session_id)
       where d.space_id = $1 and d.session_id = $2 and d.payload is not null
       union all
       select 'tool_finished', s.kid, v.payload from savefile.evidence v join savefile.sessions s using (space_id, session_id)
       where v.space_id = $1 and v.session_id = $2`,
      [space, session],
    )
    for (const { type, kid, payload } of beside) {
      // What a host sealed and does not open names nothing.
      await look(type, kid, payload).catch((error: unknown) => {
        if (errorCode(error) !== 'corrupt_log' || !isHostSealed(payload.toString('utf8'))) throw error
      })
    }
    for (let after = 0; missing.size > 0 && after < at.head;) {
      const rows = await query<{ seq: number; type: string; kid: string | null; payload: Buffer }>(
        pool,
        `select seq, type, kid, payload from savefile.events
         where space_id = $1 and session_id = $2 and seq > $3 and seq <= $4 order by seq limit $5`,
        [space, session, after, at.head, EVENTS],
      )
      for (const { type, kid, payload } of rows) await look(type, kid, payload)
      after = rows.at(-1)?.seq ?? at.head
    }
  } catch (error) {
    const code = errorCode(error)
    if (code === 'key_missing') return null
    if (code !== 'key_destroyed') throw error
    // Nobody reads its blobs again: they are under the key that was destroyed.
    return { head: at.head, found: [], lost: [...hashes] }
  }
  return { head: at.head, found, lost: [...missing] }
}

async function drop(
  pool: Pool,
  { space, session }: SessionRef,
  graceUs: number,
  { head, found, lost }: Judged,
  dryRun: boolean,
): Promise<number> {
  if (dryRun) return lost.length
  const { n } = await queryRow<{ n: number }>(pool, 'select savefile.retain_references($1, $2, $3, $4, $5, $6) as n', [
    space,
    session,
    head,
    graceUs,
    found,
    lost,
  ])
  return n
}
