/**
 * Taking a step: claim its draft row, or wait for a live holder, or learn that there is nothing left to do (PROTOCOL.md rules 10 to 13).
 * The same for model calls and tools.
 */
import { ApplicationFailure, CancelledFailure, Context, sleep } from '@temporalio/activity'
import { setTimeout as pause } from 'node:timers/promises'
import type { Advanced, StepInput } from '../contract/activities'
import { errorCode } from '../contract/errors'
import type { StepResult } from '../contract/next-step'
import type { DraftClaim, ExecutorLog } from '../contract/ports'
import { FINISH_RETRY } from '../contract/timing'
import type { Hold, RunningSteps, StopCause } from './running-steps'

export interface StepDeps {
  log: ExecutorLog
  running: RunningSteps
  randomToken(): string
  heartbeatMs: number
  /** Writes a result into its draft row, and goes on from there where that needs no look. Null: refused. */
  finish(input: StepInput, token: string, event: StepResult): Promise<FinishedStep | null>
}

/** The SDK's words: the run cancelled the step; the worker ends. */
const CANCELLED = 'CANCELLED'
const SHUTDOWN = 'WORKER_SHUTDOWN'

/** The longest pause between two looks at a step that somebody else holds. */
const BUSY_MS = 1_000

export interface HeldStep {
  token: string
  claim: Extract<DraftClaim, { status: 'claimed' }>
  /** Aborted by an interrupt, a lost claim, the run's cancellation or the worker's shutdown. */
  signal: AbortSignal
  why(): StopCause | null
  /** Leaves the result in the draft (null: it was refused), however long Postgres is away: else what was received is paid for again, or is unknown. */
  finish(event: StepResult): Promise<FinishedStep | null>
}

/** A step that this process just finished: its draft row holds this event. */
export interface FinishedStep {
  step: string
  event: StepResult
  /** What is due now, where it is known already. */
  look: Advanced | null
}

/**
 * Claims the step and runs `work` while it beats; does nothing, and gives null, where nothing is left to do.
 * The claim is committed before `work` begins, so that a claim without a result is what makes an outcome unknown.
 * `own`: the activity is this step's, so that its cancellation is meant for it. `safe`, `from`: as the log's claim has them.
 */
export async function withStep<T>(
  deps: Omit<StepDeps, 'log'> & { log: Pick<ExecutorLog, 'claimDraft'> },
  input: StepInput,
  { own, ...asked }: { own: boolean; safe: boolean; from?: number },
  work: (held: HeldStep) => Promise<T>,
): Promise<T | null> {
  const context = Context.current()
  const heart = setInterval(() => context.heartbeat(), deps.heartbeatMs / 4)
  try {
    const token = deps.randomToken()
    let claim = await deps.log.claimDraft(input.ref, input.epoch, input.step, { ...asked, token })
    for (let ms = 100; claim.status === 'busy'; ms = Math.min(BUSY_MS, ms * 2)) {
      // Its holder may be done long before it would count as silent.
      await sleep(Math.min(ms, claim.retryMs))
      claim = await deps.log.claimDraft(input.ref, input.epoch, input.step, { ...asked, token })
    }
    if (claim.status !== 'claimed') return null
    const hold = deps.running.hold(input.ref, input.step, token)
    const { signal, why } = hold
    const deaf = listen(context.cancellationSignal, own, hold)
    const finish: HeldStep['finish'] = async (event) => {
      for (let ms = FINISH_RETRY.firstMs; ; ms = Math.min(FINISH_RETRY.lastMs, ms * 2)) {
        try {
          return await deps.finish(input, token, event)
        } catch (error) {
          if (errorCode(error) !== 'database_unreachable' || why() === 'shutdown') throw error
        }
        await pause(ms)
      }
    }
    try {
      return await work({ token, claim, signal, why, finish })
    } finally {
      deaf()
      hold.release()
    }
  } finally {
    clearInterval(heart)
  }
}

/**
 * Of Temporal's reasons to stop, those that are orders. That it does not know the attempt any more (it lost its data, the run was replaced,
 * it stalled past the heartbeat) is none: the claim beats, whoever comes next waits for it, and what is under way is not paid for twice.
 * Gives what ends the listening.
 */
function listen(temporal: AbortSignal, own: boolean, { stop }: Pick<Hold, 'stop'>): () => void {
  const hear = (): void => {
    const why = temporal.reason instanceof CancelledFailure ? temporal.reason.message : null
    if (why === SHUTDOWN) stop('shutdown')
    else if (own && why === CANCELLED) stop('cancelled')
  }
  if (temporal.aborted) hear()
  else temporal.addEventListener('abort', hear, { once: true })
  return () => temporal.removeEventListener('abort', hear)
}

/** Asks Temporal for another attempt, without a word about why but an enum's (L6). */
export function tryAgain(why: string, afterMs?: number): ApplicationFailure {
  return ApplicationFailure.create({
    type: why,
    message: '',
    ...(afterMs === undefined ? {} : { nextRetryDelay: afterMs }),
  })
}
