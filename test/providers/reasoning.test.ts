/** Reasoning goes back verbatim where it was made, and nowhere else (L11); settings that a model refuses are left out and said. */
import type { Replay } from '../../contract/events'
import type { ViewEntry } from '../../contract/provider-port'
import { call, result, said, spec, toAnthropic, toChat, user, view } from './support/calls'
import type { Json } from './support/recorded'

const THINKING = '{"type":"thinking","thinking":"hm 12345678901234567890","signature":"c2lnbmF0dXJl"}'
const home: Replay = {
  provider: 'anthropic',
  platform: 'api.anthropic.com',
  model: 'claude-haiku-4-5',
  format: 1,
  blocks: [THINKING, null, null],
}
const thought = (replay?: Replay): ViewEntry => ({
  role: 'assistant',
  seq: 2,
  blocks: [{ type: 'reasoning', text: 'hm' }, said('ok'), call('a')],
  ...(replay ? { replay } : {}),
})
const history = (replay?: Replay): ViewEntry[] => [user(1, 'go'), thought(replay), result(3, ['a'])]

test('signed thinking goes back byte for byte, and comes first', async () => {
  const { body, dropped, problems } = await toAnthropic(view(...history(home)))
  expect(problems).toEqual([])
  expect(dropped).toEqual([])
  expect((body.messages[1]?.['content'] as Json[])[0]).toEqual(JSON.parse(THINKING))
})

test.each([
  ['provider', { ...home, provider: 'openai-chat' }, 'made by another provider: openai-chat'],
  ['platform', { ...home, platform: 'bedrock' }, 'made by another platform: bedrock'],
  ['model', { ...home, model: 'claude-opus-5' }, 'made by another model: claude-opus-5'],
  ['format', { ...home, format: 2 }, 'made by another format: 2'],
  ['nothing kept', undefined, 'nothing to send back was kept'],
  ['no signature', { ...home, blocks: [null, null, null] }, 'it has no signature'],
])('thinking from elsewhere is dropped, with its reason: %s', async (_what, replay, why) => {
  const { body, dropped, problems } = await toAnthropic(view(...history(replay)))
  expect(problems).toEqual([])
  expect(dropped).toEqual([{ seq: 2, what: 'reasoning', why }])
  expect((body.messages[1]?.['content'] as Json[]).map((b) => b['type'])).toEqual(['text', 'tool_use'])
})

test('an answer that is thinking only can still be sent back', async () => {
  const alone: ViewEntry = {
    role: 'assistant',
    seq: 2,
    blocks: [{ type: 'reasoning', text: 'hm' }],
    replay: { ...home, blocks: [THINKING] },
  }
  const { body, problems } = await toAnthropic(view(user(1, 'go'), alone, user(3, 'and?')))
  expect(problems).toEqual([])
  expect((body.messages[1]?.['content'] as Json[]).map((b) => b['type'])).toEqual(['thinking', 'text'])
})

test('thinking between calls stays where it was', async () => {
  const blocks: ViewEntry = {
    role: 'assistant',
    seq: 2,
    blocks: [{ type: 'reasoning', text: 'hm' }, call('a'), { type: 'reasoning', text: 'hm' }, call('b')],
    replay: { ...home, blocks: [THINKING, null, THINKING, null] },
  }
  const { body, problems } = await toAnthropic(view(user(1, 'go'), blocks, result(3, ['a', 'b'])))
  expect(problems).toEqual([])
  expect((body.messages[1]?.['content'] as Json[]).map((b) => b['type'])).toEqual([
    'thinking',
    'tool_use',
    'thinking',
    'tool_use',
  ])
})

test('blocks of a vendor’s own tools are not sent to another', async () => {
  const search: ViewEntry = {
    role: 'assistant',
    seq: 2,
    blocks: [{ type: 'structured', json: '{"type":"server_tool_use"}' }, said('found')],
    replay: { ...home, blocks: ['{"type":"server_tool_use"}', null] },
  }
  const { body, dropped, problems } = await toChat(view(user(1, 'go'), search, user(3, 'x')))
  expect(problems).toEqual([])
  expect(body.messages[2]).toEqual({ role: 'assistant', content: 'found' })
  expect(dropped).toEqual([{ seq: 2, what: 'server tool', why: 'it belongs to another provider' }])
})

const chatHome = (field: string, platform: string): Replay => ({
  provider: 'openai-chat',
  platform,
  model: 'qwen',
  format: 1,
  blocks: [JSON.stringify({ field }), null, null],
})

test.each(['reasoning', 'reasoning_content'])(
  'vLLM and its like get reasoning back in the field in which it came: %s',
  async (field) => {
    const { body, dropped } = await toChat(
      view(...history(chatHome(field, 'vllm'))),
      spec('openai-chat', 'qwen'),
      undefined,
      'vllm',
    )
    expect(body.messages[2]).toMatchObject({ role: 'assistant', [field]: 'hm' })
    expect(dropped).toEqual([])
  },
)

