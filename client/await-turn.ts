/**
 * Waiting for the end of the turn that handled a message: follows the log from the message on, so that it makes no difference whether the
 * turn is over, runs, or has not begun, nor whether somebody waited before.
 */
import { SavefileError } from '../contract/errors'
import type { PendingApproval } from './approvals'
import type { LogEvent } from './log-events'
import { observe, watchTurn } from './turn-watch'
import type { Answer, Decision, WaitingForApproval, WaitOptions } from './types'

/** What the wait needs of the client. */
export interface TurnSource {
  head(): Promise<number>
  follow(from: number, signal: AbortSignal): AsyncIterable<LogEvent>
  approvals(): Promise<PendingApproval[]>
  resolve(call: string, decision: Decision): Promise<unknown>
}

export async function awaitTurn(
  source: TurnSource,
  session: string,
  seq: number,
  options: WaitOptions,
): Promise<Answer | WaitingForApproval> {
  options.signal?.throwIfAborted()
  const stop = new AbortController()
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : setTimeout(() => stop.abort(tooLate(session, seq, options.timeoutMs)), options.timeoutMs)
  const onAbort = (): void => stop.abort(options.signal?.reason)
  options.signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await follow(source, session, seq, options.onApproval, stop)
  } catch (error) {
    stop.signal.throwIfAborted() // whatever the log says of being cut off: the reason is ours
    throw error
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', onAbort)
    stop.abort()
  }
}

async function follow(
  source: TurnSource,
  session: string,
  seq: number,
  onApproval: WaitOptions['onApproval'],
  stop: AbortController,
): Promise<Answer | WaitingForApproval> {
  const head = await source.head()
  if (seq > head)
    throw new SavefileError('invalid_input', `Session ${session} has no event ${seq} yet: its head is ${head}.`, {
      session,
      seq,
      head,
    })
  const told = new Set<string>()
  let watch = watchTurn(seq)
  for await (const event of source.follow(seq, stop.signal)) {
    watch = observe(watch, event)
    if (watch.end) return { waiting: null, session, seq, ...watch.end }
    // What waits is asked for only once the past is read: an old request is answered, or belongs to a turn that ended.
    if (!onApproval || event.seq < head || (event.seq > head && event.type !== 'approval_requested')) continue
    const calls = await source.approvals()
    if (calls.length === 0) continue
    if (onApproval === 'return') return { waiting: 'approval', session, seq, calls }
    for (const call of calls.filter((c) => !told.has(c.call))) {
      told.add(call.call)
      // Beside the loop: somebody else may answer first, or interrupt, while this one is thinking.
      void answer(source, call, onApproval).catch((error: unknown) => stop.abort(error))
    }
  }
  stop.signal.throwIfAborted()
  throw new SavefileError('database_unreachable', `The log of session ${session} could not be followed any further.`, {
    session,
  })
}

async function answer(
  source: TurnSource,
  call: PendingApproval,
  ask: Exclude<WaitOptions['onApproval'], 'return' | undefined>,
): Promise<void> {
  const decision = await ask(call)
  if (!decision) return
  try {
    await source.resolve(call.call, decision)
  } catch (error) {
    // Somebody, or an interrupt, was first: the log has what counts.
    const code = error instanceof SavefileError ? error.code : undefined
    if (code !== 'already_resolved' && code !== 'call_not_found' && code !== 'not_requested') throw error
  }
}

function tooLate(session: string, seq: number, timeoutMs: number | undefined): SavefileError {
  const message = `The turn that handles event ${seq} of session ${session} has not ended within ${timeoutMs} ms. It goes on; wait again for the same message.`
  return new SavefileError('timeout', message, { session, seq })
}
