/**
 * After a step, in its own activity: what is due next, and short in-process tools on the spot. It saves the run a marker, a crossing and a
 * wake-up a step, and Postgres a look. It only decides as `advance` does, under the same fences: a run that asks again gets the same.
 */
import { CancelledFailure, Context } from '@temporalio/activity'
import type { Advanced, StepInput } from '../contract/activities'
import { openCalls } from '../contract/state'
import type { Advance } from './advance'
import type { FinishedStep } from './claim-step'
import type { ExecuteTool } from './execute-tool'
import type { CachedState, Lru } from './session-cache'

export interface GoOnDeps {
  advance: Advance
  executeTool: ExecuteTool
  states: Lru<CachedState>
  heartbeatMs: number
  warn(what: string, error: unknown): void
}

/** The step, and then what is due. Null: the run is to ask. */
export function goingOn(
  deps: GoOnDeps,
  step: (input: StepInput) => Promise<FinishedStep | null>,
): (input: StepInput) => Promise<Advanced | null> {
  return async (input) => {
    const finished = await step(input)
    // Calls that run side by side: the run takes together what comes together.
    const state = deps.states.get(input.ref)?.state
    if (!finished?.look && state && openCalls(state).length > 1) return null
    const context = Context.current()
    const heart = setInterval(() => context.heartbeat(), deps.heartbeatMs / 4)
    try {
      return await next(deps, input, finished)
    } catch (error) {
      // The step is done and its draft written; the run sees to the rest, and waits where Postgres is away.
      if (!(error instanceof CancelledFailure)) deps.warn('going on', error)
      return null
    } finally {
      clearInterval(heart)
    }
  }
}

async function next(deps: GoOnDeps, { ref, epoch }: StepInput, finished: FinishedStep | null): Promise<Advanced> {
  const ask = { ref, epoch, grace: true }
  const look = finished?.look ?? (await deps.advance(ask, finished ? [finished] : []))
  if (look.status !== 'ok' || look.waiting !== 'steps' || !look.run.every(({ local }) => local)) return look
  const done = await Promise.all(look.run.map(({ step }) => deps.executeTool({ ref, epoch, step }, { own: false })))
  const known = done.flatMap((one) => one ?? [])
  return known.find((one) => one.look)?.look ?? deps.advance(ask, known)
}
