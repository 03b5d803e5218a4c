/**
 * A thousand sessions in mid-turn in one worker, with model calls of 2 s: all get done, nothing is tried twice, also when the Temporal
 * server stands still for 2 s.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { workflowId } from '../../contract/ids'
import { memoryKb, round } from '../stats'
import { atMost, type Options, type Outcome } from '../scenario'
import { workFolder, type BenchWorld, type Stack } from '../stack'
import { checkSessions, createSessions, logOf, mapLimited, playTurns, scriptedTool, throughput } from '../turns'

const STALL_MS = 2_000

export async function many(stack: Stack, { quick, say }: Options): Promise<Outcome> {
  const n = quick ? 50 : 1_000
  const own = await memory(stack, n)
  say(`many: ${round(own.perSession)} KB a session with a scripted provider`)
  const world = await stack.world()
  try {
    const worker = await world.worker()
    const folder = workFolder(stack)
    const before = await warm(world, worker.pid, folder)
    const runs: { perSecond: number; inFlight: number; retries: number; errors: string }[] = []
    let peak = 0
    for (const stall of [false, true]) {
      const sessions = await createSessions(world, n, 'regular', folder)
      const said = worker.output().length
      const watch = watchInFlight(world)
      const stalled = stall ? stallServer(stack.temporal.process?.pid ?? 0, quick ? 3_000 : 15_000) : Promise.resolve()
      await playTurns(world, sessions, { steps: 3, ms: 2_000 })
      await stalled
      const inFlight = await watch.stop()
      if (!stall) peak = memoryKb(worker.pid, 'VmHWM')
      const retries = await countRetries(stack, world, sessions)
      await checkSessions(world, sessions)
      const perSecond = round(throughput(await logOf(world, sessions)))
      runs.push({ perSecond, inFlight, retries, errors: worker.output().slice(said) })
      say(
        `many: ${n} sessions${stall ? ', with a stall' : ''}: ${perSecond} steps/s, ${inFlight} calls in flight, ${retries} retries`,
      )
    }
    const [calm, stalled] = runs
    return {
      figures: [
        atMost(`${n} sessions in mid-turn: calls tried twice`, calm?.retries ?? NaN, 0, '', ', all turns done'),
        atMost(
          `the same, the server stands still for 2 s: calls tried twice`,
          stalled?.retries ?? NaN,
          0,
          '',
          ', all turns done',
        ),
        atMost(
          `the same: lines of warning or error of the worker`,
          lines(runs.map(({ errors }) => errors).join('')),
          0,
          '',
        ),
        atMost(
          `${n} sessions in mid-turn: memory of a session`,
          own.perSession,
          300,
          ' KB',
          ` (with the model and the vendor's SDK in the same process: ${round((peak - before) / n)} KB)`,
        ),
      ],
      data: { own, before: `${before} KB`, peak: `${peak} KB`, calm, stalled },
    }
  } finally {
    await world.close()
  }
}

/** A turn first: code that is loaded and compiled is not a session's. Gives the kilobytes that the worker then holds. */
async function warm(world: BenchWorld, pid: number, folder: string, tool?: string): Promise<number> {
  const [first = ''] = await createSessions(world, 1, 'regular', folder)
  await playTurns(world, [first], { steps: 3, ...(tool ? { tool } : {}) })
  return memoryKb(pid, 'VmRSS')
}

/** Of a worker with a provider that is a script: what is the sessions' own. */
async function memory(stack: Stack, n: number): Promise<{ before: number; peak: number; perSession: number }> {
  const world = await stack.world()
  try {
    const worker = await world.worker({ BENCH_SCRIPTED: '1' })
    const folder = workFolder(stack)
    const tool = scriptedTool('regular')
    const before = await warm(world, worker.pid, folder, tool)
    const sessions = await createSessions(world, n, 'regular', folder)
    await playTurns(world, sessions, { steps: 3, ms: 2_000, tool })
    const peak = memoryKb(worker.pid, 'VmHWM')
    await checkSessions(world, sessions)
    return { before, peak, perSession: (peak - before) / n }
  } finally {
    await world.close()
  }
}

const lines = (text: string): number => text.split('\n').filter((line) => line !== '').length

async function stallServer(pid: number, afterMs: number): Promise<void> {
  await sleep(afterMs)
  process.kill(pid, 'SIGSTOP')
  await sleep(STALL_MS)
  process.kill(pid, 'SIGCONT')
}

/** The most steps that ran at once, as their draft rows say. */
function watchInFlight(world: BenchWorld): { stop(): Promise<number> } {
  let most = 0
  let over = false
  const watching = (async () => {
    while (!over) {
      const { rows } = await world.admin.query<{ n: string }>(
        `select count(*) as n from savefile.drafts where state = 'running'`,
      )
      most = Math.max(most, Number(rows[0]?.n))
      await sleep(500)
    }
  })()
  return {
    async stop() {
      over = true
      await watching
      return most
    },
  }
}

/** Draft rows that were claimed more than once, and activities that Temporal started more than once or saw time out. */
async function countRetries(stack: Stack, world: BenchWorld, sessions: readonly string[]): Promise<number> {
  const { rows } = await world.admin.query<{ n: string }>(
    `select count(*) as n from savefile.drafts where session_id = any ($1) and attempt > 1`,
    [sessions],
  )
  const perRun = await mapLimited(sessions, 8, async (session) => {
    const handle = stack.temporalClient.workflow.getHandle(workflowId({ space: 'default', session }))
    const { events } = await handle.fetchHistory()
    return (events ?? []).filter(
      (event) =>
        (event.activityTaskStartedEventAttributes?.attempt ?? 1) > 1 ||
        event.activityTaskTimedOutEventAttributes ||
        event.activityTaskFailedEventAttributes,
    ).length
  })
  return Number(rows[0]?.n) + perRun.reduce((sum, count) => sum + count, 0)
}
