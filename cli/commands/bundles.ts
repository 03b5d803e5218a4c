/** Commands that carry a session away and bring it in: export, import, adopt. */
import { Option, type Command } from 'commander'
import { packingOf } from '../../client/bundles'
import { TRANSCRIPT_FORMATS } from '../../client/transcripts'
import { SavefileError } from '../../contract/errors'
import type { ImportedSession } from '../../contract/bundle-port'
import { tellProgress } from '../bundle-progress'
import { orStopped, withExamples, type Cli } from '../cli'
import { readFileOrStdin, writeWhole } from '../files'
import { bytes, count } from '../numbers'
import { oneLine } from '../safe-text'
import { isTranscript } from '../transcript-files'
import { exportSessionAs, formats, importTranscripts, type TranscriptImportOptions } from './transcripts'

export function addBundleCommands(program: Command, cli: Cli): void {
  addExport(program, cli)
  addImport(program, cli)
  addAdopt(program, cli)
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
    .option('-o, --output <file>', 'the same')
    .option(
      '--with-keys',
      "of encrypted sessions the data keys too, wrapped with their owner's key: an import can then be read and gone on with where that key is",
    )
    .option('--as <format>', `not a bundle, but another form of it (docs/exports.md): ${formats()}`)
    .option('--forks', 'with --as: its forks too, where the format has branches')
    .option('--content', 'with --as otel: what was said, called and given back, too')
    .option('--raw', "with --as a provider's: as if no checkpoint had been made")
    .action(async (prefix: string, named: string | undefined, options: ExportOptions) => {
      const file = named ?? options.output
      if (named !== undefined && options.output !== undefined)
        throw new SavefileError('invalid_input', 'The file is named twice: leave --output out.')
      if (options.as !== undefined && options.withKeys)
        throw new SavefileError('invalid_input', '--with-keys goes with a bundle; what --as writes is in the clear.')
      if (options.as !== undefined) return exportSessionAs(cli, prefix, file, { ...options, as: options.as })
      if (options.forks)
        throw new SavefileError('invalid_input', '--forks goes with --as; a bundle of a fork has what it shares.')
      if (options.raw) throw new SavefileError('invalid_input', '--raw goes with --as; a bundle has it all.')
      if (options.content)
        throw new SavefileError('invalid_input', '--content goes with --as otel; a bundle has it all.')
      const client = await cli.client()
      const session = await cli.find(prefix)
      const withKeys = options.withKeys ?? false
      if (withKeys) cli.out.note(WITH_KEYS)
      const last = { events: 0, bytes: 0 }
      const tell = tellProgress(cli)
      const bundle = client.exportBundle(session, {
        packing: packingOf(file ?? ''),
        withKeys,
        onProgress: (now) => {
          Object.assign(last, now)
          tell(now)
        },
      })
      const left =
        file === undefined || file === '-' ? 'what came out is not whole' : `${oneLine(file, 200)} is as it was`
      const written = await orStopped(cli, writeWhole(file, bundle, cli.signal), left)
      const said = `${count(last.events, 'event')}, ${bytes(written)}`
      if (file === undefined || file === '-') return cli.out.note(said)
      if (cli.out.json) cli.out.value({ session, file, events: last.events, bytes: written })
      else cli.out.print(`${oneLine(file, 200)}: ${said}`)
    })
  withExamples(command, [
    'savefile export 3f8a report.jsonl.gz',
    'savefile export 3f8a report.jsonl.gz --with-keys',
    'savefile export 3f8a | zstd > report.jsonl.zst',
    'savefile export 3f8a --as claude-code -o session.jsonl',
    'savefile export 3f8a --as html -o session.html',
    'savefile export 3f8a --as openai-responses/gpt-6-sol -o request.json',
  ])
}

const WITH_KEYS =
  'It will hold the data keys, wrapped: whoever has this file and the owner key reads it, also after an erasure.'

interface ExportOptions {
  withKeys?: boolean
  output?: string
  as?: string
  forks?: boolean
  content?: boolean
  raw?: boolean
}

function addImport(program: Command, cli: Cli): void {
  const command = program
    .command('import')
    .summary('take in a bundle, or a transcript of another agent; all of it or nothing')
    .description(
      'Takes a bundle into this space, checked to the last byte. The same head again changes nothing; a longer log moves the one that is here on; one that went another way is refused. What came is inert until it is adopted.\n\nA transcript of Claude Code, Codex or pi becomes a session (docs/transcripts.md): branches are forks, sub-agents children, and it goes on here at once, on any model. What of it has no place in the log is said. The same file again changes nothing; a longer one moves on a session that did not go on here.',
    )
    .argument('<file>', 'a bundle, packed or not ("-": stdin); a transcript, or a folder of them')
    .addOption(
      new Option('--from <format>', 'it is a transcript; told by its content where absent').choices(TRANSCRIPT_FORMATS),
    )
    .option('--as-id <session>', 'of a transcript: the session id; its own where absent')
    .option('--definition <file>', 'of a transcript: what it goes on under (a JSON file); made from it where absent')
    .action(async (file: string, options: TranscriptImportOptions) => {
      const { out } = cli
      if (options.from !== undefined || (file !== '-' && (await isTranscript(file))))
        return importTranscripts(cli, file, options)
      if (options.asId !== undefined || options.definition !== undefined)
        throw new SavefileError(
          'invalid_input',
          '--as-id and --definition go with a transcript, and this is none that is known (--from).',
        )
      const client = await cli.client()
      const bundle = readFileOrStdin(file, cli.signal)
      const taking = client.importBundle(bundle, { onProgress: tellProgress(cli), signal: cli.signal })
      const result = await orStopped(cli, taking, 'nothing was taken')
      if (out.json) return out.value(result)
      for (const session of result.sessions) out.print(line(session))
      const { session } = result
      if (result.custody === 'inert')
        out.note(`Go on with it here, if it goes on nowhere else: savefile adopt ${session}`)
    })
  withExamples(command, [
    'savefile import report.jsonl.gz',
    'ssh host savefile export 3f8a | savefile import -',
    'savefile import ~/.claude/projects/-home-ann-shop/5e0c8a3f-6f1e-4c55-9c5c-3a3d8a4f2b10.jsonl',
    'savefile import ~/.pi/agent/sessions',
  ])
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
