/**
 * What a step costs: the floor, a regular tool and an in-process tool take turns in each round, so that whatever else the machine does
 * falls on all of them. No model latency; 1 KB answers, 1 KB tool results. The provider is scripted, in process; 16 at once also with the
 * real adapter and SDK and the real file tool, to show what these take.
 */
import { cpuMs, mean, percentile, round } from '../stats'
import { atLeast, atMost, type Options, type Outcome } from '../scenario'
import { workFolder, type BenchWorld, type Stack } from '../stack'
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

const LOADS = [
  { n: 1, steps: 25, sessions: 4, rounds: 6 },
  { n: 16, steps: 25, sessions: 16, rounds: 5 },
  { n: 128, steps: 10, sessions: 128, rounds: 3 },
] as const
const SHAPES = ['floor', 'regular', 'in-process'] as const
/** With the adapter, its SDK and read_file. */
const REAL = 'regular, real adapter and tool'
type Shape = (typeof SHAPES)[number] | typeof REAL

interface Measured {
  times: number[]
  perSecond: number[]
  cpu: { temporal: number[]; worker: number[]; postgres: number[] }
  roundTrips: number[]
}

export async function steps(stack: Stack, { quick, say }: Options): Promise<Outcome> {
  const floor = await stack.floor()
  const [world, realWorld] = [await stack.world(), await stack.world()]
  try {
    const worker = await world.worker({ BENCH_SCRIPTED: '1' })
    const realWorker = await realWorld.worker()
    const folder = workFolder(stack)
    const transactions = async (world: BenchWorld): Promise<number> => {
      const { rows } = await world.admin.query<{ n: string }>(
        'select xact_commit as n from pg_stat_database where datname = current_database()',
      )
      return Number(rows[0]?.n)
    }

    const run = async (shape: Shape, load: (typeof LOADS)[number], into: Measured): Promise<void> => {
      const real = shape === REAL
      const [on, workerPid] = real ? [realWorld, realWorker.pid] : [world, shape === 'floor' ? floor.pid : worker.pid]
      const pids = { temporal: stack.temporal.process?.pid ?? 0, worker: workerPid, postgres: stack.postgres.pid }
      const batches = load.n === 1 ? load.sessions : 1
      const total = load.sessions * load.steps
      const kind = shape === 'in-process' ? 'in-process' : 'regular'
      const ids = shape === 'floor' ? [] : await createSessions(on, load.sessions, kind, folder)
      const before = { temporal: cpuMs(pids.temporal), worker: cpuMs(pids.worker), postgres: cpuMs(pids.postgres) }
      const trips = await transactions(on)
      for (let i = 0; i < batches; i++) {
        if (shape === 'floor') {
          const { times, perSecond } = await runFloor(stack, floor, load.n, load.steps)
          into.times.push(...times)
          into.perSecond.push(perSecond)
        } else {
          const some = ids.slice(i * load.n, (i + 1) * load.n)
          await playTurns(on, some, { steps: load.steps, ...(real ? {} : { tool: scriptedTool(kind) }) })
          const logs = await logOf(on, some)
          into.times.push(...stepTimes(logs))
          into.perSecond.push(throughput(logs))
        }
      }
      for (const name of ['temporal', 'worker', 'postgres'] as const)
        into.cpu[name].push((cpuMs(pids[name]) - before[name]) / total)
      into.roundTrips.push(((await transactions(on)) - trips) / total)
      await checkSessions(on, ids)
    }

    const results = new Map<string, Measured>()
    const resultOf = (shape: Shape, n: number): Measured => {
      const key = `${shape} ${n}`
      const had = results.get(key)
      if (had) return had
      const fresh = { times: [], perSecond: [], cpu: { temporal: [], worker: [], postgres: [] }, roundTrips: [] }
      results.set(key, fresh)
      return fresh
    }
    const scrap = (): Measured => ({
      times: [],
      perSecond: [],
      cpu: { temporal: [], worker: [], postgres: [] },
      roundTrips: [],
    })
    for (const shape of [...SHAPES, REAL] as const) await run(shape, LOADS[1], scrap()) // warm
    for (const load of LOADS) {
      for (let i = 0; i < (quick ? 1 : load.rounds); i++) {
        for (const shape of load.n === 16 ? ([...SHAPES, REAL] as const) : SHAPES)
          await run(shape, load, resultOf(shape, load.n))
        say(
          `steps: ${load.n} at once, round ${i + 1}: ${SHAPES.map((s) => `${s} ${round(percentile(resultOf(s, load.n).times, 0.5))} ms`).join(', ')}`,
        )
      }
    }

    const p50 = (shape: Shape, n: number): number => percentile(resultOf(shape, n).times, 0.5)
    const perSecond = (shape: Shape, n: number): number => percentile(resultOf(shape, n).perSecond, 0.5)
    return {
      figures: [
        ...LOADS.map(({ n }) =>
          atMost(
            `a step with a regular tool against the floor, p50, ${n} at once`,
            p50('regular', n) / p50('floor', n),
            1.3,
            ' times',
            ` (${round(p50('regular', n))} against ${round(p50('floor', n))} ms)`,
          ),
        ),
        atLeast(
          'steps with a short in-process tool, 16 at once',
          perSecond('in-process', 16),
          100,
          ' a second',
          floorSays(16),
        ),
        atLeast('steps with a regular tool, one alone', perSecond('regular', 1), 40, ' a second', floorSays(1)),
        atLeast('steps with a regular tool, 16 at once', perSecond('regular', 16), 75, ' a second', floorSays(16)),
      ],
      data: Object.fromEntries([...results].map(([key, measured]) => [key, summary(measured)])),
    }

    function floorSays(n: number): string {
      return ` (the floor: ${round(perSecond('floor', n))})`
    }
  } finally {
    await realWorld.close()
    await world.close()
    await floor.close()
  }
}

function summary({ times, perSecond, cpu, roundTrips }: Measured): Record<string, unknown> {
  return {
    samples: times.length,
    p50Ms: round(percentile(times, 0.5), 2),
    p99Ms: round(percentile(times, 0.99), 2),
    stepsPerSecond: { p50: round(percentile(perSecond, 0.5)), best: round(Math.max(...perSecond)) },
    cpuMsPerStep: {
      temporal: round(mean(cpu.temporal), 2),
      worker: round(mean(cpu.worker), 2),
      postgres: round(mean(cpu.postgres), 2),
    },
    transactionsPerStep: round(mean(roundTrips), 2),
  }
}
