/** Live text: a hundred streams of one worker, each delta stamped where it is made, read by one process that follows all of them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { p50p99, percentile, round } from '../stats'
import { atMost, type Options, type Outcome } from '../scenario'
import { workFolder, type Stack } from '../stack'
import { sayTurn } from '../turn-words'
import { checkSessions, createSessions, mapLimited } from '../turns'

const STREAMS = 100
const CHARS = 20
/** As fast as models write: some 50 tokens a second. */
const DELTAS_PER_SECOND = 49

export async function live(stack: Stack, { quick }: Options): Promise<Outcome> {
  const world = await stack.world()
  const stop = new AbortController()
  try {
    await world.worker()
    const sessions = await createSessions(world, STREAMS, 'regular', workFolder(stack))
    const seconds = quick ? 3 : 20
    const deltas = seconds * DELTAS_PER_SECOND
    const times: { at: number; ms: number }[] = []
    const readers = sessions.map(async (session) => {
      for await (const { kind, body } of world.client.followLive(session, { signal: stop.signal })) {
        const now = performance.timeOrigin + performance.now()
        // A piece holds the deltas of a moment, each with its stamp.
        if (kind !== 'text') continue
        for (const [stamp] of body.matchAll(/\d{16}/g)) times.push({ at: now, ms: now - Number(stamp) / 1000 })
      }
    })
    const words = sayTurn({ steps: 0, bytes: deltas * CHARS, ms: seconds * 1000, deltaChars: CHARS })
    const seqs = await mapLimited(sessions, 50, async (session) => (await world.client.send(session, words)).seq)
    await Promise.all(sessions.map((session, i) => world.client.awaitTurn(session, seqs[i] ?? 0)))
    await sleep(500)
    stop.abort()
    await Promise.all(readers)
    await checkSessions(world, sessions)
    // All a hundred write at the same time: not the first seconds, nor the last.
    const [from, to] = [
      percentile(
        times.map(({ at }) => at),
        0.15,
      ),
      percentile(
        times.map(({ at }) => at),
        0.85,
      ),
    ]
    const steady = times.filter(({ at }) => at >= from && at <= to).map(({ ms }) => ms)
    const title = `live text, from where it is made to its reader, ${STREAMS} streams`
    return {
      figures: [
        atMost(`${title}, p50`, percentile(steady, 0.5), 80, ' ms'),
        atMost(`${title}, p99`, percentile(steady, 0.99), 150, ' ms'),
      ],
      data: {
        deltas: times.length,
        ofDeltas: deltas * STREAMS,
        deltasPerSecond: round(steady.length / ((to - from) / 1000)),
        allMs: p50p99(times.map(({ ms }) => ms)),
      },
    }
  } finally {
    stop.abort()
    await world.close()
  }
}
