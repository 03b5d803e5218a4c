import type { Fault, PersonStep, Rules, Switch } from './world'

/** A small case: who says what, what the model answers (names of tools), which faults may fall and how many in all. */
export interface Scope {
  people: PersonStep[][]
  /**
   * The calls of the n-th answer; an answer beyond the list has none. `fail` makes it a failure, `long` one of a request that was too long,
   * `pause` an answer that is to be carried on.
   */
  answers: string[][]
  faults: Partial<Record<Fault, number>>
  total: number
  clusters?: number
  /** A checkpoint is due behind the first step; `fails`: no summary comes of it; `forced`: only where a request was too long. */
  compaction?: 'works' | 'fails' | 'forced'
  /** The definition has another model to fall back on. */
  fallback?: boolean
  /** Draft rows may be swept (rule 15). */
  sweep?: boolean
  noReconciler?: boolean
  /** It may end waiting for a person who has no more to say. */
  mayWait?: boolean
  /** Also: nothing received is thrown away, nothing that never began is called unknown. */
  soft?: boolean
  /** How often one step may be paid for. */
  maxPaid?: number
  mustInterrupt?: boolean
  switches?: Switch[]
  rules?: Partial<Rules>
  /** The counterexample that a wrong rule must give. */
  expect?: string
}
