/**
 * What somebody tries who has a login of savefile_member or savefile_reader, and SQL: everything but the client. A token that counts is the
 * only thing that opens anything.
 */
import { Client } from 'pg'
import { approval, answer, say, started, ANN, DEFINITION, RUNNING } from './support'
import { HERE, openShared, newToken, tokenHash, type Shared } from './sharing'

let shared: Shared
let reader: string
let writer: string
beforeAll(async () => {
  shared = await openShared(async (s) => {
    reader = await s.token('reader')
    await s.grant(s.session, 'reader', ['read'])
    writer = await s.token('writer')
    await s.grant(s.session, 'writer', ['read', 'extend', 'approve', 'fork'])
  })
})
afterAll(() => shared.close())

const LOGINS = ['memberUrl', 'readerUrl'] as const

async function connected<T>(login: (typeof LOGINS)[number], use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: shared.log.db[login] })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

describe.each(LOGINS)('a login of %s', (login) => {
  it.each([
    'set role savefile_owner',
    'set role savefile_writer',
    'set role savefile_backup',
    'set session authorization postgres',
    'set session_replication_role = replica',
    'select * from savefile.tokens',
    'select * from savefile.grants',
    'select * from savefile.reach',
    'select * from savefile.principals',
    'select * from savefile.snapshots',
    'select * from savefile.evidence',
    'select * from savefile.queue_logins',
    'select payload from savefile.drafts',
    `select savefile.holder('x')`,
    `select savefile.held_grants('default', 'reader', null)`,
    `select savefile.list_grants('default', 'session')`,
    `select savefile.list_tokens('default', null)`,
    `select savefile.input('default', 'session', 'user:x', 'k', 'message_received', 1, null, '{}', null)`,
    `select savefile.put_blob('default', 'session', 'text/plain', 'x')`,
    `select savefile.look('default', 'session', 0, null, 1, 1)`,
    `insert into savefile.events select * from savefile.events`,
    `update savefile.events set payload = ''`,
    `delete from savefile.events`,
    `truncate savefile.events`,
    `insert into savefile.grants values ('default', 'g', 'other', 1, 'reader', '{own}', true, null, 1, 'x', null, null)`,
    `alter table savefile.events disable row level security`,
    `create policy mine on savefile.events using (true)`,
    `alter table savefile.events disable trigger append_only`,
    `drop table savefile.events`,
    `create table savefile.mine (x int)`,
    `create function savefile.mine() returns int language sql as 'select 1'`,
  ])('is refused: %s', async (sql) => {
    await connected(login, (client) => expect(client.query(sql)).rejects.toMatchObject({ code: '42501' }))
  })

  it('gets nothing by turning row security off', async () => {
    await connected(login, async (client) => {
      await client.query('set row_security = off')
      await expect(client.query('select * from savefile.events')).rejects.toMatchObject({ code: '42501' })
    })
  })

  it('gets nothing by settings that name a principal, a space, a session or another role', async () => {
    await connected(login, async (client) => {
      const forged = {
        'savefile.token': tokenHash(reader).toString('hex'),
        'savefile.principal': 'ann',
        'savefile.space': 'default',
        'savefile.session': 'session',
        'savefile.scope': 'session',
        'savefile.rights': '{own}',
      }
      for (const [name, value] of Object.entries(forged))
        await client.query(`select set_config($1, $2, false)`, [name, value])
      expect((await client.query('select from savefile.events')).rows).toEqual([])
      await client.query(`set application_name = 'savefile'`)
      expect((await client.query('select from savefile.sessions')).rows).toEqual([])
    })
  })

  it('can narrow what it sees by the scope, and never widen it', async () => {
    await connected(login, async (client) => {
      await client.query('begin')
      await client.query(`select set_config('savefile.token', $1, true)`, [reader])
      const seen = async (scope: string) => {
        await client.query(`select set_config('savefile.scope', $1, true)`, [scope])
        return (
          await client.query<{ id: string }>('select distinct session_id as id from savefile.events order by 1')
        ).rows.map((r) => r.id)
      }
      expect(await seen('')).toEqual(['parent', 'session'])
      expect(await seen('session')).toEqual(['parent', 'session'])
      for (const scope of ['parent', 'other', 'fork', '*', '%']) expect(await seen(scope)).toEqual([])
    })
  })

  it('can put nothing of its own where our functions and policies look', async () => {
    await connected(login, async (client) => {
      await client.query(`create temp table holder (space_id text, principal text, grant_id text, space_rights text[])`)
      await client.query(`create temp table tokens as select 'default'::text as space_id`)
      await client.query(
        `create function pg_temp.holder(text) returns table (space_id text, principal text, grant_id text, space_rights text[]) language sql as $$ select 'default', 'ann', null, array['own'] $$`,
      )
      await client.query(`create function pg_temp.token_owns() returns boolean language sql as 'select true'`)
      await client.query(
        `create function pg_temp.sha256(bytea) returns bytea language sql as $$ select '\\x00'::bytea $$`,
      )
      await client.query(`create function pg_temp.always(text, text) returns boolean language sql as 'select true'`)
      await client.query(`create operator pg_temp.= (leftarg = text, rightarg = text, function = pg_temp.always)`)
      await client.query('set search_path = pg_temp, savefile, pg_catalog')
      expect((await client.query('select from savefile.events')).rows).toEqual([])
      expect((await client.query(`select * from savefile.read_events('default', 'session', 1, 9, 1000)`)).rows).toEqual(
        [],
      )
      if (login === 'memberUrl')
        await expect(
          client.query(
            `select savefile.member_input('default', 'session', 'user:x', 'k', 'message_received', 1, null, '{}', null)`,
          ),
        ).rejects.toMatchObject({ code: 'SF403', detail: 'token' })
    })
  })

  it('is not shown a row by way of a function that tells what it is given', async () => {
    await connected(login, async (client) => {
      const told: string[] = []
      client.on('notice', ({ message }) => told.push(message ?? ''))
      await client.query(
        `create function pg_temp.tell(t text) returns boolean language plpgsql cost 0.0000001 as $$ begin raise notice '%', t; return true; end $$`,
      )
      await client.query('begin')
      await client.query(`select set_config('savefile.token', $1, true)`, [reader])
      await client.query(`select from savefile.events where pg_temp.tell(convert_from(payload, 'UTF8'))`)
      expect(told.length).toBeGreaterThan(3)
      expect(told.join()).not.toMatch(/secret [56]|of other|elsewhere/)
    })
  })

  it('is asked anew with each execution of a prepared statement', async () => {
    await connected(login, async (client) => {
      await client.query('prepare mine as select session_id from savefile.sessions')
      const rows = async (token: string) => {
        await client.query('begin')
        await client.query(`select set_config('savefile.token', $1, true)`, [token])
        const found = (await client.query('execute mine')).rows
        await client.query('commit')
        return found
      }
      for (let i = 0; i < 8; i++) {
        expect(await rows(reader)).toEqual([{ session_id: 'session' }])
        expect(await rows(newToken())).toEqual([])
      }
      expect((await client.query('execute mine')).rows).toEqual([])
    })
  })
})

