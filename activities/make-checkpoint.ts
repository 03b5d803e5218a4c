/**
 * checkpoint@T: a summary of the steps so far, made before `model@T`. A model call with a draft like any other; one that fails or says
 * nothing closes its row, changes nothing, and the call that was due goes on without; or, where it was too long, is over.
 */
import type { StepInput } from '../contract/activities'
import { textBlock, textOf } from '../contract/blocks'
import { checkpointDue, SUMMARY_REQUEST } from '../contract/compaction'
import type { Definition } from '../contract/definition'
import type { Attempt, KnownEvent } from '../contract/events'
import { modelAsked } from '../contract/fallbacks'
import type { ModelResult } from '../contract/provider-port'
import { unseenByModel, type State } from '../contract/state'
import { MAX_RETRY_AFTER_MS, MODEL_ATTEMPTS, MODEL_ATTEMPTS_IN_ALL, MODEL_RETRY } from '../contract/timing'
import { askProvider } from './ask-provider'
import type { CallModelDeps } from './call-model'
import { tryAgain, type FinishedStep, type HeldStep } from './claim-step'

/** A summary is worth a second try, not a long wait: the session can go on without it. Where it can't, it is worth what any call is. */
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
  const needed = state.turn?.recovery === 'due'
  if (hi === null || claim.attempts.length >= (needed ? MODEL_ATTEMPTS_IN_ALL : ATTEMPTS)) return giveUp()
  const { model: other, instructions } = definition.compaction ?? {}
  // A summary is text, whatever answers have to be.
  const { output: _output, toolChoice: _choice, ...asked } = modelAsked(definition, state).model
  const model = { ...asked, ...other }
  const saw = unseenByModel(state)
  const view = deps.buildSummaryView(events, { ...definition, model }, saw, hi, instructions ?? SUMMARY_REQUEST)
  const startedAt = deps.now()
  const { result, refusedFirst } = await askProvider(deps, ref, model, view, { signal, onDelta: () => undefined })
  const stopped = held.why()
  if (stopped === 'lost') return null
  const text = summaryIn(result)
  if (result.ok && text) {
    const cost = deps.costUsdMicros(result.model, result.usage, result.billed)
    const attempt = (outcome: Attempt['outcome']): Attempt => ({ n: claim.attempt, at: startedAt, outcome })
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
        attempts: [...claim.attempts, ...(refusedFirst ? [attempt('refused_request')] : []), attempt('answered')],
      },
    })
  }
  if (stopped !== null) {
    await deps.log.releaseDraft(ref, step, token, 'cut_off')
    if (stopped === 'shutdown') throw tryAgain('shutdown')
    return null
  }
  const again = !result.ok && result.retryable && (result.retryAfterMs ?? 0) <= MAX_RETRY_AFTER_MS
  if (!again || claim.attempts.length + 1 >= (needed ? MODEL_ATTEMPTS[result.class] : ATTEMPTS)) return giveUp()
  await deps.log.releaseDraft(ref, step, token, result.class)
  const pause = Math.min(MODEL_RETRY.lastMs, MODEL_RETRY.firstMs * 2 ** claim.attempts.length)
  throw tryAgain(result.class, result.retryAfterMs ?? pause)
}

/** A summary that was cut off, or is none, is worse than none. */
function summaryIn(result: ModelResult): string {
  const whole = result.ok && !['max_tokens', 'context_exceeded', 'refusal', 'pause'].includes(result.stop)
  return whole ? textOf(result.blocks).trim() : ''
}
