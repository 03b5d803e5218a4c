/** What callModel asks, of whom, and what it writes down: over a log and a provider of the test's own. */
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { createCallModel, type CallModelDeps } from '../../activities/call-model'
import { RunningSteps } from '../../activities/running-steps'
import { parseDefinition, type Definition, type DefinitionInput } from '../../contract/definition'
import { VERSIONS, type NewEvent, type StoredEvent } from '../../contract/events'
import type { StepResult } from '../../contract/next-step'
import type { DraftClaim, ExecutorLog } from '../../contract/ports'
import type { ModelRequest, ModelResult, View } from '../../contract/provider-port'
import { emptyState, type State } from '../../contract/state'
import * as g from '../contract/given'

const USAGE = { input: 100, output: 10, cacheRead: 0, cacheWrite: 0, reasoning: 0 }
const sent = { requestHash: 'aa', dropped: [{ seq: 2, what: 'image', why: 'not taken' }] }
const said = (text: string): ModelResult => ({
  ...{ ...sent, ok: true, blocks: [{ type: 'text', text }], stop: 'end', usage: USAGE, model: 'as the vendor says' },
})
type Failed = Extract<ModelResult, { ok: false }>
const fails = (kind: Failed['class'], more: Partial<Failed> = {}): ModelResult => ({
  ...{ ...sent, ok: false, class: kind, retryable: false, message: 'no' },
  ...more,
})
const REPLAY = { provider: 'anthropic', platform: 'p', model: 'scripted', format: 1, blocks: [null] }

/** The log so far, one event after another. */
function storedOf(events: g.Given[]): { stored: StoredEvent[]; state: State } {
  let state = emptyState
  const stored = events.map((given): StoredEvent => {
    const { type, payload }: NewEvent = typeof given === 'function' ? given(state) : given
    state = g.then(state, { type, payload } as NewEvent)
    const common = { session: g.SESSION, actor: 'system', key: '', kid: null, prevHash: '', hash: '' }
    return { ...common, seq: state.seq, type, v: VERSIONS[type], at: state.seq, payload: JSON.stringify(payload) }
  })
  return { stored, state }
}

async function run(events: g.Given[], results: ModelResult[], change: Partial<DefinitionInput> = {}) {
  const { stored, state } = storedOf(events)
  const definition = parseDefinition({ ...g.DEFINITION_INPUT, ...change })
  const requests: ModelRequest[] = []
  const views: Definition[] = []
  const finished: StepResult[] = []
  const released: string[] = []
  const claim: DraftClaim = { status: 'claimed', token: 't', attempt: 1, attempts: [], events: stored }
  const log = {
    claimDraft: () => Promise.resolve(claim),
    definition: () => Promise.resolve(definition),
    setOutlook: () => Promise.resolve(),
    releaseDraft: (_ref: unknown, _step: string, _token: string, why: string) => {
      released.push(why)
      return Promise.resolve()
    },
    beat: () => Promise.resolve([]),
  } as unknown as ExecutorLog
  const view: View = {
    ...{ system: '', tools: [] },
    entries: [{ role: 'assistant', seq: 3, blocks: [{ type: 'text', text: 'x' }], replay: REPLAY }],
  }
  const provider = (name: 'anthropic' | 'openai-chat') => ({
    name,
    call(request: ModelRequest) {
      requests.push(request)
      return Promise.resolve(results[requests.length - 1] ?? said('more than was expected'))
    },
  })
  const deps: CallModelDeps = {
    log,
    running: new RunningSteps(log, 1000, () => undefined),
    randomToken: () => 't',
    heartbeatMs: 1000,
    finish: (input, _token, event) => {
      finished.push(event)
      return Promise.resolve({ step: input.step, event, look: null })
    },
    providers: new Map([
      ['anthropic', provider('anthropic')],
      ['openai-chat', provider('openai-chat')],
    ]),
    tools: new Map(),
    deltas: { add: () => undefined, flush: () => Promise.resolve() } as unknown as CallModelDeps['deltas'],
    buildView: (_events, of) => {
      views.push(of)
      return view
    },
    buildSummaryView: () => view,
    viewVersion: 2,
    newlyDropped: (dropped, last) => (last ? [] : dropped),
    costUsdMicros: (_model, usage) => usage.input,
    now: () => g.T0,
  }
  // What an activity throws is what the test looks at, and nobody else's.
  const env = new MockActivityEnvironment({ attempt: 1 }, { logger: new DefaultLogger('ERROR') })
  const input = { ref: { space: 'default', session: g.SESSION }, epoch: 1, step: `model@${state.due}` }
  const error: unknown = await env.run(createCallModel(deps), input).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  deps.running.close()
  return { finished: finished[0], requests, views, released, error, state }
}
const begun: g.Given[] = [g.created, g.message()]
const fallen: g.Given[] = [...begun, (s) => g.failedOf(s, 'overloaded')]