describe('a blob', () => {
  const content = Buffer.from('only the other session has this')
  const put = (at: string) =>
    shared.log.client.writeBlob({ space: HERE, session: at }, content, 'text/plain').then(({ hash }) => hash)
  const get = (token: string, session: string, hash: string) =>
    shared
      .sql(token, 'select savefile.get_blob($1, $2, $3) as content', [HERE, session, hash])
      .then((rows) => rows[0]?.['content'])

  it('of another session is not there, also for who knows its hash; storing the same bytes says nothing of it', async () => {
    const hash = await put('other')
    expect(await get(writer, 'session', hash)).toBeNull()
    expect(await get(writer, 'other', hash)).toBeNull()
    expect(await shared.sql(writer, 'select from savefile.blobs where hash = $1', [hash])).toEqual([])
    const mine = () =>
      shared.sql(writer, `select savefile.member_put_blob('default', 'session', 'text/plain', $1) as hash`, [content])
    expect(await mine()).toEqual([{ hash }])
    expect(await mine()).toEqual([{ hash }])
    expect(await get(writer, 'session', hash)).toEqual(content)
    expect(await get(writer, 'other', hash)).toBeNull()
  })

  it('is in a fork where the inherited stretch could refer to it, and not where its parent stored it later', async () => {
    const before = await shared.log.client.writeBlob(
      { space: HERE, session: 'parent' },
      Buffer.from('before'),
      'text/plain',
    )
    await shared.log.client.input({ space: HERE, session: 'parent' }, ANN, 'b', say('now it is said'))
    const { head = 0 } = (await shared.log.client.info(shared.parent)) ?? {}
    await shared.log.client.fork(shared.parent, head, 'late', ANN, {})
    const after = await shared.log.client.writeBlob(
      { space: HERE, session: 'parent' },
      Buffer.from('after'),
      'text/plain',
    )
    await expect(shared.log.client.readBlob({ space: HERE, session: 'late' }, before.hash)).resolves.toEqual(
      Buffer.from('before'),
    )
    await expect(shared.log.client.readBlob({ space: HERE, session: 'late' }, after.hash)).rejects.toMatchObject({
      code: 'blob_not_found',
    })
    await expect(shared.log.client.readBlob({ space: HERE, session: 'session' }, before.hash)).rejects.toMatchObject({
      code: 'blob_not_found',
    })
    expect(await get(reader, 'session', before.hash)).toBeNull()
  })
})

