/**
 * What the log costs: each call of a step, and the WAL of a step, against plain INSERTs of the same content. Not a test; needs a migrated
 * database with fsync on:  npx tsx test/log/measure.ts <writer url> <admin url>
 */
import { randomBytes, randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import { parseDefinition } from '../../contract/definition'
import type { NewEvent } from '../../contract/events'
import type { ExecutorLog } from '../../contract/ports'
import type { SessionRef } from '../../contract/ids'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'

const HASH = `sha256:${'0'.repeat(64)}`
/** Text that no compression makes smaller than half. */
const kilobyte = (): string => randomBytes(768).toString('base64')

const times = new Map<string, number[]>()
async function timed<T>(what: string, run: () => Promise<T>): Promise<T> {
  const start = performance.now()
  const result = await run()
  const list = times.get(what) ?? []
  times.set(what, list)
  list.push(performance.now() - start)
  return result
}

function answered(session: string, due: number, prev: number): NewEvent {
  return {
    type: 'model_answered',
    payload: {
      step: `model@${due}`,
      provider: 'anthropic',
      model: 'm',
      blocks: [
        { type: 'text', text: kilobyte().slice(0, 500) },
        { type: 'tool_call', call: `${session}:${due}.0`, name: 't', args: '{}' },
      ],
      stop: 'tool_calls',
      usage: { input: 1000, output: 100, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
      timings: { startedAt: 1_700_000_000_000_000, totalMs: 1000 },
      manifest: { view: 1, definition: HASH, prev, saw: [due], dropped: [], requestHash: '0'.repeat(64) },
      attempts: [],
    },
  }
}

/** One model call and one tool call, as the loop makes them: eight calls of the log. */
async function step(log: ExecutorLog, ref: SessionRef, epoch: number, head: number): Promise<number> {
  const dueAt = Date.now() * 1000 + 30e6
  const running = { state: 'running', dueAt } as const
  const model = `model@${head}`
  const call = `${ref.session}:${head}.0`
  const tokens = [randomUUID(), randomUUID()] as const
  await timed('claimDraft', () => log.claimDraft(ref, epoch, model, { safe: true, token: tokens[0] }))
  const answer = answered(ref.session, head, Math.max(0, head - 3))
  await timed('finishDraft', () => log.finishDraft(ref, model, tokens[0], answer))
  await timed('look', () => log.look(ref, epoch, head))
  const started: NewEvent = {
    type: 'tool_started',
    payload: { call, tool: 't', queue: null, idempotencyKey: '0'.repeat(64) },
  }
  const promoted = [{ ...answer, fromDraft: model }, started]
  const one = await timed('append (answer, tool_started)', () => log.append(ref, epoch, head, promoted, running))
  if (one.status !== 'appended') throw new Error(one.status)
  await timed('claimDraft', () => log.claimDraft(ref, epoch, `tool@${call}`, { safe: false, token: tokens[1] }))
  const result: NewEvent = {
    type: 'tool_finished',
    payload: { call, tool: 't', outcome: 'ok', blocks: [{ type: 'text', text: kilobyte() }] },
  }
  await timed('finishDraft', () => log.finishDraft(ref, `tool@${call}`, tokens[1], result))
  await timed('look', () => log.look(ref, epoch, head + 2))
  const two = await timed('append (tool_finished)', () =>
    log.append(ref, epoch, head + 2, [{ ...result, fromDraft: `tool@${call}` }], running),
  )
  if (two.status !== 'appended') throw new Error(two.status)
  return two.head
}

async function lsn(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ at: string }>(
    `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::text as at`,
  )
  return Number(rows[0]?.at)
}

async function plainStep(pool: Pool, session: string, seq: number, withStart: boolean): Promise<void> {
  const start = JSON.stringify({ call: `${session}:${seq}.0`, tool: 't', queue: null, idempotencyKey: '0'.repeat(64) })
  const insert = 'insert into public.plain (space, session, seq, type, payload) values ($1, $2, $3, $4, $5)'
  const answer = JSON.stringify(answered(session, seq, seq).payload)
  const result = JSON.stringify({
    call: `${session}:${seq}.0`,
    tool: 't',
    outcome: 'ok',
    blocks: [{ type: 'text', text: kilobyte() }],
  })
  await timed('plain INSERT', () => pool.query(insert, ['default', session, seq, 'model_answered', answer]))
  if (withStart)
    await timed('plain INSERT', () => pool.query(insert, ['default', session, seq + 1, 'tool_started', start]))
  await timed('plain INSERT', () => pool.query(insert, ['default', session, seq + 2, 'tool_finished', result]))
}

async function main(): Promise<void> {
  const [writer = '', admin = ''] = process.argv.slice(2)
  const sessions = Number(process.argv[4] ?? 16)
  const steps = Number(process.argv[5] ?? 60)
  const [pool, adminPool] = [createPool(writer, { max: 20 }), createPool(admin, { max: 20 })]
  const log = createExecutorLog(pool)
  const client = createClientLog(pool)
  const hash = await client.putDefinition('default', parseDefinition({ model: { provider: 'anthropic', name: 'm' } }))
  const refs = await Promise.all(
    Array.from({ length: sessions }, async () => {
      const ref = { space: 'default', session: `${randomBytes(12).toString('hex')}a` }
      await client.create(ref, { actor: 'user:a' }, { definition: hash })
      const blocks = [{ type: 'text' as const, text: 'go' }]
      await timed('input', () =>
        client.input(ref, { actor: 'user:a' }, 'k', {
          type: 'message_received',
          payload: { blocks, delivery: 'queue' },
        }),
      )
      await timed('claim', () => log.claim(ref, { cluster: 'c', run: 'r' }))
      return ref
    }),
  )
  const heads = new Map(refs.map((ref) => [ref.session, 2]))
  const rounds = async (n: number, concurrent: boolean): Promise<void> => {
    const run = async (ref: SessionRef): Promise<void> => {
      for (let i = 0; i < n; i++) heads.set(ref.session, await step(log, ref, 1, heads.get(ref.session) ?? 0))
    }
    if (concurrent) await Promise.all(refs.map(run))
    else for (const ref of refs) await run(ref)
  }
  const report = (title: string): void => {
    console.log(title)
    for (const [what, list] of times) {
      list.sort((a, b) => a - b)
      const at = (p: number): string => (list[Math.floor(list.length * p)] ?? 0).toFixed(2)
      console.log(`  ${what.padEnd(32)} n ${String(list.length).padStart(5)}  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms`)
    }
    times.clear()
  }
  await adminPool.query('drop table if exists public.plain')
  await adminPool.query(
    'create table public.plain (space text, session text, seq bigint, type text, payload text, primary key (space, session, seq))',
  )
  await rounds(5, false)
  times.clear()
  await rounds(20, false)
  for (const { session } of refs) for (let i = 0; i < 20; i++) await plainStep(adminPool, session, i * 3, false)
  report('one session at a time:')

  await adminPool.query('checkpoint')
  let from = await lsn(adminPool)
  const start = performance.now()
  await rounds(steps, true)
  const seconds = (performance.now() - start) / 1000
  const ours = ((await lsn(adminPool)) - from) / (sessions * steps)
  report(`${sessions} sessions at once: ${((sessions * steps) / seconds).toFixed(0)} steps/s`)
  for (const withStart of [false, true]) {
    await adminPool.query('checkpoint')
    from = await lsn(adminPool)
    const base = withStart ? 200_000 : 100_000
    await Promise.all(
      refs.map(async ({ session }) => {
        for (let i = 0; i < steps; i++) await plainStep(adminPool, session, base + i * 3, withStart)
      }),
    )
    const plain = ((await lsn(adminPool)) - from) / (sessions * steps)
    const what = withStart ? 'answer, tool_started and result' : 'answer and result'
    report(`plain INSERTs of ${what}:`)
    console.log(
      `WAL per step: ${ours.toFixed(0)} bytes; plain INSERTs of ${what}: ${plain.toFixed(0)}; ratio ${(ours / plain).toFixed(2)}`,
    )
  }
  const { rows } = await adminPool.query(
    `select relname, n_tup_ins, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where schemaname = 'savefile' and n_tup_upd > 0`,
  )
  console.table(rows)
  await log.end()
  await client.close()
  await adminPool.end()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
