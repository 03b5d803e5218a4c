/** Commands that have an agent do something, and stay with it: run, chat. */
import type { Command } from 'commander'
import type { Client } from '../../client/types'
import type { DefinitionInput } from '../../contract/definition'
import { SavefileError } from '../../contract/errors'
import { withExamples, type Cli } from '../cli'
import { EXIT } from '../exit-codes'
import { oneLine, safeText } from '../safe-text'
import { sayAnswer } from './inputs'

interface DefinitionOptions {
  definition?: string
  model?: string
  provider?: string
  workFolder?: string
  title?: string
  encrypted?: boolean
}

export function addWorkCommands(program: Command, cli: Cli): void {
  addRun(program, cli)
  addChat(program, cli)
}

function definitionOptions(command: Command): Command {
  return command
    .option('--definition <file>', 'a JSON file; else the built-in tools and the model below')
    .option('--model <name>', "the vendor's name of the model")
    .option(
      '--provider <name>',
      'anthropic, openai-responses or openai-chat (any compatible server); else by the key that is set',
    )
    .option('--work-folder <folder>', 'what the file tools are confined to (default: this folder)')
    .option('--title <title>', 'what people call the session')
    .option('--encrypted', 'keep its content under a key of its own, which savefile erase destroys')
}

async function definitionFrom(options: DefinitionOptions, cli: Cli): Promise<DefinitionInput> {
  if (options.definition && (options.model || options.provider))
    throw new SavefileError('invalid_input', 'A definition file names its model: leave --model and --provider out.')
  if (options.definition) return (await import('../definition-file.js')).readDefinition(options.definition)
  const { chooseModel, defaultDefinition } = await import('../default-definition.js')
  return defaultDefinition(chooseModel(options, cli.env, await modelOfStack(cli)))
}

/** What the development stack of this folder answers with, where nobody says otherwise. */
async function modelOfStack(cli: Cli) {
  const { findDevStack } = await import('../../client/addresses.js')
  return findDevStack(cli.folder)?.model ?? null
}

async function newSession(
  client: Client,
  definition: DefinitionInput,
  options: DefinitionOptions,
  cli: Cli,
): Promise<string> {
  const workFolder = options.workFolder ?? cli.folder
  const { title, encrypted } = options
  const info = await client.create({
    definition,
    workFolder,
    ...(title ? { title } : {}),
    ...(encrypted ? { encrypted } : {}),
  })
  return info.session
}

function addRun(program: Command, cli: Cli): void {
  const command = program
    .command('run')
    .summary('have a new session do one task, to its end')
    .description('Makes a session, sends the task, shows what happens (on stderr), and prints the answer (on stdout).')
    .argument('<task...>', 'what is to be done')
    .option('-y, --yes', 'let every tool call run without asking')
  definitionOptions(command).action(async (words: string[], options: DefinitionOptions & { yes?: boolean }) => {
    const { out } = cli
    const definition = await definitionFrom(options, cli)
    const client = await cli.client()
    const task = words.join(' ')
    const session = await newSession(client, definition, { title: oneLine(task, 60), ...options }, cli)
    const name = session.slice(0, 8)
    out.note(out.notePaint('dim', `session ${session}`))
    const sent = await client.send(session, task)
    if (!sent.nudged)
      out.note('Temporal could not be told just now: the task is in the log, and begins when Temporal is back.')
    const { runTurn } = await import('../run-turn.js')
    const approvals = options.yes ? 'yes' : process.stdin.isTTY && process.stderr.isTTY ? 'ask' : 'leave'
    const { signal } = cli
    const write = (text: string): void => out.noteRaw(text)
    const shared = {
      client,
      session,
      sessionName: name,
      seq: sent.seq,
      from: 1,
      paint: out.notePaint,
      width: out.width,
    }
    const answer = await runTurn({ ...shared, write, approvals, signal })
    if (answer) sayAnswer(cli, { ...answer, key: sent.key }, out.isTerminal && Boolean(process.stderr.isTTY))
    else {
      const calls = await client.approvals(session)
      if (out.json) out.value({ waiting: 'approval', session, seq: sent.seq, key: sent.key, calls })
      out.note(
        'It waits for an approval, and --yes was not given. Answer it as shown above; the session goes on by itself.',
      )
      cli.exit(EXIT.notDone)
    }
    out.note(out.notePaint('dim', `go on: savefile chat ${name}   look back: savefile show ${name}`))
  })
  withExamples(command, [
    'savefile run "write a short report on this folder into REPORT.md"',
    'savefile run --yes --work-folder ./site "run the tests and fix what fails"',
    'savefile run --definition agent.json --json "..." | jq -r .text',
  ])
}

function addChat(program: Command, cli: Cli): void {
  const command = program
    .command('chat')
    .summary('talk with a session, a new one or one there is')
    .description(
      'Lines are messages. While a turn runs, a line steers it; Ctrl-C interrupts it, twice leaves. Calls that need a yes are asked about.',
    )
    .argument('[session]', 'id, or the beginning of one; without it, a new session')
    .option('-y, --yes', 'let every tool call run without asking')
  definitionOptions(command).action(
    async (prefix: string | undefined, options: DefinitionOptions & { yes?: boolean }) => {
      const { out } = cli
      if (out.json)
        throw new SavefileError(
          'invalid_input',
          'chat is for people: use `savefile send --wait --json` and `savefile tail -f --json`.',
        )
      if (prefix && (options.definition || options.model || options.provider || options.workFolder || options.title))
        throw new SavefileError(
          'invalid_input',
          'A session that is there has its definition: leave those options out, or leave the session out.',
        )
      const definition = prefix ? null : await definitionFrom(options, cli)
      const client = await cli.client()
      const session = prefix
        ? await cli.find(prefix)
        : await newSession(client, definition as DefinitionInput, options, cli)
      const name = prefix ?? session.slice(0, 8)
      const { head } = await client.info(session)
      out.note(out.notePaint('dim', `session ${safeText(session)} · Ctrl-D leaves, savefile chat ${name} comes back`))
      const { talk } = await import('../talk.js')
      const from = Math.max(1, head - 19)
      const { stdin: input, stdout: output } = process
      cli.takeSignals()
      cli.exit(
        await talk({ client, session, sessionName: name, input, output, paint: out.paint, from, yes: options.yes }),
      )
    },
  )
  withExamples(command, [
    'savefile chat',
    'savefile chat 3f8a',
    'savefile chat --provider anthropic --work-folder ./site',
  ])
}
