/**
 * Migrations: the numbered files in sql/, forward only, each in a transaction of its own, all under one advisory lock, so that twenty
 * processes may start at once. Roles belong to the whole cluster, where no lock of one database reaches: their making bears company.
 */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { Client, type Pool } from 'pg'
import { SavefileError } from '../contract/errors'
import { asSavefileError, unreachable, isUnreachable } from './pool'

const FOLDER = path.join(__dirname, 'sql')
const FILE = /^(\d{6})\.sql$/
/** 'save' in ASCII: which lock, among those of this database. */
const LOCK = 0x73617665
const ROLES = [
  'savefile_owner',
  'savefile_writer',
  'savefile_executor',
  'savefile_reader',
  'savefile_member',
  'savefile_backup',
]

interface Migration {
  n: number
  name: string
}

/** In order; the newest is what this code needs. */
export function migrations(): Migration[] {
  const found = readdirSync(FOLDER).flatMap((name) => {
    const match = FILE.exec(name)
    return match ? [{ n: Number(match[1]), name }] : []
  })
  return found.sort((a, b) => a.n - b.n)
}

interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

/** How far the schema is: 0 without one. Says whether it is ours at all. */
async function schemaVersion(db: Queryable): Promise<number> {
  const { rows } = await db.query(
    `select to_regnamespace('savefile') is not null as schema,
       (select count(*) from pg_catalog.pg_attribute where attrelid = to_regclass('savefile.migrations') and attname in ('n', 'name', 'applied_at')) = 3 as ours,
       to_regclass('savefile.events') is not null and to_regclass('savefile.sessions') is not null as tables`,
  )
  const { schema, ours, tables } = rows[0] ?? {}
  if (!schema) return 0
  const foreign = new SavefileError(
    'database_not_ours',
    'This database has a schema named "savefile" that Savefile did not make. Use another database, or rename that schema.',
  )
  if (!ours) throw foreign
  const applied = await db.query('select coalesce(max(n), 0) as n from savefile.migrations')
  const n = Number(applied.rows[0]?.['n'])
  if (n > 0 && !tables) throw foreign
  return n
}

const newer = (has: number, knows: number): SavefileError =>
  new SavefileError(
    'database_newer',
    `The database is at revision ${has}, and this version of Savefile knows revisions up to ${knows}. Update Savefile here.`,
    { has, knows },
  )

/**
 * Refuses a database that this code cannot work with; for whoever is no owner.
 * @throws SavefileError `database_older`, `database_newer`, `database_not_ours`, `database_unreachable`
 */
export async function checkSchema(pool: Pool): Promise<void> {
  const knows = migrations().at(-1)?.n ?? 0
  let has: number
  try {
    has = await schemaVersion(pool)
  } catch (error) {
    throw asSavefileError(error, pool)
  }
  if (has > knows) throw newer(has, knows)
  if (has < knows)
    throw new SavefileError(
      'database_older',
      `The database is at revision ${has}, and this version of Savefile needs ${knows}. Run \`savefile migrate-database\` with SAVEFILE_OWNER_DATABASE_URL set to the owner's address.`,
      { has, knows },
    )
}

/**
 * Brings the database up to this code's revision; does nothing where it is. Idempotent, and safe when many start at once.
 * `ownerUrl`: a direct connection (no PgBouncer) of a role that may create schemas here and, the first time in a cluster, roles.
 * @throws SavefileError `database_newer`, `database_not_ours`, `database_unreachable`, `setup_failed`
 */
export async function migrate(
  ownerUrl: string,
  options: { onProgress?: (what: string) => void } = {},
): Promise<{ revision: number; applied: number }> {
  const client = new Client({
    connectionString: ownerUrl,
    application_name: 'savefile migrate',
    connectionTimeoutMillis: 10_000,
  })
  client.on('error', () => undefined) // a query that is under way is told
  try {
    await client.connect()
    await checkServer(client)
    await client.query('select pg_advisory_lock($1)', [LOCK])
    return await run(client, options.onProgress ?? (() => undefined))
  } catch (error) {
    if (isUnreachable(error)) throw unreachable(error, { connectionString: ownerUrl })
    throw error
  } finally {
    await client.end()
  }
}

async function checkServer(client: Client): Promise<void> {
  const { rows } = await client.query<{ version: number; encoding: string }>(
    `select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding`,
  )
  const { version = 0, encoding = '' } = rows[0] ?? {}
  if (version < 150_000)
    throw new SavefileError(
      'setup_failed',
      `Postgres 15 or newer is needed; this server is version ${Math.floor(version / 10_000)}.`,
    )
  if (encoding !== 'UTF8')
    throw new SavefileError(
      'setup_failed',
      `The database's encoding is ${encoding}; it must be UTF8. Create it with ENCODING 'UTF8'.`,
    )
}

async function run(client: Client, onProgress: (what: string) => void): Promise<{ revision: number; applied: number }> {
  const all = migrations()
  const knows = all.at(-1)?.n ?? 0
  const has = await schemaVersion(client)
  if (has > knows) throw newer(has, knows)
  const due = all.filter(({ n }) => n > has)
  if (due.length === 0) return { revision: has, applied: 0 }
  await makeRoles(client)
  for (const { n, name } of due) {
    onProgress(`database: revision ${n} of ${knows}`)
    await client.query('begin')
    if (n === 1) await client.query('create schema savefile authorization savefile_owner')
    await client.query('set local role savefile_owner')
    await client.query(readFileSync(path.join(FOLDER, name), 'utf8'))
    await client.query('insert into savefile.migrations (n, name) values ($1, $2)', [n, name])
    await client.query('commit')
  }
  return { revision: knows, applied: due.length }
}

/** 42710, 23505: another database's migration made it meanwhile; XX000: it is granting the same just now. */
const COMPANY = new Set(['42710', '23505', 'XX000'])

async function makeRoles(client: Client): Promise<void> {
  for (const role of ROLES) {
    const { rows } = await client.query('select from pg_catalog.pg_roles where rolname = $1', [role])
    if (rows.length === 0) await bearing(client, `create role ${role} nologin`)
  }
  // To make things in the owner's name one must be able to become it.
  for (let attempt = 0; attempt < 10; attempt++) {
    const { rows } = await client.query<{ may: boolean }>(
      `select pg_has_role(current_user, 'savefile_owner', case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end) as may`,
    )
    if (rows[0]?.may) return
    await bearing(client, 'grant savefile_owner to current_user')
  }
}

async function bearing(client: Client, sql: string): Promise<void> {
  try {
    await client.query(sql)
  } catch (error) {
    const code = (error as { code?: unknown }).code
    if (typeof code === 'string' && COMPANY.has(code)) return
    throw new SavefileError(
      'setup_failed',
      `"${sql}" was refused. Connect as a role that may create roles, or have an administrator run it once.`,
      {},
      { cause: error },
    )
  }
}
