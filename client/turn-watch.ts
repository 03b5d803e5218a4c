/**
 * Which turn handled a message, and how it ended: read from the events from the message on, without the log before it. Pure.
 *
 * A message that found no turn open opened one, named by its own seq. One that found a turn open was handled by that turn where it was
 * delivered as `steer`, and else by the turn after it (contract/reduce.ts: what is queued opens the next turn, together).
 */
import { textOf, type Block } from '../contract/blocks'
import { SavefileError } from '../contract/errors'
import type { Delivery, FailureClass, Payload, TurnReason, Usage } from '../contract/events'
import type { LogEvent } from './log-events'

/** How the turn that handled a message ended. */
export interface TurnEnd {
  /** Seq of the message that opened the turn: the turn's name. */
  turn: number
  /** Anything but `done` has no complete answer: `text` holds what there is. */
  reason: TurnReason
  /** Which limit was reached, where the reason is `limit`. */
  limit?: Payload<'turn_finished'>['limit']
  /** Seq of the turn's last answer; null where no model answered. */
  answerSeq: number | null
  /** The last answer's blocks; where the turn was interrupted in mid-answer, what had been streamed of it. */
  blocks: Block[]
  /** The text of `blocks`. */
  text: string
  /** Seq of `turn_finished`. */
  finishedSeq: number
  /** Of this turn's model calls from the message on, summaries among them. */
  usage: Usage
  /** Millionths of a US dollar; null where a price is not known. */
  costUsdMicros: number | null
  /** What the provider said last, where the reason is `failed`. */
  failure?: { class: FailureClass; message: string }
}

type Gathered = Pick<TurnEnd, 'answerSeq' | 'blocks' | 'usage' | 'costUsdMicros' | 'failure'>

/** What was seen so far of the turn of the message with seq `message`. */
export interface TurnWatch {
  readonly message: number
  readonly delivery: Delivery | null
  /** The turn that was open when the message came has ended. */
  readonly earlierEnded: boolean
  readonly gathered: Gathered
  /** The last answer was paused by its provider: the next one is the rest of it. */
  readonly paused: boolean
  readonly end: TurnEnd | null
}

const nothing: Gathered = {
  answerSeq: null,
  blocks: [],
  usage: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
  costUsdMicros: 0,
}

export function watchTurn(message: number): TurnWatch {
  return { message, delivery: null, earlierEnded: false, gathered: nothing, paused: false, end: null }
}

/**
 * The watch after one more event; the events are handed in from the message on, in order. Once `end` is set nothing changes it.
 * @throws SavefileError `invalid_input` where that event is no message; `session_closed` where the session was closed before the turn ended.
 */
export function observe(watch: TurnWatch, event: LogEvent): TurnWatch {
  if (watch.end) return watch
  if (event.seq === watch.message) {
    if (event.unknown || event.type !== 'message_received')
      throw new SavefileError(
        'invalid_input',
        `Event ${event.seq} is no message but ${event.type}: wait for the seq that send gave back.`,
      )
    return { ...watch, delivery: event.payload.delivery }
  }
  if (event.unknown) return watch
  switch (event.type) {
    case 'model_answered': {
      const p = event.payload
      const before = watch.paused ? watch.gathered.blocks : []
      const gathered = {
        ...paid(watch.gathered, p.usage, p.costUsdMicros),
        answerSeq: event.seq,
        blocks: [...before, ...p.blocks],
      }
      const calls = p.blocks.some((block) => block.type === 'tool_call')
      return { ...watch, gathered, paused: p.stop === 'pause' && !calls }
    }
    case 'checkpoint_made': {
      const { step, usage, costUsdMicros } = event.payload
      const own = step !== undefined && usage !== undefined
      return own ? { ...watch, gathered: paid(watch.gathered, usage, costUsdMicros) } : watch
    }
    case 'model_failed':
      return {
        ...watch,
        gathered: { ...watch.gathered, failure: { class: event.payload.class, message: event.payload.message } },
      }
    case 'interrupted': {
      const partial = event.payload.partial.flatMap((p) => p.blocks)
      return partial.length > 0 ? { ...watch, gathered: { ...watch.gathered, blocks: partial } } : watch
    }
    case 'turn_finished':
      return finished(watch, event.seq, event.payload)
    case 'session_closed':
      throw new SavefileError('session_closed', `The session was closed (event ${event.seq}) before the turn ended.`, {
        seq: event.seq,
      })
    default:
      return watch
  }
}

function paid(before: Gathered, usage: Usage, usdMicros: number | undefined): Gathered {
  const add = (key: keyof Usage): number => before.usage[key] + usage[key]
  return {
    ...before,
    usage: {
      input: add('input'),
      output: add('output'),
      cacheRead: add('cacheRead'),
      cacheWrite: add('cacheWrite'),
      reasoning: add('reasoning'),
    },
    costUsdMicros: before.costUsdMicros === null || usdMicros === undefined ? null : before.costUsdMicros + usdMicros,
  }
}

function finished(watch: TurnWatch, seq: number, p: Payload<'turn_finished'>): TurnWatch {
  const mine = p.turn === watch.message || watch.delivery === 'steer' || watch.earlierEnded
  if (!mine) return { ...watch, earlierEnded: true, gathered: nothing, paused: false }
  const { failure, ...gathered } = watch.gathered
  return {
    ...watch,
    end: {
      turn: p.turn,
      reason: p.reason,
      ...(p.limit ? { limit: p.limit } : {}),
      ...gathered,
      text: textOf(gathered.blocks),
      finishedSeq: seq,
      ...(failure && p.reason === 'failed' ? { failure } : {}),
    },
  }
}