test('a fallback is asked with a view of its own; the answer, its price and its manifest are those of the fallback', async () => {
  const { finished, requests, views } = await run(fallen, [said('hello')])
  expect(requests.map(({ model }) => [model.provider, model.name])).toEqual([['openai-chat', 'second']])
  expect(views[0]?.model.name).toBe('second')
  expect(finished?.payload).toMatchObject({
    ...{ step: 'model@3', provider: 'openai-chat', model: 'as the vendor says', costUsdMicros: 100 },
    manifest: { fallback: 1, saw: [2] },
  })
})

test('attempts come first: a failure that may be tried again is, after the pause that was asked for', async () => {
  const { finished, released, error } = await run(begun, [fails('overloaded', { retryable: true, retryAfterMs: 700 })])
  expect([finished, released]).toEqual([undefined, ['overloaded']])
  expect(error).toMatchObject({ type: 'overloaded', nextRetryDelay: 700 })
})

test('a failure for good says who goes on, by the definition; a pause that is too long counts as one', async () => {
  const next = { kind: 'fallback', model: 1 }
  expect((await run(begun, [fails('auth')])).finished?.payload).toMatchObject({ class: 'auth', next })
  const long = await run(begun, [fails('rate_limited', { retryable: true, retryAfterMs: 3_600_000 })])
  expect(long.finished?.payload).toMatchObject({ class: 'rate_limited', retryable: true, next })
  const none = await run(begun, [fails('auth')], { fallbacks: undefined })
  expect(none.finished?.payload).not.toHaveProperty('next')
})

test('a request that was too long is followed by a checkpoint only where one can say something new', async () => {
  const second: g.Given[] = [...begun, g.answered, g.turnFinished, g.message()]
  const [some, nothing] = [
    await run(second, [fails('context_exceeded')]),
    await run(begun, [fails('context_exceeded')]),
  ]
  expect(some.finished?.payload).toMatchObject({ next: { kind: 'checkpoint' } })
  expect(nothing.finished?.payload).toMatchObject({ next: { kind: 'fallback' } })
})

test('refused for its replay, it is asked again at once: both attempts are said, and the cut is in the manifest', async () => {
  const { finished, requests } = await run(begun, [fails('refused_request', { replayRefused: true }), said('hello')])
  expect(requests.map(({ view }) => view.replayCut)).toEqual([undefined, 3])
  expect(finished?.type).toBe('model_answered')
  expect(finished?.payload).toMatchObject({
    attempts: [{ outcome: 'refused_request' }, { outcome: 'answered' }],
    manifest: { replayCut: 3 },
  })
})

test('what a request dropped is said whole again once it goes to another model, or without replay', async () => {
  const more: g.Given[] = [...begun, (s) => g.answered(s, ['look']), g.started, g.finished]
  const dropped = async (events: g.Given[], results: ModelResult[]) => {
    const { payload } = (await run(events, results)).finished ?? {}
    return (payload as { manifest: { dropped: unknown[] } }).manifest.dropped.length
  }
  expect(await dropped(more, [said('x')])).toBe(0)
  expect(await dropped([...more, (s) => g.failedOf(s, 'overloaded')], [said('x')])).toBe(1)
  expect(await dropped(more, [fails('refused_request', { replayRefused: true }), said('x')])).toBe(1)
})
