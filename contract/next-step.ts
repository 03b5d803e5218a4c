/**
 * nextStep: what an executor appends, closes and runs next. Pure (L1): the same log and draft rows give the same decision anywhere.
 * The rules, and what breaks otherwise, are in docs/protocol.md (rules 5 to 9, 14 and 16 to 23).
 */
import type { ContentBlock, Block } from './blocks'
import { checkpointDue } from './compaction'
import { isSafe, toolNamed, type Definition, type SessionLimits, type ToolSpec } from './definition'
import type { FailureClass, KnownEvent, NewEvent, Outcome, Payload } from './events'
import { nextAfter } from './fallbacks'
import { checkpointStep, modelStep, toolStep } from './ids'
import { reduce } from './reduce'
import { openCalls, phaseOf, type CallState, type State, type Used } from './state'

/** A draft row as the decision sees it. */
export interface DraftView {
  step: string
  state: 'running' | 'finished' | 'closed'
  token: string
  /** Its executor was heard of lately. */
  fresh: boolean
  /** Of a closed row. */
  outcome: 'unknown' | 'cancelled' | null
  /** Of a finished row: the event that it becomes. */
  result: StepResult | null
  /** Of a closed row: what had been streamed. */
  partial?: Block[]
  /** The result is appended as it stands here: what the row has stored is sealed otherwise than the log. */
  byHost?: boolean
}

export interface Env {
  /** Microseconds since 1970. */
  now: number
  /** Hex digest of a text: makes the idempotency keys of tools. */
  sha256(text: string): string
  definition(hash: string): Definition
  drafts: ReadonlyMap<string, DraftView>
  /** True: leave live executors a moment to end by themselves before an interrupt closes their rows. */
  grace: boolean
}

/** What a finished draft row becomes. */
export type StepResult = Extract<
  NewEvent,
  { type: 'model_answered' | 'model_failed' | 'tool_finished' | 'checkpoint_made' }
>

/** `fromDraft`: the stored content of this draft is the payload, and is moved inside the database. */
export type PlannedEvent = NewEvent & { fromDraft?: string }

/** Compare-and-set: the row is as it was seen (`token`, or absent), then it is closed with that outcome. */
export interface Close {
  step: string
  token: string | null
  outcome: 'unknown' | 'cancelled'
}

export interface RunStep {
  step: string
  kind: 'model' | 'tool'
  /** Number of the model call in its turn, for people who watch. */
  n: number
  queue: string | null
  local: boolean
  timeoutMs: number
}

export type Waiting = 'nothing' | 'steps' | 'approval' | 'deferred' | 'settling' | 'newer_worker' | 'closed'

/** Either `closes` or `events` is empty; with `closes`, or where `again` says so, the caller looks again afterwards. */
export interface Decision {
  events: PlannedEvent[]
  closes: Close[]
  run: RunStep[]
  waiting: Waiting
  /** Look again then, even if nothing happens: microseconds since 1970. */
  wakeAt: number | null
  /** Rows are to be closed, whose names are certain only once `events` stand in the log. */
  again: boolean
  /** The state once `events` are appended. */
  state: State
}

/** How long a whole model call may take, its retries apart. */
const MODEL_TIMEOUT_MS = 3_600_000
const text = (t: string): ContentBlock[] => [{ type: 'text', text: t }]

