/**
 * L12: besides the view, what a step does in the database does not grow with the log, and a fork costs the same anywhere. Counted in pages
 * that were looked at (EXPLAIN ANALYZE BUFFERS), not in time: at event 10, and at event 10,000 in a turn of as many.
 * That no hot query scans a table: test/log/indexes. Times: bench/.
 */
import { Client } from 'pg'
import { REDUCER_VERSION } from '../../contract/state'
import { openLog, type TestLog } from '../log/support'

const LENGTHS = { short: 10, long: 10_000 }
type Session = keyof typeof LENGTHS

let log: TestLog
let admin: Client
beforeAll(async () => {
  log = await openLog()
  for (const [session, n] of Object.entries(LENGTHS))
    await log.admin(`
      insert into savefile.sessions (space_id, session_id, created_at, definition, updated_at, head, head_at, head_hash, epoch, owner_cluster, owner_run, state, due_at, answer_seq)
        values ('default', '${session}', 1, '${log.definition}', 1, ${n}, 1, sha256('x'), 1, 'c1', 'r1', 'running', 9000000000000000, ${n - 2});
      insert into savefile.lineage values ('default', '${session}', '${session}', 1, 9223372036854775807);
      insert into savefile.session_definitions values ('default', '${session}', 1, '${log.definition}');
      insert into savefile.events select 'default', '${session}', s, 'tool_finished', 1, s, 'a', 'x:result:' || s, null, '{}', sha256('x'), sha256('x') from generate_series(1, ${n}) s;
      insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state, type, v, payload)
        select 'default', '${session}', 'tool@' || s, s, 1, 1, 'a', 1, 'finished', 'tool_finished', 1, '{}' from generate_series(1, ${n - 1}) s;
      insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state, beat_at)
        values ('default', '${session}', 'tool@open', ${n}, 1, 1, 'mine', 1, 'running', 1);
      insert into savefile.snapshots select 'default', '${session}', ${REDUCER_VERSION}, s, '{}' from generate_series(5, ${n}, 200) s;
      insert into savefile.snapshots values ('default', '${session}', ${REDUCER_VERSION}, ${n - 2}, '{}')`)
  await log.admin('vacuum analyze')
  admin = new Client({ connectionString: log.db.adminUrl })
  await admin.connect()
}, 120_000)
afterAll(async () => {
  await admin.end()
  await log.close()
})

/** Pages looked at by a statement whose effect is taken back; the second time, when its plans are made. */
async function pages(sql: string): Promise<number> {
  let n = 0
  for (let i = 0; i < 2; i++) {
    await admin.query('begin')
    const { rows } = await admin.query<Record<'QUERY PLAN', { Plan: Record<string, number> }[]>>(
      `explain (analyze, buffers, format json) ${sql}`,
    )
    await admin.query('rollback')
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan ?? {}
    n = (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0)
  }
  return n
}

const ends = `'tool_finished', 1, '{"call":"open"}', 1`
const one = (session: Session, draft: string): string =>
  `${LENGTHS[session]}, array['tool_finished'], array[1], array['open'], array['pay'], array[${draft}]::text[], array[null]::text[], 'running', 9000000000000000`

const CALLS: Record<string, (session: Session) => string> = {
  'a look at what came since': (s) =>
    `savefile.look('default', '${s}', 1, ${LENGTHS[s] - 1}, ${REDUCER_VERSION}, 1000)`,
  'a look of a process that knows nothing': (s) =>
    `savefile.look('default', '${s}', 1, null, ${REDUCER_VERSION}, 1000)`,
  'a new lease': (s) => `savefile.claim_session('default', '${s}', 'c1', 'another', false, 1000)`,
  'the claim of a step': (s) => `savefile.claim_draft('default', '${s}', 1, 'tool@new', 't', false, 1000)`,
  'the end of a step': (s) => `savefile.finish_draft('default', '${s}', 'tool@open', 'mine', 'tool_finished', 1, '{}')`,
  'an append': (s) => `savefile.append('default', '${s}', 1, ${one(s, `'{}'`)})`,
  'a step’s end and its append': (s) =>
    `savefile.finish_and_append('default', '${s}', 'tool@open', 'mine', ${ends}, ${one(s, `'{}'`)})`,
  'a message': (s) => `savefile.input('default', '${s}', 'user:ann', 'k', 'message_received', 1, null, '{}', null)`,
  'a fork at the end': (s) =>
    `savefile.fork_session('default', '${s}', ${LENGTHS[s]}, sha256('x'), 'f', 'user:ann', '${log.definition}', null, '{}', 1, '{}')`,
  'the last page': (s) => `savefile.read_events('default', '${s}', ${LENGTHS[s] - 5}, ${LENGTHS[s]}, 1000000)`,
}

test.each(Object.entries(CALLS))('%s: as many pages at event 10,000 as at event 10', async (_what, call) => {
  const [short, long] = [await pages(`select * from ${call('short')}`), await pages(`select * from ${call('long')}`)]
  expect(short).toBeGreaterThan(0)
  // A page more where an index has another level there.
  expect(long).toBeLessThanOrEqual(short * 1.1 + 4)
})

test('what does grow is seen to: reading a whole log', async () => {
  const read = (session: Session): Promise<number> =>
    pages(`select * from savefile.read_events('default', '${session}', 1, ${LENGTHS[session]}, 100000000)`)
  expect(await read('long')).toBeGreaterThan((await read('short')) * 10)
})
