/**
 * From revision 5, the first that was used, with sessions in every state, to the newest: written by the SQL of that revision, with the
 * payloads of its day. What was committed then is byte for byte what it was, verifies, and goes on.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Client } from 'pg'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { migrate, migrations } from '../../log/migrate'
import { createPool } from '../../log/pool'
import { createEmptyDatabase, type TestDatabase } from '../support/database'
import {
  answer,
  approval,
  finished,
  requested,
  say,
  started,
  turnFinished,
  ANN,
  DEFINITION,
  IDLE,
  RUN,
  RUNNING,
} from './support'

const OLD = 5
const space = 'default'
const ref = (session: string) => ({ space, session })
let db: TestDatabase
let admin: Client
let definition: string

/** The functions of revision 5, as its code called them. */
const old = {
  create: (id: string) =>
    call('create_session', [space, id, ANN.actor, definition, null, '{}', 1, { definition, origin: { kind: 'new' } }]),
  say: (id: string, key: string, text: string) =>
    call('input', [space, id, ANN.actor, key, 'message_received', 1, null, say(text).payload, null]),
  claim: (id: string) => call('claim_session', [space, id, RUN.cluster, RUN.run, false, 1]),
  claimDraft: (id: string, step: string) => call('claim_draft', [space, id, 1, step, 't', true, 60_000_000]),
  finishDraft: (id: string, step: string, event: { type: string; payload: unknown }) =>
    call('finish_draft', [space, id, step, 't', event.type, 1, event.payload]),
  append: (
    id: string,
    head: number,
    events: { type: string; subject: string; payload: unknown }[],
    state: string,
    due: number | null,
  ) =>
    call('append', [
      space,
      id,
      1,
      head,
      events.map(({ type }) => type),
      events.map(() => 1),
      events.map(({ subject }) => subject),
      events.map(() => 'pay'),
      events.map(({ payload }) => JSON.stringify(payload)),
      events.map(() => null),
      state,
      due,
    ]),
  async fork(parent: string, seq: number, child: string) {
    const { rows } = await admin.query<{ hash: Buffer }>(
      'select hash from savefile.events where session_id = $1 and seq = $2',
      [parent, seq],
    )
    const hash = rows[0]?.hash ?? Buffer.alloc(0)
    const payload = { parent, seq, hash: hash.toString('hex'), definition, open: 'rule' }
    return call('fork_session', [space, parent, seq, hash, child, ANN.actor, definition, null, 1, payload])
  },
}

async function call(name: string, values: unknown[]): Promise<void> {
  const given = values.map((value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value)
      ? JSON.stringify(value)
      : value,
  )
  await admin.query(`select savefile.${name}(${given.map((_, i) => `$${i + 1}`).join(', ')})`, given)
}

const subject = (event: { type: string; payload: unknown }): { type: string; subject: string; payload: unknown } => {
  const { step, call: of, turn } = event.payload as { step?: string; call?: string; turn?: number }
  return { ...event, subject: step ?? of ?? String(turn) }
}

/** Every row of every table of that revision that is history. */
const history = async (): Promise<Record<string, unknown>[]> => {
  const all: Record<string, unknown>[] = []
  for (const table of ['events', 'lineage', 'session_definitions', 'definitions', 'blobs', 'blob_refs']) {
    const { rows } = await admin.query<{ row: Record<string, unknown> }>(
      `select to_json(t) as row from savefile.${table} t order by to_json(t)::text collate "C"`,
    )
    all.push(...rows.map(({ row }) => ({ table, ...row })))
  }
  return all
}

const SESSIONS = [
  'new',
  'due',
  'answered',
  'running',
  'asked',
  'allowed',
  'started',
  'late',
  'idle',
  'closed',
  'fork',
  'fork-of-fork',
]

beforeAll(async () => {
  db = await createEmptyDatabase()
  admin = new Client({ connectionString: db.adminUrl })
  await admin.connect()
  await admin.query('create schema savefile authorization savefile_owner')
  for (const { n, name } of migrations().slice(0, OLD)) {
    await admin.query(
      `begin; set local role savefile_owner; ${readFileSync(path.join(__dirname, '../../log/sql', name), 'utf8')}; commit`,
    )
    await admin.query('insert into savefile.migrations (n, name) values ($1, $2)', [n, name])
  }
  const { rows } = await admin.query<{ hash: string }>('select savefile.put_definition($1, $2) as hash', [
    space,
    JSON.stringify(DEFINITION),
  ])
  definition = rows[0]?.hash ?? ''
  for (const id of SESSIONS.slice(0, -2)) {
    await old.create(id)
    if (id === 'new') continue
    await old.say(id, 'first', 'go')
    await old.claim(id)
  }
  const asks = (id: string): { type: string; subject: string; payload: unknown } => subject(answer(ref(id), 2, ['pay']))
  await old.claimDraft('answered', 'model@2')
  await old.finishDraft('answered', 'model@2', answer(ref('answered'), 2))
  await old.claimDraft('running', 'model@2')
  for (const id of ['asked', 'allowed'])
    await old.append(id, 2, [asks(id), subject(requested(`${id}:2.0`))], 'waiting_approval', null)
  await call('input', [
    space,
    'allowed',
    ANN.actor,
    'ok',
    'approval_resolved',
    1,
    'allowed:2.0',
    approval('allowed:2.0').payload,
    null,
  ])
  for (const id of ['started', 'late']) await old.append(id, 2, [asks(id), subject(started(`${id}:2.0`))], 'running', 1)
  await old.claimDraft('late', 'tool@late:2.0')
  await call('close_drafts', [space, 'late', 1, ['tool@late:2.0'], ['t'], ['unknown']])
  await old.finishDraft('late', 'tool@late:2.0', finished('late:2.0'))
  for (const id of ['idle', 'closed'])
    await old.append(id, 2, [subject(answer(ref(id), 2)), subject(turnFinished(2))], 'idle', null)
  await call('input', [space, 'closed', ANN.actor, 'end', 'session_closed', 1, null, {}, null])
  await call('save_snapshot', [space, 'idle', 1, 4, { v: 1, stale: true }])
  await old.fork('started', 4, 'fork')
  await old.fork('fork', 5, 'fork-of-fork')
})
afterAll(async () => {
  await admin.end()
  await db.drop()
})

