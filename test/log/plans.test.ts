/**
 * L12: the plans of the hot queries, those inside of the functions too, as they are run: what each reads of tables and indexes. A plan that
 * takes the wrong index (a stretch walked by seq for one key) throws rows away, or reads many pages, and is named; with generic plans and
 * with those for the values, with statistics and before there are any; and with plans that a connection made when the database was new and
 * empty.
 */
import type { Pool } from 'pg'
import { emptyState, REDUCER_VERSION } from '../../contract/state'
import type { ClientLog } from '../../contract/client-port'
import { createClientLog } from '../../log/client-log'
import { createDueLog } from '../../log/due'
import { createExecutorLog } from '../../log/executor-log'
import { createDeltaWriter } from '../../log/live'
import { createPool } from '../../log/pool'
import { newToken, withToken } from '../../log/token-pool'
import {
  answer,
  finished,
  openLog,
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

/** Rows that one scan reads and throws away, and pages that it touches by itself. One walk of a stretch is past both. */
const MOST_WASTED = 20
const MOST_PAGES = 200

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  'Rows Removed by Join Filter'?: number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Plan[]
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)]

/** What is wrong with a plan. */
function problems({ 'Query Text': text, Plan: plan }: { 'Query Text': string; Plan: Plan }): string[] {
  return nodes(plan).flatMap((node) => {
    const wasted =
      node['Actual Loops'] *
      ((node['Rows Removed by Filter'] ?? 0) +
        (node['Rows Removed by Index Recheck'] ?? 0) +
        (node['Rows Removed by Join Filter'] ?? 0))
    const pagesOf = (n: Plan): number => n['Shared Hit Blocks'] + n['Shared Read Blocks']
    const inside = (node.Plans ?? []).map(pagesOf).reduce((a, b) => a + b, 0)
    // What is no scan counts the pages of the functions that it calls, whose own statements are seen by themselves.
    const pages =
      node['Relation Name'] === undefined || node['Node Type'] === 'ModifyTable' ? 0 : pagesOf(node) - inside
    if (wasted <= MOST_WASTED && pages <= MOST_PAGES) return []
    const by = `${node['Node Type']} ${node['Index Name'] ?? node['Relation Name'] ?? ''}`.trim()
    return [`${wasted} rows thrown away, ${pages} pages (${by}): ${text.replace(/\s+/g, ' ').trim().slice(0, 300)}`]
  })
}

type Mode = 'force_generic_plan' | 'force_custom_plan' | 'auto'

/** One connection of a superuser, who may load auto_explain; the functions run as their owner all the same. */
function explained(log: TestLog, mode: Mode, role?: string): { pool: Pool; plans: Parameters<typeof problems>[0][] } {
  const settings = {
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': 0,
    'auto_explain.log_nested_statements': 'on',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_buffers': 'on',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
    plan_cache_mode: mode,
    ...(role === undefined ? {} : { role }),
  }
  const url = new URL(log.db.adminUrl)
  url.searchParams.set(
    'options',
    Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
  )
  const plans: Parameters<typeof problems>[0][] = []
  const pool = createPool(url.href.replaceAll('+', '%20'), { max: 1 })
  // The connection is to keep its plans.
  pool.options.idleTimeoutMillis = 0
  pool.on('connect', (client) =>
    client.on('notice', ({ message = '' }) => {
      const [head, json] = message.split(' plan:\n')
      if (json !== undefined && head?.startsWith('duration')) plans.push(JSON.parse(json))
    }),
  )
  return { pool, plans }
}

