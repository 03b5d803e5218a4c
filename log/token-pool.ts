/**
 * A pool whose every statement presents a token: in a transaction of its own, in which the token is set for this transaction only, so that
 * it stays behind in no connection (PgBouncer in transaction mode hands connections around). What the token opens is the database's to say:
 * reads go through row-level security, and the functions that write have a counterpart that checks the token (log/sql, `member_…`).
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Pool, PoolClient, QueryResult } from 'pg'

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
    'create_compaction',
    'fork_session',
    'adopt',
    'import_(?:begin|events|end|blob|key)',
    'put_blob',
    'touch_blobs',
    'erase_session',
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
  /** Ends the transaction, and the token's being there, before anybody else gets the connection; one where that fails is thrown away. */
  const end = (client: PoolClient, how: 'commit' | 'rollback'): Promise<void> =>
    client.query(how).then(
      () => client.release(),
      (error: Error) => client.release(error),
    )

  async function begun(scope: string): Promise<PoolClient> {
    const client = await pool.connect()
    try {
      await client.query('begin')
      await client.query(`select set_config('savefile.token', $1, true), set_config('savefile.scope', $2, true)`, [
        token,
        scope,
      ])
      return client
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  async function query(text: string, values: unknown[] = []): Promise<QueryResult> {
    const client = await begun(ONE_SESSION.test(text) && typeof values[1] === 'string' ? values[1] : '')
    let result: QueryResult
    try {
      result = await client.query(text.replace(WRITES, 'savefile.member_$1('), values)
      await client.query('commit')
    } catch (error) {
      await end(client, 'rollback')
      throw error
    }
    client.release()
    return result
  }

  /**
   * For whoever reads in bulk, or imports, on a connection of its own: one transaction, until it is ended or released. A `begin` of theirs finds
   * it begun, which Postgres remarks upon and no more.
   */
  async function connect(): Promise<PoolClient> {
    const client = await begun('')
    const release = client.release.bind(client)
    const ask = client.query.bind(client) as (what: unknown, values?: unknown[]) => unknown
    const asMember = (what: unknown, values?: unknown[]): unknown =>
      ask(typeof what === 'string' ? what.replace(WRITES, 'savefile.member_$1(') : what, values)
    client.query = asMember as PoolClient['query']
    client.release = (broken) => {
      client.release = release
      client.query = ask as PoolClient['query']
      if (broken) release(broken)
      else void end(client, 'commit')
    }
    return client
  }

  // Everything else (its options, its end) is the pool's own.
  return Object.assign(Object.create(pool) as Pool, {
    query: query as Pool['query'],
    connect: connect as Pool['connect'],
    end: () => pool.end(),
  })
}
