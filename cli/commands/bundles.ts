/** Commands that carry a session away and bring it in: export, import, adopt. */
import type { Command } from 'commander'
import { packingOf } from '../../client/bundles'
import { SavefileError } from '../../contract/errors'
import type { BundleProgress, ImportedSession } from '../../contract/ports'
import { withExamples, type Cli } from '../cli'
import { readFileOrStdin, writeWhole } from '../files'
import { bytes, count } from '../numbers'
import { oneLine } from '../safe-text'

const TELL_EVERY_MS = 1000

export function addBundleCommands(program: Command, cli: Cli): void {
  addExport(program, cli)
  addImport(program, cli)
  addAdopt(program, cli)
}

/** A line on stderr every second, once it takes longer than one. */
export function tellProgress(cli: Cli): (progress: BundleProgress) => void {
  const began = Date.now()
  let told = began
  return (now) => {
    if (Date.now() - told < TELL_EVERY_MS) return
    told = Date.now()
    const rate = Math.round(now.events / ((told - began) / 1000))
    cli.out.note(`${count(now.events, 'event')}, ${bytes(now.bytes)} so far, ${count(rate, 'event')}/s`)
  }
}

function addExport(program: Command, cli: Cli): void {
  const command = program
    .command('export')
    .summary('a session as one file that anybody can verify')
    .description(
      'Writes a session as a bundle: its log, what it inherits, its children, definitions and files (docs/bundle.md). The same head gives the same bytes. Stopped by Ctrl-C, it leaves no half file.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .argument('[file]', 'ends in .gz or .zst: packed so; without it, or "-": stdout')
    .action(async (prefix: string, file: string | undefined) => {
      const client = await cli.client()
      const session = await cli.find(prefix)
      const last = { events: 0, bytes: 0 }
      const tell = tellProgress(cli)
      const bundle = client.exportBundle(session, {
        packing: packingOf(file ?? ''),
        onProgress: (now) => {
          Object.assign(last, now)
          tell(now)
        },
      })
      const written = await writeWhole(file, bundle, cli.signal)
      const said = `${count(last.events, 'event')}, ${bytes(written)}`
      if (file === undefined || file === '-') return cli.out.note(said)
      if (cli.out.json) cli.out.value({ session, file, events: last.events, bytes: written })
      else cli.out.print(`${oneLine(file, 200)}: ${said}`)
    })
  withExamples(command, ['savefile export 3f8a report.jsonl.gz', 'savefile export 3f8a | zstd > report.jsonl.zst'])
}

function addImport(program: Command, cli: Cli): void {
  const command = program
    .command('import')
    .summary('take in a bundle; all of it or nothing')
    .description(
      'Takes a bundle into this space, checked to the last byte. The same head again changes nothing; a longer log moves the one that is here on; one that went another way is refused. What came is inert until it is adopted.',
    )
    .argument('<file>', 'a bundle, packed or not; "-": stdin')
    .action(async (file: string) => {
      const { out } = cli
      const client = await cli.client()
      const result = await client.importBundle(readFileOrStdin(file), {
        onProgress: tellProgress(cli),
        signal: cli.signal,
      })
      if (out.json) return out.value(result)
      for (const session of result.sessions) out.print(line(session))
      const { session } = result
      if (result.custody === 'inert')
        out.note(`Go on with it here, if it goes on nowhere else: savefile adopt ${session}`)
    })
  withExamples(command, ['savefile import report.jsonl.gz', 'ssh host savefile export 3f8a | savefile import -'])
}

const WORDS: Readonly<Record<ImportedSession['status'], string>> = {
  imported: 'new',
  fast_forwarded: 'moved on',
  present: 'was here',
}

function line({ session, status, custody, head }: ImportedSession): string {
  return `${session}  ${WORDS[status]}, ${count(head, 'event')}${custody === 'live' ? '' : `, ${custody}`}`
}

function addAdopt(program: Command, cli: Cli): void {
  const command = program
    .command('adopt')
    .summary('an imported session goes on here')
    .description(
      'Takes custody of an imported session: from now on it goes on here. What was open is treated as in a fork: a call that was started and is not safe to repeat is unknown, one that was allowed is asked again. See that the session goes on nowhere else.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .option('--why <text>', 'for the log')
    .action(async (prefix: string, options: { why?: string }) => {
      const client = await cli.client()
      const session = await cli.find(prefix)
      if (options.why !== undefined && options.why.trim() === '')
        throw new SavefileError('invalid_input', '--why is empty.')
      const result = await client.adopt(session, options)
      if (cli.out.json) return cli.out.value(result)
      cli.out.print(
        result.adopted ? `${session} goes on here, from event ${result.seq}` : `${session} goes on here already`,
      )
    })
  withExamples(command, ['savefile adopt 3f8a', 'savefile adopt 3f8a --why "moved to the new cluster"'])
}
