/** Keeps a part of the stack running: when it ends without being asked to, it is started again, after a pause that grows. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface KeptPart {
  /** Ends it for good. */
  stop(): Promise<void>
}

interface Runs {
  ended: Promise<void>
  stop(): Promise<void>
}

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 10_000
/** After so long in good health the pauses are short again. */
const HEALTHY_MS = 30_000

/**
 * Resolves when it runs for the first time; throws where that fails. Later failures to start are told and tried again.
 * @param tell what happened, for people.
 */
export async function keepRunning(start: () => Promise<Runs>, tell: (what: string) => void): Promise<KeptPart> {
  const stopped = new AbortController()
  const asked = new Promise<void>((resolve) => stopped.signal.addEventListener('abort', () => resolve()))
  let running: Runs | null = await start()

  const keep = async (): Promise<void> => {
    let pause = FIRST_PAUSE_MS
    let since = Date.now()
    while (!stopped.signal.aborted) {
      // A server of the user's never ends for us.
      await Promise.race([running?.ended, asked])
      if (stopped.signal.aborted) return
      running = null
      if (Date.now() - since > HEALTHY_MS) pause = FIRST_PAUSE_MS
      tell(`ended; starting again in ${pause / 1_000} s`)
      await sleep(pause, undefined, { signal: stopped.signal }).catch(() => undefined)
      if (stopped.signal.aborted) return
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS)
      since = Date.now()
      try {
        running = await start()
      } catch (error) {
        tell(`could not be started again: ${(error as Error).message}`)
      }
    }
  }
  const over = keep()
  return {
    async stop() {
      stopped.abort()
      await running?.stop()
      await over
      // It may have been about to start.
      await running?.stop()
    },
  }
}
