/**
 * The schema of a migrated database as text, in one order whatever the server's version: `npx tsx log/dump-schema.ts` writes
 * sql/schema.sql, `--check` fails where it differs. From the catalogs, since pg_dump is not part of the embedded Postgres.
 */
import { createRequire } from 'node:module'
import { mkdtempSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Client } from 'pg'
import { migrate } from './migrate'

const FILE = path.join(__dirname, 'sql', 'schema.sql')

const TABLES = `
  select c.oid, c.relname as name, c.relpersistence = 'u' as unlogged, array_to_string(c.reloptions, ', ') as options, c.relacl::text as acl, pg_get_userbyid(c.relowner) as owner, c.relrowsecurity as secured
  from pg_class c where c.relnamespace = 'savefile'::regnamespace and c.relkind in ('r', 'p') order by c.relname collate "C"`
const COLUMNS = `
  select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required, pg_get_expr(d.adbin, d.adrelid) as value
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`
const CONSTRAINTS = `
  select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
  where conrelid = $1 and contype <> 'n' order by conname collate "C"`
const INDEXES = `
  select pg_get_indexdef(i.indexrelid) as definition from pg_index i
  where i.indrelid = $1 and not exists (select from pg_constraint k where k.conindid = i.indexrelid) order by i.indexrelid::regclass::text collate "C"`
const TRIGGERS = `
  select pg_get_triggerdef(oid) as definition, tgenabled as enabled from pg_trigger where tgrelid = $1 and not tgisinternal order by tgname collate "C"`
const POLICIES = `
  select p.polname as name, p.polcmd as command, p.polpermissive as permissive, pg_get_expr(p.polqual, p.polrelid) as qual, pg_get_expr(p.polwithcheck, p.polrelid) as with_check,
    (select string_agg(r.rolname, ', ' order by r.rolname collate "C") from pg_roles r where r.oid = any (p.polroles)) as roles
  from pg_policy p where p.polrelid = $1 order by p.polname collate "C"`
const COLUMN_GRANTS = `
  select a.attname as name, a.attacl::text as acl from pg_attribute a where a.attrelid = $1 and a.attacl is not null and a.attnum > 0 order by a.attnum`
const FUNCTIONS = `
  select pg_get_functiondef(p.oid) as definition, p.proacl::text as acl from pg_proc p
  where p.pronamespace = 'savefile'::regnamespace order by p.oid::regprocedure::text collate "C"`

/** Grants in a fixed order, without those who gave them; what an owner may by itself differs between versions of Postgres. */
function grants(acl: string | null): string {
  if (acl === null) return 'default'
  const list = acl
    .replace(/^\{|\}$/g, '')
    .split(',')
    .filter((entry) => !entry.startsWith('savefile_owner='))
  return list
    .map((entry) => entry.replaceAll('"', '').replace(/\/.*$/, ''))
    .sort()
    .join(' ')
}

/** `db`: any connection to a migrated database. */
export async function dumpSchema(db: Pick<Client, 'query'>): Promise<string> {
  const rows = async (sql: string, values: unknown[] = []): Promise<Record<string, string>[]> =>
    (await db.query<Record<string, string>>(sql, values)).rows
  const parts = [
    '-- Made by log/dump-schema.ts from a migrated database: changed by migrations only, and compared in CI.',
  ]
  const schema = await rows(
    `select nspacl::text as acl, pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = 'savefile'`,
  )
  parts.push(`schema savefile, owner ${schema[0]?.['owner']}: ${grants(schema[0]?.['acl'] ?? null)}`)
  for (const table of await rows(TABLES)) {
    const lines = [
      `${table['unlogged'] ? 'unlogged ' : ''}table savefile.${table['name']}, owner ${table['owner']}${table['options'] ? ` (${table['options']})` : ''}`,
    ]
    for (const c of await rows(COLUMNS, [table['oid']]))
      lines.push(
        `  ${c['name']} ${c['type']}${c['required'] ? ' not null' : ''}${c['value'] ? ` default ${c['value']}` : ''}`,
      )
    for (const k of await rows(CONSTRAINTS, [table['oid']])) lines.push(`  constraint ${k['name']} ${k['definition']}`)
    for (const i of await rows(INDEXES, [table['oid']])) lines.push(`  ${i['definition']}`)
    for (const t of await rows(TRIGGERS, [table['oid']])) lines.push(`  ${t['definition']} -- enabled: ${t['enabled']}`)
    if (table['secured']) lines.push('  row level security')
    for (const p of await rows(POLICIES, [table['oid']]))
      lines.push(
        `  policy ${p['name']} ${p['permissive'] ? 'permissive' : 'restrictive'} for ${p['command']} to ${p['roles']} using ${p['qual']}${p['with_check'] ? ` with check ${p['with_check']}` : ''}`,
      )
    lines.push(`  grants ${grants(table['acl'] ?? null)}`)
    for (const c of await rows(COLUMN_GRANTS, [table['oid']]))
      lines.push(`  grants on ${c['name']} ${grants(c['acl'] ?? null)}`)
    parts.push(lines.join('\n'))
  }
  for (const f of await rows(FUNCTIONS))
    parts.push(`${f['definition']?.trimEnd()}\n-- grants ${grants(f['acl'] ?? null)}`)
  return `${parts.join('\n\n')}\n`
}

type StartPostgres = (options: {
  dataDir: string
  password: string
  fsync: boolean
  onProgress: () => void
}) => Promise<{ url: string; stop(): Promise<void> }>

/** A server and a database of its own, gone afterwards. */
async function dumpOfMigrations(): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'savefile-schema-'))
  chmodSync(folder, 0o711)
  // A script that happens to live here brings its own server; the log itself knows nothing of dev.
  const { startPostgres } = createRequire(__filename)('../dev/postgres') as { startPostgres: StartPostgres }
  const server = await startPostgres({
    dataDir: path.join(folder, 'pg'),
    password: 'schema',
    fsync: false,
    onProgress: () => undefined,
  })
  const client = new Client({ connectionString: server.url })
  try {
    await migrate(server.url)
    await client.connect()
    return await dumpSchema(client)
  } finally {
    await client.end()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function main(): Promise<void> {
  // The server's process does not keep this one alive: without a timer it could end, in silence and with 0, while it waits for the stop.
  const alive = setInterval(() => undefined, 60_000)
  try {
    const made = await dumpOfMigrations()
    if (!process.argv.includes('--check')) return writeFileSync(FILE, made)
    if (readFileSync(FILE, 'utf8') === made) return
    console.error('log/sql/schema.sql is not what the migrations make. Run `npx tsx log/dump-schema.ts` and commit it.')
    process.exitCode = 1
  } finally {
    clearInterval(alive)
  }
}

if (require.main === module)
  main().catch((error: unknown) => {
    console.error(error)
    process.exitCode = 1
  })
