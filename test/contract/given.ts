/**
 * Builders for given/when/then: short events, a log that is judged after every event, drafts and an Env for nextStep.
 */
import { createHash } from 'node:crypto'
import { checkpointDue } from '../../contract/compaction'
import { parseDefinition, type Definition, type DefinitionInput } from '../../contract/definition'
import type { Delivery, FailureClass, KnownEvent, NewEvent, Outcome, Payload } from '../../contract/events'
import { nextAfter } from '../../contract/fallbacks'
import { callId, checkpointStep, modelStep, toolStep } from '../../contract/ids'
import { reduceChecked } from '../../contract/invariants'
import type { DraftView, Env } from '../../contract/next-step'
import { emptyState, unseenByModel, type State } from '../../contract/state'

export const SESSION = 's'
export const HASH = `sha256:${'a'.repeat(64)}`
/** Start of every test's clock, microseconds; an event's `at` is one second later than the one before. */
export const T0 = 1_700_000_000_000_000
export const SECOND = 1_000_000

const schema = '{"type":"object"}'
export const DEFINITION_INPUT: DefinitionInput = {
  model: { provider: 'anthropic', name: 'scripted' },
  fallbacks: {
    models: [
      { provider: 'openai-chat', name: 'second' },
      { provider: 'openai-chat', name: 'third' },
    ],
  },
  approvalSeconds: 60,
  tools: [
    { name: 'pay', description: '', inputSchema: schema, approval: 'allow' },
    { name: 'look', description: '', inputSchema: schema, approval: 'allow', readOnly: true },
    { name: 'put', description: '', inputSchema: schema, approval: 'allow', idempotent: true },
    { name: 'ask', description: '', inputSchema: schema, approval: 'ask' },
    { name: 'ask_look', description: '', inputSchema: schema, approval: 'ask', readOnly: true },
    { name: 'never', description: '', inputSchema: schema, approval: 'deny' },
    { name: 'wait', description: '', inputSchema: schema, approval: 'allow', deferred: true },
    { name: 'wait_ask', description: '', inputSchema: schema, approval: 'ask', deferred: true },
  ],
}
export const DEFINITION: Definition = parseDefinition(DEFINITION_INPUT)

export const created: NewEvent = { type: 'session_created', payload: { definition: HASH, origin: { kind: 'new' } } }
export const message = (delivery: Delivery = 'queue', text: string | null = 'hello'): NewEvent => ({
  type: 'message_received',
  payload: { blocks: text === null ? [] : [{ type: 'text', text }], delivery },
})
export const stop = message('interrupt', null)

export interface CallSpec {
  name: string
  args?: string
  problem?: string
}

