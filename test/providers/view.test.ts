/** Views: in view order, and only ever longer (L9, L10). */
import fc from 'fast-check'
import { VIEW_VERSION, type KnownEvent, type Payload } from '../../contract/events'
import type { View, ViewEntry } from '../../contract/provider-port'
import { reduce } from '../../contract/reduce'
import { emptyState, unseenByModel, type State } from '../../contract/state'
import { buildSummaryView, buildView, newlyDropped } from '../../providers/view'
import { toAnthropic, toChat, toResponses, unmarked } from './support/calls'
import { DEFINITION, randomSession } from './support/random-session'

const HASH = `sha256:${'0'.repeat(64)}`
const manifest = (prev: number, saw: number[]): Payload<'model_answered'>['manifest'] => ({
  view: VIEW_VERSION,
  definition: HASH,
  prev,
  saw,
  dropped: [],
  requestHash: '',
})
const event = <T extends KnownEvent['type']>(
  seq: number,
  type: T,
  payload: Payload<T>,
  actor = 'user:ann',
): KnownEvent => ({ seq, at: seq, actor, type, payload }) as KnownEvent
const message = (seq: number, text: string, actor?: string): KnownEvent =>
  event(seq, 'message_received', { blocks: [{ type: 'text', text }], delivery: 'steer' }, actor)
const answered = (seq: number, prev: number, saw: number[], blocks: Payload<'model_answered'>['blocks']): KnownEvent =>
  event(seq, 'model_answered', {
    step: `model@${saw[0] ?? 1}`,
    provider: 'anthropic',
    model: 'm',
    blocks,
    stop: 'end',
    usage: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
    timings: { startedAt: 0, totalMs: 0 },
    manifest: manifest(prev, saw),
    attempts: [],
  })
const finished = (seq: number, call: string, text: string, more: Partial<Payload<'tool_finished'>> = {}): KnownEvent =>
  event(seq, 'tool_finished', { call, tool: 'read', outcome: 'ok', blocks: [{ type: 'text', text }], ...more })
const asText = (events: KnownEvent[], saw?: number[]): string[] =>
  buildView(events, DEFINITION, saw).entries.map((entry) => {
    const text = (blocks: readonly { type: string; text?: string }[]): string =>
      blocks.map((b) => b.text ?? b.type).join(' ')
    return entry.role === 'results'
      ? `results ${entry.results.map((r) => `${r.call}=${text(r.blocks)}`).join(' ')}`
      : `${entry.role} ${text(entry.blocks as { type: string; text?: string }[])}`
  })
const calls = (...ids: string[]): Payload<'model_answered'>['blocks'] =>
  ids.map((call) => ({ type: 'tool_call', call, name: 'read', args: '{}' }))

test('a message that came during a model call stands after its answer', () => {
  const events = [message(1, 'one'), message(2, 'meanwhile'), answered(3, 0, [1], [{ type: 'text', text: 'answer' }])]
  expect(asText(events, [2])).toEqual(['user one', 'assistant answer', 'user meanwhile'])
})

test('results stand right after their calls and in their order, whatever came in between', () => {
  const events = [
    message(1, 'go'),
    answered(2, 0, [1], calls('a', 'b')),
    finished(3, 'b', 'B'),
    message(4, 'hurry'),
    finished(5, 'a', 'A'),
  ]
  expect(asText(events, [5, 3, 4])).toEqual([
    'user go',
    'assistant tool_call tool_call',
    'results a=A b=B',
    'user hurry',
  ])
})

test('a paused answer is marked, and is the last entry of the request that goes on with it', () => {
  const paused = answered(2, 0, [1], [{ type: 'text', text: 'I search.' }])
  const pause = { ...paused, payload: { ...paused.payload, stop: 'pause' } } as KnownEvent
  const { entries } = buildView([message(1, 'go'), pause], DEFINITION, [])
  expect(entries.at(-1)).toMatchObject({ role: 'assistant', seq: 2, paused: true })
})

