/**
 * Transcripts of other agents' clients, as sessions: read, made into logs, imported all or none, and adopted. The same file again is no news; a
 * longer version moves a session on that did not go on here.
 */
import { createHash } from 'node:crypto'
import { parseDefinition, type Definition, type DefinitionInput } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import type { Payload, StoredEvent } from '../contract/events'
import { nameProblem } from '../contract/ids'
import { MAX_BLOB_BYTES } from '../contract/limits'
import type { ArrivingSession, BundleProgress, Imported } from '../contract/bundle-port'
import type { ClientLog, Principal, SessionInfo } from '../contract/client-port'
import { sha256Name } from '../transcripts/blocks'
import type { Thread, TranscriptFile, TranscriptFormat } from '../transcripts/items'
import { definitionOf, readTranscript, type Transcript } from '../transcripts/read'
import type { Note } from '../transcripts/report'
import { sessionName, writeThread, type WrittenSession } from '../transcripts/sessions'

export { formatOf } from '../transcripts/read'
export { NOTES, type Note } from '../transcripts/report'
export { TRANSCRIPT_FORMATS, type TranscriptFile, type TranscriptFormat } from '../transcripts/items'

export interface TranscriptOptions {
  /** Told by its content where absent. */
  format?: TranscriptFormat
  /** Files beside it that may hold its sub-agents. */
  others?: readonly TranscriptFile[]
  /** The transcript's own id where absent. */
  session?: string
  /** What it goes on under: written out, or the hash of one that is stored. Made from the transcript where absent. */
  definition?: DefinitionInput | string
  onProgress?: (progress: BundleProgress) => void
  signal?: AbortSignal
}

export interface TranscriptImported extends Imported {
  format: TranscriptFormat
  /** Of what came, by type of event. */
  types: Record<string, number>
  /** Branches, and sub-agents. */
  forks: string[]
  children: string[]
  /** What of the transcript had no place in the log, or another one than it had. */
  notes: Note[]
}

interface TranscriptParts {
  log: ClientLog
  space: string
  by: Principal
  encrypted: boolean
  nudge(session: string): Promise<unknown>
}

type Original = NonNullable<Payload<'custody_taken'>['original']>

const MEDIA_TYPE = 'application/jsonl'
const PAGE = 1000

