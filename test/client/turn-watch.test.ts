import type { LogEvent } from '../../client/log-events'
import { observe, watchTurn, type TurnWatch } from '../../client/turn-watch'
import type { Delivery, EventType, Payload } from '../../contract/events'

const HASH = `sha256:${'a'.repeat(64)}`

function event<T extends EventType>(seq: number, type: T, payload: Payload<T>): LogEvent {
  return { seq, at: seq, actor: 'system', type, payload, session: 's', hash: '', unknown: false } as LogEvent
}
const message = (seq: number, delivery: Delivery = 'queue'): LogEvent =>
  event(seq, 'message_received', { blocks: [{ type: 'text', text: `m${seq}` }], delivery })
const answer = (seq: number, due: number, text: string, cost: number | undefined = 5): LogEvent =>
  event(seq, 'model_answered', {
    step: `model@${due}`,
    provider: 'anthropic',
    model: 'm',
    blocks: [{ type: 'text', text }],
    stop: 'end',
    usage: { input: 10, output: 2, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
    ...(cost === undefined ? {} : { costUsdMicros: cost }),
    timings: { startedAt: 0, totalMs: 1 },
    manifest: { view: 1, definition: HASH, prev: 0, saw: [due], dropped: [], requestHash: '' },
    attempts: [],
  })
const finished = (seq: number, turn: number, reason: Payload<'turn_finished'>['reason'] = 'done'): LogEvent =>
  event(seq, 'turn_finished', { turn, reason })

const watch = (seq: number, events: LogEvent[]): TurnWatch =>
  events.filter((e) => e.seq >= seq).reduce(observe, watchTurn(seq))

describe('which turn handled a message', () => {
  test('a message that found no turn open is handled by the turn that it opened', () => {
    const { end } = watch(2, [message(2), answer(3, 2, 'hello'), finished(4, 2)])
    expect(end).toMatchObject({
      turn: 2,
      reason: 'done',
      answerSeq: 3,
      text: 'hello',
      finishedSeq: 4,
      costUsdMicros: 5,
    })
  })

  test('a queued message is handled by the next turn, and not answered by the one that ran', () => {
    const log = [
      message(2),
      message(3),
      answer(4, 2, 'to the first'),
      finished(5, 2),
      answer(6, 3, 'to the second'),
      finished(7, 3),
    ]
    expect(watch(3, log.slice(0, 4)).end).toBeNull()
    expect(watch(3, log).end).toMatchObject({ turn: 3, text: 'to the second', usage: { input: 10 } })
  })

  test('messages that were queued together are handled by one turn', () => {
    const log = [message(2), message(3), message(4), finished(5, 2), answer(6, 3, 'both'), finished(7, 3)]
    expect(watch(4, log).end).toMatchObject({ turn: 3, text: 'both' })
  })

  test('a steering message is handled by the turn that runs', () => {
    const log = [message(2), message(3, 'steer'), answer(4, 2, 'seen'), finished(5, 2)]
    expect(watch(3, log).end).toMatchObject({ turn: 2, text: 'seen' })
  })

  test('an interrupting message is handled by the turn after the one it stopped', () => {
    const stop = event(4, 'interrupted', { turn: 2, by: 3, partial: [] })
    const log = [
      message(2),
      message(3, 'interrupt'),
      stop,
      finished(5, 2, 'interrupted'),
      answer(6, 3, 'instead'),
      finished(7, 3),
    ]
    expect(watch(3, log).end).toMatchObject({ turn: 3, reason: 'done', text: 'instead' })
    expect(watch(2, log).end).toMatchObject({ turn: 2, reason: 'interrupted', text: '' })
  })

  test('a turn that failed says why, one that was interrupted keeps what was streamed', () => {
    const failed = event(3, 'model_failed', {
      step: 'model@2',
      class: 'auth',
      retryable: false,
      attempts: [],
      message: 'no',
    })
    expect(watch(2, [message(2), failed, finished(4, 2, 'failed')]).end).toMatchObject({
      reason: 'failed',
      failure: { class: 'auth', message: 'no' },
      answerSeq: null,
    })
    const stop = event(4, 'interrupted', {
      turn: 2,
      by: 3,
      partial: [{ step: 'model@2', blocks: [{ type: 'text', text: 'half' }] }],
    })
    expect(watch(2, [message(2), message(3, 'interrupt'), stop, finished(5, 2, 'interrupted')]).end).toMatchObject({
      text: 'half',
    })
  })

  test('a failure that the turn went on from is none of its end, and summaries are paid for too', () => {
    const failed = event(3, 'model_failed', {
      ...{ step: 'model@2', class: 'context_exceeded', retryable: false, attempts: [], message: 'too long' },
      next: { kind: 'checkpoint' },
    })
    const made = event(4, 'checkpoint_made', {
      ...{ step: 'checkpoint@3', lo: 1, hi: 1, blocks: [{ type: 'text', text: 'sum' }], method: 'model' },
      ...{ usage: { input: 100, output: 7, cacheRead: 0, cacheWrite: 0, reasoning: 0 }, costUsdMicros: 3 },
    })
    const { end } = watch(2, [message(2), failed, made, answer(5, 3, 'after all'), finished(6, 2)])
    expect(end).toMatchObject({ reason: 'done', text: 'after all', costUsdMicros: 8, usage: { input: 110, output: 9 } })
    expect(end).not.toHaveProperty('failure')
  })

  test('an answer that was paused and carried on is one', () => {
    const half = answer(3, 2, 'first half')
    const paused = { ...half, payload: { ...(half.payload as object), stop: 'pause' } } as LogEvent
    const { end } = watch(2, [message(2), paused, answer(4, 3, 'second half'), finished(5, 2)])
    expect(end).toMatchObject({ answerSeq: 4, blocks: [{ text: 'first half' }, { text: 'second half' }] })
  })

  test('a call without a known price makes the price of the turn unknown', () => {
    const log = [message(2), answer(3, 2, 'a', undefined), finished(4, 2)]
    expect(watch(2, log).end?.costUsdMicros).toBe(5)
    const unpriced = { ...log[1], payload: { ...(log[1]?.payload as object), costUsdMicros: undefined } } as LogEvent
    expect(watch(2, [log[0] as LogEvent, unpriced, finished(4, 2)]).end?.costUsdMicros).toBeNull()
  })

  test('refuses to wait for an event that is no message, and ends where the session is closed', () => {
    expect(() => watch(3, [answer(3, 2, 'x')])).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    expect(() => watch(2, [message(2), event(3, 'session_closed', {})])).toThrow(
      expect.objectContaining({ code: 'session_closed' }),
    )
  })
})
