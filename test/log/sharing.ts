/** Two spaces, a family of sessions, and principals with tokens; asked through the database itself, as a login that has nothing else. */
import { Pool } from 'pg'
import type { Right } from '../../contract/events'
import type { SessionRef } from '../../contract/ids'
import type { ClientLog } from '../../contract/client-port'
import { createClientLog } from '../../log/client-log'
import { createPool } from '../../log/pool'
import { newToken, tokenHash, withToken } from '../../log/token-pool'
import { say, ANN, DEFINITION, openLog, type TestLog } from './support'

export const HERE = 'default'
export const ELSEWHERE = 'elsewhere'

export interface Shared {
  log: TestLog
  members: Pool
  /** The family: `parent`@4 is what `session` inherits; `fork` was made of `session` after its grants were given. */
  parent: SessionRef
  session: SessionRef
  fork: SessionRef
  /** Nobody's. */
  other: SessionRef
  /** Of another space, under the same id as `session`. */
  foreign: SessionRef
  /** A new principal's token. */
  token(
    principal: string,
    options?: { space?: string; rights?: ('create' | 'own')[]; expiresAt?: number },
  ): Promise<string>
  grant(
    ref: SessionRef,
    principal: string | null,
    rights: Right[],
    more?: { forks?: boolean; expiresAt?: number; link?: string; grant?: string },
  ): Promise<string>
  /** The log as the holder of a token has it. */
  as(token: string): ClientLog
  /** Raw statements of one transaction, as a login of savefile_member (or another), with the token set. */
  sql(token: string | null, text: string, values?: unknown[], url?: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

let grants = 0

export async function openShared(
  beforeFork: (shared: Shared) => Promise<void> = async () => undefined,
): Promise<Shared> {
  const log = await openLog({ listen: false, pollMs: 50 })
  const members = createPool(log.db.memberUrl, { max: 5 })
  const named = (session: string): SessionRef => ({ space: HERE, session })
  const [parent, session, fork, other] = [named('parent'), named('session'), named('fork'), named('other')]
  const foreign = { space: ELSEWHERE, session: 'session' }
  const raw = new Map<string, Pool>()
  const elsewhere = await log.client.putDefinition(ELSEWHERE, DEFINITION)

  for (const ref of [parent, other]) {
    await log.client.create(ref, ANN, { definition: log.definition })
    for (let i = 2; i <= 6; i++) await log.client.input(ref, ANN, `m${i}`, say(`secret ${i} of ${ref.session}`))
  }
  await log.client.create(foreign, ANN, { definition: elsewhere })
  await log.client.input(foreign, ANN, 'm', say('elsewhere'))
  await log.client.fork(parent, 4, session.session, ANN, {})
  await log.client.input(session, ANN, 'm', say('in the session'))

  const shared: Shared = {
    ...{ log, members, parent, session, fork, other, foreign },
    async token(principal, { space = HERE, rights, expiresAt } = {}) {
      const token = newToken()
      await log.client.sharing.createToken(space, ANN, {
        ...{ principal, token },
        ...(rights ? { rights } : {}),
        ...(expiresAt === undefined ? {} : { expiresAt }),
      })
      return token
    },
    async grant(ref, principal, rights, { forks = false, grant = `g${++grants}`, ...more } = {}) {
      const result = await log.client.sharing.grant(ref, ANN, { grant, principal, rights, forks, ...more })
      expect(result.status).toBe('appended')
      return grant
    },
    as: (token) => ({
      ...createClientLog(withToken(members, token), { listen: false, pollMs: 50, byToken: true }),
      close: async () => undefined,
    }),
    async sql(token, text, values = [], url = log.db.memberUrl) {
      const pool = raw.get(url) ?? new Pool({ connectionString: url, max: 1 })
      raw.set(url, pool)
      const client = await pool.connect()
      try {
        await client.query('begin')
        if (token !== null) await client.query(`select set_config('savefile.token', $1, true)`, [token])
        return (await client.query<Record<string, unknown>>(text, values)).rows
      } finally {
        await client.query('commit')
        client.release()
      }
    },
    async close() {
      for (const pool of [members, ...raw.values()]) await pool.end()
      await log.close()
    },
  }
  await beforeFork(shared)
  await log.client.fork(session, 6, fork.session, ANN, {})
  return shared
}

export { newToken, tokenHash }

/** What happened to somebody who tried: it was done, it was refused, or there is nothing there for them. */
export type Outcome = 'yes' | 'forbidden' | 'absent'

const outcome = async (tried: Promise<unknown>): Promise<Outcome> => {
  try {
    return (await tried) === 'session_not_found' ? 'absent' : 'yes'
  } catch (error) {
    if ((error as { code?: string }).code === 'SF403') return 'forbidden'
    throw error
  }
}

let tries = 0

/** Every operation, tried by raw SQL. */
export const OPERATIONS: Readonly<Record<string, (shared: Shared, token: string, at: SessionRef) => Promise<Outcome>>> =
  {
    async readEvents(shared, token, { space, session }) {
      const rows = await shared.sql(
        token,
        'select from savefile.events where space_id = $1 and session_id = $2 and type <> $3',
        [...[space, session, 'x']],
      )
      return rows.length > 0 ? 'yes' : 'absent'
    },
    async readWhole(shared, token, { space, session }) {
      const rows = await shared.sql(token, 'select from savefile.read_events($1, $2, 1, 1000, 1000000)', [
        space,
        session,
      ])
      return rows.length > 0 ? 'yes' : 'absent'
    },
    async seeRow(shared, token, { space, session }) {
      const rows = await shared.sql(token, 'select from savefile.sessions where space_id = $1 and session_id = $2', [
        ...[space, session],
      ])
      return rows.length > 0 ? 'yes' : 'absent'
    },
    extend: (shared, token, { space, session }) =>
      outcome(
        status(
          shared.sql(
            token,
            `select status from savefile.member_input($1, $2, 'user:forged', $3, 'message_received', 1, null, $4, null)`,
            [space, session, `try${++tries}`, JSON.stringify(say('hello').payload)],
          ),
        ),
      ),
    approve: (shared, token, { space, session }) =>
      outcome(
        status(
          shared.sql(
            token,
            `select status from savefile.member_input($1, $2, 'user:forged', 'k', 'approval_resolved', 1, 'c:1.0', $3, null)`,
            [space, session, JSON.stringify({ call: 'c:1.0', decision: 'allow', scope: 'once' })],
          ),
        ),
      ),
    fork: (shared, token, { space, session }) =>
      outcome(
        (async () => {
          const [at] = await shared.log.admin(
            `select e.seq, e.hash, savefile.definition_at($1, $2, e.seq) as definition from savefile.lineage l
           join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.seq between l.lo and l.hi
           where l.space_id = $1 and l.session_id = $2 order by e.seq desc limit 1`,
            [space, session],
          )
          const hash = at?.['hash'] as Buffer
          const seq = Number(at?.['seq'])
          const definition = at?.['definition']
          const payload = JSON.stringify({ parent: session, seq, hash: hash.toString('hex'), definition, open: 'rule' })
          const child = `try${++tries}`
          return status(
            shared.sql(
              token,
              `select savefile.member_fork_session($1, $2, $3, $4, $5, 'user:forged', $6, null, '{}', 1, $7) as status`,
              [space, session, seq, hash, child, definition, payload],
            ),
          )
        })(),
      ),
    changeDefinition: (shared, token, { space, session }) =>
      outcome(
        status(
          shared.sql(
            token,
            `select status from savefile.member_input($1, $2, 'user:forged', 'k', 'definition_changed', 1, null, $3, $4)`,
            [...[space, session], JSON.stringify({ definition: UNKNOWN, from: UNKNOWN, changed: [] }), UNKNOWN],
          ),
        ),
      ),
    grant: (shared, token, { space, session }) =>
      outcome(
        status(
          shared.sql(
            token,
            `select status from savefile.member_grant_session($1, $2, 'user:forged', $3, 'zed', '{read}', false, null, null, null)`,
            [space, session, `t${++tries}`],
          ),
        ),
      ),
    async listGrants(shared, token, { space, session }) {
      try {
        const rows = await shared.sql(token, 'select * from savefile.member_list_grants($1, $2)', [space, session])
        return rows.length > 0 ? 'yes' : 'absent'
      } catch (error) {
        if ((error as { code?: string }).code === 'SF403') return 'forbidden'
        throw error
      }
    },
    putBlob: (shared, token, { space, session }) =>
      outcome(
        status(
          shared.sql(
            token,
            `select coalesce(savefile.member_put_blob($1, $2, 'text/plain', 'bytes'), 'session_not_found') as status`,
            [space, session],
          ),
        ),
      ),
  }

const UNKNOWN = `sha256:${'1'.repeat(64)}`
const status = async (rows: Promise<Record<string, unknown>[]>): Promise<unknown> => (await rows)[0]?.['status']
