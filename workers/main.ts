/** The worker process: `node workers/main.js`. Settings come from the environment (docs/operations.md). */
import { errorCode } from '../contract/errors'
import { runWorker } from './run'

runWorker().catch((error: unknown) => {
  const what = error instanceof Error ? `${errorCode(error) ?? 'failed'}: ${error.message}` : String(error)
  process.stderr.write(`savefile worker ${process.pid}: ${what}\n`)
  process.exitCode = 1
})
