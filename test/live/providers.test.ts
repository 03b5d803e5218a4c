/**
 * The adapters against the vendors themselves: `npm run test:live`, for each provider whose key is in the environment. A run costs some cents.
 * Without being asked for there are no such tests, only one that says so.
 */
import type { ModelSpec, ProviderName } from '../../contract/definition'
import type { ModelResult, Provider, View, ViewEntry } from '../../contract/provider-port'
import { entry, type Answered } from '../providers/support/answered'
import { createAnthropic } from '../../providers/anthropic/provider'
import { createOpenAIChat } from '../../providers/openai-chat/provider'
import { createOpenAIResponses } from '../../providers/openai-responses/provider'
import { call, context, noBlob, result, said, spec, user, view } from '../providers/support/calls'

const { ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL, SAVEFILE_TEST_LIVE } = process.env
const openai = { apiKey: OPENAI_API_KEY ?? 'none', ...(OPENAI_BASE_URL ? { baseURL: OPENAI_BASE_URL } : {}) }

interface Target {
  provider: Provider
  model: string
  more?: Partial<ModelSpec>
}
const TARGETS: Target[] = [
  ...(ANTHROPIC_API_KEY
    ? [
        {
          provider: createAnthropic({ apiKey: ANTHROPIC_API_KEY }),
          model: 'claude-haiku-4-5',
          more: { reasoning: { budgetTokens: 1024 } },
        },
        {
          provider: createAnthropic({ apiKey: ANTHROPIC_API_KEY }),
          model: 'claude-haiku-5-5',
          more: { reasoning: { effort: 'low' as const } },
        },
      ]
    : []),
  ...(OPENAI_API_KEY && !OPENAI_BASE_URL
    ? [
        {
          provider: createOpenAIResponses(openai),
          model: 'gpt-5-mini',
          more: { reasoning: { effort: 'low' as const } },
        },
        { provider: createOpenAIChat(openai), model: 'gpt-5-mini', more: { reasoning: { effort: 'low' as const } } },
      ]
    : []),
  ...(OPENAI_BASE_URL && OPENAI_MODEL ? [{ provider: createOpenAIChat(openai), model: OPENAI_MODEL }] : []),
]
const asked = SAVEFILE_TEST_LIVE === '1' ? TARGETS : []

const ASK = 'Use the tool look once. Then answer with the word that it gave you, and nothing else.'
const SCHEMA = '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}'

const callsOf = (e: ViewEntry): string[] =>
  e.role === 'assistant' ? e.blocks.flatMap((b) => (b.type === 'tool_call' ? [b.call] : [])) : []

test('live tests run where they are asked for, with a key', () => {
  expect(asked.length > 0).toBe(SAVEFILE_TEST_LIVE === '1' && TARGETS.length > 0)
})

for (const { provider, model, more = {} } of asked)
  describe(`${provider.name} ${model}`, () => {
    const name: ProviderName = provider.name
    const ask = async (v: View, settings: Partial<ModelSpec> = {}): Promise<ModelResult> =>
      provider.call(
        { model: spec(name, model, { maxOutputTokens: 4000, ...more, ...settings }), view: v, blob: noBlob },
        context(),
      )
    const must = async (v: View, settings?: Partial<ModelSpec>): Promise<Answered> => {
      const got = await ask(v, settings)
      if (!got.ok) throw new Error(`${got.class}: ${got.message}`)
      return got
    }

    test.each([true, false])('a tool, its result, and what was thought, sent back (stream: %s)', async (stream) => {
      const first = await must(view(user(1, ASK)), { stream })
      expect(first.stop).toBe('tool_calls')
      const answered = entry(2, first)
      const last = await must(view(user(1, ASK), answered, result(3, callsOf(answered), 'heliotrope')), { stream })
      expect(last.blocks.map((b) => (b.type === 'text' ? b.text : '')).join('')).toMatch(/heliotrope/i)
      expect(last.usage.input).toBeGreaterThan(0)
    })

    test('a history of another vendor’s, in the middle of a turn with tools', async () => {
      const foreign: ViewEntry = {
        role: 'assistant',
        seq: 2,
        blocks: [{ type: 'reasoning', text: 'hm' }, said('I look.'), call('x:2.0')],
        replay: {
          provider: 'another',
          platform: 'x',
          model: 'y',
          format: 1,
          blocks: ['{"type":"thinking"}', null, null],
        },
      }
      const got = await must(view(user(1, ASK), foreign, result(3, ['x:2.0'], 'heliotrope')))
      expect(got.dropped.map(({ what }) => what)).toContain('reasoning')
    })

    test('every setting at once is taken, or left out', async () => {
      const got = await must(view(user(1, 'Say hi.')), {
        temperature: 0.5,
        topP: 0.9,
        stop: ['never said'],
        toolChoice: 'none',
        parallelToolCalls: false,
        serviceTier: 'standard',
        cache: '1h',
      })
      expect(got.blocks.length).toBeGreaterThan(0)
    })

    test('an answer by schema', async () => {
      const got = await must(
        { ...view(user(1, 'Which number follows 41?')), tools: [] },
        { output: { name: 'n', schema: SCHEMA } },
      )
      const text = got.blocks.map((b) => (b.type === 'text' ? b.text : '')).join('')
      expect(JSON.parse(text)).toEqual({ n: 42 })
    })

    test('replay that was tampered with is refused as such, and the same request without it is taken', async () => {
      const answered = entry(2, await must(view(user(1, ASK))))
      if (answered.role !== 'assistant' || !answered.replay) return
      const spoilt = answered.replay.blocks.map(
        (b) => b && b.replace(/("(?:signature|encrypted_content)":"[^"]{40})../, '$1AA'),
      )
      const entries = [
        user(1, ASK),
        { ...answered, replay: { ...answered.replay, blocks: spoilt } },
        result(3, callsOf(answered), 'heliotrope'),
      ]
      const got = await ask(view(...entries))
      if (!got.ok) expect(got).toMatchObject({ replayRefused: true })
      await must({ ...view(...entries), replayCut: 2 })
    })
  })
