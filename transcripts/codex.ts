/**
 * Reads Codex' rollouts: one JSON object a line (`timestamp`, `type`, `payload`), in the order in which it happened. An answer is what the
 * API gave between two inputs; its tokens come behind it. A rollback leaves what it drops: that is a branch.
 */
import type { Block, ContentBlock } from '../contract/blocks'
import { textBlock } from '../contract/blocks'
import type { Usage } from '../contract/events'
import { normaliseText } from '../contract/text'
import { attached, callBlock, failureClass, structured, texts } from './blocks'
import { Conversation } from './conversation'
import type { ReadOptions } from './claude-code'
import type { Entry, Item, Thread, TranscriptFile } from './items'
import { count, isObject, linesOf, list, object, parsed, text, time, type Json, type Line } from './json'
import { ownBlocks, ownContent, ownFailure, ownOutcome, ownReplay } from './own-field'
import type { Report } from './report'

/** The adapter's (providers/openai-responses): what stands in Replay.blocks. */
const REPLAY_FORMAT = 1
const NO_USAGE: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 }
const NEWLINE = 10
/** `data:image/png;base64,...` */
const DATA_URL = /^data:([^;,]+);base64,(.*)$/s

/** `others`: rollouts that may be its sub-agents, and theirs in turn. */
export function readCodex(file: TranscriptFile, others: readonly TranscriptFile[], options: ReadOptions): Thread {
  const report = options.report(file.name)
  const reader = new RolloutReader(options, report)
  for (const line of linesOf(file, report)) reader.take(line)
  const { id, system, labels } = reader
  const thread = { id, file: file.name, system: system.join('\n\n'), labels, entries: reader.finish() }
  adopt(thread, reader.agents, others, options, report)
  return thread
}

/** Gives each call that started an agent its rollout, by the id that its events or its output name. */
function adopt(
  thread: Thread,
  agents: ReadonlyMap<string, string>,
  others: readonly TranscriptFile[],
  options: ReadOptions,
  report: Report,
): void {
  const own = new Map(others.flatMap((other) => (parentOf(other) === thread.id ? [[idOf(other), other] as const] : [])))
  const spawns = new Set<string>()
  for (const { item, line } of thread.entries) {
    if (item.kind === 'answer')
      for (const block of item.blocks)
        if (block.type === 'tool_call' && /spawn/i.test(block.name)) spawns.add(block.call)
    if (item.kind !== 'result' || !spawns.has(item.call)) continue
    const agent = agents.get(item.call) ?? ''
    const found = own.get(agent)
    if (found) item.child = readCodex(found, others, options)
    else if (agent !== '') report.note('sub_agent_not_given', line, agent)
    own.delete(agent)
  }
  for (const stray of own.values()) options.report(stray.name).note('stray_sub_agent', 1)
}

/** The session that started it; of a session that a person began, nothing. */
function parentOf(file: TranscriptFile): string {
  const { source, parent_thread_id } = metaOf(file)
  const spawned = object(object(object(source).subagent).thread_spawn)
  return text(spawned.parent_thread_id) || text(parent_thread_id)
}

function idOf(file: TranscriptFile): string {
  return text(metaOf(file).id)
}

function metaOf({ bytes }: TranscriptFile): Json {
  const end = bytes.indexOf(NEWLINE)
  const first = object(parsed(bytes.toString('utf8', 0, end < 0 ? bytes.length : end)))
  return first.type === 'session_meta' ? object(first.payload) : {}
}

class RolloutReader {
  id = ''
  /** What it says, part by part. */
  system: string[] = []
  labels: Record<string, string> = {}
  /** Of calls that are about an agent: its session. */
  readonly agents = new Map<string, string>()
  private readonly conversation = new Conversation()
  private platform = 'api.openai.com'
  private model = ''
  /** What the next entry hangs on. */
  private place: Entry | null = null
  private answer: Entry | null = null
  /** Entries that people's messages begin, for rollbacks: what each hangs on. */
  private turns: (Entry | null)[] = []

  constructor(
    private readonly options: ReadOptions,
    private readonly report: Report,
  ) {}

  finish(): Entry[] {
    return this.conversation.finish()
  }

  take(line: Line): void {
    const { n, value } = line
    const payload = object(value.payload)
    switch (value.type) {
      case 'session_meta':
        return this.meta(payload)
      case 'turn_context':
        this.model = normaliseText(text(payload.model)).text || this.model
        return this.report.note('client_only', n, 'turn_context')
      case 'response_item':
        return this.item(line, payload)
      case 'compacted':
        return this.compacted(line, payload)
      case 'event_msg':
        return this.event(line, payload)
      default:
        return this.report.note('client_only', n, text(value.type))
    }
  }

  /** A resumed rollout repeats that of where it came from: the first is its own. */
  private meta(meta: Json): void {
    if (this.id !== '') return
    this.id = text(meta.id)
    const base = text(object(meta.base_instructions).text) || text(meta.base_instructions) || text(meta.instructions)
    if (base !== '') this.system.push(normaliseText(base).text)
    const provider = text(meta.model_provider)
    if (provider !== '' && provider !== 'openai') this.platform = normaliseText(provider).text
    const facts = { client: meta.cli_version, cwd: meta.cwd, branch: object(meta.git).branch }
    for (const [label, fact] of Object.entries(facts))
      if (text(fact) !== '') this.labels[label] = normaliseText(text(fact)).text
    if (this.labels.client !== undefined) this.labels.client = `codex ${this.labels.client}`
  }

