/** One turn, shown as it happens, to its end: behind `savefile run` and `npm start`. */
import { createInterface } from 'node:readline/promises'
import type { PendingApproval } from '../client/approvals'
import type { Answer, Client, Decision } from '../client/types'
import { createDisplay, startShow } from './display'
import type { Paint } from './paint'
import { decisionOf } from './talk'
import { createTimeline } from './timeline'

export interface RunTurnOptions {
  client: Client
  session: string
  sessionName: string
  /** The message whose turn is waited for. */
  seq: number
  /** The first event to show. */
  from: number
  paint: Paint
  width: number
  write(text: string): void
  /** `yes`: every call may run; `ask`: a person at this terminal is asked; `leave`: it ends at the first call that waits. */
  approvals: 'yes' | 'ask' | 'leave'
  /** Aborted: the turn is interrupted, and its end waited for. */
  signal: AbortSignal
}

/** Null: it waits for an approval, and nobody here can give it. */
export async function runTurn(options: RunTurnOptions): Promise<Answer | null> {
  const { client, session, seq, paint, write, width } = options
  const timeline = createTimeline({ paint, width, wholeAnswers: true, sessionName: options.sessionName })
  const display = createDisplay({ timeline, write, paint, width })
  const show = startShow(client, session, options.from, display)
  const onAbort = (): void => {
    display.endLine()
    write(`${paint('yellow', 'stopping the turn')}\n`)
    void client.interrupt(session).catch((error: unknown) => write(`${String(error)}\n`))
  }
  options.signal.addEventListener('abort', onAbort, { once: true })
  try {
    const answer = await Promise.race([wait(options, display.endLine), show.done.then(() => null)])
    if (answer) await show.reached(answer.finishedSeq)
    return answer
  } finally {
    options.signal.removeEventListener('abort', onAbort)
    await show.stop()
  }

  async function wait({ approvals, signal }: RunTurnOptions, endLine: () => void): Promise<Answer | null> {
    if (approvals === 'leave') {
      const end = await client.awaitTurn(session, seq, { onApproval: 'return' })
      if (end.waiting === null) return end
      await show.reached(Math.max(...end.calls.map((call) => call.seq)))
      return null
    }
    const ask = async (call: PendingApproval): Promise<Decision | undefined> => {
      if (approvals === 'yes') return { decision: 'allow' }
      await show.reached(call.seq)
      endLine()
      return askPerson(call, paint, signal)
    }
    return client.awaitTurn(session, seq, { onApproval: ask })
  }
}

async function askPerson(call: PendingApproval, paint: Paint, signal: AbortSignal): Promise<Decision | undefined> {
  const rl = createInterface({ input: process.stdin, output: process.stderr })
  // readline takes Ctrl-C for itself while it reads.
  rl.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  try {
    for (;;) {
      const line = await rl.question(paint('yellow', `  may ${call.tool} run? [y]es / [n]o / [a]lways: `), { signal })
      const decision = decisionOf(line)
      if (decision) return decision
    }
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  } finally {
    rl.close()
  }
}
