/** What every command gets: the output, the client (connected by its first use), the process' signals as an AbortSignal. */
import { userInfo } from 'node:os'
import type { Command } from 'commander'
import type { Client } from '../client/types'
import { SavefileError, errorCode } from '../contract/errors'
import { findAddresses } from '../client/addresses'
import { exitCodeHelp, type ExitCode } from './exit-codes'
import type { Output } from './output'

export interface Cli {
  out: Output
  env: Record<string, string | undefined>
  folder: string
  client(): Promise<Client>
  /** The session that an id or a unique beginning of one names. */
  find(idOrPrefix: string): Promise<string>
  /** Aborted by the first Ctrl-C or SIGTERM, unless a command takes them itself. */
  signal: AbortSignal
  /** From here on the command handles Ctrl-C and SIGTERM itself. */
  takeSignals(): void
  exit(code: ExitCode): void
}

/** Adds examples to a command's help, and the first of them to its usage errors. */
export function withExamples(command: Command, examples: string[]): Command {
  const list = examples.map((example) => `  $ ${example}`).join('\n')
  return command
    .addHelpText('after', `\nExamples:\n${list}`)
    .showHelpAfterError(`\nFor example:\n  $ ${examples[0] ?? ''}\nMore: ${fullName(command)} --help`)
}

function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name()
}

export function exitCodesAfter(command: Command): Command {
  return command.addHelpText('after', `\n${exitCodeHelp()}`)
}

/** In whose name: the name of the user of this machine. */
export function principalOf(env: Readonly<Record<string, string | undefined>>): string {
  const name = env.SAVEFILE_PRINCIPAL ?? loginName() ?? env.USER ?? ''
  return name.replace(/[^\x21-\x7e]/g, '_').slice(0, 200) || 'local'
}

function loginName(): string | undefined {
  try {
    return userInfo().username
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === 'uv_os_get_passwd') return undefined // a container's user without a name
    throw error
  }
}

/** Connects; where the database of a development stack does not answer, says how to start it. */
export async function connectFor(
  cli: Pick<Cli, 'env' | 'folder'>,
  space: string | undefined,
  token: string | undefined = cli.env.SAVEFILE_TOKEN,
): Promise<Client> {
  const { databaseUrl, temporal, from } = findAddresses({ byToken: Boolean(token) }, cli.env, cli.folder)
  const { connect } = await import('../client/connect.js') // half a second that --help need not take
  try {
    const who = token ? { token } : { principal: principalOf(cli.env) }
    const listen = cli.env.SAVEFILE_LISTEN !== 'off'
    return await connect({ databaseUrl, temporal, listen, ...who, ...(space ? { space } : {}) })
  } catch (error) {
    const ofDev = from.database !== 'environment' && from.database !== 'given'
    if (errorCode(error) !== 'database_unreachable' || !ofDev) throw error
    const message = `The development stack of ${from.database} does not answer. Start it: savefile dev`
    throw new SavefileError('database_unreachable', message, {}, { cause: error })
  }
}

/** Of what Ctrl-C stops in the middle: says how it left things. */
export async function orStopped<T>(cli: Pick<Cli, 'out' | 'signal'>, work: Promise<T>, left: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (cli.signal.aborted) cli.out.note(`stopped: ${left}`)
    throw error
  }
}

/** `<session>@<seq>`: the id or its beginning, and the event where one is named. @throws SavefileError `invalid_input` */
export function sessionAt(what: string): { prefix: string; at: number | undefined } {
  const [prefix = '', seq] = what.split('@', 2)
  return { prefix, at: seq === undefined ? undefined : wholeNumber('The event', seq, 1) }
}

/** A whole number from `least`. @throws SavefileError `invalid_input` */
export function wholeNumber(name: string, text: string, least: number): number {
  const n = Number(text)
  if (Number.isSafeInteger(n) && n >= least) return n
  throw new SavefileError(
    'invalid_input',
    `${name} is ${JSON.stringify(text)}; it must be a whole number from ${least}.`,
  )
}
