/**
 * L11: events hold neutral blocks; what a provider needs verbatim rides beside them and may be taken away, or be another's, or rubbish:
 * the state, the next step and all that is neutral in a view stay the same, and a valid request follows for every provider.
 */
import fc from 'fast-check'
import type { KnownEvent, Replay } from '../../contract/events'
import { reduce } from '../../contract/reduce'
import { emptyState, unseenByModel, type State } from '../../contract/state'
import { buildView } from '../../providers/view'
import type { View } from '../../contract/provider-port'
import { noBlob, spec, toAnthropic, toChat, toResponses, type Encoded } from '../providers/support/calls'
import { DEFINITION, randomSession } from '../providers/support/random-session'

const choices = fc.array(fc.noBias(fc.nat(100_000)), { minLength: 30, maxLength: 120 })

function with_(events: readonly KnownEvent[], change: (replay: Replay) => Replay | undefined): KnownEvent[] {
  return events.map((event) => {
    if (event.type !== 'model_answered' || !event.payload.replay) return event
    const { replay, ...payload } = event.payload
    const changed = change(replay)
    return { ...event, payload: { ...payload, ...(changed ? { replay: changed } : {}) } }
  })
}
const stateAfter = (events: readonly KnownEvent[]): State =>
  events.reduce((state: State, event) => {
    const reduced = reduce(state, event)
    if (!reduced.ok) throw new Error(reduced.refusal)
    return reduced.state
  }, emptyState)
const RUBBISH = '{"rubbish":true}'
const neutral = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, inner: unknown) => (key === 'replay' ? undefined : inner)))

test.each<[string, (replay: Replay) => Replay | undefined]>([
  ['taken away', () => undefined],
  ['of another vendor', (replay) => ({ ...replay, provider: 'another', platform: 'elsewhere' })],
  ['of a newer format', (replay) => ({ ...replay, format: 99 })],
  ['of too few blocks', (replay) => ({ ...replay, blocks: [] })],
])(
  'a replay that is %s changes nothing neutral, and a valid request follows for every provider',
  async (_what, change) => {
    let had = 0
    await fc.assert(
      fc.asyncProperty(choices, async (list) => {
        const { events } = randomSession(list)
        const without = with_(events, change)
        had += events.filter((event, i) => event !== without[i]).length
        const state = stateAfter(events)
        expect(stateAfter(without)).toEqual(state)
        const saw = unseenByModel(state)
        const [before, after] = [buildView(events, DEFINITION, saw), buildView(without, DEFINITION, saw)]
        expect(neutral(after)).toEqual(neutral(before))
        for (const encode of [toAnthropic, toChat, toResponses]) expect((await encode(after)).problems).toEqual([])
      }),
      { numRuns: 60 },
    )
    expect(had).toBeGreaterThan(60)
  },
)

const VENDORS: [string, Pick<Replay, 'provider' | 'platform' | 'model'>, (v: View) => Promise<Encoded>][] = [
  [
    'anthropic',
    { provider: 'anthropic', platform: 'api.anthropic.com', model: 'claude-haiku-4-5' },
    (v) => toAnthropic(v),
  ],
  [
    'openai-responses',
    { provider: 'openai-responses', platform: 'api.openai.com', model: 'gpt-5.5' },
    (v) => toResponses(v),
  ],
  [
    'openai-chat',
    { provider: 'openai-chat', platform: 'openrouter.ai', model: 'x/y' },
    (v) => toChat(v, spec('openai-chat', 'x/y'), noBlob, 'openrouter.ai'),
  ],
]

test.each(VENDORS)(
  'what goes to %s is the same whether another’s replay is there or not',
  async (name, _home, encode) => {
    const other = name === 'anthropic' ? 'openai-responses' : 'anthropic'
    await fc.assert(
      fc.asyncProperty(choices, async (list) => {
        const { events } = randomSession(list)
        const foreign = with_(events, (replay) => ({ ...replay, provider: other, platform: 'x', model: 'another' }))
        const none = with_(events, () => undefined)
        const [a, b] = [await encode(buildView(foreign, DEFINITION)), await encode(buildView(none, DEFINITION))]
        expect(a.body).toEqual(b.body)
      }),
      { numRuns: 30 },
    )
  },
)

test.each(VENDORS)(
  '%s: below a cut nothing of its own replay is sent either, and the request is a valid one',
  async (_name, home, encode) => {
    await fc.assert(
      fc.asyncProperty(choices, async (list) => {
        const { events } = randomSession(list)
        const own = with_(events, (replay) => ({ ...replay, ...home, blocks: replay.blocks.map((b) => b && RUBBISH) }))
        const without = with_(events, () => undefined)
        const saw = unseenByModel(stateAfter(events))
        const cut = (of: readonly KnownEvent[]): View => ({
          ...buildView(of, DEFINITION, saw),
          replayCut: events.length,
        })
        const sent = await encode(cut(own))
        expect(JSON.stringify(sent.body)).not.toContain('rubbish')
        expect(sent.body).toEqual((await encode(cut(without))).body)
        expect(sent.problems).toEqual([])
      }),
      { numRuns: 30 },
    )
  },
)