export function nextStep(from: State, env: Env): Decision {
  let state = from
  const d: Decision = { events: [], closes: [], run: [], waiting: 'nothing', wakeAt: null, again: false, state }
  const push = (event: PlannedEvent): void => {
    const at = env.now
    const reduced = reduce(state, {
      seq: state.seq + 1,
      at,
      actor: 'system',
      type: event.type,
      payload: event.payload,
    } as KnownEvent)
    if (!reduced.ok)
      throw new Error(
        `nextStep decided on ${event.type} at ${state.seq + 1} in phase ${reduced.phase}: ${reduced.refusal}`,
      )
    state = reduced.state
    d.events.push(event)
  }

  for (let moved = true; moved;) {
    const before = state.seq
    const due = state.due
    d.run = []
    d.wakeAt = null
    d.waiting = 'nothing'
    step(state, env, d, push)
    if (d.closes.length > 0 && d.events.length > 0)
      return { ...d, closes: [], run: [], waiting: 'steps', wakeAt: null, again: true, state }
    if (d.closes.length > 0) return { ...d, run: [], waiting: 'settling', state: from }
    moved = state.seq !== before
    // A draft whose answer did not see what made it due would be promoted without end.
    const answered = d.events.some((event) => event.type === 'model_answered' && event.payload.step === modelStep(due))
    if (answered && due && state.due === due)
      throw new Error(`nextStep: ${modelStep(due)} is due again after its own answer`)
  }
  return { ...d, state }
}

function step(s: State, env: Env, d: Decision, push: (e: PlannedEvent) => void): void {
  if (s.unsupported) return void (d.waiting = 'newer_worker')
  switch (phaseOf(s)) {
    case 'new':
    case 'idle':
      return
    case 'closed':
      return void (d.waiting = 'closed')
    case 'stopped':
      return push(turnFinished(s, { reason: 'interrupted' }))
    case 'settled':
      return push(turnFinished(s, { reason: s.turn?.failed ? 'failed' : 'done' }))
    case 'stopping':
      return stop(s, env, d, push)
    case 'calls':
      return calls(s, env, d, push)
    case 'due':
      return model(s, env, d, push)
  }
}

function turnFinished(s: State, how: Omit<Payload<'turn_finished'>, 'turn'>): PlannedEvent {
  return { type: 'turn_finished', payload: { turn: s.turn?.opener ?? 0, ...how } }
}

/** Rule 16 (a): promote what finished; close the other rows; then one append, after which only turn_finished can follow. */
function stop(s: State, env: Env, d: Decision, push: (e: PlannedEvent) => void): void {
  const partial: Payload<'interrupted'>['partial'] = []
  if (s.due && openCalls(s).length === 0) {
    const made = summaryOf(s, env.drafts.get(checkpointStep(s.due)))
    if (made) return push(made)
    const key = modelStep(s.due)
    const row = env.drafts.get(key)
    if (row?.result) return push({ ...row.result, fromDraft: key })
    if (!row || row.state === 'running') closeRow(d, key, row, 'cancelled')
    else if (row.partial && row.partial.length > 0) partial.push({ step: key, blocks: row.partial })
  }
  const results: PlannedEvent[] = []
  for (const call of openCalls(s)) {
    const row = env.drafts.get(toolStep(call.id))
    const deferred = toolOf(call, env)?.deferred ?? false
    if (row && row.state !== 'running') results.push(fromRow(call, row))
    else if (row) closeRow(d, row.step, row, 'unknown')
    else if (call.started && (call.started <= s.inherited || deferred))
      results.push(result(call, 'unknown', 'The turn was interrupted; whether this took effect is not known.'))
    else if (call.started) closeRow(d, toolStep(call.id), undefined, 'cancelled')
    else results.push(result(call, 'cancelled', 'Not run: the turn was interrupted.'))
  }
  if (d.closes.length > 0) {
    // Live executors are told to stop, and given a moment to say what they did; then their rows are closed.
    if (env.grace && d.closes.some((c) => c.token !== null && env.drafts.get(c.step)?.fresh)) {
      d.closes = []
      d.waiting = 'settling'
    }
    return
  }
  for (const event of results) push(event)
  const turn = s.turn?.opener ?? 0
  push({ type: 'interrupted', payload: { turn, by: s.stop, partial } })
}