  private add({ n, value }: Line, item: Item): Entry {
    const entry = { id: `${n}`, line: n, at: time(value.timestamp), item, parent: this.place }
    this.place = item.kind === 'answer' ? this.conversation.answer(entry) : this.conversation.add(entry)
    if (item.kind !== 'answer') this.answer = null
    return entry
  }

  private item(line: Line, payload: Json): void {
    const { type, role } = payload
    if (type === 'message' && role !== 'assistant') return this.message(line, payload)
    if (text(type).endsWith('_output')) return this.output(line, payload)
    if (type === 'ghost_snapshot') return this.report.note('client_only', line.n, 'ghost_snapshot')
    const own = object(line.value.savefile)
    if (own.partial === true || (own.part === true && this.answer)) return
    const whole = ownBlocks(own, this.options.blobs)
    if (whole) return this.whole(line, whole, own)
    const blocks = answerBlocks(payload)
    if (blocks.length === 0) return this.report.note('empty', line.n)
    for (const [block] of blocks)
      if (block.type === 'tool_call' && block.call === '') this.report.note('nameless', line.n)
    this.grow(line, blocks)
  }

  /** An answer that our own export wrote: its first line says all of it. */
  private whole(line: Line, blocks: Block[], own: Json): void {
    const replay = ownReplay(own)
    this.answer = null
    this.grow(
      line,
      blocks.map((block, i) => [block, replay?.kept[i] ?? null]),
    )
    const item = this.conversation.last?.item
    if (replay && item?.kind === 'answer') {
      const { provider, platform, replayFormat } = replay
      Object.assign(item, { provider, platform, replayFormat })
    }
  }

  private grow(line: Line, pairs: readonly (readonly [Block, string | null])[]): void {
    const blocks = pairs.map(([block]) => block)
    const kept = pairs.map(([, own]) => own)
    const { item } = this.answer ?? {}
    if (this.answer && item?.kind === 'answer' && item.model === (this.model || 'unknown')) {
      item.blocks.push(...blocks)
      item.kept.push(...kept)
      this.answer.at = Math.max(this.answer.at, time(line.value.timestamp))
      this.conversation.named(this.answer)
    } else
      this.answer = this.add(line, {
        kind: 'answer',
        provider: 'openai-responses',
        platform: this.platform,
        model: this.model || 'unknown',
        replayFormat: REPLAY_FORMAT,
        blocks,
        kept,
        stop: 'end',
        usage: NO_USAGE,
      })
    if (this.answer.item.kind === 'answer' && blocks.some((block) => block.type === 'tool_call'))
      this.answer.item.stop = 'tool_calls'
  }

