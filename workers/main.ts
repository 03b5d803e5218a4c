/** The worker process: `node workers/main.js`, or `savefile worker`. Settings come from the environment (docs/operations.md). */
import { Runtime } from '@temporalio/worker'
import { errorCode } from '../contract/errors'
import { startWorker } from './run-worker'
import { readSettings } from './settings'

const say = (line: string): void => void process.stderr.write(`savefile worker ${process.pid}: ${line}\n`)

async function main(): Promise<void> {
  // The signals are ours: a SIGTERM lets what runs end.
  Runtime.install({
    shutdownSignals: [],
    telemetryOptions: { logging: { forward: {}, filter: { core: 'WARN', other: 'WARN' } } },
  })
  const settings = readSettings(process.env)
  const worker = startWorker(settings, say)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => worker.shutdown())
  void worker.ready.then(() => say(`ready on task queue ${settings.taskQueue} at ${settings.temporal.address}`))
  await worker.done
}

main().catch((error: unknown) => {
  say(error instanceof Error ? `${errorCode(error) ?? 'failed'}: ${error.message}` : String(error))
  process.exitCode = 1
})
