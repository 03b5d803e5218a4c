/** Session rows: created, shown, listed. */
import type { Pool } from 'pg'
import { normaliseText } from '../contract/text'
import { nameProblem, type SessionRef } from '../contract/ids'
import { SavefileError, errorCode } from '../contract/errors'
import type { ClientLog, NewSession, Principal, SessionInfo } from '../contract/client-port'
import { prepare } from './content'
import { query, queryRow } from './pool'
import type { Definitions } from './definitions'
import { TITLE_SLOT, type NewKey, type Vault } from './vault'

type Created = Awaited<ReturnType<ClientLog['create']>>

export const clean = (text: string): string => normaliseText(text).text
export const cleanLabels = (labels: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [clean(name), clean(value)]))

export function checkRef(ref: SessionRef): void {
  const problem = nameProblem('space', ref.space) ?? nameProblem('session id', ref.session)
  if (problem) throw new SavefileError('invalid_input', `The ${problem}.`, { ...ref })
}

/**
 * The host of a queue holds no owner's key: of an encrypted session it is given what it needs for a call, sealed for a key of its own, which
 * the tool's declaration has to name.
 * @throws SavefileError `invalid_definition`
 */
export async function refuseQueues(definitions: Definitions, space: string, hash: string): Promise<void> {
  const { tools } = await definitions.get(space, hash)
  const tool = tools.find(({ queue, queueKey }) => queue && !queueKey)
  if (!tool) return
  throw new SavefileError(
    'invalid_definition',
    `The tool ${tool.name} runs on the queue ${tool.queue}, and says no queueKey: in an encrypted session its calls are sealed for the key of that queue. Make one (savefile queue-key new <file>), leave the queue out, or do not encrypt.`,
    { field: 'tools', tool: tool.name },
  )
}

/** Stores the data key in the same statement, before the session that it is for. */
export async function withKey<R extends { status: string }>(
  pool: Pool,
  { space, session }: SessionRef,
  key: NewKey | null,
  call: string,
  values: unknown[],
): Promise<R> {
  const n = values.length
  const made = await queryRow<{ status: R['status'] }>(
    pool,
    key
      ? `select ${call} as status from savefile.put_session_key($${n + 1}, $${n + 2}, $${n + 3}, $${n + 4}, $${n + 5})`
      : `select ${call} as status`,
    key ? [...values, space, session, key.kid, key.owner, key.wrapped] : values,
  )
  return { status: made.status } as R
}

/** @throws SavefileError `invalid_input` (names), `too_large`, `key_missing`, `invalid_definition` (it cannot be encrypted) */
export async function createSession(
  pool: Pool,
  vault: Vault,
  definitions: Definitions,
  ref: SessionRef,
  by: Principal,
  session: NewSession,
): Promise<Created> {
  checkRef(ref)
  if (session.encrypted) await refuseQueues(definitions, ref.space, session.definition)
  const key = session.encrypted ? await vault.newKey(ref.session) : null
  const title = session.title === undefined ? undefined : clean(session.title)
  const labels = session.labels && cleanLabels(session.labels)
  const { compaction, definition, workFolder } = session
  const sealer = key?.sealer ?? null
  const created = prepare(
    {
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
    },
    sealer,
  )
  const { v, payload } = created
  const said = [titleOf(title, key), JSON.stringify(labels ?? {}), v, payload]
  const values = [ref.space, ref.session, by.actor, definition, ...said]
  if (!compaction)
    return withKey<Created>(pool, ref, key, 'savefile.create_session($1, $2, $3, $4, $5, $6, $7, $8)', values)
  const first = prepare({ type: 'checkpoint_made', payload: compaction.checkpoint }, sealer)
  return withKey<Created>(pool, ref, key, 'savefile.create_compaction($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)', [
    ...values,
    compaction.session,
    first.v,
    first.payload,
  ])
}

/** Labels are for finding sessions, and stay in clear in the session's row. */
export function titleOf(title: string | undefined, key: NewKey | null): string | null {
  if (title === undefined) return null
  return key ? key.sealer.text(TITLE_SLOT, title) : title
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
  kid: string | null
  erased: boolean
}

export const SESSION_COLUMNS = `space_id, session_id, title, labels, definition, head, encode(head_hash, 'hex') as head_hash, created_at, updated_at,
  case when closed then 'closed' else state end as state, due_at, epoch, parent_id, fork_seq, custody, compacted_from, kid, erased`

const toInfo = (row: SessionRow, title: string | null): SessionInfo => ({
  space: row.space_id,
  session: row.session_id,
  title,
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
  encryption: row.kid === null ? null : { kid: row.kid, erased: row.erased },
})

/** A title that cannot be opened here is as good as none. */
export async function withTitle(vault: Vault, row: SessionRow): Promise<SessionInfo> {
  if (row.kid === null || row.title === null) return toInfo(row, row.title)
  try {
    return toInfo(row, await vault.openText(row.space_id, TITLE_SLOT, row.title))
  } catch (error) {
    const code = errorCode(error)
    if (code !== 'key_missing' && code !== 'key_destroyed') throw error
    return toInfo(row, null)
  }
}

export async function sessionInfo(pool: Pool, vault: Vault, ref: SessionRef): Promise<SessionInfo | null> {
  const rows = await query<SessionRow & Record<string, unknown>>(
    pool,
    `select ${SESSION_COLUMNS} from savefile.sessions where space_id = $1 and session_id = $2`,
    [ref.space, ref.session],
  )
  return rows[0] ? withTitle(vault, rows[0]) : null
}

/** `updatedAt`: when somebody last spoke, or what is due last changed; not every step moves a session to the front. */
export async function listSessions(
  pool: Pool,
  vault: Vault,
  space: string,
  options: Parameters<ClientLog['list']>[1] = {},
): Promise<SessionInfo[]> {
  const { prefix, limit = 100, before } = options
  const values: unknown[] = [space, limit]
  // The second is true of all, and what the index by time asks for (000023.sql).
  const where = ['space_id = $1', 'created_at >= 0']
  if (prefix !== undefined) where.push(`starts_with(session_id, $${values.push(prefix)})`)
  if (before)
    where.push(`(updated_at, session_id) < ($${values.push(before.updatedAt)}, $${values.push(before.session)})`)
  const sql = `select ${SESSION_COLUMNS} from savefile.sessions where ${where.join(' and ')} order by updated_at desc, session_id desc limit $2`
  const rows = await query<SessionRow & Record<string, unknown>>(pool, sql, values)
  return Promise.all(rows.map((row) => withTitle(vault, row)))
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
