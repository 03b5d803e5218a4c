/** What the reconciler reads: sessions with work, while log and beats stand still (PROTOCOL.md rule 20). */
import type { Pool } from 'pg'
import type { DueLog } from '../contract/ports'
import { DEFAULT_TTL_MS } from './executor-log'
import { query } from './pool'

/** Draft rows that one look at most sweeps (rule 15): what claims left of long turns. */
const SWEEP = 1000

export function createDueLog(pool: Pool, { ttlMs = DEFAULT_TTL_MS }: { ttlMs?: number } = {}): DueLog {
  return {
    async takeDue(limit, againMs) {
      const rows = await query<{ space_id: string; session_id: string; stalls: number }>(
        pool,
        'select * from savefile.take_due($1, $2, $3)',
        [limit, againMs * 1000, ttlMs * 1000],
      )
      await query(pool, 'select savefile.sweep($1)', [SWEEP])
      return rows.map(({ space_id, session_id, stalls }) => ({ ref: { space: space_id, session: session_id }, stalls }))
    },
    async analyse() {
      const [row] = await query<{ tables: string[] }>(pool, 'select savefile.analyse_grown() as tables', [])
      return row?.tables ?? []
    },
  }
}