describe('a definition', () => {
  it('is readable where a stretch that one may read refers to it, and usable only so', async () => {
    const secret = await shared.log.client.putDefinition(HERE, { ...DEFINITION, system: 'secret' })
    await shared.log.client.create({ space: HERE, session: 'hidden' }, ANN, { definition: secret })
    const read = (token: string, hash: string) =>
      shared.sql(token, 'select from savefile.definitions where hash = $1', [hash])
    expect(await read(reader, shared.log.definition)).toHaveLength(1)
    expect(await read(reader, secret)).toEqual([])
    const maker = await shared.token('maker', { rights: ['create'] })
    const create = (definition: string, said = definition) =>
      shared.sql(
        maker,
        `select savefile.member_create_session('default', 'made', 'x', $1, null, '{}', 1, $2) as status`,
        [definition, JSON.stringify({ definition: said, origin: { kind: 'new' } })],
      )
    expect(await create(secret)).toEqual([{ status: 'definition_not_found' }])
    const [own] = await shared.sql(maker, `select savefile.member_put_definition('default', '{"mine":1}') as hash`)
    await expect(create(String(own?.['hash']), secret)).rejects.toMatchObject({ code: '22023' })
    expect(await create(String(own?.['hash']))).toEqual([{ status: 'created' }])
    await expect(shared.sql(writer, `select savefile.member_put_definition('default', '{}')`)).rejects.toMatchObject({
      code: 'SF403',
    })
  })
})

