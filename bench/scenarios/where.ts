/**
 * Where the time of a step goes, 16 sessions at once: CPU of each part, transactions, and the log's functions by calls and time as Postgres
 * counts them. With --profile the worker also writes a CPU profile. No figure of its own: for whoever wants to make a step cheaper.
 */
import { cpuMs, percentile, round } from '../stats'
import type { Options, Outcome } from '../scenario'
import { workFolder, type Stack } from '../stack'
import {
  checkSessions,
  createSessions,
  logOf,
  playTurns,
  runFloor,
  scriptedTool,
  stepTimes,
  throughput,
} from '../turns'

const SESSIONS = 16
const STEPS = 25

export async function where(stack: Stack, { quick }: Options): Promise<Outcome> {
  const floor = await stack.floor()
  const world = await stack.world()
  try {
    await world.admin.query(
      `do $$ begin execute format('alter database %I set track_functions = ''pl''', current_database()); end $$`,
    )
    const worker = await world.worker({ BENCH_SCRIPTED: '1' })
    const folder = workFolder(stack)
    const total = SESSIONS * STEPS
    const data: Record<string, unknown> = {}
    for (const shape of ['warm', 'floor', 'regular', 'in-process'] as const) {
      for (let i = 0; i < (quick ? 1 : 3); i++) {
        const pids = {
          temporal: stack.temporal.process?.pid ?? 0,
          worker: shape === 'floor' ? floor.pid : worker.pid,
          postgres: stack.postgres.pid,
        }
        const kind = shape === 'in-process' ? 'in-process' : 'regular'
        const sessions = shape === 'floor' ? [] : await createSessions(world, SESSIONS, kind, folder)
        await world.admin.query('select pg_stat_reset()')
        const before = Object.entries(pids).map(([, pid]) => cpuMs(pid))
        const ran = shape === 'floor' ? await runFloor(stack, floor, SESSIONS, STEPS) : null
        if (!ran) await playTurns(world, sessions, { steps: STEPS, tool: scriptedTool(kind) })
        const cpu = Object.entries(pids).map(([name, pid], j) => [
          name,
          round((cpuMs(pid) - (before[j] ?? 0)) / total, 2),
        ])
        await new Promise((resolve) => setTimeout(resolve, 1_500)) // backends report their counts within a second
        const { rows } = await world.admin.query<{ name: string; calls: string; ms: number }>(
          'select funcname as name, calls, total_time as ms from pg_stat_user_functions order by total_time desc',
        )
        const logs = await logOf(world, sessions)
        await checkSessions(world, sessions)
        data[`${shape} ${i + 1}`] = {
          p50Ms: round(percentile(ran?.times ?? stepTimes(logs), 0.5)),
          stepsPerSecond: round(ran?.perSecond ?? throughput(logs)),
          cpuMsPerStep: Object.fromEntries(cpu) as Record<string, number>,
          functions: Object.fromEntries(
            rows.map(({ name, calls, ms }) => [
              name,
              `${round(Number(calls) / total, 2)} calls, ${round(ms / total, 3)} ms a step`,
            ]),
          ),
        }
      }
    }
    return { figures: [], data }
  } finally {
    await world.close()
    await floor.close()
  }
}
