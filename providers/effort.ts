/** Levels of effort, and what is sent where a model does not have the one that was asked for. */
import type { ModelSpec } from '../contract/definition'
import type { Drop } from './content'

export type Effort = NonNullable<NonNullable<ModelSpec['reasoning']>['effort']>

const LEVELS: readonly Effort[] = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']

/** From one level to another, both included. */
export function efforts(from: Effort, to: Effort): readonly Effort[] {
  return LEVELS.slice(LEVELS.indexOf(from), LEVELS.indexOf(to) + 1)
}

/**
 * The level that is sent: the one that was asked for, or the next lower one that the model has, or its lowest; what is other than asked is
 * said. Who asks for some thought never gets none. Undefined: the model has no levels.
 */
export function effortFor<E extends Effort>(
  { name, reasoning }: ModelSpec,
  has: readonly E[],
  seq: number,
  drop: Drop,
): E | undefined {
  const asked = reasoning?.effort
  if (asked === undefined) return undefined
  const exact = has.find((level) => level === asked)
  if (exact) return exact
  const thinking = has.filter((level) => level !== 'none')
  const lower = thinking.filter((level) => LEVELS.indexOf(level) < LEVELS.indexOf(asked)).at(-1)
  const sent = lower ?? thinking[0]
  const why = sent ? `${name} takes ${has.join(', ')}: ${sent} is sent` : `${name} has no effort levels`
  drop(seq, `effort ${asked}`, why)
  return sent
}
