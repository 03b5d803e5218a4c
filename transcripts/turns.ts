/**
 * The turns of a log, from its events in their order. By what is in clear alone where the content is locked: who spoke and when a turn ended
 * is told by the events' types.
 */
import { textOf } from '../contract/blocks'
import { parseEvent, type KnownEvent, type StoredEvent, type TurnReason } from '../contract/events'
import { firstLine } from './visible-text'

/** An event with what it says, or null where nobody here knows that. */
export interface Read {
  stored: StoredEvent
  event: KnownEvent | null
}

export interface Turn {
  /** From 1. */
  n: number
  /** Seq of the message that opened it. */
  opener: number
  openedAt: number
  who: string
  /** The message's first line. */
  about: string
  modelCalls: number
  tools: number
  input: number
  output: number
  /** Null once a call's price was not known. */
  usdMicros: number | null
  /** Null while it is open. */
  endedAt: number | null
  reason: TurnReason | null
  limit: string | null
}

export interface Turns {
  /** The turn that is open after the last event, if one is. */
  current(): Turn | null
  /** `began`: the turn whose message this is; `ended`: the one that it ends. After an end the next one may have begun: `current`. */
  push(read: Read): { began: Turn | null; ended: Turn | null }
}

const ABOUT_CHARS = 120

export async function* readAll(events: AsyncIterable<StoredEvent>): AsyncGenerator<Read> {
  for await (const stored of events) yield { stored, event: parseEvent(stored) }
}

export function createTurns(): Turns {
  let n = 0
  let turn: Turn | null = null
  let queued: Turn[] = []

  const opened = (read: Read): Turn => ({
    n: 0,
    opener: read.stored.seq,
    openedAt: read.stored.at,
    who: whoOf(read.stored.actor),
    about: read.event?.type === 'message_received' ? firstLine(textOf(read.event.payload.blocks), ABOUT_CHARS) : '',
    modelCalls: 0,
    tools: 0,
    input: 0,
    output: 0,
    usdMicros: 0,
    endedAt: null,
    reason: null,
    limit: null,
  })

  function push(read: Read): { began: Turn | null; ended: Turn | null } {
    const { event, stored } = read
    if (stored.type === 'message_received') {
      const said = event?.type === 'message_received' ? event.payload : null
      if (said?.delivery === 'interrupt' && said.blocks.length === 0) return { began: null, ended: null }
      if (turn) {
        if (said?.delivery !== 'steer') queued.push(opened(read))
        return { began: null, ended: null }
      }
      turn = { ...opened(read), n: ++n }
      return { began: turn, ended: null }
    }
    if (stored.type === 'turn_finished' && turn) {
      const said = event?.type === 'turn_finished' ? event.payload : null
      const ended = { ...turn, endedAt: stored.at, reason: said?.reason ?? null, limit: said?.limit ?? null }
      const [next] = queued
      queued = []
      turn = next ? { ...next, n: ++n, openedAt: stored.at } : null
      return { began: null, ended }
    }
    if (turn && event) count(turn, event)
    return { began: null, ended: null }
  }
  return { push, current: () => turn }
}

function count(turn: Turn, event: KnownEvent): void {
  if (event.type === 'model_failed') turn.modelCalls++
  if (event.type === 'tool_started') turn.tools++
  if (event.type !== 'model_answered' && event.type !== 'checkpoint_made') return
  const { usage, costUsdMicros } = event.payload
  if (event.type === 'model_answered') turn.modelCalls++
  if (!usage) return
  turn.input += usage.input
  turn.output += usage.output
  turn.usdMicros = turn.usdMicros === null || costUsdMicros === undefined ? null : turn.usdMicros + costUsdMicros
}

export function whoOf(actor: string): string {
  return actor.replace(/^(user|tool):/, '')
}

/** `done`, `limit of steps`, `failed`. */
export function reasonText({ reason, limit }: Pick<Turn, 'reason' | 'limit'>): string {
  if (reason === null) return 'ended'
  return reason === 'limit'
    ? `limit of ${(limit ?? 'the definition').replaceAll('_', ' ')}`
    : reason.replaceAll('_', ' ')
}
