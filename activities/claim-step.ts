/**
 * Taking a step: claim its draft row, or wait for a live holder, or learn that there is nothing left to do (PROTOCOL.md rules 10 to 13).
 * The same for model calls and tools.
 */
import { ApplicationFailure, CancelledFailure, Context, sleep } from '@temporalio/activity'
import type { StepInput } from '../contract/activities'
import type { DraftClaim, ExecutorLog } from '../contract/ports'
import type { RunningSteps, StopCause } from './running-steps'

export interface StepDeps {
  log: ExecutorLog
  running: RunningSteps
  randomToken(): string
  heartbeatMs: number
}

export interface HeldStep {
  token: string
  claim: Extract<DraftClaim, { status: 'claimed' }>
  /** Aborted by an interrupt, a lost claim, Temporal's cancellation or the worker's shutdown. */
  signal: AbortSignal
  why(): StopCause | 'shutdown' | 'cancelled' | null
}

/**
 * Claims the step and runs `work` while it beats; does nothing where nothing is left to do.
 * The claim is committed before `work` begins, so that a claim without a result is what makes an outcome unknown.
 */
export async function withStep(
  deps: StepDeps,
  input: StepInput,
  safe: boolean,
  work: (held: HeldStep) => Promise<void>,
): Promise<void> {
  const context = Context.current()
  const heart = setInterval(() => context.heartbeat(), deps.heartbeatMs / 4)
  try {
    const token = deps.randomToken()
    let claim = await deps.log.claimDraft(input.ref, input.epoch, input.step, { safe, token })
    while (claim.status === 'busy') {
      await sleep(claim.retryMs)
      claim = await deps.log.claimDraft(input.ref, input.epoch, input.step, { safe, token })
    }
    if (claim.status !== 'claimed') return
    const hold = deps.running.hold(input.ref, input.step, token)
    const cancelled = context.cancellationSignal
    const why = (): ReturnType<HeldStep['why']> => {
      if (hold.signal.aborted) return hold.signal.reason as StopCause
      if (!cancelled.aborted) return null
      return cancelled.reason instanceof CancelledFailure && cancelled.reason.message === 'WORKER_SHUTDOWN'
        ? 'shutdown'
        : 'cancelled'
    }
    try {
      await work({ token, claim, signal: AbortSignal.any([hold.signal, cancelled]), why })
    } finally {
      hold.release()
    }
  } finally {
    clearInterval(heart)
  }
}

/** Asks Temporal for another attempt, without a word about why but an enum's (L6). */
export function tryAgain(why: string, afterMs?: number): ApplicationFailure {
  return ApplicationFailure.create({
    type: why,
    message: '',
    ...(afterMs === undefined ? {} : { nextRetryDelay: afterMs }),
  })
}
