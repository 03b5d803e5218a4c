/** L12: what a step, a read and a fork cost does not grow with the log: no hot query reads a table from end to end. */
import { Client } from 'pg'
import { createDueLog } from '../../log/due'
import { createClientLog } from '../../log/client-log'
import { createDeltaWriter } from '../../log/live'
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'
import { emptyState } from '../../contract/state'
import {
  openLog,
  answer,
  finished,
  requested,
  say,
  started,
  turnFinished,
  ANN,
  IDLE,
  LONG_TTL_MS,
  RUN,
  RUNNING,
  type TestLog,
} from './support'

let log: TestLog
beforeAll(async () => {
  log = await openLog()
  // 4,000 sessions with a few events and draft rows each, and one log of 30,000.
  await log.admin(`
    insert into savefile.sessions (space_id, session_id, created_at, definition, updated_at, head, head_at, head_hash)
      select 'default', 'fill' || i, i, '${log.definition}', i, 5, i, sha256('x') from generate_series(1, 4000) i;
    insert into savefile.lineage select 'default', 'fill' || i, 'fill' || i, 1, 9223372036854775807 from generate_series(1, 4000) i;
    insert into savefile.session_definitions select 'default', 'fill' || i, 1, '${log.definition}' from generate_series(1, 4000) i;
    insert into savefile.events select 'default', 'fill' || i, s, 't', 1, i, 'a', 'p:' || s, null, '{}', sha256('x'), sha256('x') from generate_series(1, 4000) i, generate_series(1, 5) s;
    insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state)
      select 'default', 'fill' || i, 'model@' || s, s, 1, 1, 'a', 1, 'finished' from generate_series(1, 4000) i, generate_series(1, 5) s;
    insert into savefile.snapshots select 'default', 'fill' || i, 1, 3, '{}' from generate_series(1, 4000) i;
    insert into savefile.blobs select 'default', 'sha256:' || i, 'x/y', 1, 'x' from generate_series(1, 4000) i;
    insert into savefile.grants (space_id, grant_id, session_id, seq, principal, rights, forks, granted_at, granted_by)
      select 'default', 'g' || i, 'fill' || i, 1, 'p' || i, '{read}', true, 1, 'a' from generate_series(1, 4000) i;
    insert into savefile.reach select 'default', 'fill' || i, 'g' || i from generate_series(1, 4000) i;
    insert into savefile.blob_refs select 'default', 'fill' || i, 'sha256:' || i from generate_series(1, 4000) i;
    insert into savefile.definitions select 'default', 'sha256:' || i, '{}' from generate_series(1, 4000) i;
    insert into savefile.evidence select 'default', 'fill' || i, 'c', 't', '{}' from generate_series(1, 4000) i;
    insert into savefile.queue_calls select 'default', 'fill' || i, 'c', 'q', 't', false, 'k', 'x' from generate_series(1, 4000) i;
    insert into savefile.draft_deltas select 'default', 'fill' || i, 'model@1', 'a', n, 'text', 'x' from generate_series(1, 4000) i, generate_series(1, 3) n;
    insert into savefile.events select 'default', 'fill1', s, 't', 1, s, 'a', 'p:' || s, null, '{}', sha256('x'), sha256('x') from generate_series(6, 30000) s;
    update savefile.sessions set head = 30000 where session_id = 'fill1';
    analyze`)
})
afterAll(() => log.close())

const scans = async (): Promise<Record<string, number>> => {
  const rows = await log.admin(
    `select relname, seq_scan::int as n from pg_stat_user_tables where schemaname = 'savefile' and relname <> 'migrations'`,
  )
  return Object.fromEntries(rows.map((row) => [String(row['relname']), Number(row['n'])]))
}

