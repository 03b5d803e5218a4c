/**
 * The production worker, with a model of the bench's own in the same process: behind the real adapter and SDK, or with BENCH_SCRIPTED at the
 * port of providers. At SIGUSR2 it says how late its event loop was since the last.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { findAddresses } from '../client/addresses'
import './in-process-model'
import { installRuntime, runWorker } from '../workers/run'
import { startWorker } from '../workers/run-worker'
import { readSettings } from '../workers/settings'
import { kilobyteTools, scriptedProvider } from './scripted-provider'

async function run(): Promise<void> {
  if (!process.env['BENCH_SCRIPTED']) return runWorker()
  installRuntime()
  const settings = readSettings(process.env, findAddresses({}, process.env, process.cwd()), { tools: kilobyteTools })
  const providers = new Map([[scriptedProvider.name, scriptedProvider]])
  const worker = startWorker({ ...settings, providers }, (line) => process.stderr.write(`${line}\n`))
  process.once('SIGTERM', () => worker.shutdown())
  await worker.ready
  process.stderr.write(`ready on task queue ${settings.taskQueue}\n`)
  await worker.done
}

run().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})

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
