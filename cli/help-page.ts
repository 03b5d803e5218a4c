/** docs/cli.md, made of what `--help` says, so that the two cannot differ (test/cli/docs.test.ts). Written anew by `npx tsx cli/help-page.ts`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Cli } from './cli'
import { createProgram } from './program'

const FILE = join(__dirname, '..', 'docs', 'cli.md')
const WIDTH = 100

const INTRO = `# The command \`savefile\`

Made of what \`savefile <command> --help\` prints; change it there and run \`npx tsx cli/help-page.ts\`. In a checkout the command is \`npm run savefile -- <command>\`.

- Data goes to stdout, all the rest to stderr: \`savefile ... > file\` and \`savefile ... | jq\` hold what was asked for. \`run\` prints the answer on stdout and shows what happens on stderr.
- \`--json\` everywhere but in \`chat\`: one JSON value, or one a line where there are several (\`ls\`, \`tail\`, \`doctor\`). Times are microseconds since 1970. An error is one line on stderr: \`{"error":{"code":"session_not_found","message":"...","data":{...}}}\`; the codes are in errors.md.
- A session is named by its id or by any beginning of it that is unique. A call is named as \`show\` has it: \`12.0\`.
- Colours only on a terminal, and not with \`NO_COLOR\`. Control characters in content are made visible, never obeyed.
- Ctrl-C: \`run\` interrupts the turn and waits for its end; \`chat\` interrupts the turn, twice leaves; \`tail -f\` ends. A second Ctrl-C ends any command at once. The session is in the log whatever happens.
`

export function helpPage(): string {
  const nothing = {} as Cli // only asked for help: no action runs
  const program = createProgram(nothing, 'x')
  return `${INTRO}\n${[program, ...allOf(program)].map(section).join('\n')}`
}

function allOf(command: Command): Command[] {
  return command.commands.flatMap((sub) => [sub, ...allOf(sub)])
}

function section(command: Command): string {
  const names: string[] = []
  for (let at: Command | null = command; at; at = at.parent) names.unshift(at.name())
  let text = ''
  command.configureOutput({
    writeOut: (part) => (text += part),
    getOutHelpWidth: () => WIDTH,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return `## ${names.join(' ')}\n\n\`\`\`\n${text.trim()}\n\`\`\`\n`
}

if (require.main === module) writeFileSync(FILE, helpPage())
