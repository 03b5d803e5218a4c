/**
 * From entries to the events of a log that `reduce` and the invariants take: what the protocol has and a transcript has not (turns, starts of
 * calls, manifests) is put between, at the time of what stands before it. Pure. Where rows of the session are there already, the events
 * must be the same, but for what an import itself put behind them (a definition, custody): that stays where it is.
 * Over 400 lines: one writer with a method for each kind of entry.
 */
import { createHash } from 'node:crypto'
import { textBlock, type Block, type ContentBlock } from '../contract/blocks'
import { SavefileError } from '../contract/errors'
import {
  VIEW_VERSION,
  PAYLOADS,
  VERSIONS,
  parseEvent,
  type Attempt,
  type EventType,
  type KnownEvent,
  type Payload,
  type StoredEvent,
} from '../contract/events'
import { callId, modelStep } from '../contract/ids'
import { reduceChecked } from '../contract/invariants'
import { INLINE_TEXT_BYTES, MAX_PAYLOAD_BYTES } from '../contract/limits'
import type { ArrivingEvent } from '../contract/bundle-port'
import { emptyState, openCalls, phaseOf, unseenByModel, type State } from '../contract/state'
import { normaliseText } from '../contract/text'
import type { AnswerItem, Blobs, Entry, Item } from './items'
import type { Report } from './report'

const GO_ON = '(The conversation goes on.)'
const NO_RESULT = 'The transcript has no result of this call: whether it took effect is not known.'
/** Of the rows that are there already: what may stand between those that a transcript gives. */
const BESIDE: readonly string[] = ['definition_changed', 'custody_taken', 'granted', 'revoked']

/** Where a branch begins: what its own events go on from. */
export interface Place {
  session: string
  parent: string
  state: State
  calls: ReadonlyMap<string, Call>
  failures: readonly Attempt[]
  words: string
  before: ReadonlyMap<Entry, number>
  at: number
}

interface Call {
  id: string
  tool: string
  at: number
}

export interface WriterOptions {
  session: string
  /** `user:<principal>`: in whose name the messages stand. */
  actor: string
  report: Report
  blobs: Blobs
  /** The session's own rows, where it is there already, by seq. */
  existing: ReadonlyMap<number, StoredEvent>
  /** The session's id of a sub-agent that a result tells of. */
  childOf(item: Extract<Item, { kind: 'result' }>): string | null
}

export class LogWriter {
  readonly events: ArrivingEvent[] = []
  private state: State
  private readonly calls: Map<string, Call>
  private failures: Attempt[] = []
  /** Of the last failure. */
  private words = ''
  private readonly before: Map<Entry, number>
  private at: number
  private line = 0

  constructor(
    private readonly options: WriterOptions,
    /** Forked with the first event that it has of its own. */
    private fork: Place | null = null,
  ) {
    this.state = fork?.state ?? emptyState
    this.calls = new Map(fork?.calls)
    this.failures = [...(fork?.failures ?? [])]
    this.words = fork?.words ?? ''
    this.before = new Map(fork?.before)
    this.at = fork?.at ?? 0
  }

  create(payload: Payload<'session_created'>, at: number): void {
    this.at = at
    this.emit('session_created', payload, this.options.actor, 'x:created')
  }

  /** A branch from here. Nothing of a fork that has no event yet: it goes on from where that would. */
  place(): Place {
    const { state, calls, failures, words, before, at } = this
    const owner = this.fork ? this.fork : { session: this.options.session, parent: this.options.session }
    return {
      session: owner.session,
      parent: owner.parent,
      state,
      calls: new Map(calls),
      failures,
      words,
      before: new Map(before),
      at,
    }
  }

