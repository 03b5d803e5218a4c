/**
 * A session's turn as an activity of a backend's own Temporal workflow: references in, references out (L6). The workflow learns that the
 * turn ended and which event holds the answer; the backend's own activities send the question and read the answer through the client.
 */
import { CancelledFailure, Context } from '@temporalio/activity'
import { ApplicationFailure } from '@temporalio/common'
import type { TurnReason } from '../contract/events'
import { errorCode } from '../contract/errors'
import type { Client } from './types'

/** Names a message that was sent: what `client.send` gave back. */
export interface AskInput {
  session: string
  seq: number
}

/** How the turn that handled it ended. `answerSeq` is the event to read; null where no model answered. */
export interface AskResult {
  session: string
  seq: number
  turn: number
  reason: TurnReason
  answerSeq: number | null
}

export interface AskActivities {
  awaitTurn(input: AskInput): Promise<AskResult>
}

/** Give the activity a heartbeat timeout of at least three of these. */
export const ASK_HEARTBEAT_MS = 5_000

/**
 * The activity `awaitTurn`, for a worker of the backend. It heartbeats, ends when it is cancelled (the turn goes on: `client.interrupt`
 * stops it), and may be retried at will. Failures carry the error's code as their type and no words.
 */
export function createAskActivity(client: Pick<Client, 'awaitTurn'>): AskActivities {
  return {
    async awaitTurn({ session, seq }) {
      const context = Context.current()
      const beat = setInterval(() => context.heartbeat(), ASK_HEARTBEAT_MS)
      context.heartbeat()
      try {
        const { turn, reason, answerSeq } = await client.awaitTurn(session, seq, { signal: context.cancellationSignal })
        return { session, seq, turn, reason, answerSeq }
      } catch (error) {
        if (error instanceof CancelledFailure) throw error
        const code = errorCode(error)
        // Without a code it may be anything, for example a connection that broke: try again, and say nothing of it to Temporal.
        const failure = ApplicationFailure.create({
          type: code ?? 'internal',
          message: '',
          nonRetryable: isFinal(code),
        })
        failure.stack = '' // it would go to Temporal, with the paths of this machine
        throw failure
      } finally {
        clearInterval(beat)
      }
    },
  }
}

function isFinal(code: ReturnType<typeof errorCode>): boolean {
  return code === 'session_not_found' || code === 'session_closed' || code === 'invalid_input' || code === 'corrupt_log'
}
