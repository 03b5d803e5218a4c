/**
 * callModel: one model call. Claims the step's draft, builds the view, streams the answer, and leaves the answer (or the final failure)
 * in the draft; promoting it is `advance`'s. What the provider says never leaves Postgres.
 */
import type { StepInput } from '../contract/activities'
import type { Block } from '../contract/blocks'
import type { Definition, ModelSpec } from '../contract/definition'
import { SavefileError, errorCode } from '../contract/errors'
import type { Attempt, FailureClass, KnownEvent, Manifest, Payload, StoredEvent, Usage } from '../contract/events'
import { modelAsked, nextAfter } from '../contract/fallbacks'
import { callId, parseStep, type SessionRef } from '../contract/ids'
import type { StepResult } from '../contract/next-step'
import type { DeltaSink, Tool } from '../contract/ports'
import type { Billed, ModelResult, View } from '../contract/provider-port'
import { emptyState, phaseOf, unseenByModel, type State } from '../contract/state'
import { MODEL_ATTEMPTS, MODEL_ATTEMPTS_IN_ALL, MAX_RETRY_AFTER_MS, MODEL_RETRY, OVERDUE_MS } from '../contract/timing'
import { askProvider, type AskDeps, type Asked } from './ask-provider'
import { makeCheckpoint } from './make-checkpoint'
import { tryAgain, withStep, type FinishedStep, type HeldStep, type StepDeps } from './claim-step'
import { Lru, fold } from './session-cache'

export interface CallModelDeps extends StepDeps, Pick<AskDeps, 'providers'> {
  /** Of this process: they know what is wrong with a call's arguments. */
  tools: ReadonlyMap<string, Tool>
  deltas: DeltaSink
  buildView(events: readonly KnownEvent[], definition: Definition, saw: readonly number[]): View
  buildSummaryView(
    events: readonly KnownEvent[],
    definition: Definition,
    saw: readonly number[],
    hi: number,
    ask: string,
  ): View
  viewVersion: number
  /** Of what a request dropped, what no earlier manifest says. */
  newlyDropped(
    dropped: Manifest['dropped'],
    last: Manifest | undefined,
    next: { definition: string; prev: number; saw: readonly number[] },
  ): Manifest['dropped']
  costUsdMicros(model: string, usage: Usage, billed?: Billed): number | undefined
  /** Microseconds since 1970. */
  now(): number
}

interface History {
  state: State
  events: KnownEvent[]
}

interface Kept extends History {
  bytes: number
}

const NONE: Kept = { state: emptyState, events: [], bytes: 0 }

/** Bytes of stored payloads whose parsed events are kept for the next view. */
const HISTORIES_BYTES = 128 * 1024 * 1024

export function createCallModel(deps: CallModelDeps): (input: StepInput) => Promise<FinishedStep | null> {
  const histories = new Lru<Kept>(HISTORIES_BYTES)

  function goOn(ref: SessionRef, had: Kept, stored: readonly StoredEvent[]): History {
    const { state, known } = fold(had.state, stored)
    const bytes = stored.reduce((sum, event) => sum + event.payload.length, had.bytes)
    // Copied: two attempts of a step may overlap here, and neither may see the other's half.
    const events = [...had.events, ...known]
    histories.set(ref, { state, events, bytes }, bytes)
    return { state, events }
  }

  return async (input) => {
    const had = histories.get(input.ref) ?? NONE
    return withStep(deps, input, { safe: true, own: true, from: had.state.seq + 1 }, async (held) => {
      const step = parseStep(input.step)
      if (step.kind === 'tool') throw new SavefileError('invalid_input', `${input.step} is not a model step.`)
      const { state, events } = goOn(input.ref, had, held.claim.events)
      // The log has moved on, or somebody interrupted: `advance` will say what is due now.
      if (state.due !== step.due || phaseOf(state) !== 'due') {
        await deps.log.releaseDraft(input.ref, input.step, held.token, 'internal')
        return null
      }
      const definition = await deps.log.definition(input.ref.space, state.definition)
      if (step.kind === 'checkpoint') return makeCheckpoint(deps, input, held, { state, events, definition })
      if (held.claim.attempts.length >= MODEL_ATTEMPTS_IN_ALL) {
        const why = 'No attempt was seen to end: each vanished with its process, or failed before it was sent.'
        const gaveUp = { class: 'internal' as const, retryable: false, attempts: held.claim.attempts, message: why }
        const next = onward(state, definition, 'internal')
        return held.finish({ type: 'model_failed', payload: { step: input.step, ...gaveUp, ...next } })
      }
      const saw = unseenByModel(state)
      const startedAt = deps.now()
      const { model, fallback } = modelAsked(definition, state)
      const view = deps.buildView(events, { ...definition, model }, saw)
      const { result, cut, refusedFirst } = await call(deps, input, held, model, view)
      // Whoever stops the call keeps what was streamed; a whole answer need not wait for its live text.
      if (!result.ok) await deps.deltas.flush()
      const base = { view: deps.viewVersion, definition: state.definition, prev: state.lastAnswer, saw }
      const how = { ...(fallback ? { fallback } : {}), ...cut }
      const last = events.findLast((event) => event.type === 'model_answered')?.payload.manifest
      // Of another model, without replay, or behind a new checkpoint, all is said again.
      const begins = events.some((event) => event.type === 'checkpoint_made' && saw.includes(event.seq))
      const same = last?.fallback === how.fallback && last?.replayCut === how.replayCut && !begins
      const alike = same ? last : undefined
      const manifest = {
        ...base,
        dropped: deps.newlyDropped(result.dropped, alike, base),
        requestHash: result.requestHash,
        ...(result.platform === undefined ? {} : { platform: result.platform }),
        ...how,
      }
      return settle(deps, input, held, { result, refusedFirst, startedAt, definition, model, state, manifest })
    })
  }
}

