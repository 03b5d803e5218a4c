/** Says that a step failed and is tried again, while it is: once an attempt. The log has it once the step ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../client/types'
import type { FailureClass } from '../contract/events'
import type { Stalled } from '../contract/client-port'

const LOOK_MS = 1_000

const WORDS: Readonly<Partial<Record<FailureClass, string>>> = {
  rate_limited: 'rate limited',
  overloaded: 'the provider is overloaded',
  cut_off: 'the answer was cut off',
  timeout: 'the provider does not answer',
  unreachable: 'the provider cannot be reached',
}

/** Null where it is nothing to a person: the step was given back for another reason. */
export function stallText({ why, attempt, againInMs }: Stalled): string | null {
  const words = WORDS[why]
  if (!words) return null
  const again = againInMs >= 500 ? ` in ${Math.round(againInMs / 1000)} s` : ''
  return `${words}, trying again${again} (attempt ${attempt} failed)`
}

/** Looks every second, until `signal`. Where Postgres is away it says nothing: whoever follows the log does. */
export async function watchStalls(
  client: Pick<Client, 'stalled'>,
  session: string,
  signal: AbortSignal,
  tell: (text: string) => void,
): Promise<void> {
  let told = ''
  while (!signal.aborted) {
    const stall = await client.stalled(session).catch(() => null)
    const name = stall && `${stall.step} ${stall.attempt}`
    const text = stall && name !== told ? stallText(stall) : null
    if (text && !signal.aborted) {
      told = name ?? ''
      tell(text)
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
}
