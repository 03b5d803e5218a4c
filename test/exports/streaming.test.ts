/** Exports of a long session are written as its log is read: what is held does not grow with it. */
import type { Exporter } from '../../transcripts/exporting'
import { toHtml } from '../../transcripts/html'
import { toMarkdown } from '../../transcripts/markdown'
import { toOtel } from '../../transcripts/otel'
import { HASH, T0 } from '../contract/given'
import { sourceOf, storedOf } from './support'
import type { KnownEvent } from '../../contract/events'

const EVENTS = 10_000

/** Turns of a message, an answer and their end, each event made when it is asked for. */
function longSource(read: { events: number }): ReturnType<typeof sourceOf> {
  const of = (seq: number, event: object): KnownEvent =>
    ({ seq, at: T0 + seq * 1000, actor: 'user:ann', ...event }) as KnownEvent
  const at = (seq: number): KnownEvent => {
    if (seq === 1) return of(seq, { type: 'session_created', payload: { definition: HASH, origin: { kind: 'new' } } })
    const opener = seq - ((seq - 2) % 3)
    if (seq === opener)
      return of(seq, {
        type: 'message_received',
        payload: { blocks: [{ type: 'text', text: `question ${seq}` }], delivery: 'queue' },
      })
    if (seq === opener + 2) return of(seq, { type: 'turn_finished', payload: { turn: opener, reason: 'done' } })
    const manifest = { view: 1, definition: HASH, prev: 0, saw: [opener], dropped: [], requestHash: '' }
    const usage = { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0 }
    const said = { blocks: [{ type: 'text', text: `answer ${seq} ${'x'.repeat(500)}` }], stop: 'end', usage, manifest }
    const rest = { step: `model@${opener}`, provider: 'anthropic', model: 'm', attempts: [] }
    return of(seq, { type: 'model_answered', payload: { ...rest, ...said, timings: { startedAt: T0, totalMs: 1 } } })
  }
  return {
    ...sourceOf([], { info: { head: EVENTS } }),
    async *events() {
      for (let seq = 1; seq <= EVENTS; seq++) {
        read.events++
        yield await Promise.resolve(storedOf(at(seq)))
      }
    },
  }
}

const FORMATS: [string, Exporter, number][] = [
  ['markdown', toMarkdown, 2],
  ['html', toHtml, 2],
  ['otel', toOtel, 900],
]

test.each(FORMATS)('%s', async (_, exporter, ahead) => {
  const read = { events: 0 }
  let pieces = 0
  let longest = 0
  let chars = 0
  let first = ''
  for await (const piece of exporter(longSource(read), { content: true })) {
    pieces++
    longest = Math.max(longest, piece.length)
    chars += piece.length
    if (first === '' && piece.includes(`answer 3 `)) {
      first = piece
      // The page was once through it, for its table of turns.
      expect(read.events % EVENTS).toBeLessThanOrEqual(3 + ahead)
    }
  }
  expect(first).not.toBe('')
  expect(longest).toBeLessThan(600 * 1024)
  expect(chars).toBeGreaterThan(EVENTS * 150)
  expect(pieces).toBeGreaterThan(5)
})