/** 20 sessions of 2,000 events with all that hangs on them, 4,000 small ones, and three nested forks. */
async function fill(log: TestLog): Promise<void> {
  await log.admin(`
    insert into savefile.sessions (space_id, session_id, created_at, definition, updated_at, head, head_at, head_hash, due_at, parent_id, answer_seq)
      select 'default', 'big' || i, i, '${log.definition}', i, 2000, i, sha256('x'), case when i <= 5 then i end, null, 1999 from generate_series(1, 20) i
      union all select 'default', 'small' || i, i, '${log.definition}', i, 1, i, sha256('x'), 9e15, 'big' || (2 + i % 19), 0 from generate_series(1, 4000) i;
    insert into savefile.lineage select 'default', session_id, session_id, 1, 9223372036854775807 from savefile.sessions where session_id ~ '^(big|small)';
    insert into savefile.session_definitions select 'default', session_id, 1, '${log.definition}' from savefile.sessions where session_id ~ '^(big|small)';
    insert into savefile.session_definitions select 'default', 'big' || i, s, '${log.definition}' from generate_series(1, 20) i, generate_series(2, 500) s;
    insert into savefile.events select 'default', session_id, s, 'message_received', 1, s, 'a', 'p:' || s, null, '{}', sha256('x'), sha256('x')
      from savefile.sessions, generate_series(1, head) s where session_id ~ '^(big|small)';
    insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state)
      select 'default', 'big' || i, 'model@' || s, s, 1, 1, 'a', 1, 'finished' from generate_series(1, 20) i, generate_series(1, 2000) s;
    insert into savefile.snapshots select 'default', 'big' || i, ${REDUCER_VERSION}, s * 10, '{}' from generate_series(1, 20) i, generate_series(1, 199) s;
    insert into savefile.blobs select 'default', 'sha256:' || i, 'x/y', 1, 'x' from generate_series(1, 4000) i;
    insert into savefile.blob_refs select 'default', 'big' || i, 'sha256:' || s from generate_series(1, 20) i, generate_series(1, 500) s;
    insert into savefile.definitions select 'default', 'sha256:' || i, '{}' from generate_series(1, 4000) i;
    insert into savefile.evidence select 'default', 'small' || i, 'c', 't', '{}' from generate_series(1, 4000) i;
    insert into savefile.draft_deltas select 'default', 'big' || i, 'model@9', 'a', n, 'text', 'x' from generate_series(2, 20) i, generate_series(1, 5) n;
    insert into savefile.grants (space_id, grant_id, session_id, seq, principal, rights, forks, granted_at, granted_by)
      select 'default', 'g' || i, 'small' || i, 1, 'p' || i, '{read}', true, 1, 'a' from generate_series(1, 4000) i;
    insert into savefile.reach select 'default', 'small' || i, 'g' || i from generate_series(1, 4000) i;
    insert into savefile.tokens (hash, space_id, token_id, principal, created_at, created_by)
      select sha256(i::text::bytea), 'default', 't' || i, 'p' || i, 1, 'a' from generate_series(1, 4000) i;
    insert into savefile.principals select 'default', 'p' || i, '{}', 1, 'a' from generate_series(1, 4000) i`)
}