test('what no manifest names is not shown', () => {
  const failed = event(2, 'model_failed', {
    step: 'model@1',
    class: 'overloaded',
    retryable: true,
    attempts: [],
    message: 'busy',
  })
  const events = [
    message(1, 'one'),
    failed,
    message(3, 'two'),
    answered(4, 0, [1, 3], [{ type: 'text', text: 'x' }]),
    message(5, 'later'),
  ]
  expect(asText(events)).toEqual(['user one', 'user two', 'assistant x'])
})

test('a call without a result is said to be unknown', () => {
  const events = [message(1, 'go'), answered(2, 0, [1], calls('a', 'b')), finished(3, 'b', 'B')]
  expect(asText(events, [3])[2]).toBe('results a=[unknown: it is not known whether this took effect] b=B')
})

test('unknown, denied and cancelled results say so, an edited call says with what it ran', () => {
  const approved = event(3, 'approval_resolved', { call: 'a', decision: 'allow', scope: 'once', args: '{"n":2}' })
  const events = [
    message(1, 'go'),
    answered(2, 0, [1], calls('a', 'b')),
    approved,
    finished(4, 'a', 'A'),
    finished(5, 'b', 'no', { outcome: 'denied' }),
  ]
  expect(asText(events, [4, 5])[2]).toBe(
    'results a=[Run with other arguments, as edited at the approval: {"n":2}] A b=[denied] no',
  )
})

test('an interruption keeps the text that was said, and tells the model', () => {
  const partial = [
    {
      step: 'model@1',
      blocks: [
        { type: 'reasoning' as const, text: 'hm' },
        { type: 'text' as const, text: 'Once upon' },
      ],
    },
  ]
  const events = [message(1, 'tell'), event(2, 'interrupted', { turn: 1, by: 1, partial }), message(3, 'shorter')]
  expect(asText(events, [1, 2, 3])).toEqual([
    'user tell',
    'assistant Once upon',
    'user [The user interrupted here.]',
    'user shorter',
  ])
})

test('the model is told who speaks from the second speaker on, and what was said before is not rewritten', () => {
  const events = [message(1, 'one'), message(2, 'two', 'user:bob'), message(3, 'three')]
  expect(asText(events.slice(0, 1), [1])).toEqual(['user one'])
  expect(asText(events, [1, 2, 3])).toEqual(['user one', 'user [bob] two', 'user [ann] three'])
})

test('files that are kept for people are not sent', () => {
  const blob = { hash: HASH, bytes: 1, mediaType: 'text/plain' }
  const events = [
    message(1, 'go'),
    answered(2, 0, [1], calls('a')),
    finished(3, 'a', 'cut', {
      blocks: [
        { type: 'text', text: 'cut' },
        { type: 'file', blob, kept: true },
      ],
    }),
  ]
  expect(asText(events, [3])[2]).toBe('results a=cut')
})

test('a manifest repeats nothing that an earlier one under the same definition said', () => {
  const dropped = [2, 5, 6].map((seq) => ({ seq, what: 'reasoning', why: 'foreign' }))
  const next = { definition: HASH, prev: 5, saw: [6] }
  expect(newlyDropped(dropped, undefined, next)).toEqual(dropped)
  expect(newlyDropped(dropped, manifest(0, []), next).map((d) => d.seq)).toEqual([5, 6])
  expect(newlyDropped(dropped, manifest(0, []), { ...next, definition: `sha256:${'1'.repeat(64)}` })).toEqual(dropped)
})

function then(state: State, event: KnownEvent): State {
  const reduced = reduce(state, event)
  return reduced.ok ? reduced.state : state
}

const choices = fc.array(fc.noBias(fc.nat(100_000)), { minLength: 30, maxLength: 120 })

test('L10: in any legal history each request extends the one before, entry by entry', () => {
  let pairs = 0
  fc.assert(
    fc.property(choices, (list) => {
      const { requests, due, events } = randomSession(list)
      const views = [...requests.map((r) => r.view), ...(due ? [due] : []), buildView(events, DEFINITION)]
      views.slice(1, -1).forEach((later, i) => {
        const earlier = views[i]?.entries ?? []
        expect(later.entries.slice(0, earlier.length)).toEqual(earlier)
        pairs++
      })
      const last = requests.at(-1)?.view.entries ?? []
      expect(views.at(-1)?.entries.slice(0, last.length)).toEqual(last)
    }),
    { numRuns: 300 },
  )
  expect(pairs).toBeGreaterThan(300)
})

