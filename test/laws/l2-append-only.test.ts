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

const LOGINS = ['writerUrl', 'memberUrl', 'readerUrl', 'executorUrl'] as const

describe.each(LOGINS)('%s has no privilege for', (login) => {
  it.each([...CHANGES, ...WRITES])('%s', async (sql) => {
    await as(log.db[login], (client) => expect(client.query(sql)).rejects.toMatchObject({ code: '42501' }))
  })

  it('becoming somebody who has', async () => {
    await as(log.db[login], async (client) => {
      for (const sql of [
        'set role savefile_owner',
        'set session authorization postgres',
        'set session_replication_role = replica',
      ])
        await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' })
    })
  })
})

describe('what the functions write, also for the writer, is never', () => {
  it('a forged hash, a gap or an actor: hash, seq and key are made by the function', async () => {
    const { rows } = await as(log.db.writerUrl, (client) =>
      client.query<{ args: string }>(
        `select pg_get_function_identity_arguments('savefile.append'::regproc) || pg_get_function_identity_arguments('savefile.input'::regproc) as args`,
      ),
    )
    expect(rows[0]?.args).not.toMatch(/p_hash|p_prev|p_seq\b|p_at\b/)
    const { ok } = await log.client.verify({ space: 'default', session: 'one' })
    expect(ok).toBe(true)
  })

  it('under a stale epoch, after another head, or in a session that is not there', async () => {
    const append = (session: string, epoch: number, head: number) =>
      as(log.db.writerUrl, async (client) => {
        const { rows } = await client.query<{ status: string }>(
          `select status from savefile.append('default', $1, $2, $3, '{turn_finished}', '{1}', '{2}', '{null}', '{"{}"}', '{null}', 'idle', null)`,
          [session, epoch, head],
        )
        return rows[0]?.status
      })
    expect(await append('one', 0, 2)).toBe('stale_epoch')
    expect(await append('one', 1, 1)).toBe('head_moved')
    expect(await append('one', 1, 7)).toBe('head_moved')
    expect(await append('nobody', 1, 2)).toBe('session_not_found')
    expect((await log.client.info({ space: 'default', session: 'one' }))?.head).toBe(2)
  })
})

describe('readers, members and executors can not even', () => {
  it.each(['readerUrl', 'memberUrl', 'executorUrl'] as const)(
    'read an event without a token, or append (%s)',
    async (login) => {
      await as(log.db[login], async (client) => {
        const read = client.query('select * from savefile.events')
        if (login === 'executorUrl') await expect(read).rejects.toMatchObject({ code: '42501' })
        else expect((await read).rows).toEqual([])
        await expect(client.query(`select savefile.take_due(1, 1, 1)`)).rejects.toMatchObject({ code: '42501' })
        expect((await client.query('select max(n) as n from savefile.migrations')).rows).toHaveLength(1)
      })
    },
  )
})

it('the owner can insert what no function would: verify names it', async () => {
  await log.begin('forged')
  await as(log.db.ownerUrl, async (client) => {
    await client.query('set role savefile_owner')
    await client.query(
      `insert into savefile.events select space_id, session_id, 3, type, v, at, actor, 'p:forged', kid, payload, hash, sha256('forged') from savefile.events where session_id = 'forged' and seq = 2`,
    )
    await client.query(
      `update savefile.sessions set head = 3, head_hash = sha256('forged') where session_id = 'forged'`,
    )
  })
  expect(await log.client.verify({ space: 'default', session: 'forged' })).toMatchObject({ ok: false, seq: 3 })
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

it('nobody but the writer may call them, save for what asks for a token, or whose queue a call is of', async () => {
  const rows = await log.admin(
    `select p.proname as name, g as group from pg_proc p, unnest(array['public', 'savefile_reader', 'savefile_member', 'savefile_executor', 'savefile_backup']) g
     where p.pronamespace = 'savefile'::regnamespace and has_function_privilege(g, p.oid, 'execute') order by 1`,
  )
  const of = (group: string) => new Set(rows.filter((row) => row['group'] === group).map((row) => String(row['name'])))
  const reading = [
    'definition_at',
    'event_hash',
    'field',
    'get_blob',
    'live_since',
    'now_us',
    'read_events',
    'stalled',
    'token_owns',
    'token_principal',
    'token_reach',
    'token_space',
  ]
  expect(of('public')).toEqual(new Set())
  expect(of('savefile_backup')).toEqual(new Set())
  expect(of('savefile_reader')).toEqual(new Set(reading))
  expect([...of('savefile_member')].filter((name) => !name.startsWith('member_'))).toEqual([...reading, 'whoami'])
  expect([...of('savefile_executor')].every((name) => name.startsWith('executor_'))).toBe(true)
})

it('what reads for a token runs with the rights of whoever asks: as the owner it would read all', async () => {
  const rows = await log.admin(
    `select p.proname as name from pg_proc p where p.pronamespace = 'savefile'::regnamespace and p.prosecdef
       and p.proname in ('definition_at', 'get_blob', 'live_since', 'read_events', 'stalled')`,
  )
  expect(rows).toEqual([])
})

it('every table that a token may read from is under row-level security', async () => {
  const rows = await log.admin(
    `select c.relname as name from pg_class c where c.relnamespace = 'savefile'::regnamespace and c.relkind = 'r' and not c.relrowsecurity and c.relname <> 'migrations'
       and (has_any_column_privilege('savefile_member', c.oid, 'select') or has_any_column_privilege('savefile_reader', c.oid, 'select'))`,
  )
  expect(rows).toEqual([])
})
