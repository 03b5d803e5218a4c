/**
 * What follows a model call that failed for good: where its request was too long, a checkpoint and the same model again; else the next of
 * the definition's fallback models; else the end of the turn. Pure, and decided once, where the failure is written: the event says it.
 */
import { recoveryRange } from './compaction'
import type { Definition, ModelSpec } from './definition'
import type { FailureClass, Payload } from './events'
import type { State } from './state'

/** The model that the open turn asks, and which fallback that is; 0: the definition's own, also where it has no such fallback any more. */
export function modelAsked(
  { model, fallbacks }: Pick<Definition, 'model' | 'fallbacks'>,
  s: State,
): { model: ModelSpec; fallback: number } {
  const fallback = s.turn?.fallback ?? 0
  const other = fallbacks?.models[fallback - 1]
  return other ? { model: other, fallback } : { model, fallback: 0 }
}

/** Undefined: the turn ends as failed. */
export function nextAfter(
  s: State,
  { fallbacks }: Pick<Definition, 'fallbacks'>,
  failure: FailureClass,
): Payload<'model_failed'>['next'] {
  if (failure === 'context_exceeded' && s.turn?.recovery === null && recoveryRange(s) !== null)
    return { kind: 'checkpoint' }
  const model = (s.turn?.fallback ?? 0) + 1
  if (!fallbacks || model > fallbacks.models.length) return undefined
  const counts = fallbacks.on ? fallbacks.on.includes(failure) : failure !== 'internal'
  return counts ? { kind: 'fallback', model } : undefined
}