test.each([
  ['anthropic', toAnthropic],
  ['openai-chat', toChat],
  ['openai-responses', toResponses],
] as const)(
  'L10: in any legal history each %s request is valid and extends the one before, message by message',
  async (_name, encode) => {
    let pairs = 0
    await fc.assert(
      fc.asyncProperty(choices, async (list) => {
        const { requests, due } = randomSession(list)
        let earlier: unknown[] = []
        for (const v of [...requests.map((r) => r.view), ...(due ? [due] : [])]) {
          const { body, problems } = await encode(v)
          expect(problems).toEqual([])
          const messages = unmarked(body.messages ?? body.input)
          expect(messages.slice(0, earlier.length)).toEqual(earlier)
          if (earlier.length > 0) pairs++
          earlier = messages
        }
      }),
      { numRuns: 150 },
    )
    expect(pairs).toBeGreaterThan(150)
  },
)

test('L9: a view that goes on from the one before is what all the events give anew, and its entries are the same objects', () => {
  let reused = 0
  fc.assert(
    fc.property(choices, fc.nat(1000), (list, n) => {
      const { events } = randomSession(list)
      let before: View | undefined
      for (let length = 1 + (n % 5); length <= events.length; length += 1 + ((n + length) % 4)) {
        const log = events.slice(0, length)
        const saw = unseenByModel(log.reduce<State>((state, e) => then(state, e), emptyState))
        const view = buildView(log, DEFINITION, saw)
        expect(view).toEqual(buildView(structuredClone(log), DEFINITION, saw))
        reused += view.entries.filter((entry, i) => entry === before?.entries[i]).length
        before = view
      }
      // Another log that begins with the same events is not taken for it.
      const other = events.filter((_, i) => i !== Math.floor(events.length / 2))
      expect(buildView(other, DEFINITION)).toEqual(buildView(structuredClone(other), DEFINITION))
      const allReadOnly = { ...DEFINITION, tools: DEFINITION.tools.map((tool) => ({ ...tool, readOnly: true })) }
      expect(buildView(events, allReadOnly)).toEqual(buildView(structuredClone(events), allReadOnly))
    }),
    { numRuns: 100 },
  )
  expect(reused).toBeGreaterThan(1000)
})

test('the view stays below the cut at which its provider refused its own replay, whoever else has answered since', () => {
  const cut = (seq: number, prev: number, replayCut: number | undefined, provider = 'anthropic'): KnownEvent => {
    const made = answered(seq, prev, [seq - 1], [{ type: 'text', text: 'x' }])
    if (made.type !== 'model_answered') throw new Error('it is an answer')
    const more = replayCut === undefined ? {} : { replayCut }
    return { ...made, payload: { ...made.payload, provider, manifest: { ...made.payload.manifest, ...more } } }
  }
  const log = [
    message(1, 'a'),
    cut(2, 0, undefined),
    message(3, 'b'),
    cut(4, 2, 2),
    message(5, 'c'),
    cut(6, 4, undefined, 'openai-chat'),
  ]
  expect(buildView(log.slice(0, 3), DEFINITION).replayCut).toBeUndefined()
  expect(buildView(log, DEFINITION).replayCut).toBe(2)
  const chat = { ...DEFINITION, model: { ...DEFINITION.model, provider: 'openai-chat' as const } }
  expect(buildView(log, chat).replayCut).toBeUndefined()
})

