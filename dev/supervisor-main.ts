/** The stack in the background: `ensureStack` starts this, detached. Argument: the project folder. Progress goes to its progress file. */
import { appendFileSync } from 'node:fs'
import { errorCode, type SavefileError } from '../contract/errors'
import { stackPaths } from './stack-state'
import { startStack } from './supervisor'

async function main(): Promise<void> {
  const home = process.argv[2]
  if (!home) throw new Error('usage: supervisor-main <project folder>')
  const { progress } = stackPaths(home)
  const note = (line: unknown): void => appendFileSync(progress, `${JSON.stringify(line)}\n`)
  try {
    const stack = await startStack({ home, background: true, onProgress: note })
    await stack.ended
  } catch (error) {
    // Another one was quicker: the progress is its own.
    if ((error as SavefileError).data?.['supervisor'] === undefined)
      note({ failed: { code: errorCode(error) ?? 'setup_failed', message: (error as Error).message } })
    throw error
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  },
)