it('every session of revision 5 is what it was, verifies, and goes on', async () => {
  const before = await history()
  expect(await migrate(db.ownerUrl)).toMatchObject({ applied: migrations().length - OLD })
  // Newer revisions may add columns; what was there is unchanged.
  const now = await history()
  expect(now).toHaveLength(before.length)
  for (const [i, row] of before.entries()) expect(now[i]).toMatchObject(row)

  const client = createClientLog(createPool(db.writerUrl, { max: 4 }), { listen: false })
  const executor = createExecutorLog(createPool(db.writerUrl, { max: 4 }), { ttlMs: 0 })
  for (const id of SESSIONS)
    expect([id, await client.verify(ref(id))]).toEqual([id, expect.objectContaining({ ok: true })])

  const takeOver = async (id: string): Promise<number> => {
    const claimed = await executor.claim(ref(id), { cluster: 'c1', run: 'newer' })
    if (claimed.status !== 'claimed') throw new Error(claimed.status)
    expect(await executor.look(ref(id), claimed.epoch, null)).toMatchObject({ status: 'ok' })
    return claimed.epoch
  }
  const ends = async (
    id: string,
    epoch: number,
    head: number,
    events: Parameters<typeof executor.append>[3],
  ): Promise<void> => {
    const last = { ...turnFinished(2) }
    expect(await executor.append(ref(id), epoch, head, [...events, last], IDLE)).toMatchObject({
      status: 'appended',
      head: head + events.length + 1,
    })
  }
  await ends('due', await takeOver('due'), 2, [answer(ref('due'), 2)])
  let epoch = await takeOver('answered')
  expect(await executor.claimDraft(ref('answered'), epoch, 'model@2', { safe: true, token: 'u' })).toEqual({
    status: 'finished',
  })
  await ends('answered', epoch, 2, [{ ...answer(ref('answered'), 2), fromDraft: 'model@2' }])
  epoch = await takeOver('running')
  expect(await executor.claimDraft(ref('running'), epoch, 'model@2', { safe: true, token: 'u' })).toMatchObject({
    status: 'claimed',
    attempt: 2,
  })
  await ends('running', epoch, 2, [answer(ref('running'), 2)])
  expect(await client.input(ref('asked'), ANN, 'ok', approval('asked:2.0'))).toMatchObject({
    status: 'appended',
    seq: 5,
  })
  for (const id of ['asked', 'allowed'])
    await ends(id, await takeOver(id), 5, [started(`${id}:2.0`), finished(`${id}:2.0`), answer(ref(id), 7)])
  for (const id of ['started', 'fork']) {
    const head = (await client.info(ref(id)))?.head ?? 0
    await ends(id, await takeOver(id), head, [finished(`started:2.0`), answer(ref(id), head + 1)])
  }
  epoch = await takeOver('late')
  const look = await executor.look(ref('late'), epoch, null)
  expect(look).toMatchObject({ evidence: [{ call: 'late:2.0', token: 't' }] })
  await executor.append(ref('late'), epoch, 4, [finished('late:2.0')], RUNNING)
  expect(await client.input(ref('idle'), ANN, 'again', say('and now'))).toMatchObject({ status: 'appended', seq: 5 })
  expect(await client.input(ref('idle'), ANN, 'first', say('go'))).toMatchObject({ status: 'duplicate', seq: 2 })
  expect(await client.input(ref('closed'), ANN, 'more', say('x'))).toEqual({ status: 'closed' })
  expect(await client.fork(ref('closed'), 4, 'anew', ANN, {})).toEqual({ status: 'created' })
  expect(await client.fork(ref('fork-of-fork'), 6, 'deeper', ANN, {})).toEqual({ status: 'created' })
  for (const id of [...SESSIONS, 'anew', 'deeper'])
    expect([id, await client.verify(ref(id))]).toEqual([id, expect.objectContaining({ ok: true })])
  await executor.end()
  await client.close()
})
