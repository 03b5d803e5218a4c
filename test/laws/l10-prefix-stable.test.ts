/**
 * L10: within one definition and view version a longer log extends the model's request and rewrites nothing, also from A to B to A.
 * Over random histories: test/providers/view. Here one conversation on the real encoders, its answers made by one and the other in turn.
 */
import type { Replay } from '../../contract/events'
import type { View, ViewEntry } from '../../contract/provider-port'
import {
  call,
  noBlob,
  result,
  said,
  spec,
  toAnthropic,
  toChat,
  toResponses,
  unmarked,
  user,
  view,
  type Encoded,
} from '../providers/support/calls'
import type { Json } from '../providers/support/recorded'

const THINKING = '{"type":"thinking","thinking":"hm 12345678901234567890","signature":"c2lnbmF0dXJl"}'
const format = { format: 1 }
const atHome = { provider: 'anthropic' as const, platform: 'api.anthropic.com', model: 'claude-haiku-4-5', ...format }
const elsewhere = { provider: 'openai-chat' as const, platform: 'api.openai.com', model: 'gpt-4o', ...format }
const answer = (
  seq: number,
  more: Pick<Extract<ViewEntry, { role: 'assistant' }>, 'blocks' | 'replay'>,
): ViewEntry => ({
  role: 'assistant',
  seq,
  ...more,
})

const conversation: ViewEntry[] = [
  user(1, 'go'),
  answer(2, {
    blocks: [{ type: 'reasoning', text: 'hm' }, said('I look.'), call('a')],
    replay: { ...atHome, blocks: [THINKING, null, null] },
  }),
  result(3, ['a']),
  answer(4, {
    blocks: [{ type: 'reasoning', text: 'so' }, call('b')],
    replay: { ...elsewhere, blocks: ['{"field":"reasoning_content"}', null] },
  }),
  result(5, ['b']),
  answer(6, {
    blocks: [{ type: 'reasoning', text: 'hm' }, said('It is done.')],
    replay: { ...atHome, blocks: [THINKING, null] },
  }),
  user(7, 'and now?'),
]
/** Where a request is made: after what people or tools said. */
const REQUESTS = [1, 3, 5, 7]

test.each<[string, (v: ReturnType<typeof view>) => Promise<Encoded>]>([
  ['anthropic', toAnthropic],
  ['openai-chat', toChat],
  ['openai-responses', toResponses],
])(
  '%s: each request begins with the one before, message by message, whoever answered in between',
  async (_name, encode) => {
    let earlier: unknown[] = []
    for (const length of REQUESTS) {
      const { body, problems } = await encode(view(...conversation.slice(0, length)))
      expect(problems).toEqual([])
      const parted = ({ messages, input, ...rest }: Encoded['body']) => ({ messages: messages ?? input, rest })
      const { messages, rest } = parted(unmarked(body))
      expect(messages.slice(0, earlier.length)).toEqual(earlier)
      expect(messages.length).toBeGreaterThan(earlier.length)
      expect(rest).toEqual(parted(unmarked((await encode(view(user(1, 'go')))).body)).rest)
      earlier = messages
    }
  },
)

/** Each provider at home, with what it wants back verbatim, and where that stands in an answer of a request. */
interface Home {
  replay: Pick<Replay, 'provider' | 'platform' | 'model'>
  own: string
  encode(v: View): Promise<Encoded>
  sent(body: Encoded['body']): unknown[]
}
const ENCRYPTED = '{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}'
const DETAILS = [{ type: 'reasoning.text', text: 'hm', signature: 'c2ln', index: 0 }]
const SERVER_TOOLS = ['{"type":"web_search"}']
const HOMES: [string, Home][] = [
  [
    'anthropic',
    {
      replay: atHome,
      own: THINKING,
      encode: toAnthropic,
      sent: ({ messages }) =>
        messages.flatMap(({ role, content }) => (role === 'assistant' ? (content as Json[]).slice(0, 1) : [])),
    },
  ],
  [
    'openai-responses',
    {
      replay: { provider: 'openai-responses', platform: 'api.openai.com', model: 'gpt-5.5' },
      own: ENCRYPTED,
      encode: (v) => toResponses(v, spec('openai-responses', 'gpt-5.5', { serverTools: SERVER_TOOLS })),
      sent: ({ input }) => input.filter(({ type }) => type === 'reasoning'),
    },
  ],
  [
    'openai-chat at OpenRouter',
    {
      replay: { provider: 'openai-chat', platform: 'openrouter.ai', model: 'anthropic/claude-sonnet-4.5' },
      own: JSON.stringify({ field: 'reasoning', details: DETAILS }),
      encode: (v) =>
        toChat(
          v,
          spec('openai-chat', 'anthropic/claude-sonnet-4.5', { serverTools: SERVER_TOOLS }),
          noBlob,
          'openrouter.ai',
        ),
      sent: ({ messages }) => messages.flatMap((message) => (message['reasoning_details'] as Json[] | undefined) ?? []),
    },
  ],
]

/** A answers, then B (a fallback, or a migration), then A again. */
const backAndForth = ({ replay, own }: Home): ViewEntry[] => [
  user(1, 'go'),
  answer(2, {
    blocks: [{ type: 'reasoning', text: 'hm' }, said('I look.'), call('a')],
    replay: { ...replay, ...format, blocks: [own, null, null] },
  }),
  result(3, ['a']),
  answer(4, {
    blocks: [{ type: 'reasoning', text: 'so' }, call('b')],
    replay: { provider: 'another', platform: 'x', model: 'y', ...format, blocks: ['{"opaque":1}', null] },
  }),
  result(5, ['b']),
  answer(6, {
    blocks: [{ type: 'reasoning', text: 'hm' }, said('It is done.')],
    replay: { ...replay, ...format, blocks: [own, null] },
  }),
  user(7, 'and now?'),
]

test.each(HOMES)('%s, A to B to A: what A made is in every later request of A, byte for byte', async (_name, home) => {
  const own = home.own === THINKING || home.own === ENCRYPTED ? [JSON.parse(home.own) as Json] : DETAILS
  for (const length of REQUESTS.slice(1)) {
    const { body, problems } = await home.encode(view(...backAndForth(home).slice(0, length)))
    expect(problems).toEqual([])
    const sent = home.sent(body).filter((one) => JSON.stringify(one) === JSON.stringify(own[0]))
    expect(sent).toHaveLength(length < 7 ? 1 : 2)
    expect(JSON.stringify(body)).not.toContain('opaque')
  }
})

test.each(HOMES)('%s: requests below one cut of replay extend each other too', async (_name, home) => {
  let earlier: unknown[] = []
  for (const length of REQUESTS) {
    const { body } = await home.encode({ ...view(...backAndForth(home).slice(0, length)), replayCut: 4 })
    const { messages, input } = unmarked(body)
    const now = messages ?? input
    expect(now.slice(0, earlier.length)).toEqual(earlier)
    // What stands above the cut goes back, and nothing below it.
    expect(home.sent(body).filter((one) => /"(?:signature|encrypted_content)"/.test(JSON.stringify(one)))).toHaveLength(
      length < 7 ? 0 : 1,
    )
    earlier = now
  }
})
