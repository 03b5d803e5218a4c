/**
 * Talking with a session: lines that come are messages, what happens is shown as it happens, calls that need a yes are asked about here.
 * In a terminal, a line typed while a turn runs steers it. From a pipe, each line waits for the turn before it to end.
 *
 * Ctrl-C: once interrupts the turn (or warns, where none runs), twice leaves. The session stays, whatever happens here.
 */
import { clearLine, createInterface, cursorTo } from 'node:readline'
import type { PendingApproval } from '../client/approvals'
import type { LogEvent } from '../client/log-events'
import type { Client, Decision } from '../client/types'
import { errorCode } from '../contract/errors'
import { createDisplay, startShow } from './display'
import { EXIT, type ExitCode } from './exit-codes'
import type { Paint } from './paint'
import { safeText } from './safe-text'
import { createTimeline } from './timeline'

export interface TalkOptions {
  client: Client
  session: string
  /** What people type for it. */
  sessionName: string
  input: NodeJS.ReadStream
  output: NodeJS.WriteStream
  paint: Paint
  /** The first event to show. */
  from: number
  /** Allow every call without asking. */
  yes?: boolean
}

/** Within so long a second Ctrl-C leaves. */
const TWICE_MS = 3_000
const WIDTH = 100

/** What a line says to "may this run": null where it is no answer. */
export function decisionOf(line: string): Decision | null {
  const [word = '', ...rest] = line.trim().split(/\s+/)
  const note = rest.join(' ')
  switch (word.toLowerCase()) {
    case 'y':
    case 'yes':
      return { decision: 'allow' }
    case 'a':
    case 'always':
      return { decision: 'allow', scope: 'session' }
    case 'n':
    case 'no':
      return note === '' ? { decision: 'deny' } : { decision: 'deny', note }
    default:
      return null
  }
}

export async function talk(options: TalkOptions): Promise<ExitCode> {
  const { client, session, input, output, paint } = options
  const terminal = Boolean(input.isTTY && output.isTTY)
  const rl = createInterface({ input, ...(terminal ? { output } : {}), terminal })
  const timeline = createTimeline({
    paint,
    width: output.columns || WIDTH,
    wholeAnswers: true,
    sessionName: options.sessionName,
  })

  const lines: string[] = []
  const questions: PendingApproval[] = []
  let asked: PendingApproval | null = null
  let turns = 0
  let prompting = false
  let closed = false
  /** Whether a call waits is known from then on: a line is its answer, or a message. */
  let ready = false
  let lastStop = 0
  let leave: (code: ExitCode) => void = () => {}
  const left = new Promise<ExitCode>((resolve) => (leave = resolve))

  const write = (text: string): void => {
    if (prompting && terminal) {
      clearLine(output, 0)
      cursorTo(output, 0)
      prompting = false
    }
    output.write(text)
  }
  const say = (text: string): void => {
    display.endLine()
    write(`${text}\n`)
  }
  const fail = (error: unknown): void => {
    const code = errorCode(error)
    say(paint('red', `${code ?? 'error'}: ${safeText(error instanceof Error ? error.message : String(error))}`))
    if (!terminal || code === 'session_closed' || code === 'session_not_found') leave(EXIT.failed)
  }
  const display = createDisplay({ timeline, write, paint, width: output.columns || WIDTH })

  function prompt(): void {
    if (!terminal || closed) return
    if (!asked && turns > 0) return
    rl.setPrompt(asked ? paint('yellow', `  may ${asked.tool} run? [y]es / [n]o / [a]lways: `) : paint('green', '> '))
    prompting = true
    rl.prompt(true)
  }

  async function lookForQuestions(): Promise<void> {
    const pending = await client.approvals(session)
    const open = new Set(pending.map((p) => p.call))
    questions.splice(0, questions.length, ...pending.filter((p) => p.call !== asked?.call))
    if (asked && !open.has(asked.call)) asked = null
    if (options.yes) {
      for (const call of questions.splice(0)) await client.resolve(session, call.call, { decision: 'allow' })
    }
    asked ??= questions.shift() ?? null
    ready = true
    pump()
    prompt()
  }

  const CHANGES = new Set(['approval_requested', 'approval_resolved', 'tool_finished', 'interrupted'])
  function onEvent(event: LogEvent): void {
    if (CHANGES.has(event.type) && event.seq >= head) void lookForQuestions().catch(fail)
    else prompt()
  }

  async function answer(call: PendingApproval, line: string): Promise<void> {
    const decision = decisionOf(line)
    if (!decision) {
      say('Answer y, n (a reason may follow: the model reads it), or a.')
      asked ??= call
      if (!terminal) throw new Error('The answer to an approval must be y, n or a.')
      return prompt()
    }
    await client.resolve(session, call.call, decision).catch((error: unknown) => {
      if (errorCode(error) !== 'already_resolved' && errorCode(error) !== 'call_not_found') throw error
    })
  }

  async function send(line: string): Promise<void> {
    turns++
    try {
      // Also a turn that somebody else began.
      const steers = terminal && (turns > 1 || (await client.info(session)).state !== 'idle')
      const sent = await client.send(session, line, { delivery: steers ? 'steer' : 'queue' })
      if (!sent.nudged) say(paint('yellow', 'Temporal is away: this is in the log, and is handled when it is back.'))
      const end = await client.awaitTurn(session, sent.seq, { signal: stop.signal })
      await show.reached(end.finishedSeq)
    } finally {
      turns--
      if (turns === 0) {
        pump()
        prompt()
      }
    }
  }

  function pump(): void {
    if (!ready) return
    for (;;) {
      if (asked && lines.length > 0) {
        const call = asked
        asked = null
        void answer(call, lines.shift() ?? '').catch(fail)
      } else if (lines.length > 0 && (terminal || turns === 0)) {
        const line = lines.shift() ?? ''
        if (line.trim() === '') prompt()
        else void send(line).catch((error: unknown) => stop.signal.aborted || fail(error))
      } else break
    }
    // In a pipe the last line's turn is waited for; its questions then have nobody to answer them.
    if (closed && lines.length === 0 && (terminal || turns === 0 || asked))
      leave(asked && !terminal ? EXIT.notDone : EXIT.ok)
  }

  async function stopTurn(): Promise<void> {
    if (turns === 0 && !asked && (await client.info(session)).state === 'idle') {
      say(paint('dim', 'Ctrl-C again leaves; the session stays.'))
      return prompt()
    }
    asked = null
    say(paint('yellow', 'stopping (Ctrl-C again leaves)'))
    await client.interrupt(session)
  }

  function onInterrupt(): void {
    const now = Date.now()
    const again = now - lastStop < TWICE_MS
    lastStop = now
    if (again) return leave(EXIT.interrupted)
    void stopTurn().catch(fail)
  }

  rl.on('line', (line) => {
    prompting = false
    lines.push(line)
    pump()
  })
  rl.on('close', () => {
    closed = true
    pump()
  })
  if (terminal) rl.on('SIGINT', onInterrupt)
  else process.on('SIGINT', onInterrupt)

  const stop = new AbortController()
  const { head, state } = await client.info(session)
  const show = startShow(client, session, options.from, display, onEvent)
  show.done.catch(fail)
  if (state === 'closed') say(paint('yellow', 'This session is closed; fork it to go on.'))
  if (options.from <= head) await show.reached(head)
  await lookForQuestions()
  const code = await left
  closed = true
  stop.abort(new Error('left'))
  rl.close()
  process.off('SIGINT', onInterrupt)
  await show.stop()
  return code
}