it('no call scans a table', async () => {
  const pool = createPool(log.db.writerUrl, { max: 1 })
  const executor = createExecutorLog(pool, { ttlMs: LONG_TTL_MS })
  const client = createClientLog(pool, { listen: false, pollMs: 10 })
  const due = createDueLog(pool)
  const deltas = createDeltaWriter(pool)
  const ref = await log.begin()
  const call = `${ref.session}:2.0`
  const fork = { space: 'default', session: `${ref.session}-f` }
  const calls: Record<string, () => Promise<unknown>> = {
    'claim by the same run': () => executor.claim(ref, RUN),
    'claim by another': () => executor.claim(ref, { ...RUN, run: 'r2' }),
    'claim of another cluster': () => executor.claim(ref, { cluster: 'c2', run: 'r' }),
    'look from the start': () => executor.look(ref, 2, null),
    'look at the tail': () => executor.look(ref, 2, 1),
    claimDraft: () => executor.claimDraft(ref, 2, 'model@2', { safe: true, token: 'a' }),
    'claimDraft again': () => executor.claimDraft(ref, 2, 'model@2', { safe: true, token: 'b' }),
    beat: () => executor.beat([{ ref, step: 'model@2', token: 'a' }]),
    deltas: () => (deltas.add({ ref, step: 'model@2', token: 'a', n: 0, kind: 'text', body: 'x' }), deltas.flush()),
    partial: () => executor.partial(ref, ['model@2']),
    finishDraft: () => executor.finishDraft(ref, 'model@2', 'a', answer(ref, 2, ['pay'])),
    'append from a draft': () =>
      executor.append(ref, 2, 2, [{ ...answer(ref, 2, ['pay']), fromDraft: 'model@2' }, requested(call)], RUNNING),
    approve: () =>
      client.input(ref, ANN, 'a', { type: 'approval_resolved', payload: { call, decision: 'allow', scope: 'once' } }),
    'append started': () =>
      executor.append(ref, 2, 5, [started(call), finished(call), answer(ref, 7), turnFinished(2)], IDLE),
    message: () => client.input(ref, ANN, 'k', say('x')),
    setOutlook: () => executor.setOutlook(ref, 2, IDLE, 10),
    close: () => executor.close(ref, 2, [{ step: 'model@99', token: null, outcome: 'cancelled' }]),
    saveSnapshot: () => executor.saveSnapshot(ref, 5, { ...emptyState, seq: 5 }),
    fork: () => client.fork(ref, 5, fork.session, ANN, {}),
    'look at a fork': async () => (await executor.claim(fork, RUN)) && (await executor.look(fork, 1, null)),
    'read of a fork': () => client.read(fork),
    'page of a long log': () => client.read({ ...ref, session: 'fill1' }, { from: 29_000, limit: 10 }),
    tail: () => client.tail({ ...ref, session: 'fill1' }, 10),
    info: () => client.info(ref),
    list: () => client.list('default', { limit: 20 }),
    blob: async () => client.readBlob(ref, (await client.writeBlob(ref, Buffer.from('x'), 'text/plain')).hash),
    definition: () => client.definition('default', log.definition),
    takeDue: () => due.takeDue(100, 1000),
    follow: async () => {
      for await (const event of client.follow(ref)) if (event.seq === 10) break
    },
    followLive: async () => {
      const stop = AbortSignal.timeout(100)
      for await (const _ of client.followLive(ref, { signal: stop })) continue
    },
    'verify a page': () => client.verify(ref),
  }
  const found: string[] = []
  for (const [what, run] of Object.entries(calls)) {
    const before = await scans()
    await run()
    await pool.query('select pg_stat_force_next_flush()')
    const after = await scans()
    for (const [table, n] of Object.entries(after)) if (n > (before[table] ?? 0)) found.push(`${what}: ${table}`)
  }
  expect(found).toEqual([])
  // The counter counts.
  const before = await scans()
  await pool.query('select count(payload) from savefile.events')
  await pool.query('select pg_stat_force_next_flush()')
  expect((await scans())['events']).toBeGreaterThan(before['events'] ?? 0)
  await client.close()
})

it('rows are found by their keys also by plans that were made while there were none: no other index is as good then', async () => {
  const empty = await openLog()
  const admin = new Client({ connectionString: empty.db.adminUrl })
  await admin.connect()
  await admin.query('set plan_cache_mode = force_generic_plan')
  const explain = async (sql: string, values: string): Promise<string> => {
    await admin.query(`prepare found as ${sql}`)
    const { rows } = await admin.query(`explain execute found(${values})`)
    await admin.query('deallocate found')
    return JSON.stringify(rows)
  }
  expect(
    await explain(
      'select * from savefile.sessions where space_id = $1 and session_id = $2 for no key update',
      `'s', 'x'`,
    ),
  ).toContain('sessions_pkey')
  expect(
    await explain(
      'select * from savefile.events where space_id = $1 and session_id = $2 and key = $3',
      `'s', 'x', 'k'`,
    ),
  ).toContain('events_key')
  await admin.end()
  await empty.close()
})
