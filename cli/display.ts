/**
 * A session as it happens, on a terminal: events as lines of the timeline, and between them what models and tools write just now. What was
 * seen live is not printed a second time when its event comes.
 */
import { textOf } from '../contract/blocks'
import type { Delta } from '../contract/ports'
import type { Client } from '../client/types'
import type { LogEvent } from '../client/log-events'
import type { Paint } from './paint'
import { safeText } from './safe-text'
import { watchStalls } from './stalls'
import { INDENT, type Timeline } from './timeline'
import { createFlow } from './wrap'

export interface Display {
  event(event: LogEvent): void
  delta(delta: Delta): void
  /** Something is tried again. */
  stall(text: string): void
  /** Ends a line that is being written live. */
  endLine(): void
}

/** Steps whose event was shown: enough for any delta that may still come late. */
const REMEMBERED = 1000

interface Live {
  step: string
  token: string
  kind: Delta['kind']
  flow: (chunk: string) => string
}

export function createDisplay(options: {
  timeline: Timeline
  write(text: string): void
  paint: Paint
  width: number
}): Display {
  const { timeline, write, paint } = options
  const room = Math.max(20, options.width - INDENT.length)
  let live: Live | null = null
  /** What was written live, by step: of its last attempt. */
  let written: { step: string; token: string; text: string } | null = null
  const over = new Set<string>()

  const endLine = (): void => {
    if (live) write('\n')
    live = null
  }

  function delta(d: Delta): void {
    // Late: its event is there, and says all.
    if (over.has(d.step)) return
    if (live?.step !== d.step || live.token !== d.token || live.kind !== d.kind) {
      endLine()
      live = { step: d.step, token: d.token, kind: d.kind, flow: createFlow(room, INDENT) }
      const who = d.kind === 'text' ? 'agent' : d.kind === 'reasoning' ? '(thinking)' : '(output)'
      const column = who.padEnd(INDENT.length - 15 - 1)
      write(`${' '.repeat(15)}${paint(d.kind === 'text' ? 'blue' : 'dim', column)} `)
    }
    const text = live.flow(safeText(d.body))
    write(d.kind === 'text' ? text : paint('dim', text))
    if (d.kind !== 'text') return
    if (written?.step === d.step && written.token === d.token) written.text += d.body
    else written = { step: d.step, token: d.token, text: d.body }
  }

  function event(e: LogEvent): void {
    let textShown = false
    if (!e.unknown && e.type === 'model_answered' && written?.step === e.payload.step) {
      const whole = textOf(e.payload.blocks)
      textShown = whole.startsWith(written.text)
      const rest = textShown ? whole.slice(written.text.length) : ''
      if (rest) delta({ ...lastDelta(e.payload.step, written.token), body: rest })
    }
    endLine()
    if (!e.unknown && (e.type === 'model_answered' || e.type === 'model_failed')) over.add(e.payload.step)
    if (!e.unknown && e.type === 'tool_finished') over.add(`tool@${e.payload.call}`)
    if (over.size > REMEMBERED) for (const step of [...over].slice(0, REMEMBERED / 2)) over.delete(step)
    for (const line of timeline.lines(e, { textShown })) write(`${line}\n`)
  }
  const lastDelta = (step: string, token: string): Delta => ({
    ref: { space: '', session: '' },
    step,
    token,
    n: 0,
    kind: 'text',
    body: '',
  })
  const stall = (text: string): void => {
    endLine()
    write(`${INDENT}${paint('yellow', text)}\n`)
  }
  return { event, delta, stall, endLine }
}

export interface Show {
  /** Resolves once the event with this seq was shown. */
  reached(seq: number): Promise<void>
  /** Ends the showing; resolves when nothing is printed any more. */
  stop(): Promise<void>
  /** Rejects where the log cannot be followed; resolves after `stop`. */
  done: Promise<void>
}

/** Shows a session from event `from` on until it is stopped. `onEvent` comes after each event is shown. */
export function startShow(
  client: Pick<Client, 'follow' | 'followLive' | 'stalled'>,
  session: string,
  from: number,
  display: Display,
  onEvent: (event: LogEvent) => void = () => {},
): Show {
  const stopper = new AbortController()
  const { signal } = stopper
  let shown = from - 1
  const waiters: { seq: number; resolve: () => void }[] = []
  const events = async (): Promise<void> => {
    for await (const event of client.follow(session, { from, signal })) {
      if (signal.aborted) return
      display.event(event)
      shown = event.seq
      for (const waiter of waiters.filter((w) => w.seq <= shown)) waiter.resolve()
      onEvent(event)
    }
  }
  const live = async (): Promise<void> => {
    for await (const delta of client.followLive(session, { signal })) {
      if (signal.aborted) return
      display.delta(delta)
    }
  }
  const stalls = (): Promise<void> => watchStalls(client, session, signal, display.stall)
  const quietly = (error: unknown): void => {
    if (!signal.aborted) throw error
  }
  const done = Promise.all([events().catch(quietly), live().catch(quietly), stalls()]).then(() => display.endLine())
  const failed = done.then(() => new Promise<never>(() => {}))
  return {
    done,
    reached: (seq) =>
      shown >= seq
        ? Promise.resolve()
        : Promise.race([new Promise<void>((resolve) => waiters.push({ seq, resolve })), failed]),
    async stop() {
      stopper.abort()
      await done
    },
  }
}
