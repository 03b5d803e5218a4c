/**
 * The steps that this process executes now: says for all of them in one write that they live, and stops those whose claim was lost or
 * whose turn was interrupted. Temporal's own cancellation comes too, but only with a heartbeat's answer, seconds later.
 */
import type { SessionRef } from '../contract/ids'
import type { ExecutorLog } from '../contract/ports'

/** Why a step was stopped: the turn was interrupted, somebody else has the claim, the run cancelled it, or the worker ends. The first counts. */
export type StopCause = 'interrupted' | 'lost' | 'cancelled' | 'shutdown'

export interface Hold {
  signal: AbortSignal
  stop(cause: StopCause): void
  why(): StopCause | null
  release(): void
}

interface Held {
  ref: SessionRef
  step: string
  token: string
  controller: AbortController
}

export class RunningSteps {
  private readonly held = new Map<string, Held>()
  private timer: NodeJS.Timeout | undefined
  private beating = false

  constructor(
    private readonly log: Pick<ExecutorLog, 'beat'>,
    private readonly beatMs: number,
    private readonly warn: (what: string, error: unknown) => void,
  ) {}

  /** From now on this claim beats, until `release`. */
  hold(ref: SessionRef, step: string, token: string): Hold {
    const controller = new AbortController()
    const { signal } = controller
    this.held.set(token, { ref, step, token, controller })
    this.timer ??= setInterval(() => void this.beat(), this.beatMs).unref()
    return {
      signal,
      stop: (cause) => controller.abort(cause),
      why: () => (signal.aborted ? (signal.reason as StopCause) : null),
      release: () => void this.held.delete(token),
    }
  }

  /** Stops what this process runs of a session, except the steps named. */
  interrupt(ref: SessionRef): void {
    for (const held of this.held.values())
      if (held.ref.session === ref.session && held.ref.space === ref.space)
        held.controller.abort('interrupted' satisfies StopCause)
  }

  get size(): number {
    return this.held.size
  }

  close(): void {
    clearInterval(this.timer)
  }

  private async beat(): Promise<void> {
    if (this.beating || this.held.size === 0) return
    this.beating = true
    try {
      const lost = await this.log.beat([...this.held.values()].map(({ ref, step, token }) => ({ ref, step, token })))
      for (const token of lost) this.held.get(token)?.controller.abort('lost' satisfies StopCause)
    } catch (error) {
      // Postgres is away. Nobody else can claim the steps meanwhile either; the next beat tells.
      this.warn('beat', error)
    } finally {
      this.beating = false
    }
  }
}
