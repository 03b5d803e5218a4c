/** How far an export or an import is. */
import type { BundleProgress } from '../contract/bundle-port'
import type { Cli } from './cli'
import { bytes, count } from './numbers'

const TELL_EVERY_MS = 1000

/** A line on stderr every second, once it takes longer than one. */
export function tellProgress(cli: Cli): (progress: BundleProgress) => void {
  const began = Date.now()
  let told = began
  return (now) => {
    if (Date.now() - told < TELL_EVERY_MS) return
    told = Date.now()
    const rate = Math.round(now.events / ((told - began) / 1000))
    cli.out.note(`${count(now.events, 'event')}, ${bytes(now.bytes)} so far, ${count(rate, 'event')}/s`)
  }
}