  write(entry: Entry): void {
    const { item } = entry
    if (item.kind === 'end') return
    this.line = entry.line
    if (item.kind !== 'result' && entry.at > 0 && entry.at < this.at)
      this.options.report.note('time_went_back', entry.line)
    if (entry.at === 0) this.options.report.note('untimed', entry.line)
    if (item.kind !== 'result') this.closeCalls()
    this.before.set(entry, this.state.seq)
    const since = this.at
    if (item.kind !== 'said') this.at = Math.max(this.at, entry.at)
    switch (item.kind) {
      case 'said':
        return this.said(entry, item.blocks)
      case 'answer':
        return this.answer(entry, item, since)
      case 'result':
        return this.result(entry, item, since)
      case 'late': {
        const call = this.calls.get(item.call)
        if (!call) return this.options.report.note('orphan_result', entry.line)
        this.options.report.note('second_result', entry.line)
        const payload = { call: call.id, tool: call.tool, outcome: item.outcome, blocks: this.shorten(item.blocks) }
        return this.emit('result_arrived_late', payload, `tool:${call.tool}`, `x:late:${call.id}:${entry.id}`)
      }
      case 'failed':
        return this.failed(entry, item)
      case 'interrupted':
        return this.interrupted(entry, item.partial)
      case 'checkpoint':
        return this.checkpoint(entry, item)
    }
  }

  /** A branch of which nothing found a place. */
  get isSilent(): boolean {
    return this.fork !== null && this.failures.length === this.fork.failures.length
  }

  /** The transcript is over: no turn stays open, for an adopted session would go on with it at once. */
  end(): void {
    this.line = 0
    this.closeCalls()
    this.closeFailures()
    this.settle()
    if (this.state.turn) this.stop('p:end-of-transcript', [])
    // What an import put behind the last of these events stays.
    for (let row = this.row(); row && BESIDE.includes(row.type); row = this.row()) this.take(row)
  }

  private said(entry: Entry, blocks: ContentBlock[]): void {
    if (blocks.length === 0) return this.options.report.note('empty', entry.line)
    this.closeFailures()
    this.settle()
    this.at = Math.max(this.at, entry.at)
    this.message(this.shorten(blocks), entry.id)
  }

  private message(blocks: ContentBlock[], key: string): void {
    const delivery = this.state.turn ? 'steer' : 'queue'
    this.emit('message_received', { blocks, delivery }, this.options.actor, `p:${key}`)
  }

  private answer(entry: Entry, item: AnswerItem, since: number): void {
    if (item.blocks.length === 0) return this.options.report.note('empty', entry.line)
    if (!this.state.due) {
      this.options.report.note('made_up_message', entry.line)
      this.message([textBlock(GO_ON)], `before:${entry.id}`)
    }
    const { session, report } = this.options
    const { due } = this.state
    const saw = unseenByModel(this.state)
    let calls = 0
    const names = new Map<string, Call>()
    const blocks = item.blocks.map((block): Block => {
      if (block.type !== 'tool_call') return block
      const id = callId(session, due, calls++)
      if (block.call !== '') names.set(block.call, { id, tool: block.name || 'unnamed', at: this.at })
      return { ...block, call: id }
    })
    const replay = item.kept.some((kept) => kept !== null)
      ? {
          provider: item.provider,
          platform: item.platform,
          model: item.model,
          format: item.replayFormat,
          blocks: item.kept,
        }
      : undefined
    if (this.failures.length > 0) report.note('retried_failure', entry.line)
    const attempts: Attempt[] = [...this.failures, { n: this.failures.length + 1, at: since, outcome: 'answered' }]
    this.failures = []
    const payload: Payload<'model_answered'> = {
      step: modelStep(due),
      provider: item.provider,
      model: item.model,
      blocks,
      stop: item.stop,
      usage: item.usage,
      ...(item.costUsdMicros === undefined ? {} : { costUsdMicros: item.costUsdMicros }),
      ...(item.responseId === undefined ? {} : { responseId: item.responseId }),
      timings: { startedAt: since, totalMs: Math.round((this.at - since) / 1000) },
      ...(replay ? { replay } : {}),
      manifest: {
        view: VIEW_VERSION,
        definition: this.state.definition,
        prev: this.state.lastAnswer,
        saw,
        dropped: [],
        requestHash: '',
      },
      attempts,
    }
    this.emit('model_answered', { ...payload, blocks: this.shorten(blocks) }, 'agent', `x:${modelStep(due)}`)
    for (const [call, known] of names) this.calls.set(call, known)
  }