/** Rule 16 (b): each open call for itself. */
function calls(s: State, env: Env, d: Decision, push: (e: PlannedEvent) => void): void {
  const waits: Waiting[] = []
  for (const call of openCalls(s)) {
    const tool = toolOf(call, env)
    if (!call.started) {
      if (!tool || call.problem !== undefined) {
        push(
          result(call, 'error', `Not run: ${call.problem ?? `there is no tool named ${call.name}`}.`, 'invalid_call'),
        )
        continue
      }
      const verdict = permission(s, call, tool, env)
      if (verdict === 'wait') {
        waits.push('approval')
        if (call.expiresAt && call.asked > s.inherited) d.wakeAt = Math.min(d.wakeAt ?? Infinity, call.expiresAt)
        continue
      }
      if (verdict === 'denied') {
        const why =
          tool.approval === 'deny' ? 'the definition does not allow this tool' : (call.note ?? 'the request was denied')
        push(result(call, 'denied', `Not run: ${why}.`))
        continue
      }
      if (verdict !== 'go') {
        push(verdict) // the next round finds it asked, or resolved
        continue
      }
      const idempotencyKey = env.sha256(`savefile/idempotency\n${s.custody}\n${call.id}`)
      push({
        type: 'tool_started',
        payload: { call: call.id, tool: tool.name, queue: tool.queue ?? null, idempotencyKey },
      })
    } else if (call.started <= s.inherited && !(tool && (isSafe(tool) || s.rerun))) {
      push(
        result(
          call,
          'unknown',
          'This call was started before the fork; whether it took effect is not known, and it is not run again.',
        ),
      )
      continue
    }
    if (tool?.deferred) {
      waits.push('deferred')
      continue
    }
    const row = env.drafts.get(toolStep(call.id))
    if (row && row.state !== 'running') push(fromRow(call, row))
    else
      d.run.push({
        step: toolStep(call.id),
        kind: 'tool',
        n: s.turn?.steps ?? 0,
        queue: tool?.queue ?? null,
        local: tool?.local ?? false,
        timeoutMs: tool?.timeoutMs ?? 0,
      })
  }
  d.waiting = d.run.length > 0 ? 'steps' : (waits.find((w) => w === 'approval') ?? waits[0] ?? 'nothing')
}

/** Whether a call that has not started may start; or the event that must come first. */
function permission(s: State, call: CallState, tool: ToolSpec, env: Env): 'go' | 'wait' | 'denied' | PlannedEvent {
  if (tool.approval === 'deny') return 'denied'
  const unsafeInherited = call.answer <= s.inherited && !isSafe(tool)
  const must = unsafeInherited || (tool.approval === 'ask' && !s.allowed.includes(tool.name))
  if (!must) return 'go'
  const decision = call.decision ?? (unsafeInherited ? null : call.inheritedDecision)
  if (decision) return decision === 'allow' ? 'go' : 'denied'
  if (!call.asked) {
    const rule = unsafeInherited ? 'inherited' : 'ask'
    const seconds = env.definition(call.definition).approvalSeconds
    const expires = seconds === undefined ? {} : { expiresAt: env.now + seconds * 1e6 }
    return { type: 'approval_requested', payload: { call: call.id, tool: tool.name, rule, ...expires } }
  }
  if (call.expiresAt && call.asked > s.inherited && env.now >= call.expiresAt)
    return {
      type: 'approval_resolved',
      payload: { call: call.id, decision: 'deny', scope: 'once', note: 'nobody answered in time' },
    }
  return 'wait'
}

