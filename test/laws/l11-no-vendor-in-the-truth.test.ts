/**
 * L11: events hold neutral blocks; what a provider needs verbatim rides beside them and may be taken away, or be another's, or rubbish:
 * the state, the next step and all that is neutral in a view stay the same, and a valid request follows for every provider.
 */
import fc from 'fast-check'
import type { KnownEvent, Replay } from '../../contract/events'
import { reduce } from '../../contract/reduce'
import { emptyState, unseenByModel, type State } from '../../contract/state'
import { buildView } from '../../providers/view'
import { toAnthropic, toChat, toResponses } from '../providers/support/calls'
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

test('what goes to one vendor is the same whether another’s replay is there or not', async () => {
  await fc.assert(
    fc.asyncProperty(choices, async (list) => {
      const { events } = randomSession(list)
      const foreign = with_(events, (replay) => ({ ...replay, provider: 'openai-chat', model: 'gpt-4o' }))
      const none = with_(events, () => undefined)
      const [a, b] = [await toAnthropic(buildView(foreign, DEFINITION)), await toAnthropic(buildView(none, DEFINITION))]
      expect(a.body).toEqual(b.body)
    }),
    { numRuns: 60 },
  )
})