  private message(line: Line, { role, content }: Json): void {
    const parts = typeof content === 'string' ? [{ type: 'input_text', text: content }] : list(content)
    const own = ownContent(object(line.value.savefile), this.options.blobs)
    const blocks = own ?? parts.flatMap((part) => this.part(part, line.n))
    if (blocks.length === 0) return this.report.note('empty', line.n)
    const begun = this.conversation.last !== null
    if ((role === 'developer' || role === 'system') && !begun) {
      // Before anything was said it is as good as a part of the instructions.
      this.system.push(...blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])))
      return
    }
    if (role !== 'user') this.report.note('instruction', line.n)
    const before = this.place
    this.add(line, { kind: 'said', blocks })
    if (role === 'user') this.turns.push(before)
  }

  private part(part: unknown, line: number): ContentBlock[] {
    const wire = object(part)
    if (wire.type === 'input_text' || wire.type === 'output_text' || wire.type === 'text') return texts(text(wire.text))
    if (wire.type === 'input_image') {
      const [, mediaType = '', data = ''] = DATA_URL.exec(text(wire.image_url)) ?? []
      const block = attached(data, mediaType, this.options.blobs)
      if (block) return [block]
    }
    if (wire.type === 'input_file') {
      const [, mediaType = '', data = ''] = DATA_URL.exec(text(wire.file_data)) ?? []
      const block = attached(data, mediaType, this.options.blobs, text(wire.filename))
      if (block) return [block]
    }
    if (!isObject(part)) return []
    this.report.note('unknown_block', line, text(wire.type))
    return [structured(part)]
  }

  private output(line: Line, payload: Json): void {
    const call = text(payload.call_id)
    const { output } = payload
    const content = isObject(output) ? (output.content ?? output.content_items) : output
    const own = object(line.value.savefile)
    const read = (): ContentBlock[] =>
      typeof content === 'string' ? texts(content) : list(content).flatMap((part) => this.part(part, line.n))
    const blocks = ownContent(own, this.options.blobs) ?? read()
    const failed = isObject(output) && output.success === false
    const outcome = ownOutcome(own) ?? (failed ? 'error' : 'ok')
    const facts = { id: `${line.n}`, line: line.n, at: time(line.value.timestamp) }
    this.spawned(call, text(object(typeof output === 'string' ? parsed(output) : output).agent_id))
    const entry = this.conversation.result({ kind: 'result', call, outcome, blocks }, this.place, facts)
    if (!entry) return this.report.note('orphan_result', line.n)
    this.place = entry
    this.answer = null
  }

  private spawned(call: string, agent: string): void {
    if (call !== '' && agent !== '') this.agents.set(call, agent)
  }

  /** What the client sends from there on: its summary, and people's messages that it kept. Where only the vendor can read it, nothing. */
  private compacted(line: Line, payload: Json): void {
    const own = object(line.value.savefile)
    const summary = text(payload.message)
    const said = list(payload.replacement_history).flatMap((item) => {
      const { type, role, content } = object(item)
      return type === 'message' && role === 'user' ? list(content).flatMap((part) => this.part(part, line.n)) : []
    })
    const read = summary === '' ? [] : said.length > 0 ? said : texts(summary)
    const blocks = ownContent(own, this.options.blobs) ?? read
    if (blocks.length === 0) return this.report.note('no_summary', line.n)
    // Not every line is an entry: what an answer had said when it was stopped is one with the stop behind it.
    const from = count(own.keeps)
    const keeps = from > 0 ? this.conversation.entries.find((entry) => entry.line >= from) : undefined
    this.add(line, { kind: 'checkpoint', blocks, ...(keeps ? { keeps } : {}) })
    this.turns = []
  }

  private event(line: Line, payload: Json): void {
    switch (payload.type) {
      case 'token_count':
        return this.tokens(object(object(payload.info).last_token_usage))
      case 'turn_aborted':
        this.add(line, {
          kind: 'interrupted',
          partial: ownBlocks(object(line.value.savefile), this.options.blobs) ?? [],
        })
        return
      case 'error':
      case 'stream_error': {
        const message = normaliseText(text(payload.message)).text
        const own = ownFailure(object(line.value.savefile))
        this.add(line, { kind: 'failed', ...(own ?? { class: failureClass(message), message }) })
        return
      }
      case 'thread_rolled_back': {
        const dropped = this.turns.splice(Math.max(0, this.turns.length - count(payload.num_turns)))
        if (dropped.length > 0) this.place = dropped[0] ?? null
        this.answer = null
        return
      }
      case 'collab_agent_spawn_end':
        this.spawned(text(payload.call_id), text(payload.new_thread_id))
        return this.report.note('client_only', line.n, 'event_msg/collab_agent_spawn_end')
      case 'item_completed': {
        const { type, id, receiver_thread_ids } = object(payload.item)
        if (type === 'CollabAgentToolCall') this.spawned(text(id), text(list(receiver_thread_ids)[0]))
        return this.report.note('client_only', line.n, 'event_msg/item_completed')
      }
      default:
        this.report.note('client_only', line.n, `event_msg/${text(payload.type)}`)
    }
  }

  /** Of the answer that stands before; a second count of the same is none of another. */
  private tokens(usage: Json): void {
    const item = this.answer?.item
    if (item?.kind !== 'answer' || count(usage.input_tokens) === 0) return
    item.usage = {
      input: count(usage.input_tokens),
      output: count(usage.output_tokens),
      cacheRead: count(usage.cached_input_tokens),
      cacheWrite: 0,
      reasoning: count(usage.reasoning_output_tokens),
    }
  }
}

/** The blocks of an item of an answer, each with what must go back verbatim. */
function answerBlocks(item: Json): [Block, string | null][] {
  const callId = text(item.call_id)
  switch (item.type) {
    case 'message':
      return list(item.content).flatMap((part): [Block, string | null][] => {
        const wire = object(part)
        if (wire.type === 'refusal') return [[{ ...textBlock(text(wire.refusal)), type: 'refusal' } as Block, null]]
        return texts(text(wire.text)).map((block) => [block, phaseOf(item)])
      })
    case 'reasoning': {
      const said = [...list(item.summary), ...list(item.content)].map((part) => text(object(part).text)).filter(Boolean)
      const block: Block = { type: 'reasoning', text: normaliseText(said.join('\n\n')).text }
      return [[block, text(item.encrypted_content) === '' ? null : JSON.stringify(reasoningItem(item))]]
    }
    case 'function_call':
      return [[callBlock(callId, text(item.name), text(item.arguments)), null]]
    case 'custom_tool_call':
      return [[callBlock(callId, text(item.name), JSON.stringify({ input: item.input })), null]]
    case 'local_shell_call':
      return [[callBlock(callId || text(item.id), 'local_shell', JSON.stringify(item.action ?? {})), null]]
    default:
      return isObject(parsed(JSON.stringify(item))) ? [[structured(item), JSON.stringify(item)]] : []
  }
}

function phaseOf({ phase }: Json): string | null {
  return text(phase) === '' ? null : JSON.stringify({ phase })
}

function reasoningItem({ summary, encrypted_content }: Json): Json {
  return { type: 'reasoning', summary: list(summary), encrypted_content }
}
