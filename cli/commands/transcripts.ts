/** What `import` does with transcripts, and `export --as`. */
import { stat } from 'node:fs/promises'
import { exportFormats } from '../../client/exports'
import { NOTES, type TranscriptFormat, type TranscriptImported } from '../../client/transcripts'
import { SavefileError, errorCode } from '../../contract/errors'
import { tellProgress } from '../bundle-progress'
import { orStopped, type Cli } from '../cli'
import { EXIT } from '../exit-codes'
import { writeWhole } from '../files'
import { bytes, count } from '../numbers'
import { oneLine } from '../safe-text'
import { transcriptsAt } from '../transcript-files'

export interface TranscriptImportOptions {
  from?: TranscriptFormat
  asId?: string
  definition?: string
}

/** Refusals that are a file's own. */
const OF_ONE_FILE: readonly string[] = ['invalid_transcript', 'too_large', 'diverged', 'session_busy']
const LINES_SHOWN = 8
const WIDTH = 160

export async function importTranscripts(cli: Cli, target: string, options: TranscriptImportOptions): Promise<void> {
  const { out } = cli
  const { from, asId, definition: file } = options
  const folder = (await stat(target).catch(() => null))?.isDirectory() ?? false
  if (folder && asId !== undefined)
    throw new SavefileError('invalid_input', '--as-id names one session: import one file with it.')
  const definition = file === undefined ? undefined : await (await import('../definition-file.js')).readDefinition(file)
  const client = await cli.client()
  for await (const { file: transcript, others } of transcriptsAt(target)) {
    cli.signal.throwIfAborted()
    if (folder) out.note(`${transcript.name}, ${bytes(transcript.bytes.length)}`)
    try {
      const result = await client.importTranscript(transcript, {
        others,
        ...(from === undefined ? {} : { format: from }),
        ...(asId === undefined ? {} : { session: asId }),
        ...(definition === undefined ? {} : { definition }),
        onProgress: tellProgress(cli),
        signal: cli.signal,
      })
      if (out.json) out.value({ file: transcript.name, ...result })
      else tell(cli, result)
    } catch (error) {
      // Of a folder the others come all the same.
      if (!folder || !OF_ONE_FILE.includes(errorCode(error) ?? 'internal')) throw error
      out.error(error)
      cli.exit(EXIT.failed)
    }
  }
}

function tell({ out }: Cli, result: TranscriptImported): void {
  const { session, status, events, types, forks, children, format, notes, head } = result
  if (status === 'present') return out.print(`${session}  was here, ${count(head, 'event')}: nothing is new`)
  const some = (type: string): number => types[type] ?? 0
  out.print(
    `${session}  ${status === 'imported' ? 'new' : 'moved on'}, from ${format}: ${count(events, 'event')}, ${count(some('message_received'), 'message')}, ${count(some('model_answered'), 'answer')}, ${count(some('tool_finished'), 'result')}`,
  )
  for (const fork of forks) out.print(`  ${fork}  a branch`)
  for (const child of children) out.print(`  ${child}  a sub-agent`)
  if (notes.length > 0) out.note('What has no place in the log, or another one than it had:')
  for (const { kind, what, file, count: n, lines } of notes) {
    const where = lines.slice(0, LINES_SHOWN).join(', ') + (n > LINES_SHOWN ? ', …' : '')
    out.note(
      `  ${n} × ${NOTES[kind]}${what === '' ? '' : ` (${oneLine(what, 40)})`}; ${oneLine(file, 60)}: ${where}`.slice(
        0,
        WIDTH * 2,
      ),
    )
  }
  out.note(`Go on with it: savefile chat ${session}`)
}

export interface ExportAsCliOptions {
  as: string
  forks?: boolean
  content?: boolean
  raw?: boolean
}

export async function exportSessionAs(
  cli: Cli,
  prefix: string,
  file: string | undefined,
  options: ExportAsCliOptions,
): Promise<void> {
  const client = await cli.client()
  const session = await cli.find(prefix)
  const done = { events: 0, bytes: 0 }
  const tell = tellProgress(cli)
  const text = client.exportAs(session, options.as, {
    forks: options.forks ?? false,
    content: options.content ?? false,
    raw: options.raw ?? false,
    onDropped: ({ seq, what, why }) =>
      cli.out.note(`event ${seq}: ${what} is left out or altered: ${oneLine(why, 200)}`),
    onProgress: (events) => (done.events = events),
  })
  async function* encoded(): AsyncGenerator<Uint8Array> {
    for await (const piece of text) {
      const chunk = Buffer.from(piece, 'utf8')
      done.bytes += chunk.length
      tell(done)
      yield chunk
    }
  }
  const onStdout = file === undefined || file === '-'
  const left = onStdout ? 'what came out is not whole' : `${oneLine(file, 200)} is as it was`
  const written = await orStopped(cli, writeWhole(file, encoded(), cli.signal), left)
  const said = `${count(done.events, 'event')} as ${options.as}, ${bytes(written)}`
  if (onStdout) return cli.out.note(said)
  if (cli.out.json) cli.out.value({ session, file, as: options.as, events: done.events, bytes: written })
  else cli.out.print(`${oneLine(file, 200)}: ${said}`)
}

export function formats(): string {
  return exportFormats().join(', ')
}