/** Every call of a step, of people and of readers, on a session that inherits three stretches. @returns what is wrong */
async function calls(
  log: TestLog,
  { pool, plans }: ReturnType<typeof explained>,
  name: string,
  analyzed: boolean,
  [parent, head]: [string, number] = ['big1', 2000],
): Promise<string[]> {
  const executor = createExecutorLog(pool, { ttlMs: LONG_TTL_MS })
  const client = createClientLog(pool, { listen: false, pollMs: 10 })
  const deltas = createDeltaWriter(pool)
  const due = createDueLog(pool)
  const ref = { space: 'default', session: name }
  await log.client.fork({ ...ref, session: parent }, head - 1, `${name}-1`, ANN, {})
  await log.client.fork({ ...ref, session: `${name}-1` }, head, `${name}-2`, ANN, {})
  const [call, many] = [`${name}:${head + 2}.0`, Array.from({ length: 10 }, (_, i) => `${name}:${head + 2}.${i + 1}`)]
  const last = head + 2
  const all: Record<string, () => Promise<unknown>> = {
    fork: () => client.fork({ ...ref, session: `${name}-2` }, head + 1, name, ANN, {}),
    message: () => client.input(ref, ANN, 'k', say('x')),
    'message again': () => client.input(ref, ANN, 'k', say('x')),
    claim: () => executor.claim(ref, RUN),
    look: () => executor.look(ref, 1, null),
    claimDraft: () => executor.claimDraft(ref, 1, `model@${last + 1}`, { safe: true, token: 'a' }),
    beat: () => executor.beat([{ ref, step: `model@${last + 1}`, token: 'a' }]),
    deltas: () => (
      deltas.add({ ref, step: `model@${last + 1}`, token: 'a', n: 0, kind: 'text', body: 'x' }),
      deltas.flush()
    ),
    live: async () => {
      for await (const _ of client.followLive(ref, { signal: AbortSignal.timeout(100) })) continue
    },
    partial: () => executor.partial(ref, [`model@${last + 1}`]),
    finishDraft: () => executor.finishDraft(ref, `model@${last + 1}`, 'a', answer(ref, last + 1)),
    append: () =>
      executor.append(ref, 1, last + 1, [{ ...answer(ref, last + 1), fromDraft: `model@${last + 1}` }], RUNNING),
    'append of what is looked up in the lineage': () =>
      executor.append(ref, 1, last + 2, [requested(call), started(call), finished(call)], RUNNING),
    'append of many': () => executor.append(ref, 1, last + 5, [...many.map((c) => started(c)), turnFinished(2)], IDLE),
    'append of many again': () =>
      executor.append(
        ref,
        1,
        last + 16,
        many.map((c) => started(c)),
        IDLE,
      ),
    'look at the tail': () => executor.look(ref, 1, last + 14),
    setOutlook: () => executor.setOutlook(ref, 1, IDLE, last + 16),
    saveSnapshot: () => executor.saveSnapshot(ref, last, { ...emptyState, seq: last }),
    close: () => executor.close(ref, 1, [{ step: 'model@99', token: null, outcome: 'cancelled' }]),
    takeDue: () => due.takeDue(100, 1000),
    page: () => client.read(ref, { from: head - 5, limit: 10 }),
    'page of a long log': () => client.read({ ...ref, session: parent }, { from: head - 5, limit: 5 }),
    tail: () => client.tail(ref, 10),
    info: () => client.info(ref),
    // Without statistics it sorts the space's sessions; it is nobody's step.
    ...(analyzed ? { list: () => client.list('default', { limit: 20 }) } : {}),
    family: () => client.family(ref),
    placeAt: () => client.placeAt(ref, head),
    stretches: () => client.stretches(ref),
    stalled: () => client.stalled(ref),
    'inputs at once': () =>
      Promise.all([1, 2, 3, 4].map((n) => client.input(ref, ANN, `${name}-at-once-${n}`, say('at once')))),
    follow: async () => {
      const stop = new AbortController()
      for await (const _ of client.follow(ref, { from: (await client.info(ref))?.head, signal: stop.signal })) {
        // Heard once as a page, and once as what came behind the head.
        if ((await client.input(ref, ANN, `${name}-followed`, say('followed'))).status === 'duplicate') stop.abort()
      }
    },
    blob: async () => client.readBlob(ref, (await client.writeBlob(ref, Buffer.from(name), 'text/plain')).hash),
  }
  const found: string[] = []
  for (const [what, run] of Object.entries(all)) {
    plans.length = 0
    await run()
    expect(plans.length).toBeGreaterThan(0)
    for (const plan of plans) found.push(...problems(plan).map((p) => `${what}: ${p}`))
  }
  return found
}

/** What the holder of a token reads, through the policies. */
async function reads(log: TestLog, { pool, plans }: ReturnType<typeof explained>, name: string): Promise<string[]> {
  const ref = { space: 'default', session: name }
  const token = newToken()
  await log.client.sharing.createToken('default', ANN, { principal: `reader-${name}`, token })
  await log.client.sharing.grant(ref, ANN, {
    grant: name.replaceAll('-', ''),
    principal: `reader-${name}`,
    rights: ['read'],
    forks: false,
  })
  const blob = await log.client.writeBlob(ref, Buffer.from(name), 'text/plain')
  // A client of its own each time: it keeps definitions.
  const open = (): ClientLog => createClientLog(withToken(pool, token), { listen: false, pollMs: 10, byToken: true })
  const all: Record<string, (client: ClientLog) => Promise<unknown>> = {
    page: async (client) => expect(await client.read(ref, { from: 1990, limit: 10 })).toHaveLength(10),
    tail: async (client) => expect(await client.tail(ref, 10)).toHaveLength(10),
    info: async (client) => expect(await client.info(ref)).toMatchObject({ session: name }),
    placeAt: async (client) => expect(await client.placeAt(ref, 1990)).toMatchObject({ definition: log.definition }),
    stretches: async (client) => expect(await client.stretches(ref)).toHaveLength(4),
    blob: (client) => client.readBlob(ref, blob.hash),
    definition: (client) => client.definition('default', log.definition),
    live: async (client) => {
      for await (const _ of client.followLive(ref, { signal: AbortSignal.timeout(100) })) continue
    },
  }
  const found: string[] = []
  for (const [what, run] of Object.entries(all)) {
    // The first of a connection reads the catalogs too.
    await run(open())
    plans.length = 0
    await run(open())
    expect(plans.length).toBeGreaterThan(0)
    for (const plan of plans) found.push(...problems(plan).map((p) => `token, ${what}: ${p}`))
  }
  await open().close()
  return found
}

