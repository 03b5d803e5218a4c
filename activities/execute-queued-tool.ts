/**
 * executeTool on the host of a queue: as executeTool, but all that this process learns of the log is the call that it has claimed. What
 * follows from the result the session's own worker decides.
 */
import type { StepInput } from '../contract/activities'
import { SavefileError } from '../contract/errors'
import { parseStep } from '../contract/ids'
import type { ExecutorLog, QueueLog } from '../contract/ports'
import { tryAgain, withStep, type StepDeps } from './claim-step'
import { runHeld, type Found, type RunDeps } from './execute-tool'

export interface ExecuteQueuedToolDeps extends Omit<StepDeps, 'log'>, Omit<RunDeps, 'log'> {
  log: QueueLog
  warn(what: string, error: unknown): void
}

/** Until somebody has mended it. */
const NOT_OURS_MS = 10_000
const NOT_OURS = {
  call_not_found: 'this login does not serve the queue of the call: see savefile.set_queue_login',
  key_missing: 'the call is sealed for a key that is not here: see --queue-key',
} as const

function notOurs(deps: Pick<ExecuteQueuedToolDeps, 'warn'>, step: string, why: keyof typeof NOT_OURS): Error {
  deps.warn(step, new Error(NOT_OURS[why]))
  return tryAgain(why, NOT_OURS_MS)
}

export function createExecuteQueuedTool(deps: ExecuteQueuedToolDeps): (input: StepInput) => Promise<null> {
  return async (input) => {
    const { ref, step } = input
    const parsed = parseStep(step)
    if (parsed.kind !== 'tool') throw new SavefileError('invalid_input', `${step} is not a tool step.`)
    let found: Found | undefined
    const claimDraft: ExecutorLog['claimDraft'] = async (ref, epoch, step, { token }) => {
      const claimed = await deps.log.claimCall(ref, epoch, step, token)
      const { claim } = claimed
      if (claim.status === 'call_not_found' || claim.status === 'key_missing') throw notOurs(deps, step, claim.status)
      if ('call' in claimed) {
        const { tool, args, idempotencyKey, timeoutMs, workFolder, safe } = claimed.call
        const spec = { name: tool, timeoutMs, readOnly: safe, idempotent: safe }
        found = { call: { id: parsed.call, args, idempotencyKey }, spec, workFolder }
      }
      return claim
    }
    // Whether it is safe to repeat is the database's to say.
    await withStep({ ...deps, log: { claimDraft } }, input, { safe: false, own: true }, async (held) => {
      if (!found) return null
      return runHeld(deps, input, held, found, (bytes, mediaType) =>
        deps.log.writeBlob(ref, step, held.token, bytes, mediaType),
      )
    })
    return null
  }
}
