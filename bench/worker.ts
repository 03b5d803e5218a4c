/** The production worker, with a model of the bench's own in the same process. At SIGUSR2 it says how late its event loop was since the last. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import './in-process-model'
import '../workers/main'

const RESOLUTION_MS = 5
const lag = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
lag.enable()
/** What is measured is the whole time between two looks: the wait itself is no lag. */
const ms = (nanoseconds: number): string => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS).toFixed(1)

process.on('SIGUSR2', () => {
  process.stderr.write(
    `event loop lag ms: p50 ${ms(lag.percentile(50))} p99 ${ms(lag.percentile(99))} max ${ms(lag.max)}\n`,
  )
  lag.reset()
})