/** Nothing but the test gives the tables statistics. */
async function withoutStatistics(log: TestLog): Promise<void> {
  for (const table of [
    'sessions',
    'lineage',
    'session_definitions',
    'events',
    'drafts',
    'draft_deltas',
    'reach',
    'grants',
    'tokens',
  ])
    await log.admin(`alter table savefile.${table} set (autovacuum_enabled = false)`)
}

let log: TestLog
beforeAll(async () => {
  log = await openLog({ listen: false })
  await withoutStatistics(log)
  await fill(log)
})
afterAll(() => log.close())

it.each(['without statistics', 'with statistics'])(
  'no statement of a call reads more than it needs, %s',
  async (stats) => {
    if (stats === 'with statistics') await log.admin('analyze')
    const found: string[] = []
    for (const mode of ['force_generic_plan', 'force_custom_plan'] as const) {
      const name = `${stats} ${mode}`.replaceAll(/[ _]/g, '-')
      const connection = explained(log, mode)
      const wrong = [
        ...(await calls(log, connection, name, stats === 'with statistics')),
        ...(await reads(log, explained(log, mode, 'savefile_member'), name)),
      ]
      await connection.pool.end()
      found.push(...wrong.map((problem) => `${mode}, ${problem}`))
    }
    expect(found).toEqual([])
  },
  120_000,
)

it('a stretch that is walked by seq for one key is found', async () => {
  const { pool, plans } = explained(log, 'force_custom_plan')
  await pool.query(
    `select seq from savefile.events where space_id = 'default' and session_id = 'big1' and seq > 0 and key || '' = 'x:none'`,
  )
  expect(plans.flatMap(problems)).toEqual([expect.stringMatching(/^2000 rows thrown away/)])
  await pool.end()
})

it.each(['force_generic_plan', 'auto'] as const)(
  'nor with plans that a connection made when the database was new, once the reconciler has come by a database that grew (%s)',
  async (mode) => {
    const young = await openLog({ listen: false })
    const connection = explained(young, mode)
    try {
      await withoutStatistics(young)
      await young.admin(`
        insert into savefile.sessions (space_id, session_id, created_at, definition, updated_at, head, head_at, head_hash, answer_seq)
          values ('default', 'seed', 1, '${young.definition}', 1, 20, 1, sha256('x'), 19);
        insert into savefile.lineage values ('default', 'seed', 'seed', 1, 9223372036854775807);
        insert into savefile.session_definitions values ('default', 'seed', 1, '${young.definition}');
        insert into savefile.events select 'default', 'seed', s, 'message_received', 1, s, 'a', 'p:' || s, null, '{}', sha256('x'), sha256('x')
          from generate_series(1, 20) s`)
      // From the sixth run on a plan may be kept for good.
      for (let round = 0; round < 8; round++) await calls(young, connection, `young-${round}`, false, ['seed', 20])
      await fill(young)
      const analysed = await young.admin(
        `select relname from pg_stat_user_tables where schemaname = 'savefile' and relname in ('events', 'sessions', 'drafts')
           and (last_analyze is not null or last_autoanalyze is not null)`,
      )
      expect(analysed).toEqual([])
      // Until then it has plans that pass over whole tables, and it would keep them.
      expect(await calls(young, connection, 'before', false)).not.toEqual([])
      const due = createDueLog(young.pool)
      expect(await due.analyse()).toEqual(expect.arrayContaining(['drafts', 'events', 'sessions']))
      // Those of the rounds before, which nobody goes on with.
      await young.admin(`update savefile.sessions set due_at = null where session_id ~ '^(young|before)'`)
      expect(await calls(young, connection, 'grown', false)).toEqual([])
      expect(await due.analyse()).toEqual([])
    } finally {
      await connection.pool.end()
      await young.close()
    }
  },
  120_000,
)
