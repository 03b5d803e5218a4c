/**
 * Events in the order in which a model was shown them, as a stream: what an answer's request named stands before the answer, results first, in
 * the order of the calls. What no request named yet comes at the end. Memory: what waits to be named.
 */
import { parseEvent, type KnownEvent, type StoredEvent } from '../contract/events'

export type ShownEvent = Extract<
  KnownEvent,
  { type: 'message_received' | 'model_answered' | 'model_failed' | 'tool_finished' | 'interrupted' | 'checkpoint_made' }
>

export interface Shown {
  event: ShownEvent
  /** Whose own row it is. */
  session: string
}

/** Checkpoints come before what else a request names: a client that begins at one would lose it. */
export async function* shownIn(events: AsyncIterable<StoredEvent>): AsyncGenerator<Shown> {
  const waiting = new Map<number, Shown>()
  let calls: string[] = []
  const named = function* (seqs: readonly number[]): Generator<Shown> {
    const some = seqs.flatMap((seq) => waiting.get(seq) ?? [])
    for (const { event } of some) waiting.delete(event.seq)
    const rank = ({ event }: Shown): number =>
      event.type === 'tool_finished' ? 0 : event.type === 'checkpoint_made' ? 1 : 2
    yield* some
      .map((shown, i) => ({ shown, i }))
      .sort((a, b) => rank(a.shown) - rank(b.shown) || a.i - b.i)
      .map(({ shown }) => shown)
  }
  for await (const stored of events) {
    const event = parseEvent(stored)
    if (!event) continue
    switch (event.type) {
      case 'message_received':
        // Only a stop: `interrupted` says so.
        if (event.payload.blocks.length > 0) waiting.set(event.seq, { event, session: stored.session })
        break
      case 'tool_finished':
      case 'interrupted':
      case 'checkpoint_made':
        waiting.set(event.seq, { event, session: stored.session })
        break
      case 'model_failed':
        yield* named(resultsOf(waiting, calls))
        yield* named(rest(waiting, event.seq))
        yield { event, session: stored.session }
        break
      case 'model_answered':
        yield* named(event.payload.manifest.saw)
        yield { event, session: stored.session }
        calls = event.payload.blocks.flatMap((block) => (block.type === 'tool_call' ? [block.call] : []))
    }
  }
  yield* named(resultsOf(waiting, calls))
  yield* named(rest(waiting, Infinity))
}

function resultsOf(waiting: ReadonlyMap<number, Shown>, calls: readonly string[]): number[] {
  const results = [...waiting.values()].flatMap(({ event }) => (event.type === 'tool_finished' ? [event] : []))
  return calls.flatMap((call) => results.find(({ payload }) => payload.call === call)?.seq ?? [])
}

function rest(waiting: ReadonlyMap<number, Shown>, before: number): number[] {
  return [...waiting.keys()].filter((seq) => seq < before)
}

/** An event that stands in a file, and where its lines begin. */
export interface Begun {
  seq: number
  type: ShownEvent['type']
  at: number
}

/**
 * From which of them on a view shows what stands before a summary that goes up to `hi`: it covers whole steps, an answer with its results
 * and with the messages that were named for it.
 */
export function keptFrom(begun: readonly Begun[], hi: number): number {
  let covered = 0
  let answered = 0
  for (const [i, { seq, type }] of begun.entries()) {
    if (type !== 'tool_finished') covered = answered
    if (type !== 'tool_finished' && type !== 'model_answered') continue
    if (seq > hi) return covered
    answered = i + 1
  }
  return answered
}
