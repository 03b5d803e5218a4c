/** Two hundred streams at once in one worker, fifty deltas a second each: its CPU, and how late its event loop is. Nobody watches. */
import { setTimeout as sleep } from 'node:timers/promises'
import { atMost, type Options, type Outcome } from '../scenario'
import { workFolder, type Stack } from '../stack'
import { cpuMs, round } from '../stats'
import { sayTurn } from '../turn-words'
import { checkSessions, createSessions, mapLimited } from '../turns'

const STREAMS = 200
const DELTAS_PER_SECOND = 50
const CHARS = 20
/** All of them have begun, none has ended. */
const SETTLE_MS = 6_000

export async function streams(stack: Stack, { quick }: Options): Promise<Outcome> {
  const world = await stack.world()
  try {
    const worker = await world.worker()
    const sessions = await createSessions(world, STREAMS, 'regular', workFolder(stack))
    const seconds = quick ? 12 : 30
    const deltas = seconds * DELTAS_PER_SECOND
    const words = sayTurn({ steps: 0, bytes: deltas * CHARS, ms: seconds * 1000, deltaChars: CHARS })
    const seqs = await mapLimited(sessions, 50, async (session) => (await world.client.send(session, words)).seq)
    await sleep(SETTLE_MS)
    worker.child.kill('SIGUSR2')
    const [began, before] = [performance.now(), cpuMs(worker.pid)]
    await sleep(seconds * 1000 - SETTLE_MS - 2000)
    const cores = (cpuMs(worker.pid) - before) / (performance.now() - began)
    worker.child.kill('SIGUSR2')
    await Promise.all(sessions.map((session, i) => world.client.awaitTurn(session, seqs[i] ?? 0)))
    await checkSessions(world, sessions)
    const said =
      [...worker.output().matchAll(/event loop lag ms: p50 ([\d.]+) p99 ([\d.]+) max ([\d.]+)/g)].at(-1) ?? []
    const [, p50, p99, max] = said.map(Number)
    const title = `${STREAMS} streams of ${DELTAS_PER_SECOND} deltas a second in one worker`
    return {
      figures: [
        atMost(`${title}: cores`, cores, 1, ''),
        atMost(`${title}: lag of the event loop, p99`, p99 ?? Infinity, 50, ' ms'),
      ],
      data: { cores: round(cores, 2), lagMs: { p50, p99, max }, deltasPerSecond: STREAMS * DELTAS_PER_SECOND },
    }
  } finally {
    await world.close()
  }
}