describe('what a caller without our client sends', () => {
  const input = (type: string, payload: unknown, subject: string | null = null, key = 'raw') =>
    shared.sql(writer, `select * from savefile.member_input('default', 'session', 'user:x', $1, $2, 1, $3, $4, null)`, [
      ...[key, type, subject],
      typeof payload === 'string' ? payload : JSON.stringify(payload),
    ])
  const block = (block: unknown) => ({ blocks: [block], delivery: 'queue' })
  const blob = { hash: `sha256:${'0'.repeat(64)}`, bytes: 1, mediaType: 'text/plain' }

  it.each([
    ['not JSON', '{'],
    ['no object', []],
    ['no delivery', { blocks: [] }],
    ['a field too many', { blocks: [], delivery: 'queue', more: 1 }],
    ['a field twice', '{"blocks":[],"delivery":"queue","delivery":"steer"}'],
    ['another delivery', { blocks: [], delivery: 'shout' }],
    ['blocks that are none', { blocks: 'x', delivery: 'queue' }],
    ['a block of the model’s', block({ type: 'tool_call', call: 'c', name: 'pay', args: '{}' })],
    ['a text that is none', block({ type: 'text', text: 1 })],
    ['a text with more', block({ type: 'text', text: '', x: 1 })],
    ['a count that is none', block({ type: 'text', text: '', normalised: 0 })],
    ['a file without a blob', block({ type: 'file' })],
    ['an image of a blob that the session has not', block({ type: 'image', blob })],
    ['NUL', '{"blocks":[{"type":"text","text":"\\u0000"}],"delivery":"queue"}'],
    ['half a surrogate pair', '{"blocks":[{"type":"text","text":"\\ud800"}],"delivery":"queue"}'],
  ])('is refused where it does not validate: %s', async (_, payload) => {
    await expect(input('message_received', payload)).rejects.toMatchObject({ code: expect.stringMatching(/^22/) })
  })

  it('is refused for an event that is not a person’s, or not theirs', async () => {
    for (const type of ['model_answered', 'granted', 'session_created', 'x'])
      await expect(input(type, {})).rejects.toMatchObject({ code: expect.stringMatching(/^(22023|SF403)$/) })
    await expect(input('session_closed', {})).rejects.toMatchObject({ code: 'SF403', detail: 'own' })
  })

  it('names the call that it resolves once, and finishes only what was deferred', async () => {
    const ref = shared.session
    await shared.log.executor.claim(ref, { cluster: 'c', run: 'r' })
    const { head = 0 } = (await shared.log.client.info(ref)) ?? {}
    const manifest = { ...answer(ref, 2).payload.manifest, definition: shared.log.definition }
    const [pay, wait] = [`${ref.session}:2.0`, `${ref.session}:2.1`]
    await shared.log.executor.append(
      ref,
      1,
      head,
      [answer(ref, 2, ['pay', 'wait'], { manifest }), started(pay), started(wait, 'wait')],
      RUNNING,
    )
    await expect(input('approval_resolved', approval(wait).payload, pay)).rejects.toMatchObject({ code: '22023' })
    const done = (call: string, tool: string) => ({ call, tool, outcome: 'ok', blocks: [] })
    await expect(input('tool_finished', done(wait, 'wait'), pay)).rejects.toMatchObject({ code: '22023' })
    await expect(input('tool_finished', { ...done(wait, 'wait'), outcome: 'unknown' }, wait)).rejects.toMatchObject({
      code: '22023',
    })
    expect(await input('tool_finished', done(pay, 'pay'), pay)).toMatchObject([{ status: 'call_not_found' }])
    expect(await input('tool_finished', done(wait, 'pay'), wait)).toMatchObject([{ status: 'call_not_found' }])
    expect(await input('tool_finished', done(wait, 'wait'), wait)).toMatchObject([{ status: 'appended' }])
  })

  it('gives a fork no other tools and no other folder without the right to own', async () => {
    const [at] = await shared.log.admin(
      `select seq, hash from savefile.events where space_id = 'default' and session_id = 'session' order by seq limit 1`,
    )
    const hash = at?.['hash'] as Buffer
    const fork = (more: object) =>
      shared.sql(
        writer,
        `select savefile.member_fork_session('default', 'session', $1, $2, 'forked', 'x', $3, null, '{}', 1, $4) as status`,
        [
          ...[at?.['seq'], hash, shared.log.definition],
          JSON.stringify({
            parent: 'session',
            seq: Number(at?.['seq']),
            hash: hash.toString('hex'),
            definition: shared.log.definition,
            open: 'rule',
            ...more,
          }),
        ],
      )
    await expect(fork({ workFolder: '/' })).rejects.toMatchObject({ code: 'SF403', detail: 'own' })
    await expect(fork({ parent: 'other' })).rejects.toMatchObject({ code: '22023' })
    expect(await fork({})).toEqual([{ status: 'created' }])
    const grants = await shared.log.client.sharing.grants({ space: HERE, session: 'forked' })
    expect(grants).toMatchObject([
      { principal: 'writer', rights: ['read', 'extend', 'approve', 'fork'], grantedBy: 'user:writer' },
    ])
  })
})

