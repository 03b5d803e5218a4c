/** WAL that a step writes, against plain INSERTs of the same content: the payloads that the log then holds, a row and a commit each. */
import { Pool } from 'pg'
import { round } from '../stats'
import { atMost, type Options, type Outcome } from '../scenario'
import { workFolder, type BenchWorld, type Stack } from '../stack'
import { checkSessions, createSessions, logOf, mapLimited, playTurns, type LogRow } from '../turns'

const SESSIONS = 16

export async function wal(stack: Stack, { quick }: Options): Promise<Outcome> {
  const world = await stack.world()
  const pool = new Pool({ connectionString: world.adminUrl, max: 10 })
  try {
    await world.worker()
    const steps = quick ? 10 : 50
    await playTurns(world, await createSessions(world, SESSIONS, 'regular', workFolder(stack)), { steps: 10 })
    const sessions = await createSessions(world, SESSIONS, 'regular', workFolder(stack))
    const ours = await walOf(world, () => playTurns(world, sessions, { steps }))
    await checkSessions(world, sessions)
    const logs = await logOf(world, sessions, true)
    const plain = async (table: string, rows: LogRow[][]): Promise<number> => {
      await pool.query(
        `create table public.${table} (space text, session text, seq bigint, type text, payload text, primary key (space, session, seq))`,
      )
      return walOf(world, () =>
        mapLimited(rows, SESSIONS, async (log) => {
          for (const { session, seq, type, payload } of log)
            await pool.query(`insert into public.${table} values ('default', $1, $2, $3, $4)`, [
              session,
              seq,
              type,
              payload,
            ])
        }),
      )
    }
    const content = (row: LogRow): boolean => row.type === 'model_answered' || row.type === 'tool_finished'
    const two = await plain(
      'plain_content',
      logs.map((log) => log.filter(content)),
    )
    const all = await plain('plain_events', logs)
    const perStep = (bytes: number): number => round(bytes / (SESSIONS * steps), 0)
    return {
      figures: [
        atMost(
          'WAL of a step against plain INSERTs of its answer and its result',
          ours / two,
          3,
          ' times',
          ` (${perStep(ours)} against ${perStep(two)} bytes; of all its events: ${perStep(all)})`,
        ),
      ],
      data: { bytesPerStep: perStep(ours), plainContent: perStep(two), plainEvents: perStep(all) },
    }
  } finally {
    await pool.end()
    await world.close()
  }
}

/** Bytes of WAL, from a checkpoint on. */
async function walOf(world: BenchWorld, run: () => Promise<unknown>): Promise<number> {
  await world.admin.query('checkpoint')
  const at = async (): Promise<number> => {
    const { rows } = await world.admin.query<{ at: string }>(
      `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as at`,
    )
    return Number(rows[0]?.at)
  }
  const before = await at()
  await run()
  return (await at()) - before
}
