/** A login of savefile_executor: it may claim a call of its own queue, read what that call takes, write that call's draft, and nothing else. */
import { Client } from 'pg'
import { parseDefinition } from '../../contract/definition'
import type { SessionRef } from '../../contract/ids'
import { answer, openLog, started, turnFinished, IDLE, RUNNING, type TestLog } from './support'

const schema = '{"type":"object"}'
const TTL_US = 600_000_000
let log: TestLog
let n = 0

beforeAll(async () => {
  log = await openLog()
  const [row] = await log.admin(`select 'savefile_executor_login' as login`)
  await log.pool.query(`select savefile.set_queue_login($1, 'default', 'sandbox')`, [row?.['login']])
})
afterAll(() => log.close())

/** A session with three started calls: of our queue (one safe, one not), and of another queue. */
async function calls(): Promise<{ ref: SessionRef; mine: string; safe: string; theirs: string }> {
  const tool = { description: '', inputSchema: schema, approval: 'allow' as const }
  const definition = parseDefinition({
    model: { provider: 'anthropic', name: 'scripted' },
    tools: [
      { ...tool, name: 'pay', queue: 'sandbox', timeoutMs: 5000 },
      { ...tool, name: 'look', queue: 'sandbox', readOnly: true },
      { ...tool, name: 'secret', queue: 'other' },
    ],
  })
  const hash = await log.client.putDefinition('default', definition)
  const ref = await log.begin(`e${++n}`)
  const manifest = { ...answer(ref, 2).payload.manifest, definition: hash }
  const [mine, safe, theirs] = [`${ref.session}:2.0`, `${ref.session}:2.1`, `${ref.session}:2.2`]
  const of = (call: string, name: string, queue: string) => {
    const event = started(call, name)
    return { ...event, payload: { ...event.payload, queue, idempotencyKey: `key of ${name}` } } as typeof event
  }
  await log.executor.append(
    ref,
    1,
    2,
    [
      answer(ref, 2, ['pay', 'look', 'secret'], { manifest }),
      ...[of(mine, 'pay', 'sandbox'), of(safe, 'look', 'sandbox'), of(theirs, 'secret', 'other')],
    ],
    RUNNING,
  )
  return { ref, mine, safe, theirs }
}

async function as<T>(use: (client: Client) => Promise<T>, url = log.db.executorUrl): Promise<T> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
const one = async (text: string, values: unknown[]): Promise<Record<string, unknown> | undefined> =>
  as(async (client) => (await client.query<Record<string, unknown>>(text, values)).rows[0])
const claim = (session: string, call: string, token = 't', ttl = TTL_US, space = 'default', epoch = 1) =>
  one('select * from savefile.executor_claim($1, $2, $3, $4, $5, $6)', [space, session, epoch, call, token, ttl])
const finish = (session: string, call: string, token: string, payload: unknown) =>
  one(`select savefile.executor_finish('default', $1, $2, $3, 1, $4) as status`, [
    session,
    call,
    token,
    JSON.stringify(payload),
  ])
const result = (call: string, tool = 'pay') => ({
  call,
  tool,
  outcome: 'ok',
  blocks: [{ type: 'text', text: 'done' }],
  ms: 3,
})

it('claims a call of its queue, with all that it takes to run it, and writes its result', async () => {
  const { ref, mine } = await calls()
  expect(await claim(ref.session, mine)).toMatchObject({
    ...{
      status: 'claimed',
      attempt: 1,
      attempts: '[]',
      tool: 'pay',
      args: '{}',
      idempotency_key: 'key of pay',
      timeout_ms: '5000',
    },
    work_folder: null,
  })
  const holds = [ref.session, mine, 't']
  expect(await one(`select savefile.executor_beat('default', $1, $2, $3) as ok`, holds)).toEqual({ ok: true })
  expect(await one(`select savefile.executor_output('default', $1, $2, $3, 0, 'some') as ok`, holds)).toEqual({
    ok: true,
  })
  expect(
    await one(`select savefile.executor_put_blob('default', $1, $2, $3, 'text/plain', 'long') as hash`, holds),
  ).toEqual({
    hash: expect.stringMatching(/^sha256:/),
  })
  expect(await finish(ref.session, mine, 't', result(mine))).toEqual({ status: 'finished' })
  const look = await log.executor.look(ref, 1, 2)
  expect(look).toMatchObject({
    status: 'ok',
    drafts: [{ step: `tool@${mine}`, state: 'finished', type: 'tool_finished' }],
  })
})