describe('a fork', () => {
  const forked = (seq: number, more: Partial<Payload<'forked'>> = {}): KnownEvent =>
    event(seq, 'forked', { parent: 'p', seq: seq - 1, hash: '', definition: HASH, open: 'rule', ...more })
  const ran = (seq: number, tool: string): KnownEvent =>
    event(seq, 'tool_started', { call: 'a', tool, queue: null, idempotencyKey: 'k' })
  const log = (tool: string): KnownEvent[] => [
    message(1, 'go'),
    answered(2, 0, [1], calls('a')),
    ran(3, tool),
    finished(4, 'a', 'A'),
  ]
  const readOnly = DEFINITION.tools.find((tool) => tool.readOnly)?.name ?? 'none'

  test('is told where tools with effects ran before it, or its folder is another; else nothing is added', () => {
    expect(asText([...log(readOnly), forked(5)], [4, 5]).length).toBe(3)
    expect(asText([...log('made_up'), forked(5)], [4, 5]).at(-1)).toMatch(/not undone.*both use the same/)
    expect(asText([...log(readOnly), forked(5, { workFolder: '/w', folder: 'copy' })], [4, 5]).at(-1)).toMatch(
      /a copy of the one before/,
    )
    expect(asText([forked(2, { workFolder: '/w', folder: 'worktree' })], [2])).toEqual([
      expect.stringMatching(/git worktree/),
    ])
    expect(asText([forked(2, { workFolder: '/w' })], [2])).toEqual([expect.stringMatching(/now another one/)])
    const brought = [{ tool: 'db', note: 'a schema of its own' }]
    expect(asText([forked(2, { brought })], [2])).toEqual([expect.stringMatching(/db: a schema of its own/)])
  })
  test('only lengthens what its parent was sent, and stays where it was (L10)', () => {
    const parent = log('made_up')
    const fork = [
      ...parent,
      forked(5),
      message(6, 'other way'),
      answered(7, 2, [4, 5, 6], [{ type: 'text', text: 'yes' }]),
    ]
    const before = asText(parent, [4])
    expect(asText(fork.slice(0, 6), [4, 5, 6]).slice(0, before.length)).toEqual(before)
    const first = asText(fork.slice(0, 6), [4, 5, 6])
    expect(asText([...fork, ran(8, 'made_up'), message(9, 'more')], [9]).slice(0, first.length)).toEqual(first)
  })
})

/** Behind a checkpoint an answer says that it was made before it. */
function unmoved(entry: ViewEntry): ViewEntry {
  if (entry.role !== 'assistant') return entry
  const { moved: _, ...rest } = entry
  return rest
}