/** Rule 16 (c), and the limits, which are checked before the call that would break them. */
function model(s: State, env: Env, d: Decision, push: (e: PlannedEvent) => void): void {
  const key = modelStep(s.due)
  const row = env.drafts.get(key)
  if (row?.result) return push({ ...row.result, fromDraft: key })
  const limit = row?.state === 'running' ? null : limitReached(s, env)
  if (limit && !row) return closeRow(d, key, row, 'cancelled')
  if (limit) return push(turnFinished(s, { reason: 'limit', limit }))
  const definition = env.definition(s.definition)
  const summary = env.drafts.get(checkpointStep(s.due))
  // The request as it is would be refused again.
  const noRoom = s.turn?.recovery === 'due' && summary?.state === 'closed' && checkpointDue(s, definition) !== null
  if (noRoom && !row) return closeRow(d, key, row, 'cancelled')
  // Before the call, not beside it: what a draft has begun with stays as it is.
  if (!row) {
    const first = checkpointStep(s.due)
    const made = summaryOf(s, summary)
    if (made) return push(made)
    // Closed: none could be made. The call goes on without, and the next one may try again.
    const open = !summary || summary.state === 'running'
    if (open && checkpointDue(s, definition) !== null) {
      const n = (s.turn?.steps ?? 0) + 1
      d.run.push({ step: first, kind: 'model', n, queue: null, local: false, timeoutMs: MODEL_TIMEOUT_MS })
      d.waiting = 'steps'
      return
    }
  }
  if (row?.state === 'closed') {
    const why: FailureClass = noRoom ? 'context_exceeded' : 'internal'
    const message = noRoom
      ? 'The request is longer than the model takes, and no summary could be made that would make room.'
      : 'The call was given up before it began.'
    const next = nextAfter(s, definition, why)
    const payload = { step: key, class: why, retryable: false, attempts: [], message, ...(next ? { next } : {}) }
    return push({ type: 'model_failed', payload })
  }
  d.run.push({
    step: key,
    kind: 'model',
    n: (s.turn?.steps ?? 0) + 1,
    queue: null,
    local: false,
    timeoutMs: MODEL_TIMEOUT_MS,
  })
  d.waiting = 'steps'
}

/** The checkpoint that a finished row becomes, where it still says something new: it is paid for. */
function summaryOf(s: State, row: DraftView | undefined): PlannedEvent | null {
  if (row?.result?.type !== 'checkpoint_made') return null
  const { hi } = row.result.payload
  return hi > s.checkpoint && s.boundaries.includes(hi) ? { ...row.result, fromDraft: row.step } : null
}

/**
 * What the next call would break. The tokens that it would send are known, and count beforehand; what it costs is known only behind it.
 * The session's limits come first: no other turn can do what this one can't.
 */
function limitReached(s: State, env: Env): Payload<'turn_finished'>['limit'] | null {
  const { limits, sessionLimits = {} } = env.definition(s.definition)
  const turn = s.turn
  if (!turn) return null
  const beyond = (used: Used, since: number, limit: SessionLimits): keyof SessionLimits | null => {
    const { steps = Infinity, tokens = Infinity, usdMicros = Infinity, seconds = Infinity } = limit
    if (used.steps >= steps) return 'steps'
    if (used.tokens >= tokens || used.tokens + s.context > tokens) return 'tokens'
    if (used.usdMicros >= usdMicros) return 'usdMicros'
    return env.now - since >= seconds * 1e6 ? 'seconds' : null
  }
  const ofSession = beyond(s.spent, s.spent.since, sessionLimits)
  if (ofSession) return ofSession === 'usdMicros' ? 'session_usd' : `session_${ofSession}`
  const ofTurn = beyond(turn, turn.openedAt, limits)
  return ofTurn === 'usdMicros' ? 'usd' : ofTurn
}

function toolOf(call: CallState, env: Env): ToolSpec | undefined {
  return toolNamed(env.definition(call.definition), call.name)
}

function closeRow(d: Decision, step: string, row: DraftView | undefined, outcome: Close['outcome']): void {
  d.closes.push({ step, token: row?.token ?? null, outcome })
}

function result(call: CallState, outcome: Outcome, why: string, code?: string): PlannedEvent {
  return {
    type: 'tool_finished',
    payload: { call: call.id, tool: call.name, outcome, blocks: text(why), ...(code ? { code } : {}) },
  }
}

function fromRow(call: CallState, row: DraftView): PlannedEvent {
  if (row.result) return row.byHost ? row.result : { ...row.result, fromDraft: row.step }
  const why =
    row.outcome === 'cancelled'
      ? 'Not run: it was given up before it began.'
      : 'It was started, and nobody saw its end: whether it took effect is not known. Look before you try again.'
  const event = result(call, row.outcome ?? 'unknown', why)
  const seen = (row.partial ?? []).filter((b): b is Extract<Block, { type: 'text' }> => b.type === 'text')
  if (event.type === 'tool_finished' && seen.length > 0) event.payload.blocks.push(...seen)
  return event
}
