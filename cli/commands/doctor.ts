/** `savefile doctor`: what is there, what is missing, what to do. Every check is tried, none is guessed; none changes anything. */
import type { Command } from 'commander'
import { withExamples, type Cli } from '../cli'
import { EXIT } from '../exit-codes'
import type { Colour } from '../paint'
import { safeText } from '../safe-text'
import type { Check } from './doctor-checks'

const MARK: Readonly<Record<Check['status'], { mark: string; colour: Colour }>> = {
  ok: { mark: '✓', colour: 'green' },
  note: { mark: '·', colour: 'dim' },
  warn: { mark: '!', colour: 'yellow' },
  missing: { mark: '✗', colour: 'red' },
}

export function addDoctor(program: Command, cli: Cli): void {
  const command = program
    .command('doctor')
    .summary('what is there, what is missing, what to do')
    .description(
      'Looks at everything that sessions need. With --json: one check a line. Exit code 5 where something is missing.',
    )
    .action(async () => {
      const { out } = cli
      const { runChecks } = await import('./doctor-checks.js') // loads most of what there is
      let missing = 0
      for await (const check of runChecks(cli.env, cli.folder)) {
        if (check.status === 'missing') missing++
        if (out.json) {
          out.value(check)
          continue
        }
        const { mark, colour } = MARK[check.status]
        out.print(`${out.paint(colour, mark)} ${check.name.padEnd(18)} ${safeText(check.says)}`)
        if (check.todo) out.print(`${' '.repeat(21)}${out.paint('yellow', check.todo)}`)
      }
      if (missing > 0) cli.exit(EXIT.unreachable)
    })
  withExamples(command, ['savefile doctor', 'savefile doctor --json | jq \'select(.status == "missing")\''])
}