export function createTranscripts({ log, space, by, encrypted, nudge }: TranscriptParts) {
  return {
    async importTranscript(file: TranscriptFile, options: TranscriptOptions = {}): Promise<TranscriptImported> {
      if (encrypted)
        throw new SavefileError(
          'invalid_input',
          'Sessions of this client are to be encrypted, and a transcript comes in clear. Import it with a client that does not ask for that.',
        )
      const transcript = readTranscript(file, options.others ?? [], options.format)
      const { format, thread, notes, blobs } = transcript
      const session = options.session ?? sessionName(thread.id === '' ? idOf(file, format) : thread.id)
      const problem = nameProblem('session id', session)
      if (problem) throw new SavefileError('invalid_input', `The ${problem}.`, { session })
      const kept = partsOf([file, ...(options.others ?? [])].filter(({ name }) => filesOf(thread).has(name)))
      const original: Original = kept.map(({ name, bytes }) => ({
        name,
        blob: { hash: sha256Name(bytes), bytes: bytes.length, mediaType: MEDIA_TYPE },
      }))

      const info = await log.info({ space, session })
      const rows = info ? await ownRows(session) : new Map<number, StoredEvent>()
      const told = { format, types: {}, forks: [], children: [], notes: [] }
      if (info && cameFrom(rows, original)) return { ...present(info), ...told }

      const definition = await definitionFor(transcript, options.definition)
      const body = JSON.stringify(definition)
      const seen: Pick<TranscriptImported, 'types' | 'forks' | 'children'> = { types: {}, forks: [], children: [] }
      const written = writeThread(thread, {
        session,
        format,
        definition: sha256Name(body),
        // In whose name the messages stand stays: the same transcript is then the same log, whoever brings it again.
        actor: rows.get(1)?.actor ?? by.actor,
        report: ({ file: name }) => notes.of(name),
        blobs,
        existing: async (name) =>
          name === session ? rows : (await log.info({ space, session: name })) ? ownRows(name) : new Map(),
      })
      // All of it before the transaction begins, which holds a connection.
      const sessions: ArrivingSession[] = []
      for await (const made of written) sessions.push(counted(made, session, seen))
      const imported = await log.importSessions(
        space,
        {
          session,
          definitions: [body],
          sessions,
          blob: (hash) => {
            const blob = blobs.stored.get(hash)
            return blob && { bytes: blob.bytes, mediaType: blob.ref.mediaType }
          },
          kept: kept.map(({ bytes }) => ({ bytes, mediaType: MEDIA_TYPE })),
        },
        {
          ...(options.onProgress ? { onProgress: options.onProgress } : {}),
          ...(options.signal ? { signal: options.signal } : {}),
        },
      )
      const adopted = await log.adopt({ space, session }, by, `imported from ${format}`, original)
      if (adopted.status === 'adopted') await nudge(session)
      const now = await log.info({ space, session })
      return {
        ...imported,
        ...(now ? { head: now.head, headHash: now.headHash, custody: now.custody } : {}),
        format,
        ...seen,
        notes: notes.all(),
      }
    },
  }

  async function definitionFor(
    transcript: Transcript,
    given: DefinitionInput | string | undefined,
  ): Promise<Definition> {
    if (given === undefined) return definitionOf(transcript)
    return typeof given === 'string' ? log.definition(space, given) : parseDefinition(given)
  }

  async function ownRows(session: string): Promise<Map<number, StoredEvent>> {
    const rows = new Map<number, StoredEvent>()
    for (let from = 1; ;) {
      const page = await log.read({ space, session }, { from, limit: PAGE })
      const last = page.at(-1)
      if (!last) return rows
      for (const event of page) if (event.session === session) rows.set(event.seq, event)
      from = last.seq + 1
    }
  }
}

function idOf({ bytes }: TranscriptFile, format: TranscriptFormat): string {
  return `${format}-${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}`
}

/** Of the thread and its sub-agents. */
function filesOf(thread: Thread): Set<string> {
  const children = thread.entries.flatMap(({ item }) => (item.kind === 'result' && item.child ? [item.child.file] : []))
  return new Set([thread.file, ...children])
}

function partsOf(files: readonly TranscriptFile[]): TranscriptFile[] {
  return files.flatMap(({ name, bytes }) =>
    Array.from({ length: Math.ceil(bytes.length / MAX_BLOB_BYTES) }, (_, i) => ({
      name,
      bytes: bytes.subarray(i * MAX_BLOB_BYTES, (i + 1) * MAX_BLOB_BYTES),
    })),
  )
}

function cameFrom(rows: ReadonlyMap<number, StoredEvent>, original: Original): boolean {
  const hashes = original.map(({ blob }) => blob.hash).join()
  return [...rows.values()].some(({ type, kid, payload }) => {
    if (type !== 'custody_taken' || kid !== null) return false
    const { original: files } = JSON.parse(payload) as Payload<'custody_taken'>
    return files?.map(({ blob }) => blob.hash).join() === hashes
  })
}

function present({ session, custody, head, headHash }: SessionInfo): Imported {
  const here = { session, status: 'present' as const, custody, head }
  return { ...here, headHash, events: 0, keys: 0, sessions: [here] }
}

function counted(
  made: WrittenSession,
  main: string,
  seen: Pick<TranscriptImported, 'types' | 'forks' | 'children'>,
): WrittenSession {
  if (made.startedBy !== null) seen.children.push(made.session)
  else if (made.session !== main) seen.forks.push(made.session)
  for (const { type } of made.events) seen.types[type] = (seen.types[type] ?? 0) + 1
  return made
}
