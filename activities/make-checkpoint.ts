/**
 * checkpoint@T: a summary of the steps so far, made before `model@T`. A model call with a draft like any other; one that fails or says
 * nothing closes its row, changes nothing, and the call that was due goes on without.
 */
import type { StepInput } from '../contract/activities'
import { textBlock, textOf } from '../contract/blocks'
import { checkpointDue, SUMMARY_REQUEST } from '../contract/compaction'
import type { Definition } from '../contract/definition'
import type { Attempt, KnownEvent } from '../contract/events'
import type { ModelResult } from '../contract/ports'
import { unseenByModel, type State } from '../contract/state'
import { MAX_RETRY_AFTER_MS, MODEL_RETRY } from '../contract/timing'
import type { CallModelDeps } from './call-model'
import { tryAgain, type FinishedStep, type HeldStep } from './claim-step'

/** A summary is worth a second try, not a long wait: the session can go on without it. */
const ATTEMPTS = 3

export async function makeCheckpoint(
  deps: CallModelDeps,
  { ref, epoch, step }: StepInput,
  held: HeldStep,
  { state, events, definition }: { state: State; events: KnownEvent[]; definition: Definition },
): Promise<FinishedStep | null> {
  const { claim, token, signal } = held
  const giveUp = async (): Promise<null> => {
    await deps.log.close(ref, epoch, [{ step, token, outcome: 'cancelled' }])
    return null
  }
  const hi = checkpointDue(state, definition)
  if (hi === null || claim.attempts.length >= ATTEMPTS) return giveUp()
  const { model: other, instructions } = definition.compaction ?? {}
  const model = { ...definition.model, ...other }
  const view = deps.buildSummaryView(events, definition, unseenByModel(state), hi, instructions ?? SUMMARY_REQUEST)
  const startedAt = deps.now()
  const result = await deps.providers
    .get(model.provider)
    ?.call({ model, view, blob: (hash) => deps.log.readBlob(ref, hash) }, { signal, onDelta: () => undefined })
  const stopped = held.why()
  if (stopped === 'lost') return null
  const text = result && summaryIn(result)
  if (result?.ok && text) {
    const cost = deps.costUsdMicros(result.model, result.usage)
    const attempt: Attempt = { n: claim.attempt, at: startedAt, outcome: 'answered' }
    return held.finish({
      type: 'checkpoint_made',
      payload: {
        step,
        lo: 1,
        hi,
        blocks: [textBlock(text)],
        method: 'model',
        provider: model.provider,
        model: result.model,
        usage: result.usage,
        ...(cost === undefined ? {} : { costUsdMicros: cost }),
        attempts: [...claim.attempts, attempt],
      },
    })
  }
  if (stopped !== null) {
    await deps.log.releaseDraft(ref, step, token, 'cut_off')
    if (stopped === 'shutdown') throw tryAgain('shutdown')
    return null
  }
  const again = result && !result.ok && result.retryable && (result.retryAfterMs ?? 0) <= MAX_RETRY_AFTER_MS
  if (!again || claim.attempts.length + 1 >= ATTEMPTS) return giveUp()
  await deps.log.releaseDraft(ref, step, token, result.class)
  throw tryAgain(result.class, result.retryAfterMs ?? MODEL_RETRY.firstMs * 2 ** claim.attempts.length)
}

/** A summary that was cut off, or is none, is worse than none. */
function summaryIn(result: ModelResult): string {
  return result.ok && result.stop !== 'max_tokens' && result.stop !== 'refusal' ? textOf(result.blocks).trim() : ''
}
