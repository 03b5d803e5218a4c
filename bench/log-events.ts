/**
 * Legal events of a kilobyte each without end, as an executor would append them: an answer with three calls, then the result of each. Text
 * that no compression makes much smaller. The calls had a problem, so their results need no start: every event then weighs the same.
 */
import { randomBytes } from 'node:crypto'
import { parseDefinition } from '../contract/definition'
import type { NewEvent } from '../contract/events'
import { callId, modelStep } from '../contract/ids'

export const BENCH_DEFINITION = parseDefinition({ model: { provider: 'anthropic', name: 'bench' } })
/** What the log holds of an event beside its content is some 400 bytes of JSON in an answer, some 120 in a result. */
const TEXTS = Array.from({ length: 64 }, () => randomBytes(700).toString('base64'))
const CALLS = 3
const text = (n: number, chars: number): string => (TEXTS[n % TEXTS.length] ?? '').slice(0, chars)

export interface Place {
  /** The newest event. */
  head: number
  /** Seq that made the model call due, and of the answer before; the results in between. */
  due: number
  prev: number
  saw: number[]
}

/** Behind `session_created` and one message. */
export const AT_FIRST: Place = { head: 2, due: 2, prev: 0, saw: [2] }

export function answer(session: string, definition: string, at: Place, calls = CALLS): NewEvent {
  return {
    type: 'model_answered',
    payload: {
      step: modelStep(at.due),
      provider: 'anthropic',
      model: 'bench',
      blocks: [
        { type: 'text', text: text(at.head, calls ? 280 : 520) },
        ...Array.from({ length: calls }, (_, i) => ({
          type: 'tool_call' as const,
          call: callId(session, at.due, i),
          name: 'read_file',
          args: '{',
          problem: 'not JSON',
        })),
      ],
      stop: calls ? 'tool_calls' : 'end',
      usage: { input: 1000, output: 100, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
      timings: { startedAt: 1_700_000_000_000_000, totalMs: 1000 },
      manifest: { view: 1, definition, prev: at.prev, saw: at.saw, dropped: [], requestHash: '0'.repeat(64) },
      attempts: [],
    },
  }
}

function result(session: string, due: number, i: number, seq: number): NewEvent {
  const block = { type: 'text' as const, text: text(seq, 880) }
  return {
    type: 'tool_finished',
    payload: { call: callId(session, due, i), tool: 'read_file', outcome: 'error', blocks: [block] },
  }
}

/** An answer and its results, and where the log is behind them. */
export function step(session: string, definition: string, at: Place): { events: NewEvent[]; then: Place } {
  const seqs = Array.from({ length: CALLS }, (_, i) => at.head + 2 + i)
  const events = [answer(session, definition, at), ...seqs.map((seq, i) => result(session, at.due, i, seq))]
  const head = at.head + events.length
  return { events, then: { head, due: head, prev: at.head + 1, saw: seqs } }
}

export function message(n: number): Extract<NewEvent, { type: 'message_received' }> {
  return { type: 'message_received', payload: { blocks: [{ type: 'text', text: text(n, 930) }], delivery: 'steer' } }
}
