/**
 * Reads the sessions of pi (pi-mono): a header, then one entry a line. Before version 2 they follow each other; since then `id` and `parentId`
 * make a tree.
 */
import type { Block, ContentBlock } from '../contract/blocks'
import { textBlock } from '../contract/blocks'
import type { StopReason } from '../contract/events'
import { normaliseText } from '../contract/text'
import { attached, callBlock, failureClass, structured, texts } from './blocks'
import type { ReadOptions } from './claude-code'
import { Conversation } from './conversation'
import type { AnswerItem, Entry, Item, Thread, TranscriptFile } from './items'
import { count, isObject, linesOf, list, object, parsed, text, time, type Json, type Line } from './json'
import type { Report } from './report'

const REPLAY_FORMAT = 1
const STOPS: Readonly<Record<string, StopReason>> = { stop: 'end', toolUse: 'tool_calls', length: 'max_tokens' }

/** By pi's name of a wire API: ours, and whose it is where nothing else is said. */
const APIS: Readonly<Record<string, { provider: string; replay: boolean }>> = {
  'anthropic-messages': { provider: 'anthropic', replay: true },
  'openai-responses': { provider: 'openai-responses', replay: true },
  'openai-completions': { provider: 'openai-chat', replay: false },
}
const PLATFORMS: Readonly<Record<string, string>> = { anthropic: 'api.anthropic.com', openai: 'api.openai.com' }

export function readPi(file: TranscriptFile, _others: readonly TranscriptFile[], options: ReadOptions): Thread {
  const report = options.report(file.name)
  const reader = new PiReader(options, report)
  for (const line of linesOf(file, report)) reader.take(line)
  const { id, title, labels } = reader
  return { id, file: file.name, system: '', labels, entries: reader.finish(), ...(title === '' ? {} : { title }) }
}

class PiReader {
  id = ''
  title = ''
  labels: Record<string, string> = {}
  private readonly conversation = new Conversation()
  /** By id: what stands for an entry, or for what it hangs on. */
  private readonly places = new Map<string, Entry | null>()
  /** By number of the line's entry: version 1 names what a compaction keeps so. */
  private readonly byIndex = new Map<number, Entry>()
  private index = 0

  constructor(
    private readonly options: ReadOptions,
    private readonly report: Report,
  ) {}

  finish(): Entry[] {
    return this.conversation.finish()
  }

  take(line: Line): void {
    const { n, value } = line
    const id = text(value.id)
    if (value.type === 'session') return this.header(value)
    this.index++
    if (id !== '' && this.places.has(id)) return this.report.note('repeated', n)
    const parent = this.parentOf(line)
    const entry = this.entry(line, parent)
    if (entry) this.byIndex.set(this.index, entry)
    if (id !== '') this.places.set(id, entry ?? parent)
  }

  private header(value: Json): void {
    if (this.id !== '') return
    this.id = text(value.id)
    this.labels = { client: 'pi' }
    if (text(value.cwd) !== '') this.labels.cwd = normaliseText(text(value.cwd)).text
  }

  private parentOf({ n, value }: Line): Entry | null {
    const { last } = this.conversation
    if (!('parentId' in value)) return last
    if (value.parentId === null) return null
    const place = this.places.get(text(value.parentId))
    if (place !== undefined) return place
    this.report.note('missing_parent', n)
    return last
  }

  private entry(line: Line, parent: Entry | null): Entry | null {
    const { n, value } = line
    const { blobs } = this.options
    switch (value.type) {
      case 'message':
        return this.message(line, object(value.message), parent)
      case 'compaction': {
        const keeps =
          this.places.get(text(value.firstKeptEntryId)) ?? this.byIndex.get(count(value.firstKeptEntryIndex))
        const blocks = texts(text(value.summary))
        return this.add(line, { kind: 'checkpoint', blocks, ...(keeps ? { keeps } : {}) }, parent)
      }
      case 'branch_summary':
        return this.add(line, { kind: 'said', blocks: texts(text(value.summary)) }, parent)
      case 'custom_message': {
        const content = typeof value.content === 'string' ? [value.content] : list(value.content)
        return this.add(
          line,
          { kind: 'said', blocks: content.flatMap((part) => contentOf(part, blobs, this.report, n)) },
          parent,
        )
      }
      case 'session_info':
        this.title = normaliseText(text(value.name)).text || this.title
        return null
      default:
        this.report.note('client_only', n, text(value.type))
        return null
    }
  }

  private add({ n, value }: Line, item: Item, parent: Entry | null): Entry {
    const at = time(value.timestamp) || time(object(value.message).timestamp)
    const entry = { id: text(value.id) || `${n}`, line: n, at, item, parent }
    return item.kind === 'answer' ? this.conversation.answer(entry) : this.conversation.add(entry)
  }

