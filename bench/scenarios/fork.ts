/**
 * Forks of a log of a million events: the time of a fork, and the WAL that it writes, at its beginning, in it and at its end, of the log
 * itself and of a fork 49 deep. WAL twice: without full-page images (what a fork writes) and with them, from a checkpoint on.
 */
import { randomBytes } from 'node:crypto'
import type { Pool } from 'pg'
import type { SessionRef } from '../../contract/ids'
import type { ClientLog } from '../../contract/client-port'
import { createClientLog } from '../../log/client-log'
import { createPool } from '../../log/pool'
import type { DatabaseStack } from '../database'
import { makeLong } from '../long-log'
import { atMost, type Figure, type Options, type Outcome } from '../scenario'
import { percentile, p50p99, round } from '../stats'

const BY = { actor: 'user:bench' }
const DEPTH = 50

export async function fork(stack: DatabaseStack, { quick, say }: Options): Promise<Outcome> {
  const seqs = quick ? [10, 1_000, 20_000] : [10, 10_000, 1_000_000]
  const times = quick ? 20 : 200
  const database = await stack.database()
  const client = createClientLog(createPool(database.writerUrl, { max: 2 }), { listen: false })
  try {
    const log = { space: 'default', session: 'long' }
    await makeLong(database.admin, client, log, Math.max(...seqs), progress(say))
    const figures: Figure[] = []
    const data: Record<string, unknown> = {}
    for (const depth of [1, DEPTH]) {
      const places: { seq: number; parent: SessionRef; at: number }[] = []
      for (const seq of seqs) places.push({ seq, ...(await nested(client, log, seq, depth)) })
      say(`fork: depth ${depth}`)
      const ms = await measured(places, times, async ({ parent, at }) => {
        const start = performance.now()
        await forkOnce(client, parent, at)
        return performance.now() - start
      })
      const bytes = await walOf(database.admin, places, client, Math.min(times, 50))
      const p50 = ms.map((list) => percentile(list, 0.5))
      const spread = Math.max(...p50) / Math.min(...p50)
      const at = ` (${seqs.map((seq, i) => `at ${seq}: ${round(p50[i] ?? NaN, 2)}`).join(', ')})`
      if (depth === 1) {
        figures.push(
          atMost('fork, depth 1, p50, at the slowest seq', Math.max(...p50), 5, ' ms', at),
          atMost(
            'fork, depth 1, WAL without full-page images, at most',
            Math.max(...bytes.map((b) => b.plain)) / 1000,
            8,
            ' KB',
            ` (with them, from a checkpoint on: ${bytes.map((b) => round(b.withImages / 1000)).join(', ')})`,
          ),
        )
      }
      figures.push(
        atMost(`fork, depth ${depth}, p50 of the slowest seq against the quickest`, spread, 1.2, ' times', at),
      )
      data[`depth ${depth}`] = seqs.map((seq, i) => ({
        seq,
        'p50 / p99 ms': p50p99(ms[i] ?? [], 2),
        walBytes: bytes[i]?.plain,
        walBytesWithImages: bytes[i]?.withImages,
      }))
    }
    return { figures, data }
  } finally {
    await client.close()
    await database.close()
  }
}

export function progress(say: (line: string) => void): (events: number) => void {
  let told = 0
  return (events) => {
    if (events - told < 100_000) return
    told = events
    say(`${events} events`)
  }
}

/** What is to be forked, and where: the log itself at `seq`, or the last of a chain of forks from there, at its head. */
async function nested(
  client: ClientLog,
  log: SessionRef,
  seq: number,
  depth: number,
): Promise<{ parent: SessionRef; at: number }> {
  let [parent, at] = [log, seq]
  for (let level = 1; level < depth; level++) [parent, at] = [await forkOnce(client, parent, at), at + 1]
  return { parent, at }
}

async function forkOnce(client: ClientLog, parent: SessionRef, seq: number): Promise<SessionRef> {
  const child = `f${randomBytes(10).toString('hex')}`
  const { status } = await client.fork(parent, seq, child, BY, {})
  if (status !== 'created') throw new Error(status)
  return { space: parent.space, session: child }
}

/** In turns, so that whatever else the machine does falls on all. The first two rounds only warm up. */
async function measured<P>(
  places: readonly P[],
  times: number,
  run: (place: P) => Promise<number>,
): Promise<number[][]> {
  const results = places.map((): number[] => [])
  for (let i = -2; i < times; i++)
    for (const [p, place] of places.entries()) {
      const result = await run(place)
      if (i >= 0) results[p]?.push(result)
    }
  return results
}

/** The median, so that what vacuum writes in between does not count. */
async function walOf(
  admin: Pool,
  places: readonly { parent: SessionRef; at: number }[],
  client: ClientLog,
  times: number,
): Promise<{ plain: number; withImages: number }[]> {
  const lsn = async (): Promise<number> =>
    Number(
      (await admin.query<{ at: string }>(`select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as at`)).rows[0]
        ?.at,
    )
  const one = async ({ parent, at }: { parent: SessionRef; at: number }): Promise<number> => {
    const before = await lsn()
    await forkOnce(client, parent, at)
    return (await lsn()) - before
  }
  const set = async (on: boolean): Promise<void> => {
    await admin.query(`alter system set full_page_writes = ${on ? 'on' : 'off'}`)
    await admin.query('select pg_reload_conf()')
    for (let now = ''; now !== (on ? 'on' : 'off');)
      now = (await admin.query<{ full_page_writes: string }>('show full_page_writes')).rows[0]?.full_page_writes ?? ''
  }
  await set(false)
  const plain = (await measured(places, times, one)).map((list) => percentile(list, 0.5))
  await set(true)
  const withImages: number[] = []
  for (const place of places) {
    await admin.query('checkpoint')
    withImages.push(await one(place))
  }
  return plain.map((bytes, i) => ({ plain: bytes, withImages: withImages[i] ?? NaN }))
}
