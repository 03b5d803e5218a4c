/**
 * Whether a step costs the same late in a long log (L12): a turn of 2,000 steps, then, behind 10,000 events, another. What building and
 * sending the view itself takes is measured by the worker (timings.totalMs of each answer) and taken off.
 */
import type { Payload } from '../../contract/events'
import { mean, percentile, round } from '../stats'
import { atMost, type Options, type Outcome } from '../scenario'
import { workFolder, type Stack } from '../stack'
import { checkSessions, createSessions, logOf, playTurns, type LogRow } from '../turns'

interface Stretch {
  /** Seq of its first event. */
  from: number
  /** A whole step, and without the model call; milliseconds. */
  whole: number
  own: number
}

export async function longTurn(stack: Stack, { quick, say }: Options): Promise<Outcome> {
  const world = await stack.world()
  try {
    await world.worker()
    const [session = ''] = await createSessions(world, 1, 'regular', workFolder(stack))
    const steps = quick ? 200 : 2000
    await playTurns(world, [session], { steps: 60 }) // warm: the first steps of a worker are not those of a log
    const fresh = await createSessions(world, 1, 'regular', workFolder(stack))
    await playTurns(world, fresh, { steps })
    say(`long turn: ${steps} steps played`)
    // Fills the log: ten calls at once, so that the view stays small beside it.
    const behind = quick ? 1_000 : 10_000
    const after1 = (await logOf(world, fresh))[0]?.length ?? 0
    await playTurns(world, fresh, { steps: Math.ceil((behind - after1) / 21), calls: 10 })
    const before = (await logOf(world, fresh))[0]?.length ?? 0
    await playTurns(world, fresh, { steps: 100 })
    await checkSessions(world, fresh)
    const log = (await logOf(world, fresh, true))[0] ?? []
    const all = stretches(log.filter(({ seq }) => seq <= after1))
    const late = stretches(log.filter(({ seq }) => seq > before))
    const first = { ...combine(all.slice(0, 2)), from: 10 }
    const lastOfTurn = combine(all.slice(-4))
    const behindAll = combine(late)
    return {
      figures: [
        atMost(
          `a step at event ${after1} of one turn against event 10, view apart`,
          lastOfTurn.own / first.own,
          1.1,
          ' times',
          ` (${round(lastOfTurn.own)} against ${round(first.own)} ms; with the view ${round(lastOfTurn.whole)} against ${round(first.whole)})`,
        ),
        atMost(
          `a step behind event ${before} against event 10, view apart`,
          behindAll.own / first.own,
          1.1,
          ' times',
          ` (${round(behindAll.own)} against ${round(first.own)} ms; with the view ${round(behindAll.whole)})`,
        ),
      ],
      data: Object.fromEntries(
        [...all, ...late].map(({ from, whole, own }) => [
          `from event ${from}`,
          { stepMs: round(whole), withoutModelCallMs: round(own) },
        ]),
      ),
    }
  } finally {
    await world.close()
  }
}

const STEPS_A_STRETCH = 50

/** Steps in groups of fifty: medians. */
function stretches(log: readonly LogRow[]): Stretch[] {
  const steps: { seq: number; whole: number; own: number }[] = []
  let before: LogRow | undefined
  let call = 0
  for (const row of log) {
    if (row.type === 'model_answered') call = (JSON.parse(row.payload) as Payload<'model_answered'>).timings.totalMs
    if (row.type !== 'tool_finished') continue
    if (before) {
      const whole = (row.at - before.at) / 1000
      steps.push({ seq: row.seq, whole, own: whole - call })
    }
    before = row
  }
  const groups: Stretch[] = []
  for (let i = 0; i < steps.length; i += STEPS_A_STRETCH) {
    const group = steps.slice(i, i + STEPS_A_STRETCH)
    groups.push({
      from: group[0]?.seq ?? 0,
      whole: percentile(
        group.map(({ whole }) => whole),
        0.5,
      ),
      own: percentile(
        group.map(({ own }) => own),
        0.5,
      ),
    })
  }
  return groups
}

function combine(group: readonly Stretch[]): Stretch {
  return {
    from: group[0]?.from ?? 0,
    whole: mean(group.map(({ whole }) => whole)),
    own: mean(group.map(({ own }) => own)),
  }
}