it('sees nothing of a call of another queue, another space, another session, or none', async () => {
  const { ref, mine, theirs } = await calls()
  expect(await claim(ref.session, theirs)).toMatchObject({ status: 'call_not_found', tool: null, args: null })
  expect(await claim(ref.session, mine, 't', TTL_US, 'elsewhere')).toMatchObject({ status: 'call_not_found' })
  expect(await claim('nobody', mine)).toMatchObject({ status: 'call_not_found' })
  expect(await claim(ref.session, `${ref.session}:2.9`)).toMatchObject({ status: 'call_not_found' })
  expect(await finish(ref.session, theirs, 't', result(theirs, 'secret'))).toEqual({ status: 'call_not_found' })
  for (const name of ['beat', 'release', 'output', 'put_blob']) {
    const more = { beat: '', release: `, 'cut_off'`, output: `, 0, 'x'`, put_blob: `, 'text/plain', 'x'` }[name]
    const row = await one(`select savefile.executor_${name}('default', $1, $2, 't'${more}) as ok`, [
      ref.session,
      theirs,
    ])
    expect(row?.['ok']).toBe(name === 'put_blob' ? null : false)
  }
  await log.pool.query(`select savefile.set_queue_login('savefile_executor_login', 'default', 'other')`)
  expect(await claim(ref.session, mine)).toMatchObject({ status: 'call_not_found' })
  expect(await claim(ref.session, theirs)).toMatchObject({ status: 'claimed', tool: 'secret' })
  await log.pool.query(`select savefile.set_queue_login('savefile_executor_login', 'default', 'sandbox')`)
})

it('is fenced as any executor: by epoch, by who holds the draft, and by what its definition says is safe', async () => {
  const { ref, mine, safe } = await calls()
  expect(await claim(ref.session, mine, 't', TTL_US, 'default', 0)).toMatchObject({ status: 'stale_epoch' })
  expect(await claim(ref.session, mine, 'first')).toMatchObject({ status: 'claimed' })
  expect(await claim(ref.session, mine, 'second')).toMatchObject({ status: 'busy', args: null })
  expect(await finish(ref.session, mine, 'second', result(mine))).toEqual({ status: 'refused' })
  // Its beat gone: not safe, so nobody knows.
  expect(await claim(ref.session, mine, 'second', 0)).toMatchObject({ status: 'closed', args: null })
  expect(await claim(ref.session, safe, 'first')).toMatchObject({ status: 'claimed' })
  expect(await claim(ref.session, safe, 'second', 0)).toMatchObject({ status: 'claimed', attempt: 2 })
})

it('writes no result that is another call’s, or does not validate', async () => {
  const { ref, mine, safe } = await calls()
  await claim(ref.session, mine)
  for (const wrong of [
    ...[result(safe), result(mine, 'look'), { ...result(mine), outcome: 'denied' }, { ...result(mine), more: 1 }],
    ...[{ ...result(mine), blocks: 'x' }, { ...result(mine), ms: -1 }, []],
  ])
    await expect(finish(ref.session, mine, 't', wrong)).rejects.toMatchObject({ code: '22023' })
})

it('is told nothing of a call that is over', async () => {
  const { ref, mine, safe, theirs } = await calls()
  const done = (call: string, tool: string) => ({
    type: 'tool_finished' as const,
    payload: { call, tool, outcome: 'ok' as const, blocks: [] },
  })
  await log.executor.append(ref, 1, 6, [done(mine, 'pay'), done(safe, 'look'), done(theirs, 'secret')], RUNNING)
  expect(await claim(ref.session, mine)).toMatchObject({ status: 'finished', args: null })
  await log.executor.append(ref, 1, 9, [answer(ref, 9), turnFinished(2)], IDLE)
  expect(await log.client.verify(ref)).toMatchObject({ ok: true })
})

it('can do nothing else: no table, no other function, no other name', async () => {
  const { ref } = await calls()
  const tables = await log.admin(
    `select relname from pg_class where relnamespace = 'savefile'::regnamespace and relkind = 'r' and relname <> 'migrations'`,
  )
  await as(async (client) => {
    for (const { relname } of tables)
      await expect(client.query(`select from savefile."${String(relname)}"`)).rejects.toMatchObject({ code: '42501' })
    for (const sql of [
      `select savefile.read_events('default', '${ref.session}', 1, 9, 1000)`,
      `select savefile.get_blob('default', '${ref.session}', 'x')`,
      `select savefile.look('default', '${ref.session}', 1, null, 1, 1)`,
      `select savefile.claim_draft('default', '${ref.session}', 1, 'model@2', 't', true, 1)`,
      `select savefile.finish_draft('default', '${ref.session}', 'model@2', 't', 'model_answered', 1, '{}')`,
      `select savefile.set_queue_login('savefile_executor_login', 'default', 'other')`,
      `select savefile.queue_call('default', '${ref.session}', 'x')`,
      `select savefile.whoami()`,
      'set role savefile_writer',
      'set session authorization savefile_writer_login',
    ])
      await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' })
  })
})