  private result(entry: Entry, item: Extract<Item, { kind: 'result' }>, since: number): void {
    const call = this.calls.get(item.call)
    if (!call || !this.isOpen(call.id)) return this.options.report.note('orphan_result', entry.line)
    const { at } = this
    this.at = since // it began where the answer ended
    if (item.outcome !== 'denied' && item.outcome !== 'cancelled') this.start(call)
    const child = this.options.childOf(item)
    const blocks = this.shorten(item.blocks)
    if (child !== null) {
      const task = this.shorten(firstSaid(item))
      this.emit('child_started', { child, call: call.id, task }, 'system', `x:child:${child}`)
    }
    this.at = at
    if (child !== null)
      this.emit('child_finished', { child, outcome: item.outcome, blocks }, 'system', `x:child_finished:${child}`)
    this.finish(call, item.outcome, blocks, item.code, Math.round((at - call.at) / 1000))
  }

  private start({ id, tool }: Call): void {
    const text = `savefile/idempotency\n${this.state.custody}\n${id}`
    const idempotencyKey = createHash('sha256').update(text).digest('hex')
    this.emit('tool_started', { call: id, tool, queue: null, idempotencyKey }, 'system', `x:started:${id}`)
  }

  private finish(
    { id, tool }: Call,
    outcome: Payload<'tool_finished'>['outcome'],
    blocks: ContentBlock[],
    code: string | undefined,
    ms: number,
  ): void {
    const payload = { call: id, tool, outcome, blocks, ...(code === undefined ? {} : { code }), ms: Math.max(0, ms) }
    this.emit('tool_finished', payload, `tool:${tool}`, `x:result:${id}`)
  }

  private isOpen(id: string): boolean {
    return this.state.calls.some((call) => call.id === id && !call.finished)
  }

  /** Calls whose result never comes. */
  private closeCalls(): void {
    for (const { id, name, started, problem } of openCalls(this.state)) {
      this.options.report.note('missing_result', this.line)
      const call = { id, tool: name || 'unnamed', at: this.at }
      if (problem === undefined && !started) this.start(call)
      this.finish(call, problem === undefined ? 'unknown' : 'error', [textBlock(NO_RESULT)], undefined, 0)
    }
  }

  private failed(entry: Entry, item: Extract<Item, { kind: 'failed' }>): void {
    if (!this.state.due) return this.options.report.note('failure_of_nothing', entry.line)
    this.failures = [...this.failures, { n: this.failures.length + 1, at: this.at, outcome: item.class }]
    this.words = item.message
  }

  private closeFailures(): void {
    const last = this.failures.at(-1)
    if (!last || last.outcome === 'answered' || last.outcome === 'vanished') return
    const step = modelStep(this.state.due)
    const payload = { step, class: last.outcome, retryable: false, attempts: this.failures, message: this.words }
    this.failures = []
    this.emit('model_failed', payload, 'agent', `x:${step}`)
  }

  private settle(): void {
    const { turn } = this.state
    if (!turn || phaseOf(this.state) !== 'settled') return
    const payload = { turn: turn.opener, reason: turn.failed ? ('failed' as const) : ('done' as const) }
    this.emit('turn_finished', payload, 'system', `x:finished:${turn.opener}`)
  }

  private interrupted(entry: Entry, partial: Block[]): void {
    this.closeFailures()
    if (!this.state.turn) return this.options.report.note('failure_of_nothing', entry.line)
    this.stop(`p:${entry.id}`, partial)
  }

  private stop(key: string, partial: Block[]): void {
    const turn = this.state.turn?.opener ?? 0
    const step = modelStep(this.state.due || turn)
    this.emit('message_received', { blocks: [], delivery: 'interrupt' }, this.options.actor, key)
    const by = this.state.seq
    const kept = partial.length > 0 ? [{ step, blocks: this.shorten(partial) }] : []
    this.emit('interrupted', { turn, by, partial: kept }, 'system', `x:interrupted:${turn}`)
    this.emit('turn_finished', { turn, reason: 'interrupted' }, 'system', `x:finished:${turn}`)
  }

  private checkpoint(entry: Entry, item: Extract<Item, { kind: 'checkpoint' }>): void {
    if (item.blocks.length === 0) return this.options.report.note('no_summary', entry.line)
    const kept = item.keeps ? this.before.get(item.keeps) : undefined
    // Never for what no model has seen.
    const hi = Math.max(1, Math.min(kept ?? Infinity, this.state.boundaries.at(-1) ?? 1))
    const payload = { lo: 1, hi, blocks: this.shorten(item.blocks), method: 'model' as const }
    this.emit('checkpoint_made', payload, 'system', `p:${entry.id}`)
  }

