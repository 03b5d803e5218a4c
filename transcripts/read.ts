/** Transcripts of other agents' clients: which format a file is, what it holds, and the definition that a session of it runs under. */
import { parseDefinition, type Definition, type DefinitionInput } from '../contract/definition'
import { ProviderName } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import { BlobStore } from './blocks'
import { readClaudeCode } from './claude-code'
import { readCodex } from './codex'
import type { Thread, TranscriptFile, TranscriptFormat } from './items'
import { isObject, parsed, text } from './json'
import { readPi } from './pi'
import { Notes } from './report'

export interface Transcript {
  format: TranscriptFormat
  thread: Thread
  blobs: BlobStore
  notes: Notes
}

/** A file and the files of its sub-agents, where it has any beside it. */
export type Reader = (
  file: TranscriptFile,
  others: readonly TranscriptFile[],
  options: { blobs: BlobStore; report: Notes['of'] },
) => Thread

const READERS: { readonly [F in TranscriptFormat]: Reader } = {
  'claude-code': readClaudeCode,
  codex: readCodex,
  pi: readPi,
}

/** What is looked at to tell a format; a file may begin with lines of no use. */
const HEAD_LINES = 100
const HEAD_BYTES = 8 * 1024 * 1024

/** By what its first lines say; null: none that is known. */
export function formatOf(bytes: Buffer): TranscriptFormat | null {
  const lines = bytes
    .toString('utf8', 0, HEAD_BYTES)
    .replace(/^\uFEFF/, '')
    .split('\n', HEAD_LINES)
  for (const line of lines) {
    const value = parsed(line)
    const format = isObject(value) ? formatOfLine(value) : null
    if (format) return format
  }
  return null
}

function formatOfLine(value: Record<string, unknown>): TranscriptFormat | null {
  const type = text(value.type)
  if (isObject(value.payload) && CODEX_TYPES.has(type)) return 'codex'
  if (type === 'session' && text(value.id) !== '') return 'pi'
  if (type === 'message' && isObject(value.message)) return 'pi'
  if (CLAUDE_TYPES.has(type) || (text(value.uuid) !== '' && 'parentUuid' in value)) return 'claude-code'
  return null
}

const CODEX_TYPES = new Set(['session_meta', 'response_item', 'event_msg', 'turn_context', 'compacted'])
const CLAUDE_TYPES = new Set(['summary', 'file-history-snapshot', 'queue-operation'])

/** @throws SavefileError `invalid_transcript`, `too_large` */
export function readTranscript(
  file: TranscriptFile,
  others: readonly TranscriptFile[],
  given?: TranscriptFormat,
): Transcript {
  const { name, bytes } = file
  if (bytes.length === 0) throw invalid(name, 'it is empty')
  const format = given ?? formatOf(bytes)
  if (!format) throw invalid(name, `it is no transcript of ${Object.keys(READERS).join(', ')} that is known here`)
  const blobs = new BlobStore()
  const notes = new Notes()
  const thread = READERS[format](file, others, { blobs, report: (of) => notes.of(of) })
  if (thread.entries.length === 0) throw invalid(name, `nothing that ${format} writes of a conversation is in it`)
  return { format, thread, blobs, notes }
}

function invalid(name: string, why: string): SavefileError {
  return new SavefileError('invalid_transcript', `The transcript ${name} is refused: ${why}. Nothing was taken.`, {
    name,
    why,
  })
}

const SCHEMA = '{"type":"object"}'

/**
 * What a session of it goes on under, where nobody says: the model that answered last, the system prompt where the transcript has it, and the
 * tools that were called, by name. Nobody here can run those; each call asks first.
 * @throws SavefileError `invalid_transcript` where no model answered
 */
export function definitionOf({ thread, format }: Transcript): Definition {
  const tools = new Set<string>()
  let model: { provider: ProviderName; name: string } | null = null
  for (const { item } of thread.entries) {
    if (item.kind !== 'answer') continue
    const provider = ProviderName.safeParse(item.provider)
    if (provider.success) model = { provider: provider.data, name: item.model.slice(0, 200) }
    for (const block of item.blocks) if (block.type === 'tool_call') tools.add(toolName(block.name))
  }
  if (!model)
    throw invalid(
      thread.file,
      'no model answers in it, so none can go on: say which one with a definition (--definition)',
    )
  const input: DefinitionInput = {
    name: format,
    system: thread.system,
    model,
    tools: [...tools].map((name) => ({ name, description: '', inputSchema: SCHEMA, approval: 'ask' as const })),
  }
  return parseDefinition(input)
}

function toolName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed'
}
