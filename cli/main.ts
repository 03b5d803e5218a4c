#!/usr/bin/env node
/** The command `savefile`: from source by tsx, and from dist. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CommanderError } from 'commander'
import type { Client } from '../client/types'
import { connectFor, type Cli } from './cli'
import { EXIT, exitCodeOf, type ExitCode } from './exit-codes'
import { createOutput } from './output'
import { createProgram } from './program'

async function main(args: string[]): Promise<ExitCode> {
  // Read before commander does: its own usage errors are for people or for programs too.
  const json = args.includes('--json')
  const out = createOutput(process, process.env, json)
  const stop = new AbortController()
  let connected: Promise<Client> | undefined
  let code: ExitCode = EXIT.ok

  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted) // twice: at once
    code = EXIT.interrupted
    stop.abort(new Error('stopped'))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // `savefile tail ... | head`: the reader has enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok)
    throw error
  })

  const client = (): Promise<Client> => {
    const { space, token } = program.opts<{ space: string; token?: string }>()
    // A token is of one space: only a space that was asked for can be another.
    const asked = program.getOptionValueSource('space') === 'cli' ? space : undefined
    return (connected ??= connectFor(cli, asked, token))
  }
  const cli: Cli = {
    out,
    env: process.env,
    folder: process.cwd(),
    client,
    find: async (idOrPrefix) => (await client()).find(idOrPrefix),
    signal: stop.signal,
    takeSignals() {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
    exit: (chosen) => void (code = chosen),
  }
  const program = createProgram(cli, version())
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) code = error.exitCode === 0 ? EXIT.ok : EXIT.usage
    else if (stop.signal.aborted) code = EXIT.interrupted
    else {
      out.error(error)
      code = exitCodeOf(error)
    }
  } finally {
    await (await connected?.catch(() => undefined))?.disconnect()
  }
  return code
}

/** Of this package: its package.json is beside cli/, or beside dist/. */
function version(): string {
  for (let folder = dirname(__dirname); ; folder = dirname(folder)) {
    try {
      return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }).version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || folder === dirname(folder)) throw error
    }
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    process.exit(EXIT.failed)
  },
)
