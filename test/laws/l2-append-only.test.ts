/** L2: an event, once committed, never changes and never goes; the database enforces it, privileges first, triggers second. */
import { Client } from 'pg'
import { openLog, type TestLog } from '../log/support'

let log: TestLog
beforeAll(async () => {
  log = await openLog()
  await log.begin('one')
})
afterAll(() => log.close())

async function as<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

const CHANGES = [
  `update savefile.events set payload = 'x'`,
  `update savefile.events set at = 0 where seq = 1`,
  `delete from savefile.events`,
  `truncate savefile.events`,
  `delete from savefile.lineage`,
  `truncate savefile.lineage`,
  `update savefile.lineage set hi = 1`,
  `update savefile.definitions set body = 'x'`,
  `update savefile.blobs set content = 'x'`,
]
const WRITES = [
  `insert into savefile.events select * from savefile.events`,
  `insert into savefile.lineage values ('default', 'one', 'two', 9, 9)`,
  `update savefile.sessions set epoch = 0`,
  `insert into savefile.drafts select * from savefile.drafts`,
  `delete from savefile.sessions`,
  `alter table savefile.events disable trigger append_only`,
  `drop trigger append_only on savefile.events`,
  `drop table savefile.events`,
  `select savefile.add_event('default', 'one', 3, '', 0, 't', 1, 'a', 'k', '')`,
]

describe('the writer has no privilege for', () => {
  it.each([...CHANGES, ...WRITES])('%s', async (sql) => {
    await as(log.db.writerUrl, (client) => expect(client.query(sql)).rejects.toMatchObject({ code: '42501' }))
  })
})

describe('readers and executors can as yet not even', () => {
  it.each(['readerUrl', 'executorUrl'] as const)('read an event, or append (%s)', async (login) => {
    await as(log.db[login], async (client) => {
      await expect(client.query('select * from savefile.events')).rejects.toMatchObject({ code: '42501' })
      await expect(client.query(`select savefile.take_due(1, 1, 1)`)).rejects.toMatchObject({ code: '42501' })
      expect((await client.query('select max(n) as n from savefile.migrations')).rows).toHaveLength(1)
    })
  })
})

describe.each(['ownerUrl', 'adminUrl'] as const)('triggers refuse %s', (login) => {
  it.each(CHANGES)('%s', async (sql) => {
    await as(log.db[login], async (client) => {
      if (login === 'ownerUrl') await client.query('set role savefile_owner')
      await expect(client.query(sql)).rejects.toThrow(/is refused/)
    })
  })

  it('also as a replica would apply it', async () => {
    if (login === 'ownerUrl')
      return expect(as(log.db[login], (c) => c.query('set session_replication_role = replica'))).rejects.toMatchObject({
        code: '42501',
      })
    await as(log.db[login], async (client) => {
      await client.query('set session_replication_role = replica')
      await expect(client.query('delete from savefile.events')).rejects.toThrow(/is refused/)
    })
  })
})

it('functions that run as the owner look nothing up where a caller could put it', async () => {
  const rows = await log.admin(
    `select p.proname from pg_proc p where p.pronamespace = 'savefile'::regnamespace and p.prosecdef
       and not coalesce(p.proconfig::text, '') like '%search_path=pg_catalog, savefile, pg_temp%'`,
  )
  expect(rows).toEqual([])
})

it('nobody but the writer may call them', async () => {
  const rows = await log.admin(
    `select p.proname from pg_proc p where p.pronamespace = 'savefile'::regnamespace
       and (has_function_privilege('public', p.oid, 'execute') or has_function_privilege('savefile_reader', p.oid, 'execute') or has_function_privilege('savefile_executor', p.oid, 'execute'))`,
  )
  expect(rows).toEqual([])
})
