/**
 * A thousand followers of a thousand sessions in one process, and 500 events a second from another connection: from an event's own time (the
 * database's clock, on this machine) until its follower has it; the CPU of Postgres, writing included, and of the writing alone as the floor.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClientLog } from '../../log/client-log'
import { createPool } from '../../log/pool'
import type { DatabaseStack } from '../database'
import { BENCH_DEFINITION, message } from '../log-events'
import { atMost, type Options, type Outcome } from '../scenario'
import { cpuMs, p50p99, percentile, round } from '../stats'
import { mapLimited } from '../turns'

const BY = { actor: 'user:bench' }
const PER_SECOND = 500
const TICK_MS = 20

export async function followers(stack: DatabaseStack, { quick, say }: Options): Promise<Outcome> {
  const sessions = quick ? 200 : 1000
  const seconds = quick ? 4 : 30
  const database = await stack.database()
  const writer = createClientLog(createPool(database.writerUrl, { max: 10 }), { listen: false })
  const reader = createClientLog(createPool(database.writerUrl, { max: 10 }))
  const stop = new AbortController()
  try {
    const definition = await writer.putDefinition('default', BENCH_DEFINITION)
    const refs = await mapLimited(Array.from({ length: sessions }), 16, async (_) => {
      const ref = { space: 'default', session: `s${Math.random().toString(36).slice(2, 14)}` }
      await writer.create(ref, BY, { definition })
      return ref
    })
    let n = 0
    /** So many a second, evenly, whatever the database answers in time. */
    const write = async (): Promise<number> => {
      const cpu = cpuMs(stack.postgres.pid)
      const start = performance.now()
      const writing: Promise<unknown>[] = []
      for (let sent = 0; sent < PER_SECOND * seconds; await sleep(TICK_MS)) {
        const due = Math.min(PER_SECOND * seconds, ((performance.now() - start) * PER_SECOND) / 1000)
        for (; sent < due; sent++, n++) {
          const ref = refs[n % refs.length]
          if (ref) writing.push(writer.input(ref, BY, `m${n}`, message(n)))
        }
      }
      await Promise.all(writing)
      return (cpuMs(stack.postgres.pid) - cpu) / (performance.now() - start)
    }
    say('followers: the writing alone')
    const floor = await write()
    const ms: number[] = []
    let begun = 0
    const following = refs.map(async (ref) => {
      const head = (await reader.info(ref))?.head ?? 0
      begun++
      for await (const event of reader.follow(ref, { from: head + 1, signal: stop.signal }))
        ms.push(Date.now() - event.at / 1000)
    })
    while (begun < sessions) await sleep(50)
    await sleep(2000)
    say(`followers: ${sessions} followers`)
    const cores = await write()
    for (let waited = 0; ms.length < PER_SECOND * seconds && waited < 10_000; waited += 50) await sleep(50)
    stop.abort()
    await Promise.all(following)
    if (ms.length !== PER_SECOND * seconds) throw new Error(`${ms.length} of ${PER_SECOND * seconds} events arrived`)
    return {
      figures: [
        atMost(
          `${sessions} followers on ${sessions} sessions, ${PER_SECOND} events/s: p99 to the reader`,
          percentile(ms, 0.99),
          250,
          ' ms',
          ` (p50 / p99 ${p50p99(ms)})`,
        ),
        atMost('the same, CPU of Postgres', cores, 0.5, ' cores', ` (the writing alone: ${round(floor, 2)})`),
      ],
      data: { 'to the reader, p50 / p99 ms': p50p99(ms), cores: round(cores, 3), coresOfWritingAlone: round(floor, 3) },
    }
  } finally {
    stop.abort()
    await reader.close()
    await writer.close()
    await database.close()
  }
}
