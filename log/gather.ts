/**
 * Calls that come at the same time go to the database together: a statement and a commit cost about as much as an append, so they are shared.
 * Nobody waits for company: one that comes alone goes out at once, by itself. While three statements are under way the others gather, and go as
 * soon as one has ended: one is in the database's hands, one in ours, and one on its way; a fourth would only make each of them smaller. Nor
 * does anybody wait for somebody else's lock: what could not be done at once with the others is done by itself, beside them.
 */
import { isUnreachable } from './pool'

const IN_FLIGHT = 3
const CALLS = 64
const BYTES = 1024 * 1024

export interface Together<A, R> {
  one(call: A): Promise<R>
  /** In one transaction, which waits for no lock. Null: this one would have had to. Throws: none of them was done. */
  many(calls: readonly A[]): Promise<(R | null)[]>
  /** What goes over the wire for a call, about. */
  bytes(call: A): number
}

interface Waiting<A, R> {
  call: A
  resolve(result: R | Promise<R>): void
  reject(error: unknown): void
}

export function gather<A, R>({ one, many, bytes }: Together<A, R>): (call: A) => Promise<R> {
  const waiting: Waiting<A, R>[] = []
  let running = 0
  /** The last ones were several: those that they answered are likely to come again, within the turn of the event loop. */
  let crowded = false
  let looking: NodeJS.Immediate | undefined

  /** A fair part for each statement that may still begin. */
  function take(): Waiting<A, R>[] {
    const most = Math.min(CALLS, Math.ceil(waiting.length / (IN_FLIGHT - running)))
    let size = 0
    const n = waiting.findIndex(({ call }, i) => i === most || (size += bytes(call)) > BYTES)
    return waiting.splice(0, n < 0 ? waiting.length : Math.max(1, n))
  }

  async function send(batch: readonly Waiting<A, R>[]): Promise<void> {
    const [first] = batch
    // It may wait for a lock, and keep its place among the others meanwhile; so at most one does.
    if (first && batch.length === 1 && running === 1) return first.resolve(await one(first.call))
    let results: (R | null)[]
    try {
      results = await many(batch.map(({ call }) => call))
    } catch (error) {
      // Whether it was done is not known: that is for the caller to find out. Else one call was at fault, and the others are not to pay for it.
      if (isUnreachable(error)) throw error
      results = []
    }
    for (const [i, { call, resolve }] of batch.entries()) resolve(results[i] ?? one(call))
  }

  function next(): void {
    looking = undefined
    while (running < IN_FLIGHT && waiting.length > 0) {
      crowded = waiting.length > 1
      const batch = take()
      running++
      void send(batch)
        .catch((error: unknown) => {
          for (const { reject } of batch) reject(error)
        })
        .finally(() => {
          running--
          look()
        })
    }
  }

  function look(): void {
    if (waiting.length > 0 && running < IN_FLIGHT) looking ??= setImmediate(next)
  }

  return (call) =>
    new Promise((resolve, reject) => {
      waiting.push({ call, resolve, reject })
      if (running === 0 && !crowded && !looking) next()
      else look()
    })
}