async function call(
  deps: CallModelDeps,
  { ref, step }: StepInput,
  { token, signal }: HeldStep,
  model: ModelSpec,
  view: View,
): Promise<Asked> {
  let n = 0
  return askProvider(deps, ref, model, view, {
    signal,
    onDelta: (kind, body) => deps.deltas.add({ ref, step, token, n: n++, kind, body }),
  })
}

/** Whether, and how, the turn goes on behind a call that failed for good. */
function onward(state: State, definition: Definition, failure: FailureClass): Pick<Payload<'model_failed'>, 'next'> {
  const next = nextAfter(state, definition, failure)
  return next ? { next } : {}
}

interface Outcome extends Pick<Asked, 'result' | 'refusedFirst'> {
  manifest: Manifest
  startedAt: number
  definition: Definition
  /** The one that was asked. */
  model: ModelSpec
  /** That the call was made on. */
  state: State
}

async function settle(deps: CallModelDeps, input: StepInput, held: HeldStep, o: Outcome): Promise<FinishedStep | null> {
  const { ref, step } = input
  const { token, claim } = held
  const attempts = (outcome: Attempt['outcome']): Attempt[] => [
    ...claim.attempts,
    ...(o.refusedFirst ? [{ n: claim.attempt, at: o.startedAt, outcome: 'refused_request' as const }] : []),
    { n: claim.attempt, at: o.startedAt, outcome },
  ]
  const manifest = o.manifest.requestHash ? { manifest: o.manifest } : {}

  if (o.result.ok) {
    const event = answer(deps, input, o, o.result, attempts('answered'))
    return held.finish(event).catch((error: unknown) => {
      // Tool arguments stay inline, and an event has a limit: the answer cannot be kept, and asking again would cost the same again.
      if (errorCode(error) !== 'too_large') throw error
      const why = {
        class: 'internal' as const,
        retryable: false,
        message: 'The answer is larger than an event may be.',
      }
      const next = onward(o.state, o.definition, why.class)
      const payload = { step, ...why, attempts: attempts('internal'), ...manifest, ...next }
      return held.finish({ type: 'model_failed', payload })
    })
  }
  const stopped = held.why()
  if (stopped === 'lost') return null
  if (stopped !== null) {
    // An interrupt closes the row, with what was streamed; a shutdown leaves the call to the next worker, at once.
    await deps.log.releaseDraft(ref, step, token, 'cut_off')
    if (stopped === 'shutdown') throw tryAgain('shutdown')
    return null
  }
  const { class: failure, retryable, retryAfterMs, status, message } = o.result
  const tried = attempts(failure)
  const real = tried.filter((a) => a.outcome !== 'vanished').length
  if (
    retryable &&
    (retryAfterMs ?? 0) <= MAX_RETRY_AFTER_MS &&
    real < MODEL_ATTEMPTS[failure] &&
    tried.length < MODEL_ATTEMPTS_IN_ALL
  ) {
    const delay = retryAfterMs ?? Math.min(MODEL_RETRY.lastMs, MODEL_RETRY.firstMs * 2 ** (real - 1))
    // Only where nothing came meanwhile: an interrupt stays due.
    await deps.log.setOutlook(
      ref,
      input.epoch,
      { state: 'running', dueAt: deps.now() + (delay + OVERDUE_MS) * 1000 },
      o.state.seq,
    )
    await deps.log.releaseDraft(ref, step, token, failure)
    throw tryAgain(failure, delay)
  }
  return held.finish({
    type: 'model_failed',
    payload: {
      step,
      class: failure,
      retryable,
      attempts: tried,
      ...manifest,
      ...(status === undefined ? {} : { status }),
      message,
      ...onward(o.state, o.definition, failure),
    },
  })
}

function answer(
  deps: CallModelDeps,
  { ref, step }: StepInput,
  o: Outcome,
  result: Extract<ModelResult, { ok: true }>,
  attempts: Attempt[],
): StepResult {
  const cost = deps.costUsdMicros(result.model, result.usage, result.billed)
  return {
    type: 'model_answered',
    payload: {
      step,
      provider: o.model.provider,
      model: result.model,
      blocks: named(result.blocks, ref.session, o.state.due, o.definition, deps.tools),
      stop: result.stop,
      usage: result.usage,
      ...(cost === undefined ? {} : { costUsdMicros: cost }),
      ...(result.responseId === undefined ? {} : { responseId: result.responseId }),
      timings: {
        startedAt: o.startedAt,
        ...(result.firstByteMs === undefined ? {} : { firstByteMs: result.firstByteMs }),
        totalMs: Math.max(0, Math.round((deps.now() - o.startedAt) / 1000)),
      },
      ...(result.replay === undefined ? {} : { replay: result.replay }),
      manifest: o.manifest,
      attempts,
    },
  }
}

/** Gives the calls their ids, and marks those that must not run: the model is told what is wrong, and nobody is asked to approve them. */
function named(
  blocks: Block[],
  session: string,
  due: number,
  definition: Definition,
  tools: ReadonlyMap<string, Tool>,
): Block[] {
  let index = 0
  return blocks.map((block) => {
    if (block.type !== 'tool_call') return block
    const call = callId(session, due, index++)
    const known = definition.tools.some((tool) => tool.name === block.name)
    const problem =
      block.problem ?? (known ? tools.get(block.name)?.problem(block.args) : `there is no tool named ${block.name}`)
    return { ...block, call, ...(problem ? { problem } : {}) }
  })
}