test('reasoning is not sent outside of turns with tools, nor to OpenAI', async () => {
  const plain: ViewEntry = {
    role: 'assistant',
    seq: 2,
    blocks: [{ type: 'reasoning', text: 'hm' }, said('ok')],
    replay: { ...chatHome('reasoning', 'vllm'), blocks: ['{"field":"reasoning"}', null] },
  }
  const { body, dropped } = await toChat(
    view(user(1, 'go'), plain, user(3, 'x')),
    spec('openai-chat', 'qwen'),
    undefined,
    'vllm',
  )
  expect(body.messages[2]).toEqual({ role: 'assistant', content: 'ok' })
  expect(dropped).toEqual([{ seq: 2, what: 'reasoning', why: 'this endpoint reads it only in turns with tools' }])
  const openai = await toChat(view(...history(chatHome('reasoning', 'api.openai.com'))), spec('openai-chat', 'qwen'))
  expect(openai.dropped).toEqual([{ seq: 2, what: 'reasoning', why: 'this endpoint does not read it' }])
})

test('DeepSeek: the answer that ends a turn with tools keeps its reasoning too, and one of another model has an empty one', async () => {
  const deepseek = (blocks: (string | null)[]): Replay => ({
    provider: 'openai-chat',
    platform: 'api.deepseek.com',
    model: 'deepseek-reasoner',
    format: 1,
    blocks,
  })
  const field = '{"field":"reasoning_content"}'
  const last: ViewEntry = {
    role: 'assistant',
    seq: 4,
    blocks: [{ type: 'reasoning', text: 'so' }, said('done')],
    replay: deepseek([field, null]),
  }
  const { body } = await toChat(
    view(...history(home), last, user(5, 'x')),
    spec('openai-chat', 'deepseek-reasoner'),
    undefined,
    'api.deepseek.com',
  )
  expect(body.messages[2]?.['reasoning_content']).toBe('')
  expect(body.messages[4]).toEqual({ role: 'assistant', content: 'done', reasoning_content: 'so' })
})

test.each([
  ['claude-sonnet-4-5', { budgetTokens: 2000 }, { thinking: { type: 'enabled', budget_tokens: 2000 } }, []],
  ['claude-sonnet-4-5', { budgetTokens: 90_000 }, { thinking: { type: 'enabled', budget_tokens: 8191 } }, []],
  ['claude-sonnet-4-5', { effort: 'high' }, {}, ['effort high']],
  ['claude-opus-4-5', { effort: 'high' }, { output_config: { effort: 'high' } }, []],
  [
    'claude-opus-5-5',
    { budgetTokens: 2000, effort: 'minimal' },
    { thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'low' } },
    ['reasoning budget', 'effort minimal'],
  ],
] as const)('%s with %j is sent what it takes', async (name, reasoning, sent, dropped) => {
  const encoded = await toAnthropic(view(user(1, 'x')), spec('anthropic', name, { reasoning }))
  expect(encoded.problems).toEqual([])
  expect({ thinking: encoded.body['thinking'], output_config: encoded.body['output_config'] }).toEqual({
    thinking: undefined,
    output_config: undefined,
    ...sent,
  })
  expect(encoded.dropped.map((d) => d.what)).toEqual(dropped)
})

test.each([
  ['api.openai.com', 'gpt-5', { max_completion_tokens: 8192, reasoning_effort: 'high' }, ['temperature']],
  ['api.openai.com', 'gpt-4o', { max_completion_tokens: 8192, temperature: 1 }, ['effort high']],
  ['localhost', 'qwen', { max_tokens: 8192, temperature: 1, reasoning_effort: 'high' }, []],
] as const)('%s %s is sent the settings that it takes', async (host, name, sent, dropped) => {
  const model = spec('openai-chat', name, { temperature: 1, reasoning: { effort: 'high' } })
  const { body, dropped: report, problems } = await toChat(view(user(1, 'x')), model, undefined, host)
  expect(problems).toEqual([])
  const { max_tokens, max_completion_tokens, temperature, reasoning_effort } = body
  expect(JSON.parse(JSON.stringify({ max_tokens, max_completion_tokens, temperature, reasoning_effort }))).toEqual(sent)
  expect(report.map((d) => d.what)).toEqual(dropped)
})

test('a turn that another model began to think in, or did not think in: a thinking budget waits for the next turn', async () => {
  const model = spec('anthropic', 'claude-haiku-4-5', { reasoning: { budgetTokens: 2000 } })
  const elsewhere = await toAnthropic(view(...history({ ...home, model: 'claude-opus-5' })), model)
  expect(elsewhere.problems).toEqual([])
  expect(elsewhere.body).not.toHaveProperty('thinking')
  expect(elsewhere.dropped.map(({ what }) => what)).toEqual(['reasoning', 'reasoning budget'])
  const next = await toAnthropic(view(...history({ ...home, model: 'claude-opus-5' }), user(9, 'and?')), model)
  expect(next.body['thinking']).toEqual({ type: 'enabled', budget_tokens: 2000 })
  const own = await toAnthropic(view(...history(home)), model)
  expect(own.body['thinking']).toEqual({ type: 'enabled', budget_tokens: 2000 })
  // The newer ones, which decide by themselves, take such a turn.
  const adaptive = spec('anthropic', 'claude-opus-4-8', { reasoning: { effort: 'low' } })
  expect((await toAnthropic(view(...history(home)), adaptive)).body).toHaveProperty('thinking')
})

test('thinking whose text is left out keeps its signature', async () => {
  const omitted = '{"type":"thinking","thinking":"","signature":"c2lnbmF0dXJl"}'
  const { body, dropped } = await toAnthropic(view(...history({ ...home, blocks: [omitted, null, null] })))
  expect((body.messages[1]?.['content'] as Json[])[0]).toEqual(JSON.parse(omitted))
  expect(dropped).toEqual([])
})
