/** Session rows: created, shown, listed. */
import type { Pool } from 'pg'
import { normaliseText } from '../contract/text'
import { nameProblem, type SessionRef } from '../contract/ids'
import { SavefileError } from '../contract/errors'
import type { ClientLog, NewSession, Principal, SessionInfo } from '../contract/ports'
import { prepare } from './content'
import { query, queryRow } from './pool'

type Created = Awaited<ReturnType<ClientLog['create']>>

export const clean = (text: string): string => normaliseText(text).text
export const cleanLabels = (labels: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [clean(name), clean(value)]))

export function checkRef(ref: SessionRef): void {
  const problem = nameProblem('space', ref.space) ?? nameProblem('session id', ref.session)
  if (problem) throw new SavefileError('invalid_input', `The ${problem}.`, { ...ref })
}

/** @throws SavefileError `invalid_input` (names), `too_large` */
export async function createSession(pool: Pool, ref: SessionRef, by: Principal, session: NewSession): Promise<Created> {
  checkRef(ref)
  const title = session.title === undefined ? undefined : clean(session.title)
  const labels = session.labels && cleanLabels(session.labels)
  const { compaction, definition, workFolder } = session
  const { v, payload } = prepare({
    type: 'session_created',
    payload: {
      definition,
      ...(title === undefined ? {} : { title }),
      ...(labels === undefined ? {} : { labels }),
      ...(workFolder === undefined ? {} : { workFolder }),
      origin: compaction
        ? { kind: 'compaction', session: compaction.session, lo: compaction.lo, hi: compaction.hi }
        : { kind: 'new' },
    },
  })
  const values = [ref.space, ref.session, by.actor, definition, title ?? null, JSON.stringify(labels ?? {}), v, payload]
  if (!compaction)
    return queryRow<Created>(pool, 'select savefile.create_session($1, $2, $3, $4, $5, $6, $7, $8) as status', values)
  const first = prepare({ type: 'checkpoint_made', payload: compaction.checkpoint })
  return queryRow<Created>(
    pool,
    'select savefile.create_compaction($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as status',
    [...values, compaction.session, first.v, first.payload],
  )
}

export interface SessionRow {
  space_id: string
  session_id: string
  title: string | null
  labels: string
  definition: string
  head: number
  head_hash: string
  created_at: number
  updated_at: number
  state: SessionInfo['state']
  due_at: number | null
  epoch: number
  parent_id: string | null
  fork_seq: number | null
  custody: SessionInfo['custody']
  compacted_from: string | null
}

export const SESSION_COLUMNS = `space_id, session_id, title, labels, definition, head, encode(head_hash, 'hex') as head_hash, created_at, updated_at,
  case when closed then 'closed' else state end as state, due_at, epoch, parent_id, fork_seq, custody, compacted_from`

export const toInfo = (row: SessionRow): SessionInfo => ({
  space: row.space_id,
  session: row.session_id,
  title: row.title,
  labels: JSON.parse(row.labels) as Record<string, string>,
  definition: row.definition,
  head: row.head,
  headHash: row.head_hash,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  state: row.state,
  dueAt: row.due_at,
  epoch: row.epoch,
  parent: row.parent_id === null || row.fork_seq === null ? null : { session: row.parent_id, seq: row.fork_seq },
  custody: row.custody,
  compactedFrom: row.compacted_from,
})

export async function sessionInfo(pool: Pool, ref: SessionRef): Promise<SessionInfo | null> {
  const rows = await query<SessionRow & Record<string, unknown>>(
    pool,
    `select ${SESSION_COLUMNS} from savefile.sessions where space_id = $1 and session_id = $2`,
    [ref.space, ref.session],
  )
  return rows[0] ? toInfo(rows[0]) : null
}

/** `updatedAt`: when somebody last spoke, or what is due last changed; not every step moves a session to the front. */
export async function listSessions(
  pool: Pool,
  space: string,
  options: Parameters<ClientLog['list']>[1] = {},
): Promise<SessionInfo[]> {
  const { prefix, limit = 100, before } = options
  const values: unknown[] = [space, limit]
  const where = ['space_id = $1']
  if (prefix !== undefined) where.push(`starts_with(session_id, $${values.push(prefix)})`)
  if (before)
    where.push(`(updated_at, session_id) < ($${values.push(before.updatedAt)}, $${values.push(before.session)})`)
  const sql = `select ${SESSION_COLUMNS} from savefile.sessions where ${where.join(' and ')} order by updated_at desc, session_id desc limit $2`
  return (await query<SessionRow & Record<string, unknown>>(pool, sql, values)).map(toInfo)
}

/** In the order of the primary key, whatever the sessions do meanwhile. */
export function heads(
  pool: Pool,
  space: string,
  after: string,
  limit: number,
): Promise<{ session: string; head: number; hash: string }[]> {
  return query(
    pool,
    `select session_id as session, head, encode(head_hash, 'hex') as hash from savefile.sessions
     where space_id = $1 and session_id > $2 order by session_id limit $3`,
    [space, after, limit],
  )
}
