/** A provider that refuses its own replay: how that is told, and the same request without it. */
import type { Replay } from '../../contract/events'
import type { ModelResult, ViewEntry } from '../../contract/provider-port'
import {
  AT,
  call,
  chatAt,
  context,
  noBlob,
  result,
  said,
  spec,
  toAnthropic,
  toChat,
  toResponses,
  user,
  view,
  type Encoded,
} from './support/calls'
import { recorded, type Json } from './support/recorded'
import { json, sse, startWireServer, type WireServer } from './support/wire-server'

let server: WireServer
beforeEach(async () => {
  server = await startWireServer()
})
afterEach(() => server.close())

const HOMES = {
  anthropic: { provider: 'anthropic', platform: 'api.anthropic.com', model: 'claude-haiku-4-5', format: 1 },
  'openai-chat': { provider: 'openai-chat', platform: 'vllm', model: 'qwen', format: 1 },
  'openai-responses': { provider: 'openai-responses', platform: 'api.openai.com', model: 'gpt-5.5', format: 1 },
} as const
const THOUGHTS = {
  anthropic: '{"type":"thinking","thinking":"hm","signature":"c2ln"}',
  'openai-chat': '{"field":"reasoning"}',
  'openai-responses': '{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}',
} as const
type Name = keyof typeof HOMES
const encodes: Record<Name, (v: ReturnType<typeof view>) => Promise<Encoded>> = {
  anthropic: (v) => toAnthropic(v),
  'openai-chat': (v) => toChat(v, spec('openai-chat', 'qwen'), noBlob, 'vllm'),
  'openai-responses': (v) => toResponses(v),
}
const thought = (name: Name, seq: number, id: string): ViewEntry => ({
  role: 'assistant',
  seq,
  blocks: [{ type: 'reasoning', text: 'hm' }, said('ok'), call(id)],
  replay: { ...HOMES[name], blocks: [THOUGHTS[name], null, null] },
})
const history = (name: Name): ViewEntry[] => [
  user(1, 'go'),
  thought(name, 2, 'a'),
  result(3, ['a']),
  thought(name, 4, 'b'),
  result(5, ['b']),
]
const count = ({ body }: Encoded): number => (JSON.stringify(body).match(/c2ln|gAAA|"reasoning":"hm"/g) ?? []).length

test.each(Object.keys(HOMES) as Name[])(
  '%s: answers up to the cut go without their replay, with the reason; later ones keep it',
  async (name) => {
    const whole = await encodes[name](view(...history(name)))
    expect(count(whole)).toBe(2)
    const cut = await encodes[name]({ ...view(...history(name)), replayCut: 2 })
    expect(cut.problems).toEqual([])
    expect(count(cut)).toBe(1)
    const why = 'the provider refused its own replay: none is sent up to event 2'
    expect(cut.dropped).toEqual([{ seq: 2, what: 'reasoning', why }])
    const none = await encodes[name]({ ...view(...history(name)), replayCut: 4 })
    expect([count(none), none.dropped.length, none.problems]).toEqual([0, 2, []])
  },
)

const anthropicSays = (message: string): object => ({
  type: 'error',
  error: { type: 'invalid_request_error', message },
})
const openaiSays = (code: string | null, message: string): object => ({
  error: { code, message, type: 'invalid_request_error', param: null },
})

async function refused(name: Name, body: object, entries = history(name), status = 400): Promise<ModelResult> {
  server.replies.splice(0, 9, json(status, body))
  const at = name === 'openai-chat' ? chatAt(server, 'vllm') : AT[name](server)
  return at.call({ model: spec(name, HOMES[name].model), view: view(...entries), blob: noBlob }, context())
}

test.each<[Name, object]>([
  ['anthropic', anthropicSays('messages.1.content.0: Invalid `signature` in `thinking` block')],
  [
    'anthropic',
    anthropicSays(
      'messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block".',
    ),
  ],
  [
    'anthropic',
    anthropicSays(
      'messages.3.content.8: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These blocks must remain as they were in the original response.',
    ),
  ],
  [
    'anthropic',
    anthropicSays(
      'messages.5.content.0: If an assistant message contains any thinking blocks, the first block must be `thinking` or `redacted_thinking`. Found `text`.',
    ),
  ],
  [
    'openai-responses',
    openaiSays('invalid_encrypted_content', 'The encrypted content gAAA...Rg== could not be verified.'),
  ],
  [
    'openai-responses',
    openaiSays(null, "Item 'rs_1' of type 'reasoning' was provided without its required following item."),
  ],
  ['openai-responses', openaiSays(null, "Item 'msg_1' was provided without its required 'reasoning' item: 'rs_1'.")],
  [
    'openai-responses',
    openaiSays(
      null,
      "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.",
    ),
  ],
  ['openai-responses', recorded('responses/modified-history-2-error-400').response.body ?? {}],
  [
    'openai-chat',
    openaiSays(
      null,
      "Error from provider: Extra inputs are not permitted, field: 'messages[8].reasoning', value: 'Now'",
    ),
  ],
  ['openai-chat', openaiSays(null, "'messages.2' : property 'reasoning_content' is unsupported")],
])('%s refuses its own replay: %j', async (name, body) => {
  const said = await refused(name, body)
  expect(said).toMatchObject({ ok: false, class: 'refused_request', retryable: false, replayRefused: true })
})

