/** savefile_backup: what pg_dump does, it may (docs/sharing.md has the statements); and nothing that changes anything. */
import { Client } from 'pg'
import { urlOf } from '../../dev/database'
import { openLog, say, ANN, type TestLog } from './support'

let log: TestLog
const login = `backup_${process.pid}`
const asBackup = () => urlOf(log.db.adminUrl, log.db.name, login, 'test')

beforeAll(async () => {
  log = await openLog()
  const ref = await log.begin('kept')
  await log.client.writeBlob(ref, Buffer.from('bytes'), 'text/plain')
  await log.client.input(ref, ANN, 'm', say('kept'))
  await log.admin(`create role ${login} login password 'test'`)
  await log.admin(`grant savefile_backup to ${login}`)
})
afterAll(async () => {
  await log.admin(`drop role ${login}`)
  await log.close()
})

async function dump(setting: 'on' | 'off'): Promise<Record<string, number>> {
  const client = new Client({ connectionString: asBackup() })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'savefile'::regnamespace and relkind in ('r', 'p') order by 1`,
    )
    // As pg_dump: one snapshot, every table locked, then copied out.
    await client.query(`set row_security = ${setting}`)
    await client.query('begin transaction isolation level repeatable read read only')
    const counts: Record<string, number> = {}
    for (const { name } of rows) {
      await client.query(`lock table savefile."${name}" in access share mode`)
      counts[name] = (await client.query(`copy savefile."${name}" to stdout`)).rowCount ?? -1
    }
    return counts
  } finally {
    await client.end()
  }
}

async function there(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { name } of await log.admin(
    `select relname as name from pg_class where relnamespace = 'savefile'::regnamespace and relkind in ('r', 'p')`,
  )) {
    const [row] = await log.admin(`select count(*)::int as n from savefile."${String(name)}"`)
    counts[String(name)] = Number(row?.['n'])
  }
  return counts
}

it('copies out every row of every table, with row security on (pg_dump --enable-row-security), as no superuser made it', async () => {
  expect(await dump('on')).toEqual(await there())
  await expect(dump('off')).rejects.toMatchObject({ code: '42501' })
})

it('and as pg_dump does by default, where a superuser let it by row security', async () => {
  await log.admin(`alter role ${login} bypassrls`)
  expect(await dump('off')).toEqual(await there())
})

it('changes nothing, and calls nothing', async () => {
  const client = new Client({ connectionString: asBackup() })
  await client.connect()
  try {
    for (const sql of [
      `delete from savefile.events`,
      `insert into savefile.events select * from savefile.events`,
      `update savefile.tokens set revoked_at = null`,
      `truncate savefile.drafts`,
      `select savefile.put_definition('default', '{}')`,
      `select savefile.append('default', 'kept', 1, 2, '{}', '{}', '{}', '{}', '{}', '{}', 'idle', null)`,
    ])
      await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' })
  } finally {
    await client.end()
  }
})