describe('a checkpoint', () => {
  const checkpoint = (seq: number, hi: number): KnownEvent =>
    event(seq, 'checkpoint_made', { lo: 1, hi, blocks: [{ type: 'text', text: `sum to ${hi}` }], method: 'given' })
  const text = (t: string): Payload<'model_answered'>['blocks'] => [{ type: 'text', text: t }]
  const steps = [
    message(1, 'go'),
    answered(2, 0, [1], calls('a')),
    finished(3, 'a', 'A'),
    answered(4, 2, [3], calls('b')),
    message(5, 'queued long ago'),
    finished(6, 'b', 'B'),
  ]
  const SUM = (hi: number): unknown => expect.stringMatching(new RegExp(`^user .*summary.* sum to ${hi}$`))

  test('takes the place of the steps up to its end, results with their calls; what no model has seen stays', () => {
    const log = [...steps, checkpoint(7, 6)]
    expect(asText(log, [6, 5, 7])).toEqual([SUM(6), 'user queued long ago'])
    expect(asText([...steps, checkpoint(7, 3)], [6, 5, 7])).toEqual([
      SUM(3),
      'assistant tool_call',
      'results b=B',
      'user queued long ago',
    ])
  })
  test('never parts an answer from its results: it stands for less instead', () => {
    for (const hi of [4, 5])
      expect(asText([...steps, checkpoint(7, hi)], [6, 5, 7]).slice(1, 3)).toEqual([
        'assistant tool_call',
        'results b=B',
      ])
    expect(asText([...steps, checkpoint(7, 2)], [6, 5, 7])[1]).toBe('user go')
  })
  test('takes the ground from what was signed before it: those answers go without, later ones do not', () => {
    const log = [...steps, checkpoint(7, 3), answered(8, 4, [6, 5, 7], text('x')), message(9, 'on')]
    const moved = buildView(log, DEFINITION, [9]).entries.map((entry) =>
      entry.role === 'assistant' ? [entry.seq, entry.moved] : [],
    )
    expect(moved.flat()).toEqual([4, true, 8, undefined])
  })
  test('counts from the request that names it; the log without it gives the raw view as ever', () => {
    const log = [...steps, checkpoint(7, 6), answered(8, 4, [6, 5], text('asked before it')), message(9, 'on')]
    expect(asText(log.slice(0, 8))).toEqual(asText(log.filter((e) => e.seq !== 7).slice(0, 7)))
    expect(asText(log, [7, 9])).toEqual([SUM(6), 'user queued long ago', 'assistant asked before it', 'user on'])
    const raw = buildView(log, DEFINITION, [7, 9], { raw: true })
    expect(raw).toEqual(
      buildView(
        log.filter((e) => e.seq !== 7),
        DEFINITION,
        [9],
      ),
    )
  })
  test('is what later requests begin with, word for word, until the next one (L10)', () => {
    const one = [...steps, checkpoint(7, 6), answered(8, 4, [6, 5, 7], calls('c')), finished(9, 'c', 'C')]
    const first = asText(one.slice(0, 7), [6, 5, 7])
    expect(asText(one, [9]).slice(0, first.length)).toEqual(first)
    const two = [...one, checkpoint(10, 9), message(11, 'more')]
    expect(asText(two, [9, 10, 11])).toEqual([SUM(9), 'user more'])
  })
  test('of another log stands for nothing of this one: a compaction begins with it', () => {
    const origin = { kind: 'compaction' as const, session: 'raw', lo: 1, hi: 500 }
    const log = [event(1, 'session_created', { definition: HASH, origin }), checkpoint(2, 500), message(3, 'on')]
    const more = [...log, answered(4, 0, [2, 3], text('yes')), message(5, 'again')]
    expect(asText(log, [2, 3])).toEqual([SUM(500), 'user on'])
    expect(asText(more, [5])).toEqual([SUM(500), 'user on', 'assistant yes', 'user again'])
  })
  test('is asked for behind just what it will stand for, and as the requests before it began', () => {
    const view = buildSummaryView(steps, DEFINITION, [6, 5], 6, 'sum it up')
    const before = buildView(steps.slice(0, 4), DEFINITION).entries
    expect(view.entries.slice(0, before.length)).toEqual(before)
    expect(view.entries.slice(before.length).map((e) => e.role)).toEqual(['results', 'user'])
    expect(view.entries.at(-1)).toMatchObject({ blocks: [{ text: 'sum it up' }] })
    expect(
      buildSummaryView([...steps, checkpoint(7, 3)], DEFINITION, [6, 5, 7], 6, 'sum').entries.map((e) => e.role),
    ).toEqual(['user', 'assistant', 'results', 'user'])
  })
  test('of any log, at any point, with any end: every answer has its results, and nothing unseen goes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100_000), { minLength: 10, maxLength: 200 }), fc.nat(200), (choices, hi) => {
        const { events, due } = randomSession(choices)
        if (!due) return
        const saw = unseenByModel(
          events.reduce<State>((state, e) => {
            const r = reduce(state, e)
            return r.ok ? r.state : state
          }, emptyState),
        )
        const at = (events.at(-1)?.seq ?? 0) + 1
        const raw = buildView(events, DEFINITION, saw).entries
        const cut = buildView([...events, checkpoint(at, hi + 1)], DEFINITION, [...saw, at]).entries
        expect(raw.slice(raw.length - cut.length + 1)).toEqual(cut.slice(1).map(unmoved))
        const [, next] = cut
        if (next?.role === 'results') throw new Error('results without their calls')
        const named = new Set(saw)
        const unseen = (entries: typeof raw) => entries.filter((e) => e.role === 'user' && named.has(e.seq))
        expect(unseen(cut.slice(1))).toEqual(unseen(raw))
      }),
      { numRuns: 200 },
    )
  })
})
