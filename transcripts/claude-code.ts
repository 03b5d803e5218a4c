/**
 * Reads Claude Code's transcripts: one JSON object a line, a tree by `uuid` and `parentUuid`. An answer of the API stands in several lines of
 * the same `message.id`; the results of parallel calls hang on different ones of them. Sub-agents stand in the same file (`isSidechain`) or
 * in files of their own (agent-*.jsonl). There is no published format: this is what the clients of 2.0 and 2.1 write.
 * Over 400 lines, since one pass must see how all of them hang together.
 */
import type { Block, ContentBlock } from '../contract/blocks'
import { textBlock } from '../contract/blocks'
import type { StopReason, Usage } from '../contract/events'
import { normaliseText } from '../contract/text'
import { attached, callBlock, failureClass, structured, texts } from './blocks'
import { Conversation } from './conversation'
import type { AnswerItem, Blobs, Entry, Item, Thread, TranscriptFile } from './items'
import { count, isObject, linesOf, list, object, parsed, text, time, type Json } from './json'
import { ownBlocks, ownContent, ownFailure, ownOutcome, ownReplay } from './own-field'
import type { Report } from './report'

/** The adapter's (providers/anthropic/request.ts): what stands in Replay.blocks. */
const REPLAY_FORMAT = 1
const SYNTHETIC = '<synthetic>'
/** What it writes where a person stopped a turn. */
export const INTERRUPTED = /^\[Request interrupted by user(?: for tool use)?\]$/
const REJECTED = /^(?:Error: )?(?:The user doesn't want to (?:proceed with|take) this|User rejected tool use)/

const STOPS: Readonly<Record<string, StopReason>> = {
  end_turn: 'end',
  tool_use: 'tool_calls',
  max_tokens: 'max_tokens',
  stop_sequence: 'stop_sequence',
  pause_turn: 'pause',
  refusal: 'refusal',
  model_context_window_exceeded: 'context_exceeded',
}

/** Fields that are read, or that say nothing of the conversation which its place does not say. */
const KNOWN_FIELDS = new Set(
  'uuid parentUuid logicalParentUuid isSidechain agentId userType sessionId type subtype message timestamp requestId slug cwd version gitBranch isMeta isCompactSummary isVisibleInTranscriptOnly isApiErrorMessage error sourceToolAssistantUUID sourceToolUseID content compactMetadata level attachment savefile'.split(
    ' ',
  ),
)

interface Row {
  n: number
  uuid: string
  value: Json
  /** The entry that stands for it, or for what it hangs on; set once it is read. */
  place?: Entry | null
}

interface Read {
  rows: Row[]
  /** By uuid, sidechains too. */
  byUuid: Map<string, Row>
  session: string
  title: string
  labels: Record<string, string>
}

export interface ReadOptions {
  blobs: Blobs
  report(file: string): Report
}

/** `others`: files that may hold its sub-agents. */
export function readClaudeCode(file: TranscriptFile, others: readonly TranscriptFile[], options: ReadOptions): Thread {
  const report = options.report(file.name)
  const read = rowsOf(file, report)
  const isAgentsOwn = read.rows.every(({ value }) => value.isSidechain === true)
  const main = isAgentsOwn ? read.rows : read.rows.filter(({ value }) => value.isSidechain !== true)
  const agents = isAgentsOwn ? [] : sidechainsIn(read)
  const thread = threadOf(read, main, { ...options, report, file: file.name })
  if (isAgentsOwn) return { ...thread, id: `agent-${text(main[0]?.value.agentId) || read.session}` }

  const given = [
    ...agents.map((rows) => ({ rows, read, file: file.name })),
    ...others.flatMap((other) => {
      const theirs = rowsOf(other, options.report(other.name))
      return theirs.session === read.session ? [{ rows: theirs.rows, read: theirs, file: other.name }] : []
    }),
  ]
  adopt(thread, given, main, options, report)
  return thread
}

function rowsOf(file: TranscriptFile, report: Report): Read {
  const read: Read = { rows: [], byUuid: new Map(), session: '', title: '', labels: {} }
  const titles: { leaf: string; title: string; n: number }[] = []
  for (const { n, value } of linesOf(file, report)) {
    const type = text(value.type)
    if (type === 'summary') {
      titles.push({ leaf: text(value.leafUuid), title: text(value.summary), n })
      continue
    }
    if (type === 'custom-title' || type === 'ai-title')
      read.title = text(value.customTitle ?? value.title) || read.title
    const uuid = text(value.uuid)
    if (uuid === '') {
      report.note('client_only', n, type)
      continue
    }
    if (read.byUuid.has(uuid)) {
      report.note('repeated', n)
      continue
    }
    const row = { n, uuid, value }
    read.byUuid.set(uuid, row)
    read.rows.push(row)
    read.session = text(value.sessionId) || read.session
    for (const [label, field] of [
      ['client', 'version'],
      ['cwd', 'cwd'],
      ['branch', 'gitBranch'],
    ] as const)
      if (text(value[field]) !== '') read.labels[label] ??= normaliseText(text(value[field])).text
    if (type === 'user' || type === 'assistant')
      for (const field in value) if (!KNOWN_FIELDS.has(field)) report.note('field', n, field)
  }
  if (read.labels.client !== undefined) read.labels.client = `claude-code ${read.labels.client}`
  for (const { leaf, title, n } of titles)
    if (read.byUuid.has(leaf) && title !== '') read.title ||= title
    else report.note('client_only', n, 'summary')
  return read
}

/** Rows of the same file that a sub-agent wrote: by its id, or by the row that they all hang on. */
function sidechainsIn({ rows }: Read): Row[][] {
  const groups = new Map<string, Row[]>()
  const rootOf = new Map<string, string>()
  for (const row of rows) {
    if (row.value.isSidechain !== true) continue
    const root = rootOf.get(text(row.value.parentUuid)) ?? row.uuid
    rootOf.set(row.uuid, root)
    const key = text(row.value.agentId) || root
    const group = groups.get(key)
    if (group) group.push(row)
    else groups.set(key, [row])
  }
  return [...groups.values()]
}

interface ThreadOptions {
  blobs: Blobs
  report: Report
  file: string
}

function threadOf(read: Read, rows: readonly Row[], options: ThreadOptions): Thread {
  const reader = new RowReader(read, options)
  for (const row of rows) reader.take(row)
  const { session, title, labels } = read
  return {
    id: session,
    system: '',
    labels,
    file: options.file,
    entries: reader.conversation.finish(),
    ...(title === '' ? {} : { title: normaliseText(title).text }),
  }
}

class RowReader {
  readonly conversation = new Conversation()
  /** Where a row that is not there would stand. */
  private readonly missing = new Map<string, Entry | null>()
  private readonly answers = new Map<string, Entry>()

  constructor(
    private readonly read: Read,
    private readonly options: ThreadOptions,
  ) {}

  take(row: Row): void {
    const { value } = row
    row.place = this.placeOf(row)
    if (value.type === 'assistant') this.assistant(row)
    else if (value.type === 'user') this.user(row)
    else if (value.type === 'attachment' && object(value.attachment).type === 'queued_command') this.queued(row)
    else if (value.type === 'system' && object(value.savefile).ends === true) this.add(row, { kind: 'end' })
    else if (value.subtype !== 'compact_boundary')
      this.options.report.note(
        'client_only',
        row.n,
        [text(value.type), text(value.subtype) || text(object(value.data).type)].filter(Boolean).join('/'),
      )
  }

  /** What the row hangs on. */
  private placeOf({ n, value }: Row): Entry | null {
    const parent = text(value.parentUuid) || (value.subtype === 'compact_boundary' ? text(value.logicalParentUuid) : '')
    if (parent === '') return null
    const row = this.read.byUuid.get(parent)
    if (row?.place !== undefined) return row.place
    const known = this.missing.get(parent)
    if (known !== undefined) return known
    const { last } = this.conversation
    this.options.report.note('missing_parent', n)
    this.missing.set(parent, last)
    return last
  }

  private add(row: Row, item: Item, id = row.uuid): Entry {
    const entry = { id, line: row.n, at: time(row.value.timestamp), item, parent: row.place ?? null }
    row.place = item.kind === 'answer' ? this.conversation.answer(entry) : this.conversation.add(entry)
    return entry
  }

  private assistant(row: Row): void {
    const message = object(row.value.message)
    if (row.value.isApiErrorMessage === true) return this.failure(row, message)
    const id = text(message.id)
    const known = this.answers.get(id)
    const read = blocksOf(list(message.content), this.options, row.n)
    if (id !== '' && known?.item.kind === 'answer' && this.conversation.belongs(row.place ?? null, known)) {
      known.item.blocks.push(...read.blocks)
      known.item.kept.push(...read.kept)
      known.at = Math.max(known.at, time(row.value.timestamp))
      finishAnswer(known.item, message)
      this.conversation.named(known)
      row.place = known
      return
    }
    const model = normaliseText(text(message.model)).text || 'unknown'
    const item: AnswerItem = {
      kind: 'answer',
      ...(model === SYNTHETIC
        ? { provider: 'claude-code', platform: 'local' }
        : { provider: 'anthropic', platform: platformOf(id) }),
      model,
      replayFormat: REPLAY_FORMAT,
      ...read,
      stop: 'other',
      usage: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
      ...(id === '' ? {} : { responseId: normaliseText(id).text }),
    }
    const own = object(row.value.savefile)
    item.blocks = ownBlocks(own, this.options.blobs) ?? item.blocks
    if (item.blocks.length !== item.kept.length) item.kept = item.blocks.map(() => null)
    const replay = ownReplay(own)
    if (replay)
      Object.assign(
        item,
        replay,
        replay.kept.length === item.blocks.length ? {} : { kept: item.blocks.map(() => null) },
      )
    finishAnswer(item, message)
    if (own.partial === true) return void this.add(row, { kind: 'interrupted', partial: item.blocks })
    const entry = this.add(row, item)
    if (id !== '') this.answers.set(id, entry)
  }

  private failure(row: Row, message: Json): void {
    const words = list(message.content)
      .map((block) => text(object(block).text))
      .join('\n')
    const status = Number(/\b([45]\d\d)\b/.exec(words)?.[1])
    const own = ownFailure(object(row.value.savefile))
    const read = { class: failureClass(words), message: normaliseText(words).text, ...(status > 0 ? { status } : {}) }
    this.add(row, { kind: 'failed', ...(own ?? read) })
  }

  private user(row: Row): void {
    const { value } = row
    const message = object(value.message)
    const content =
      typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : list(message.content)
    const results = content.filter((part) => object(part).type === 'tool_result')
    for (const part of results) this.result(row, object(part))
    const own = results.length > 0 ? null : ownContent(object(value.savefile), this.options.blobs)
    const blocks = own ?? content.flatMap((part) => (results.includes(part) ? [] : this.said(part, row.n)))
    if (blocks.length === 0) {
      if (results.length === 0) this.options.report.note('empty', row.n)
      return
    }
    const [only, ...more] = blocks
    const keeps = value.isCompactSummary === true ? this.keptBeside(value) : null
    if (value.isCompactSummary === true) this.add(row, { kind: 'checkpoint', blocks, ...(keeps ? { keeps } : {}) })
    else if (!own && more.length === 0 && only?.type === 'text' && INTERRUPTED.test(only.text)) this.interrupted(row)
    else this.add(row, { kind: 'said', blocks })
  }

  /** The first line that a summary leaves beside it: our own export says it with the summary, the clients of 2.1 in the line before. */
  private keptBeside({ parentUuid, savefile }: Json): Entry | null {
    const boundary = object(this.read.byUuid.get(text(parentUuid))?.value.compactMetadata)
    const head = text(object(savefile).keeps) || text(object(boundary.preservedSegment).headUuid)
    return this.read.byUuid.get(head)?.place ?? null
  }

  /** After what was cut off in the middle, it is the same stop. */
  private interrupted(row: Row): void {
    if (row.place?.item.kind !== 'interrupted') this.add(row, { kind: 'interrupted', partial: [] })
  }

  /** What was typed while the model worked. */
  private queued(row: Row): void {
    const { prompt } = object(row.value.attachment)
    const parts = typeof prompt === 'string' ? [{ type: 'text', text: prompt }] : list(prompt)
    const blocks = parts.flatMap((part) => this.said(part, row.n))
    if (blocks.length > 0) this.add(row, { kind: 'said', blocks })
  }

  private said(part: unknown, line: number): ContentBlock[] {
    return contentOf(part, this.options, line)
  }

  private result(row: Row, part: Json): void {
    const { conversation, options } = this
    const { toolUseResult, savefile } = row.value
    const call = text(part.tool_use_id)
    const content = typeof part.content === 'string' ? [{ type: 'text', text: part.content }] : list(part.content)
    const own = object(savefile)
    const blocks = ownContent(own, options.blobs) ?? content.flatMap((inner) => this.said(inner, row.n))
    const words = blocks[0]?.type === 'text' ? blocks[0].text : ''
    const rejected = part.is_error === true && (REJECTED.test(words) || REJECTED.test(text(toolUseResult)))
    const outcome = ownOutcome(own) ?? (rejected ? 'denied' : part.is_error === true ? 'error' : 'ok')
    const facts = { id: `${row.uuid}:${call}`, line: row.n, at: time(row.value.timestamp) }
    const entry = conversation.result({ kind: 'result', call, outcome, blocks }, row.place ?? null, facts)
    if (entry) row.place = entry
    else options.report.note('orphan_result', row.n)
  }
}

/** Clouds that resell the models say so in their ids. */
function platformOf(id: string): string {
  if (id.startsWith('msg_bdrk_')) return 'bedrock'
  return id.startsWith('msg_vrtx_') ? 'vertex' : 'api.anthropic.com'
}

function finishAnswer(item: AnswerItem, message: Json): void {
  const usage = object(message.usage)
  const reason = STOPS[text(message.stop_reason)]
  const calls = item.blocks.some((block) => block.type === 'tool_call')
  item.stop = reason ?? (calls ? 'tool_calls' : 'end')
  item.usage = usageOf(usage, item.usage)
}

/** A line counts what was there when it was written: the largest counts are those of the whole. */
function usageOf(usage: Json, before: Usage): Usage {
  const cacheRead = count(usage.cache_read_input_tokens)
  const cacheWrite = count(usage.cache_creation_input_tokens)
  return {
    input: Math.max(before.input, count(usage.input_tokens) + cacheRead + cacheWrite),
    output: Math.max(before.output, count(usage.output_tokens)),
    cacheRead: Math.max(before.cacheRead, cacheRead),
    cacheWrite: Math.max(before.cacheWrite, cacheWrite),
    reasoning: Math.max(before.reasoning, count(object(usage.output_tokens_details).thinking_tokens)),
  }
}

function blocksOf(
  content: readonly unknown[],
  options: ThreadOptions,
  line: number,
): Pick<AnswerItem, 'blocks' | 'kept'> {
  const blocks: Block[] = []
  const kept: (string | null)[] = []
  const add = (block: Block, own: string | null): void => {
    blocks.push(block)
    kept.push(own)
  }
  for (const part of content) {
    const wire = object(part)
    const { type, thinking, signature, data } = wire
    if (type === 'text') {
      const cited = list(wire.citations).length > 0
      if (text(wire.text) !== '') add(textBlock(text(wire.text)), cited ? JSON.stringify(wire) : null)
      else options.report.note('empty', line)
    } else if (type === 'thinking') {
      const signed = text(signature) !== ''
      const block: Block = { type: 'reasoning', text: normaliseText(text(thinking)).text }
      add(block, signed ? JSON.stringify({ type, thinking, signature }) : null)
    } else if (type === 'redacted_thinking') add({ type: 'reasoning', text: '' }, JSON.stringify({ type, data }))
    else if (type === 'tool_use') {
      if (text(wire.id) === '') options.report.note('nameless', line)
      add(callBlock(text(wire.id), text(wire.name), JSON.stringify(wire.input ?? {})), null)
    } else add(structured(part), JSON.stringify(part))
  }
  return { blocks, kept }
}

function contentOf(part: unknown, { blobs, report }: ThreadOptions, line: number): ContentBlock[] {
  if (typeof part === 'string') return texts(part)
  const wire = object(part)
  if (wire.type === 'text') {
    return texts(text(wire.text))
  }
  if (wire.type === 'image' || wire.type === 'document') {
    const source = object(wire.source)
    if (source.type === 'text') return texts(text(source.data))
    const block =
      source.type === 'base64' ? attached(text(source.data), text(source.media_type), blobs, text(wire.title)) : null
    if (block) return [block]
  }
  if (!isObject(part)) return []
  report.note('unknown_block', line, text(wire.type))
  return [structured(part)]
}

interface Given {
  rows: Row[]
  read: Read
  file: string
}

/** Gives each call of a sub-agent its transcript: by the id that its result names, or, in older files, by the words of its task. */
function adopt(
  thread: Thread,
  given: readonly Given[],
  main: readonly Row[],
  options: ReadOptions,
  report: Report,
): void {
  const free = new Set(given)
  const prompts = new Map<string, string>()
  for (const { item } of thread.entries)
    if (item.kind === 'answer')
      for (const block of item.blocks) if (block.type === 'tool_call') prompts.set(block.call, promptOf(block.args))
  const results = new Map(
    thread.entries.flatMap(({ item, line }) =>
      item.kind === 'result' ? [[`${line}:${item.call}`, item] as const] : [],
    ),
  )
  for (const { n, value } of main)
    for (const part of list(object(value.message).content)) {
      const item = results.get(`${n}:${text(object(part).tool_use_id)}`)
      if (!item) continue
      const agent = text(object(value.toolUseResult).agentId)
      const prompt = prompts.get(item.call) ?? ''
      const found = [...free].find(({ rows }) => {
        const [first] = rows
        return agent !== ''
          ? text(first?.value.agentId) === agent
          : prompt !== '' && text(object(first?.value.message).content) === prompt
      })
      if (!found) {
        if (agent !== '') report.note('sub_agent_not_given', n, agent)
        continue
      }
      free.delete(found)
      const child = threadOf(found.read, found.rows, {
        blobs: options.blobs,
        report: options.report(found.file),
        file: found.file,
      })
      item.child = {
        ...child,
        id: text(found.rows[0]?.value.agentId) || `agent-${found.rows[0]?.uuid.slice(0, 8) ?? ''}`,
      }
    }
  for (const { rows, file } of free) if (rows[0]) options.report(file).note('stray_sub_agent', rows[0].n)
}

function promptOf(args: string): string {
  return text(object(parsed(args)).prompt)
}
