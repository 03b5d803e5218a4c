/** Ends what global-setup.ts started: the guard does it, as it would after a Ctrl-C. */
import { once } from 'node:events'

async function globalTeardown(): Promise<void> {
  const guard = globalThis.savefileTestGuard
  if (!guard || guard.exitCode !== null) return
  guard.ref()
  const gone = once(guard, 'exit')
  guard.stdin?.end()
  await gone
}

export = globalTeardown
