/** What an executor decides on, in one round trip and one database snapshot. */
import type { Pool } from 'pg'
import type { StoredEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { DraftRow, Evidence, Look, Outlook } from '../contract/ports'
import { REDUCER_VERSION, type State } from '../contract/state'
import { isHostSealed, resultOfHost } from './hand-over'
import { query } from './pool'
import { errorCode } from '../contract/errors'
import { eventSlot, snapshotSlot, type Vault } from './vault'

/** Rows of several kinds in the same columns: sql/000004.sql says which holds what. */
interface Row {
  kind: 'x' | 's' | 'p' | 'e' | 'd' | 'l'
  seq: number
  at: number
  n: number | null
  a: string
  b: string
  c: string
  d: string | null
  e: string
  f: string
  g: string
  body: string
}

/** `p_after` null: from the newest snapshot that this code's reducer can read. */
export async function look(
  pool: Pool,
  vault: Vault,
  ttlMs: number,
  ref: SessionRef,
  epoch: number,
  after: number | null,
): Promise<Look> {
  const rows = await query<Row & Record<string, unknown>>(pool, 'select * from savefile.look($1, $2, $3, $4, $5, $6)', [
    ref.space,
    ref.session,
    epoch,
    after,
    REDUCER_VERSION,
    ttlMs * 1000,
  ])
  const open = (slot: string, text: string): Promise<string> => vault.openText(ref.space, slot, text)
  const fromHost = (call: string, text: string): Promise<string> => resultOfHost(pool, vault, ref, call, text)
  let session: { head: number; outlook: Outlook; now: number } | null = null
  let snapshot: { seq: number; state: State } | null = null
  const events: StoredEvent[] = []
  const drafts: DraftRow[] = []
  const evidence: Evidence[] = []
  try {
    for (const row of rows) {
      switch (row.kind) {
        case 'x':
          return { status: row.a as 'session_not_found' | 'stale_epoch' }
        case 's':
          session = { head: row.seq, outlook: { state: row.a as Outlook['state'], dueAt: row.n }, now: row.at }
          break
        case 'p':
          snapshot = {
            seq: row.seq,
            state: JSON.parse(await open(snapshotSlot(REDUCER_VERSION, row.seq), row.body)) as State,
          }
          break
        case 'e':
          events.push({
            seq: row.seq,
            session: row.e,
            type: row.a,
            v: row.n ?? 0,
            at: row.at,
            actor: row.b,
            key: row.c,
            kid: row.d,
            payload: row.d === null ? row.body : await open(eventSlot(row.a), row.body),
            prevHash: row.f,
            hash: row.g,
          })
          break
        case 'd': {
          const byHost = row.body !== null && row.e === 'tool_finished' && isHostSealed(row.body)
          drafts.push({
            step: row.a,
            state: row.b as DraftRow['state'],
            token: row.c,
            attempt: row.seq,
            epoch: row.n ?? 0,
            fresh: row.f === 'fresh',
            outcome: row.d as DraftRow['outcome'],
            type: row.e as DraftRow['type'],
            payload: byHost
              ? await fromHost(row.a.slice('tool@'.length), row.body)
              : row.body && (await open(eventSlot(row.e), row.body)),
            ...(byHost ? { byHost } : {}),
          })
          break
        }
        case 'l':
          evidence.push({
            call: row.a,
            token: row.b,
            payload: isHostSealed(row.body)
              ? await fromHost(row.a, row.body)
              : await open(eventSlot('tool_finished'), row.body),
          })
      }
    }
  } catch (error) {
    const why = errorCode(error)
    if (!session || (why !== 'key_missing' && why !== 'key_destroyed')) throw error
    return { status: 'locked', why, ...session }
  }
  if (!session) throw new Error('look gave no session row')
  return { status: 'ok', ...session, snapshot, events, drafts, evidence }
}