/** An answer to what is due in `s`, made as an executor makes it. `saw` defaults to all that is unseen. */
export function answered(s: State, calls: (string | CallSpec)[] = [], saw = unseenByModel(s)): NewEvent {
  const blocks = calls.map((spec, i) => {
    const call = typeof spec === 'string' ? { name: spec } : spec
    return { type: 'tool_call' as const, call: callId(SESSION, s.due, i), args: '{}', ...call }
  })
  return {
    type: 'model_answered',
    payload: {
      step: modelStep(s.due),
      provider: 'anthropic',
      model: 'scripted',
      blocks: blocks.length > 0 ? blocks : [{ type: 'text', text: 'done' }],
      stop: blocks.length > 0 ? 'tool_calls' : 'end',
      usage: { input: 10, output: 5, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
      costUsdMicros: 7,
      timings: { startedAt: T0, totalMs: 1 },
      manifest: { view: 1, definition: s.definition, prev: s.lastAnswer, saw, dropped: [], requestHash: '00' },
      attempts: [],
    },
  }
}
/** An answer that its provider paused. */
export function paused(s: State): NewEvent {
  const event = answered(s)
  if (event.type !== 'model_answered') throw new Error('not an answer')
  return { ...event, payload: { ...event.payload, stop: 'pause' } }
}
export function failed(s: State, more: Partial<Payload<'model_failed'>> = {}): NewEvent {
  const payload: Payload<'model_failed'> = {
    step: modelStep(s.due),
    class: 'overloaded',
    retryable: true,
    attempts: [],
    message: 'overloaded',
    ...more,
  }
  return { type: 'model_failed', payload }
}
/** The same, and what follows it by the definition. */
export function failedOf(s: State, failure: FailureClass, definition = DEFINITION): NewEvent {
  const next = nextAfter(s, definition, failure)
  return failed(s, { class: failure, ...(next ? { next } : {}) })
}
/** The summary that is due, as a step makes it. */
export const summary = (s: State, hi = checkpointDue(s, DEFINITION) ?? 0): NewEvent => ({
  type: 'checkpoint_made',
  payload: { step: checkpointStep(s.due), lo: 1, hi, blocks: [{ type: 'text', text: 'sum' }], method: 'model' },
})
export const callAt = (s: State, i = 0): string => s.calls[i]?.id ?? `${SESSION}:none.${i}`
const toolAt = (s: State, i = 0): string => s.calls[i]?.name ?? 'none'
export const requested = (s: State, i = 0, expiresAt?: number): NewEvent => ({
  type: 'approval_requested',
  payload: { call: callAt(s, i), tool: toolAt(s, i), rule: 'ask', ...(expiresAt === undefined ? {} : { expiresAt }) },
})
export const resolved = (
  s: State,
  decision: 'allow' | 'deny',
  i = 0,
  more: Partial<Payload<'approval_resolved'>> = {},
): NewEvent => ({ type: 'approval_resolved', payload: { call: callAt(s, i), decision, scope: 'once', ...more } })
export const started = (s: State, i = 0): NewEvent => ({
  type: 'tool_started',
  payload: { call: callAt(s, i), tool: toolAt(s, i), queue: null, idempotencyKey: `key of ${callAt(s, i)}` },
})
export const finished = (s: State, outcome: Outcome = 'ok', i = 0): NewEvent => ({
  type: 'tool_finished',
  payload: { call: callAt(s, i), tool: toolAt(s, i), outcome, blocks: [{ type: 'text', text: outcome }] },
})
export const late = (s: State, i = 0): NewEvent => ({
  type: 'result_arrived_late',
  payload: { call: callAt(s, i), tool: toolAt(s, i), outcome: 'ok', blocks: [] },
})
export const interrupted = (s: State): NewEvent => ({
  type: 'interrupted',
  payload: { turn: s.turn?.opener ?? 1, by: s.stop || 1, partial: [] },
})
export const turnFinished = (s: State, reason: Payload<'turn_finished'>['reason'] = 'done'): NewEvent => ({
  type: 'turn_finished',
  payload: { turn: s.turn?.opener ?? 1, reason, ...(reason === 'limit' ? { limit: 'steps' as const } : {}) },
})
export const forked = (s: State, open: Payload<'forked'>['open'] = 'rule'): NewEvent => ({
  type: 'forked',
  payload: { parent: SESSION, seq: Math.max(1, s.seq), hash: '00', definition: HASH, open },
})
export const changed: NewEvent = {
  type: 'definition_changed',
  payload: { definition: `sha256:${'b'.repeat(64)}`, from: HASH, changed: ['model'] },
}
export const checkpoint = (s: State): NewEvent => ({
  type: 'checkpoint_made',
  payload: { lo: 1, hi: Math.max(1, s.seq), blocks: [{ type: 'text', text: 'so far' }], method: 'given' },
})
export const childStarted: NewEvent = { type: 'child_started', payload: { child: 'kid', task: [] } }
export const childFinished: NewEvent = { type: 'child_finished', payload: { child: 'kid', outcome: 'ok', blocks: [] } }
export const custody = (s: State): NewEvent => ({
  type: 'custody_taken',
  payload: { head: Math.max(1, s.seq), hash: '00' },
})
export const granted: NewEvent = {
  type: 'granted',
  payload: { grant: 'g1', principal: 'ann', rights: ['read'], forks: false },
}
export const revoked: NewEvent = { type: 'revoked', payload: { grant: 'g1' } }
export const keyDestroyed: NewEvent = { type: 'key_destroyed', payload: { kid: 'k1' } }
export const closed: NewEvent = { type: 'session_closed', payload: {} }

/** The event as it would stand in the log behind `s`. */
export const after = (s: State, event: NewEvent, at = T0 + (s.seq + 1) * SECOND): KnownEvent =>
  ({ seq: s.seq + 1, at, actor: 'system', ...event }) as KnownEvent

/** An event, or how it follows from the state before it. */
export type Given = NewEvent | ((s: State) => NewEvent)

/** The state behind these events. Throws where one is refused, or breaks an invariant. */
export function given(...events: Given[]): State {
  return events.reduce<State>((s, e) => then(s, e), emptyState)
}
export function then(s: State, e: Given): State {
  const event = after(s, typeof e === 'function' ? e(s) : e)
  const { state, broken } = reduceChecked(s, event)
  if (broken.length > 0) throw new Error(`event ${event.seq}, ${event.type}: ${broken.join('; ')}`)
  return state
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

export function env(more: Partial<Omit<Env, 'drafts'>> & { drafts?: DraftView[] } = {}): Env {
  const { drafts = [], ...rest } = more
  const rows = new Map(drafts.map((d) => [d.step, d]))
  return { now: T0 + 100 * SECOND, sha256, definition: () => DEFINITION, grace: false, ...rest, drafts: rows }
}
/** Env whose definition differs from the usual one. */
export const defined = (change: Partial<DefinitionInput>): ((hash: string) => Definition) => {
  const definition = parseDefinition({ ...DEFINITION_INPUT, ...change })
  return () => definition
}

export const running = (step: string, fresh = true): DraftView => ({
  step,
  state: 'running',
  token: `token of ${step}`,
  fresh,
  outcome: null,
  result: null,
})
export const closedRow = (
  step: string,
  outcome: 'unknown' | 'cancelled',
  partial?: DraftView['partial'],
): DraftView => ({
  ...running(step, false),
  state: 'closed',
  outcome,
  ...(partial ? { partial } : {}),
})
export const finishedRow = (step: string, result: NewEvent): DraftView => ({
  ...running(step, false),
  state: 'finished',
  result: result as DraftView['result'],
})
/** The finished row of the model step that is due in `s`. */
export const modelRow = (s: State, calls: (string | CallSpec)[] = []): DraftView =>
  finishedRow(modelStep(s.due), answered(s, calls))
export const toolRow = (s: State, i = 0, outcome: Outcome = 'ok'): DraftView =>
  finishedRow(toolStep(callAt(s, i)), finished(s, outcome, i))
