/**
 * L10: within one definition and view version a longer log extends the model's request and rewrites nothing, also from A to B to A.
 * Over random histories: test/providers/view. Here one conversation on the real encoders, its answers made by one and the other in turn.
 */
import type { ViewEntry } from '../../contract/provider-port'
import {
  call,
  result,
  said,
  toAnthropic,
  toChat,
  toResponses,
  unmarked,
  user,
  view,
  type Encoded,
} from '../providers/support/calls'

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

test('A to B to A: what A signed is in every later request of A, byte for byte', async () => {
  for (const length of REQUESTS.slice(1)) {
    const { body } = await toAnthropic(view(...conversation.slice(0, length)))
    expect((body.messages[1]?.['content'] as unknown[])[0]).toEqual(JSON.parse(THINKING))
  }
})
