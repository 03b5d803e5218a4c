/** Commands that shorten what a model is sent: compact, checkpoint. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { CheckpointRequest } from '../../client/types'
import { SavefileError } from '../../contract/errors'
import { sessionAt, withExamples, wholeNumber, type Cli } from '../cli'
import { providerOf } from './family'

interface SummaryOptions {
  model?: string
  provider?: string
  summaryFile?: string
  timeout?: string
}

export function addCompactionCommands(program: Command, cli: Cli): void {
  addCompact(program, cli)
  addCheckpoint(program, cli)
}

function summaryOptions(command: Command): Command {
  return command
    .option('--model <name>', "the model that summarises (default: the session's)")
    .option('--provider <name>', 'of that model: anthropic, openai-responses or openai-chat')
    .option('--summary-file <file>', 'the summary itself; no model is asked')
    .option('--timeout <seconds>', 'give up waiting for the summary')
}

async function requestOf(options: SummaryOptions, cli: Cli): Promise<CheckpointRequest> {
  const { model, provider, summaryFile, timeout } = options
  if (provider !== undefined && model === undefined)
    throw new SavefileError('invalid_input', 'Another provider has other models: say --model <name> too.')
  if (summaryFile === undefined) cli.out.note('asking a model for the summary …')
  return {
    signal: cli.signal,
    ...(timeout === undefined ? {} : { timeoutMs: wholeNumber('--timeout', timeout, 1) * 1000 }),
    ...(model === undefined ? {} : { model: { name: model, ...(provider ? { provider: providerOf(provider) } : {}) } }),
    ...(summaryFile === undefined ? {} : { summary: await textOf(summaryFile) }),
  }
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new SavefileError(
      'invalid_input',
      `The summary ${file} can't be read: ${(cause as Error).message}`,
      {},
      { cause },
    )
  }
}

function addCompact(program: Command, cli: Cli): void {
  const command = program
    .command('compact')
    .summary('a new session that begins with a summary of this one')
    .description(
      'Makes a new session that begins with a summary of another, up to the end of its last turn. The other one is left as it is. Without a summary nothing is made.',
    )
    .argument('<session[@seq]>', 'id or the beginning of one, and up to which event (default: all)')
    .option('--id <id>', "the new session's id")
    .option('--title <title>', 'what people call it')
  summaryOptions(command).action(async (what: string, options: SummaryOptions & { id?: string; title?: string }) => {
    const { out } = cli
    const { prefix, at } = sessionAt(what)
    const client = await cli.client()
    const raw = await cli.find(prefix)
    const { id: session, title } = options
    const info = await client.compact(raw, { at, session, title, ...(await requestOf(options, cli)) })
    if (out.json) return out.value(info)
    out.print(info.session)
    out.note(`it begins with a summary of ${raw}. Go on: savefile chat ${info.session.slice(0, 8)}`)
  })
  withExamples(command, [
    'savefile compact 3f8a',
    'savefile compact 3f8a --model claude-haiku-5-5',
    'savefile compact 3f8a@120 --summary-file summary.md',
  ])
}

function addCheckpoint(program: Command, cli: Cli): void {
  const command = program
    .command('checkpoint')
    .summary('let a session go on from a summary of itself')
    .description(
      'Appends a summary of the session up to the end of its last turn. From its next call on the model is sent that instead; the log stays whole.',
    )
    .argument('<session[@seq]>', 'id or the beginning of one, and up to which event (default: all)')
  summaryOptions(command).action(async (what: string, options: SummaryOptions) => {
    const { prefix, at } = sessionAt(what)
    const client = await cli.client()
    const session = await cli.find(prefix)
    const made = await client.checkpoint(session, { at, ...(await requestOf(options, cli)) })
    if (cli.out.json) return cli.out.value({ session, ...made })
    cli.out.print(`checkpoint as event ${made.seq}: it stands for ${made.lo}..${made.hi}`)
  })
  withExamples(command, ['savefile checkpoint 3f8a', 'savefile checkpoint 3f8a --summary-file summary.md'])
}