test('the same as an event inside a 200', async () => {
  const failed = { type: 'response.failed', response: { error: { code: 'invalid_encrypted_content', message: 'no' } } }
  server.replies.push(sse(`event: response.failed\ndata: ${JSON.stringify(failed)}\n\n`))
  const request = {
    model: spec('openai-responses', 'gpt-5.5'),
    view: view(...history('openai-responses')),
    blob: noBlob,
  }
  expect(await AT['openai-responses'](server).call(request, context())).toMatchObject({ replayRefused: true })
})

test('where no replay was sent, none was refused', async () => {
  const body = openaiSays('invalid_encrypted_content', 'The encrypted content could not be verified.')
  expect(await refused('openai-responses', body, [user(1, 'go')])).not.toHaveProperty('replayRefused')
})

test.each<[Name, object, number]>([
  ['anthropic', anthropicSays('messages.1: all messages must have non-empty content'), 400],
  ['anthropic', { type: 'error', error: { type: 'overloaded_error', message: 'thinking' } }, 529],
  ['openai-responses', openaiSays('unsupported_value', "'reasoning.effort' does not support 'max'"), 400],
  // It lacks reasoning: without replay it would lack more.
  [
    'openai-chat',
    openaiSays('invalid_request_error', 'The reasoning_content in the thinking mode must be passed back to the API.'),
    400,
  ],
  [
    'openai-chat',
    openaiSays(null, "Unsupported value: 'reasoning_effort' does not support 'xhigh' with this model."),
    400,
  ],
])('%s: other refusals are not taken for that: %j', async (name, body, status) => {
  expect(await refused(name, body, undefined, status)).not.toHaveProperty('replayRefused')
})

const RESPONSES_HOME: Replay = { ...HOMES['openai-responses'], blocks: [] }
const items = ({ body }: Encoded): string[] => body.input.map((item) => String(item['type']))

test('Responses: a reasoning item is never sent without its following item', async () => {
  const alone: ViewEntry = {
    role: 'assistant',
    seq: 2,
    blocks: [{ type: 'reasoning', text: 'hm' }, said('ok'), { type: 'reasoning', text: 'hm' }],
    replay: { ...RESPONSES_HOME, blocks: [THOUGHTS['openai-responses'], null, THOUGHTS['openai-responses']] },
  }
  const encoded = await toResponses(view(user(1, 'go'), alone, user(3, 'and?')))
  expect(encoded.problems).toEqual([])
  expect(items(encoded)).toEqual(['message', 'reasoning', 'message', 'message'])
  expect(encoded.dropped).toEqual([{ seq: 2, what: 'reasoning', why: 'nothing of its answer follows it' }])
  const only: ViewEntry = {
    role: 'assistant',
    seq: 2,
    blocks: alone.blocks.slice(0, 1),
    replay: { ...RESPONSES_HOME, blocks: [THOUGHTS['openai-responses']] },
  }
  const nothing = await toResponses(view(user(1, 'go'), only, user(3, 'and?')))
  expect([items(nothing), nothing.problems]).toEqual([['message', 'message', 'message'], []])
})

test.each([
  ['provider', { provider: 'anthropic' }, 'made by another provider: anthropic'],
  ['platform', { platform: 'azure' }, 'made by another platform: azure'],
  ['model', { model: 'gpt-5' }, 'made by another model: gpt-5'],
  ['format', { format: 2 }, 'made by another format: 2'],
])(
  'Responses: reasoning, server tools and phases from elsewhere are dropped or left away: another %s',
  async (_what, other, why) => {
    const entry: ViewEntry = {
      role: 'assistant',
      seq: 2,
      blocks: [{ type: 'reasoning', text: 'hm' }, { type: 'structured', json: '{}' }, said('ok')],
      replay: {
        ...RESPONSES_HOME,
        ...other,
        blocks: [THOUGHTS['openai-responses'], '{"type":"web_search_call","id":"ws_1"}', '{"phase":"commentary"}'],
      },
    }
    const encoded = await toResponses(view(user(1, 'go'), entry, user(3, 'and?')))
    expect(encoded.problems).toEqual([])
    expect(encoded.body.input[1]).toEqual({ type: 'message', role: 'assistant', content: 'ok' })
    expect(encoded.dropped).toEqual([
      { seq: 2, what: 'reasoning', why },
      { seq: 2, what: 'server tool', why },
    ])
  },
)

test('Responses: phase and citations of an answer go back with it', async () => {
  const annotations = [{ type: 'url_citation', url: 'https://x', title: 'X', start_index: 0, end_index: 2 }]
  const entry: ViewEntry = {
    role: 'assistant',
    seq: 2,
    blocks: [said('I look.'), said('ok')],
    replay: {
      ...RESPONSES_HOME,
      blocks: ['{"phase":"commentary"}', JSON.stringify({ phase: 'final_answer', annotations })],
    },
  }
  const { body } = await toResponses(view(user(1, 'go'), entry, user(3, 'and?')))
  const message = (phase: string, text: string, cited: unknown[]): Json => ({
    type: 'message',
    role: 'assistant',
    phase,
    content: [{ type: 'output_text', text, annotations: cited }],
  })
  expect(body.input.slice(1, 3)).toEqual([
    message('commentary', 'I look.', []),
    message('final_answer', 'ok', annotations),
  ])
})
