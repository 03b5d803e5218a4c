/** `savefile dev`: Postgres, Temporal and a worker for this folder. */
import { dirname, join, resolve } from 'node:path'
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { DEV_FILE } from '../../client/addresses'
import type { ReadyStack, StackState } from '../../dev/stack-state'
import { withExamples, type Cli } from '../cli'
import { EXIT } from '../exit-codes'
import { createProgress } from '../progress'

export function addDev(program: Command, cli: Cli): void {
  const command = program
    .command('dev')
    .summary('bring up Postgres, Temporal and a worker for this folder')
    .description(
      'Brings up everything that sessions need, for this folder: Postgres (its data under .savefile/), Temporal with its UI, a worker; with a key of a provider in the environment that provider answers, else a script. Stays until Ctrl-C, unless in the background.',
    )
    .option('-b, --background', 'leave it running, and come back')
    .action(async (options: { background?: boolean }) => {
      const home = homeOf(cli.folder)
      const onProgress = createProgress(process.stderr, cli.out.notePaint)
      if (options.background) {
        const { ensureStack } = await import('../../dev/stack.js')
        sayReady(cli, await ensureStack({ home, onProgress, env: process.env }))
        cli.out.note(cli.out.notePaint('dim', 'stop it: savefile dev stop'))
        return
      }
      const { startStack } = await import('../../dev/supervisor.js')
      cli.takeSignals()
      const stack = await startStack({ home, onProgress, env: process.env })
      sayReady(cli, stack.addresses)
      cli.out.note(cli.out.notePaint('dim', 'Ctrl-C stops it; the sessions stay.'))
      await stack.ended
    })
  withExamples(command, [
    'savefile dev',
    'savefile dev --background',
    'savefile dev status --json',
    'savefile dev stop',
  ])

  const stop = command
    .command('stop')
    .summary('stop the one in the background')
    .description('Stops the stack of this folder, wherever it runs. The sessions stay.')
    .action(async () => {
      const { stopStack } = await import('../../dev/stack.js')
      const stopped = await stopStack({
        home: homeOf(cli.folder),
        onProgress: createProgress(process.stderr, cli.out.notePaint),
      })
      if (cli.out.json) cli.out.value({ stopped })
      else cli.out.print(stopped ? 'stopped' : 'nothing was running')
    })
  withExamples(stop, ['savefile dev stop'])

  const status = command
    .command('status')
    .summary('what runs, and where')
    .description('Says whether the stack of this folder runs, and where its parts are. Exit code 5 where it does not.')
    .action(async () => {
      const { isRunning, readStack } = await import('../../dev/stack-state.js')
      const state = readStack(homeOf(cli.folder))
      if (isRunning(state) && state.state === 'ready') return sayReady(cli, state)
      const word = isRunning(state) ? state.state : 'stopped'
      if (cli.out.json) cli.out.value({ state: word })
      else cli.out.print(word === 'stopped' ? 'stopped; start it: savefile dev --background' : word)
      cli.exit(EXIT.unreachable)
    })
  withExamples(status, ['savefile dev status'])
}

/** The project folder: the nearest that had a stack, from here upwards; else this one. */
export function homeOf(folder: string): string {
  for (let at = resolve(folder); ; at = dirname(at)) {
    if (existsSync(join(at, DEV_FILE))) return at
    if (at === dirname(at)) return resolve(folder)
  }
}

/** What `dev` and `dev status` print. The password is for programs only: with --json, and in .savefile/dev.json. */
function sayReady(cli: Cli, stack: ReadyStack): void {
  const { out } = cli
  if (out.json) return out.value(publicPart(stack))
  const row = (name: string, text: string): void => out.print(`${name.padEnd(10)} ${text}`)
  row('log', withoutPassword(stack.databaseUrl))
  row('Temporal', `${stack.temporal.address}, namespace ${stack.temporal.namespace}`)
  if (stack.temporal.uiUrl) row('UI', stack.temporal.uiUrl)
  row(
    'model',
    stack.model.scripted
      ? 'a script (no key of a provider was found; it costs nothing)'
      : stack.model.providers.join(', '),
  )
}

function withoutPassword(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):[^@/]*@/, '$1:***@')
}

function publicPart(stack: Extract<StackState, { state: 'ready' }>) {
  const { state, databaseUrl, temporal, model, supervisor, background } = stack
  return { state, databaseUrl, temporal, model, pid: supervisor.pid, background }
}
