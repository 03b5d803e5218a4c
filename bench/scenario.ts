/** What a scenario is given, and gives back. */
import type { DatabaseStack } from './database'
import type { Stack } from './stack'

export interface Figure {
  figure: string
  /** What the figure is to be, in words. */
  reach: string
  is: string
  reached: boolean
}

export interface Outcome {
  figures: Figure[]
  /** Whatever else was measured: JSON. */
  data: Record<string, unknown>
}

export interface Options {
  /** A short run, to see that it works: its figures are not kept. */
  quick: boolean
  say(line: string): void
}

/** Of the whole, of the log alone (then nothing but a Postgres is brought up), or of this process alone. */
export type Scenario =
  | { on: 'nothing'; run: (options: Options) => Promise<Outcome> }
  | { on: 'stack'; run: (stack: Stack, options: Options) => Promise<Outcome> }
  | { on: 'database'; run: (stack: DatabaseStack, options: Options) => Promise<Outcome> }

export function atMost(figure: string, is: number, limit: number, unit: string, more = ''): Figure {
  const shown = Number(is.toFixed(is < 10 ? 2 : 1))
  return { figure, reach: `at most ${limit}${unit}`, is: `${shown}${unit}${more}`, reached: is <= limit }
}

export function atLeast(figure: string, is: number, limit: number, unit: string, more = ''): Figure {
  return {
    figure,
    reach: `at least ${limit}${unit}`,
    is: `${Number(is.toFixed(1))}${unit}${more}`,
    reached: is >= limit,
  }
}
