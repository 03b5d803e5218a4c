/**
 * A pool whose every statement presents a token: in a transaction of its own, in which the token is set for this transaction only, so that
 * it stays behind in no connection (PgBouncer in transaction mode hands connections around). What the token opens is the database's to say:
 * reads go through row-level security, and the functions that write have a counterpart that checks the token (log/sql, `member_…`).
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Pool, QueryResult } from 'pg'

/** 256 random bits; the beginning lets a scanner of leaked secrets know what it is. */
export function newToken(): string {
  return `svf_${randomBytes(32).toString('base64url')}`
}

/** What the database keeps of it. */
export function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest()
}

const WRITES = new RegExp(
  `\\bsavefile\\.(${[
    'input',
    'create_session',
    'fork_session',
    'put_blob',
    'put_definition',
    'grant_session',
    'revoke_grant',
    'list_grants',
    'create_token',
    'list_tokens',
    'revoke_token',
  ].join('|')})\\(`,
  'g',
)
/** Statements whose first two values are a space and a session: the database then works out the reach into that session only. */
const ONE_SESSION = /\bsession_id = \$2\b|\bsavefile\.(read_events|definition_at|get_blob)\(\$1, \$2\b/

export function withToken(pool: Pool, token: string): Pool {
  const query = async (text: string, values: unknown[] = []): Promise<QueryResult> => {
    const scope = ONE_SESSION.test(text) && typeof values[1] === 'string' ? values[1] : ''
    const client = await pool.connect()
    let broken: unknown
    try {
      await client.query('begin')
      await client.query(`select set_config('savefile.token', $1, true), set_config('savefile.scope', $2, true)`, [
        token,
        scope,
      ])
      const result = await client.query(text.replace(WRITES, 'savefile.member_$1('), values)
      await client.query('commit')
      return result
    } catch (error) {
      // A connection that can't even roll back is not given back: nobody else may get it with the token in it.
      await client.query('rollback').catch((failed: unknown) => (broken = failed))
      throw error
    } finally {
      client.release(broken !== undefined)
    }
  }
  // Everything else (its options, its end) is the pool's own.
  return Object.assign(Object.create(pool) as Pool, { query: query as Pool['query'], end: () => pool.end() })
}