  private shorten<B extends Block>(blocks: readonly B[]): B[] {
    return blocks.map((block) => {
      if (block.type !== 'text' || block.text.length * 3 <= INLINE_TEXT_BYTES) return block
      const bytes = Buffer.from(block.text, 'utf8')
      if (bytes.length <= INLINE_TEXT_BYTES) return block
      return { ...block, text: '', blob: this.options.blobs.put(bytes, 'text/plain; charset=utf-8') }
    })
  }

  private row(): StoredEvent | undefined {
    return this.options.existing.get(this.state.seq + 1)
  }

  private emit<T extends EventType>(type: T, payload: Payload<T>, actor: string, key: string): void {
    if (this.fork) {
      const { parent, state } = this.fork
      this.fork = null
      const forked = {
        parent,
        seq: state.seq,
        hash: '',
        definition: state.definition,
        open: 'rule' as const,
        quiet: true as const,
      }
      this.emit('forked', forked, this.options.actor, 'x:forked')
    }
    const { json, value } = storable(payload)
    const made = { type, v: VERSIONS[type], at: this.at, actor, key, payload: json }
    for (let row = this.row(); row; row = this.row()) {
      const first = row.type === type && (type === 'session_created' || type === 'forked')
      const same = first || (row.type === type && row.key === key && row.payload === made.payload)
      if (!same && !BESIDE.includes(row.type)) throw this.diverged()
      this.take(row)
      if (same) return
    }
    const bytes = Buffer.byteLength(made.payload)
    if (bytes > MAX_PAYLOAD_BYTES)
      throw new SavefileError(
        'too_large',
        `Line ${this.line} of the transcript makes an event of ${bytes} bytes; ${MAX_PAYLOAD_BYTES} are allowed. Nothing of it was taken.`,
        { line: this.line, bytes, limit: MAX_PAYLOAD_BYTES },
      )
    const checked = PAYLOADS[type].safeParse(value)
    if (!checked.success)
      throw this.illegal(type, checked.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; '))
    // Behind what an import left here, its time has come too.
    const at = Math.max(made.at, this.at)
    const seq = this.state.seq + 1
    this.append({ seq, at, actor, type, payload: checked.data } as KnownEvent, { ...made, at })
  }

  /** An event that is there already. */
  private take(row: StoredEvent): void {
    const known = row.kid === null ? parseEvent(row) : null
    if (!known) throw this.diverged()
    const { type, v, at, actor, key, payload } = row
    this.append(known, { type, v, at, actor, key, payload })
    this.at = Math.max(this.at, at)
  }

  private append(event: KnownEvent, written: ArrivingEvent): void {
    const { state, broken } = reduceChecked(this.state, event)
    if (broken.length > 0) throw this.illegal(event.type, broken.join('; '))
    this.state = state
    this.events.push(written)
  }

  private diverged(): SavefileError {
    const { session } = this.options
    const seq = this.state.seq + 1
    return new SavefileError(
      'diverged',
      `Session ${session} is here, and from event ${seq} on it is not what this transcript says: it went on, the transcript was in the middle of a turn when it was imported, or it is another transcript. Nothing was taken. Import it under another id to keep both (--as-id).`,
      { session, seq },
    )
  }

  private illegal(type: string, why: string): SavefileError {
    return new SavefileError(
      'invalid_transcript',
      `Line ${this.line} of the transcript gives a ${type} that no log takes: ${why}. Nothing of it was taken.`,
      { line: this.line, type, why },
    )
  }
}

/** JSON text that every store can hold, and what it says. */
function storable(payload: unknown): { json: string; value: unknown } {
  const json = JSON.stringify(payload)
  if (!/\\u(?:0000|d[89a-f])/i.test(json)) return { json, value: payload }
  const clean = JSON.stringify(payload, (_key, value: unknown) =>
    typeof value === 'string' ? normaliseText(value).text : value,
  )
  return { json: clean, value: JSON.parse(clean) }
}

function firstSaid({ child }: Extract<Item, { kind: 'result' }>): ContentBlock[] {
  const first = child?.entries.find(({ item }) => item.kind === 'said')?.item
  return first?.kind === 'said' ? first.blocks : []
}
