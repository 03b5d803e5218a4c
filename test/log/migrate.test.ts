import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Client } from 'pg'
import { dumpSchema } from '../../log/dump-schema'
import { checkSchema, migrate, migrations } from '../../log/migrate'
import { createPool } from '../../log/pool'
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database'

const made: TestDatabase[] = []
const empty = async (): Promise<TestDatabase> => {
  const db = await createEmptyDatabase()
  made.push(db)
  return db
}
afterAll(() => Promise.all(made.map((db) => db.drop())))

const newest = migrations().at(-1)?.n ?? 0

async function sql(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

async function check(db: TestDatabase): Promise<void> {
  const pool = createPool(db.adminUrl)
  try {
    await checkSchema(pool)
  } finally {
    await pool.end()
  }
}

it('the files are numbered without a hole', () => {
  expect(migrations().map(({ n }) => n)).toEqual(migrations().map((_, i) => i + 1))
})

it('twenty at once migrate a database once', async () => {
  const db = await empty()
  const done = await Promise.all(Array.from({ length: 20 }, () => migrate(db.ownerUrl)))
  expect(done.filter(({ applied }) => applied === newest)).toHaveLength(1)
  expect(done.filter(({ applied }) => applied === 0)).toHaveLength(19)
  expect(await sql(db.ownerUrl, 'select n from savefile.migrations order by n')).toEqual(
    migrations().map(({ n }) => ({ n })),
  )
  await check(db)
})

it('twenty databases at once share the cluster’s roles', async () => {
  const databases = await Promise.all(Array.from({ length: 20 }, empty))
  const done = await Promise.all(databases.map((db) => migrate(db.ownerUrl)))
  expect(done.every(({ revision, applied }) => revision === newest && applied === newest)).toBe(true)
})

it('says what it does, and nothing where there is nothing to do', async () => {
  const db = await empty()
  const said: string[] = []
  await migrate(db.ownerUrl, { onProgress: (what) => said.push(what) })
  await migrate(db.ownerUrl, { onProgress: (what) => said.push(what) })
  expect(said).toEqual(migrations().map(({ n }) => `database: revision ${n} of ${newest}`))
})

it('makes what schema.sql says', async () => {
  const db = await createDatabase()
  made.push(db)
  const client = new Client({ connectionString: db.adminUrl })
  await client.connect()
  const dump = await dumpSchema(client)
  await client.end()
  expect(dump).toBe(readFileSync(path.join(__dirname, '../../log/sql/schema.sql'), 'utf8'))
})

it('refuses a newer schema, naming both revisions', async () => {
  const db = await empty()
  await migrate(db.ownerUrl)
  await sql(db.adminUrl, `insert into savefile.migrations (n, name) values (${newest + 3}, 'later')`)
  const newer = {
    code: 'database_newer',
    data: { has: newest + 3, knows: newest },
    message: expect.stringContaining(String(newest + 3)),
  }
  await expect(migrate(db.ownerUrl)).rejects.toMatchObject(newer)
  await expect(check(db)).rejects.toMatchObject(newer)
})

it('refuses a schema of that name that is somebody else’s', async () => {
  const db = await empty()
  await sql(db.ownerUrl, 'create schema savefile create table savefile.games (id int)')
  await expect(migrate(db.ownerUrl)).rejects.toMatchObject({ code: 'database_not_ours' })
  await expect(check(db)).rejects.toMatchObject({ code: 'database_not_ours' })
  expect(await sql(db.ownerUrl, `select relname from pg_class where relnamespace = 'savefile'::regnamespace`)).toEqual([
    { relname: 'games' },
  ])
})

it('refuses one with its migrations recorded and its tables gone', async () => {
  const db = await empty()
  await migrate(db.ownerUrl)
  await sql(db.adminUrl, 'drop table savefile.events')
  await expect(check(db)).rejects.toMatchObject({ code: 'database_not_ours' })
})

it('leaves other schemas alone', async () => {
  const db = await empty()
  await sql(db.ownerUrl, 'create schema shop create table shop.events (id int)')
  await migrate(db.ownerUrl)
  expect(await sql(db.adminUrl, 'select * from shop.events')).toEqual([])
})

it('one that lacks migrations is older, also one without any', async () => {
  const db = await empty()
  await expect(check(db)).rejects.toMatchObject({ code: 'database_older', data: { has: 0, knows: newest } })
  await migrate(db.ownerUrl)
  await sql(db.adminUrl, `delete from savefile.migrations where n = ${newest}`)
  await expect(check(db)).rejects.toMatchObject({ code: 'database_older', data: { has: newest - 1 } })
})

it('a server that is not there is unreachable, and no password is told', async () => {
  const error = await migrate('postgres://ann:hunter2@127.0.0.1:1/x').catch((e: unknown) => e)
  expect(error).toMatchObject({ code: 'database_unreachable', message: expect.stringContaining('127.0.0.1:1') })
  expect(JSON.stringify(error) + (error as Error).message).not.toContain('hunter2')
  const pool = createPool('postgres://ann:hunter2@127.0.0.1:1/x')
  await expect(checkSchema(pool)).rejects.toMatchObject({ code: 'database_unreachable' })
  await pool.end()
})

it('a database that is not UTF-8 is refused', async () => {
  const db = await empty()
  await sql(
    db.adminUrl,
    `create database ${db.name}_latin template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'`,
  )
  try {
    await expect(migrate(db.adminUrl.replace(db.name, `${db.name}_latin`))).rejects.toMatchObject({
      code: 'setup_failed',
      message: expect.stringContaining('UTF8'),
    })
  } finally {
    await sql(db.adminUrl, `drop database ${db.name}_latin`)
  }
})