describe('a right ends at once', () => {
  const rows = (token: string) =>
    shared.sql(token, `select from savefile.sessions where session_id = 'other'`).then((r) => r.length)

  it('when its grant is revoked, its token is revoked, or either expires', async () => {
    const token = await shared.token('brief')
    const grant = await shared.grant(shared.other, 'brief', ['read'])
    expect(await rows(token)).toBe(1)
    await shared.log.client.sharing.revoke(shared.other, ANN, grant)
    expect(await rows(token)).toBe(0)

    const soon = Date.now() * 1000 + 700_000
    await shared.grant(shared.other, 'brief', ['read'], { expiresAt: soon })
    expect(await rows(token)).toBe(1)
    while (Date.now() * 1000 <= soon + 50_000) await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await rows(token)).toBe(0)

    await shared.grant(shared.other, 'brief', ['read'])
    const [{ id } = { id: '' }] = (await shared.log.client.sharing.tokens(HERE)).filter((t) => t.principal === 'brief')
    expect(await rows(token)).toBe(1)
    expect(await shared.log.client.sharing.revokeToken(HERE, id)).toBe(true)
    expect(await rows(token)).toBe(0)
    expect(await rows(await shared.token('brief', { expiresAt: 1 }))).toBe(0)
  })

  it('in a fork for a grant that covers it: of the whole where it was given, of the fork in the fork', async () => {
    const token = await shared.token('wide')
    const grant = await shared.grant(shared.other, 'wide', ['read'], { forks: true })
    await shared.log.client.fork(shared.other, 3, 'other-1', ANN, {})
    await shared.log.client.fork({ space: HERE, session: 'other-1' }, 2, 'other-2', ANN, {})
    const seen = () =>
      shared
        .sql(token, 'select session_id from savefile.sessions order by 1')
        .then((r) => r.map((x) => x['session_id']))
    expect(await seen()).toEqual(['other', 'other-1', 'other-2'])
    await shared.log.client.sharing.revoke({ space: HERE, session: 'other-1' }, ANN, grant)
    expect(await seen()).toEqual(['other', 'other-2'])
    await shared.log.client.sharing.revoke(shared.other, ANN, grant)
    expect(await seen()).toEqual([])
  })

  it('for a share link with its grant, and for what its holder made by it', async () => {
    const link = newToken()
    const grant = await shared.grant(shared.other, null, ['fork'], { link })
    await shared.as(link).fork(shared.other, 3, 'by-link', { actor: 'user:x' }, {})
    const seen = () =>
      shared.sql(link, 'select session_id from savefile.sessions order by 1').then((r) => r.map((x) => x['session_id']))
    expect(await seen()).toEqual(['by-link', 'other'])
    await shared.log.client.sharing.revoke(shared.other, ANN, grant)
    expect(await seen()).toEqual([])
  })
})

it('every change of grants is an event, and the chain of every session verifies', async () => {
  const grant = await shared.grant(shared.fork, 'eve', ['fork'], { forks: true, expiresAt: 4_000_000_000_000_000 })
  await shared.log.client.sharing.revoke(shared.fork, ANN, grant)
  const events = (await shared.log.read(shared.fork)).slice(-2)
  expect(events.map(({ type, key, actor, payload }) => [type, key, actor, JSON.parse(payload)])).toEqual([
    [
      'granted',
      `x:granted:${grant}`,
      'user:ann',
      { grant, principal: 'eve', rights: ['read', 'fork'], forks: true, expiresAt: 4_000_000_000_000_000 },
    ],
    ['revoked', `x:revoked:${grant}`, 'user:ann', { grant }],
  ])
  for (const row of await shared.log.admin(`select space_id, session_id from savefile.sessions where definition = $1`, [
    shared.log.definition,
  ]))
    expect({
      ...row,
      ...(await shared.log.client.verify({ space: String(row['space_id']), session: String(row['session_id']) })),
    }).toMatchObject({ ...row, ok: true, headHash: expect.any(String) })
})

it('no token is stored: only what cannot be turned back into one', async () => {
  const tables = await shared.log.admin(
    `select relname from pg_class where relnamespace = 'savefile'::regnamespace and relkind = 'r'`,
  )
  for (const { relname } of tables) {
    const found = await shared.log.admin(`select from savefile."${String(relname)}" t where t::text like '%svf\\_%'`)
    expect([relname, found]).toEqual([relname, []])
  }
})