  private message(line: Line, message: Json, parent: Entry | null): Entry | null {
    const { role, content } = message
    if (role === 'assistant') return this.assistant(line, message, parent)
    const parts = typeof content === 'string' ? [{ type: 'text', text: content }] : list(content)
    const blocks = parts.flatMap((part) => contentOf(part, this.options.blobs, this.report, line.n))
    switch (role) {
      case 'toolResult': {
        const facts = { id: text(line.value.id) || `${line.n}`, line: line.n, at: time(line.value.timestamp) }
        const outcome = message.isError === true ? ('error' as const) : ('ok' as const)
        if ('details' in message) this.report.note('field', line.n, 'details')
        const entry = this.conversation.result(
          { kind: 'result', call: text(message.toolCallId), outcome, blocks },
          parent,
          facts,
        )
        if (!entry) this.report.note('orphan_result', line.n)
        return entry
      }
      case 'bashExecution':
        return this.add(line, { kind: 'said', blocks: texts(bashText(message)) }, parent)
      default:
        return this.add(line, { kind: 'said', blocks }, parent)
    }
  }

  private assistant(line: Line, message: Json, parent: Entry | null): Entry {
    const api = APIS[text(message.api)]
    const { blocks, kept } = answerBlocks(list(message.content), api?.replay ?? false, text(message.api))
    const words = normaliseText(text(message.errorMessage)).text
    if (message.stopReason === 'aborted') return this.add(line, { kind: 'interrupted', partial: blocks }, parent)
    if (message.stopReason === 'error') {
      if (blocks.length > 0) this.report.note('partial_of_failed', line.n)
      return this.add(line, { kind: 'failed', class: failureClass(words), message: words }, parent)
    }
    const vendor = text(message.provider)
    const usage = object(message.usage)
    const [cacheRead, cacheWrite] = [count(usage.cacheRead), count(usage.cacheWrite)]
    const cost = object(usage.cost).total
    return this.add(
      line,
      {
        kind: 'answer',
        provider: api?.provider ?? (normaliseText(vendor).text || 'unknown'),
        platform: PLATFORMS[vendor] ?? (normaliseText(vendor).text || 'unknown'),
        model: normaliseText(text(message.model)).text || 'unknown',
        replayFormat: REPLAY_FORMAT,
        blocks,
        kept,
        stop: STOPS[text(message.stopReason)] ?? 'other',
        usage: {
          input: count(usage.input) + cacheRead + cacheWrite,
          output: count(usage.output),
          cacheRead,
          cacheWrite,
          reasoning: 0,
        },
        ...(typeof cost === 'number' && cost > 0 ? { costUsdMicros: Math.round(cost * 1e6) } : {}),
        ...(text(message.responseId) === '' ? {} : { responseId: normaliseText(text(message.responseId)).text }),
      },
      parent,
    )
  }
}

function answerBlocks(content: readonly unknown[], replay: boolean, api: string): Pick<AnswerItem, 'blocks' | 'kept'> {
  const blocks: Block[] = []
  const kept: (string | null)[] = []
  for (const part of content) {
    const wire = object(part)
    const [block, own] = answerBlock(wire, api)
    if (!block) continue
    blocks.push(block)
    kept.push(replay ? own : null)
  }
  return { blocks, kept }
}

function answerBlock(wire: Json, api: string): [Block | null, string | null] {
  switch (wire.type) {
    case 'text':
      return [text(wire.text) === '' ? null : textBlock(text(wire.text)), null]
    case 'thinking': {
      const thinking = text(wire.thinking)
      return [
        { type: 'reasoning', text: normaliseText(thinking).text },
        thought(thinking, text(wire.thinkingSignature), wire, api),
      ]
    }
    case 'toolCall':
      return [callBlock(text(wire.id), text(wire.name), JSON.stringify(wire.arguments ?? {})), null]
    default:
      return [structured(wire), null]
  }
}

/** Of Responses the signature is the whole item, as JSON text. */
function thought(thinking: string, signature: string, { redacted }: Json, api: string): string | null {
  if (signature === '') return null
  if (api === 'anthropic-messages')
    return redacted === true
      ? JSON.stringify({ type: 'redacted_thinking', data: signature })
      : JSON.stringify({ type: 'thinking', thinking, signature })
  const item = parsed(signature)
  return isObject(item) && item.type === 'reasoning' ? signature : null
}

function contentOf(part: unknown, blobs: ReadOptions['blobs'], report: Report, line: number): ContentBlock[] {
  if (typeof part === 'string') return texts(part)
  const wire = object(part)
  if (wire.type === 'text') return texts(text(wire.text))
  if (wire.type === 'image') {
    const block = attached(text(wire.data), text(wire.mimeType), blobs)
    if (block) return [block]
  }
  if (!isObject(part)) return []
  report.note('unknown_block', line, text(wire.type))
  return [structured(part)]
}

/** As pi shows it to the model. */
function bashText({ command, output, exitCode, cancelled }: Json): string {
  const code = typeof exitCode === 'number' && exitCode !== 0 ? `\n(exit code ${exitCode})` : ''
  return `Ran \`${text(command)}\`\n\`\`\`\n${text(output)}\n\`\`\`${code}${cancelled === true ? '\n(cancelled)' : ''}`
}
