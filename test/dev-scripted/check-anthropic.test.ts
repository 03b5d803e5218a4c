/** What the checker of Anthropic's wire refuses, each beside its good twin. */
import { anthropicProblem } from '../../dev/scripted-model/check-anthropic'
import type { Json } from '../../dev/scripted-model/json'
import { anthropic, closeAll, failure, serve, user } from './support'

afterEach(closeAll)

const OPTIONS = { version: '2026-10-21', trustReplay: true }
const use = (id = 'c1', rest: object = {}) => ({ type: 'tool_use', id, name: 't', input: {}, ...rest })
const result = (id = 'c1', rest: object = {}) => ({ type: 'tool_result', tool_use_id: id, content: 'r', ...rest })
const assistant = (...content: object[]) => ({ role: 'assistant', content })
const results = (...content: object[]) => ({ role: 'user', content })
const thinking = (text: string, signature: string) => ({ type: 'thinking', thinking: text, signature })
const tool = (rest: object = {}) => ({ name: 't', input_schema: { type: 'object' }, ...rest })

describe('Anthropic', () => {
  const body = (messages: object[], rest: object = {}): Json => ({ model: 'm', max_tokens: 10, messages, ...rest })
  const hi = user('hi')

  it.each<[string, Json, string | RegExp]>([
    ['no max_tokens', body([hi], { max_tokens: undefined }), 'max_tokens: Field required'],
    ['no model', body([hi], { model: undefined }), 'model: Field required'],
    ['no messages', body([]), 'messages: at least one message is required'],
    ['temperature in this version', body([hi], { temperature: 1 }), 'temperature: Extra inputs are not permitted'],
    [
      'a budget that leaves nothing',
      body([hi], { max_tokens: 2048, thinking: { type: 'enabled', budget_tokens: 2048 } }),
      /must be greater than `thinking.budget_tokens`/,
    ],
    [
      'forced tool choice with thinking',
      body([hi], {
        max_tokens: 4096,
        thinking: { type: 'enabled', budget_tokens: 1024 },
        tool_choice: { type: 'any' },
      }),
      /Thinking may not be enabled/,
    ],
    [
      'tool name out of pattern',
      body([hi], { tools: [tool({ name: 'a.b' })] }),
      /^tools\.0\.custom\.name: String should match pattern/,
    ],
    ['two tools of one name', body([hi], { tools: [tool(), tool()] }), 'tools: Tool names must be unique.'],
    [
      'schema root not an object',
      body([hi], { tools: [tool({ input_schema: { type: 'string' } })] }),
      /input_schema\.type: Input should be 'object'/,
    ],
    [
      'schema root anyOf',
      body([hi], { tools: [tool({ input_schema: { type: 'object', anyOf: [] } })] }),
      /does not support oneOf, allOf, or anyOf at the top level/,
    ],
    ['unknown role', body([{ role: 'tool', content: 'x' }]), /^messages\.0\.role/],
    ['unknown field on a message', body([{ ...hi, name: 'me' }]), 'messages.0.name: Extra inputs are not permitted'],
    ['roles that do not alternate', body([hi, user('again')]), /roles must alternate.*multiple "user"/],
    ['no content', body([results()]), /all messages must have non-empty content/],
    [
      'empty text block',
      body([results({ type: 'text', text: '' }, { type: 'text', text: 'x' })]),
      'messages: text content blocks must be non-empty',
    ],
    ['only blank text', body([user(' \n')]), 'messages: text content blocks must contain non-whitespace text'],
    [
      'unknown block',
      body([results({ type: 'input_text', text: 'x' })]),
      /^messages\.0\.content\.0: Input tag 'input_text'/,
    ],
    ['thinking from a user', body([results(thinking('x', 's'))]), /Input tag 'thinking'/],
    [
      'a call without its result, at the end',
      body([hi, assistant(use())]),
      /^messages\.1: `tool_use` ids were found without `tool_result` blocks immediately after: c1\./,
    ],
    [
      'a call without its result, in the middle',
      body([hi, assistant(use()), user('x')]),
      /^messages\.1: `tool_use` ids .* after: c1\./,
    ],
    [
      'one of two results missing',
      body([hi, assistant(use(), use('c2')), results(result())]),
      /immediately after: c2\./,
    ],
    [
      'text before the result',
      body([hi, assistant(use()), results({ type: 'text', text: 'x' }, result())]),
      /immediately after: c1\./,
    ],
    [
      'an orphan result',
      body([hi, assistant({ type: 'text', text: 'x' }), results(result('c9'))]),
      /unexpected `tool_use_id` found in `tool_result` blocks: c9/,
    ],
    [
      'a result a turn late',
      body([hi, assistant(use()), results(result()), assistant({ type: 'text', text: 'x' }), results(result())]),
      /unexpected `tool_use_id`/,
    ],
    [
      'two results of a call',
      body([hi, assistant(use()), results(result(), result())]),
      /each tool_use must have a single result/,
    ],
    ['the same id twice', body([hi, assistant(use(), use()), results(result())]), /`tool_use` ids must be unique/],
    [
      'an id out of pattern',
      body([hi, assistant(use('s:1.0')), results(result('s:1.0'))]),
      /tool_use\.id: String should match pattern/,
    ],
    [
      'input that is no object',
      body([hi, assistant(use('c1', { input: '{}' })), results(result())]),
      /input: Input should be a valid dictionary/,
    ],
    [
      'an image in an error result',
      body([hi, assistant(use()), results(result('c1', { is_error: true, content: [{ type: 'image' }] }))]),
      /must be type "text" if `is_error` is true/,
    ],
    [
      'thinking without its signature',
      body([hi, assistant(thinking('x', ''), use()), results(result())]),
      /thinking\.signature: Field required/,
    ],
    [
      'an assistant message last',
      body([hi, assistant({ type: 'text', text: 'I' })]),
      /does not support assistant message prefill/,
    ],
    ['a document from the assistant', body([hi, assistant({ type: 'document' }), hi]), /Input tag 'document'/],
  ])('refuses %s', (_what, request, problem) => {
    const found = anthropicProblem(request, OPTIONS)
    if (typeof problem === 'string') expect(found).toBe(problem)
    else expect(found).toMatch(problem)
  })

  const cached = (n: number, ttl?: string) =>
    Array.from({ length: n }, () => ({
      type: 'text',
      text: 'x',
      cache_control: { type: 'ephemeral', ...(ttl ? { ttl } : {}) },
    }))
  const adaptive = { thinking: { type: 'adaptive' } }
  const json = (schema: object) => ({ output_config: { format: { type: 'json_schema', schema } } })
  const named = (model: string, rest: object) => body([hi], { model, max_tokens: 4096, ...rest })
  const effort = (level: string) => ({ output_config: { effort: level } })
  const budget = { thinking: { type: 'enabled', budget_tokens: 1024 } }

  it.each<[string, Json, string | RegExp, Json]>([
    ['an unknown parameter', body([hi], { n: 1 }), 'n: Extra inputs are not permitted', body([hi], { speed: 'fast' })],
    [
      'an unknown field on a block',
      body([results({ type: 'text', text: 'x', parsed: 1 })]),
      'messages.0.content.0.text.parsed: Extra inputs are not permitted',
      body([results({ type: 'text', text: 'x', cache_control: null })]),
    ],
    [
      'more than four cache marks',
      body([results(...cached(3))], { system: cached(2) }),
      'A maximum of 4 blocks with cache_control may be provided. Found 5.',
      body([results(...cached(2))], { system: cached(2) }),
    ],
    [
      'a fifth cache mark in a tool result',
      body([hi, assistant(use()), results(result('c1', { content: cached(3) }))], { system: cached(2) }),
      /^A maximum of 4 blocks/,
      body([hi, assistant(use()), results(result('c1', { content: cached(2) }))], { system: cached(2) }),
    ],
    [
      'a long life after a short one',
      body([results(...cached(1, '1h'))], { system: cached(1, '5m') }),
      /a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block/,
      body([results(...cached(1, '5m'))], { system: cached(1, '1h') }),
    ],
    [
      'a blank stop sequence',
      body([hi], { stop_sequences: [' '] }),
      /must contain non-whitespace/,
      body([hi], { stop_sequences: ['.'] }),
    ],
    [
      'a tool choice without tools',
      body([hi], { tool_choice: { type: 'auto' } }),
      /may only be specified while providing tools/,
      body([hi], { tool_choice: { type: 'auto' }, tools: [tool()] }),
    ],
    [
      'a tool choice that is not there',
      body([hi], { tool_choice: { type: 'tool', name: 'u' }, tools: [tool()] }),
      "Tool 'u' not found in provided tools",
      body([hi], { tool_choice: { type: 'tool', name: 't' }, tools: [tool()] }),
    ],
    [
      'forced tool choice with adaptive thinking',
      body([hi], { ...adaptive, tool_choice: { type: 'any' }, tools: [tool()] }),
      /Thinking may not be enabled/,
      body([hi], { ...adaptive, tool_choice: { type: 'auto' }, tools: [tool()] }),
    ],
    [
      'an open schema of the answer',
      body([hi], json({ type: 'object', properties: {} })),
      /^output_config\.format\.schema: For 'object' type, 'additionalProperties' must be/,
      body([hi], json({ type: 'object', properties: {}, additionalProperties: false })),
    ],
    [
      'an open schema of a strict tool',
      body([hi], { tools: [tool({ strict: true })] }),
      /'additionalProperties' must be explicitly set to false/,
      body([hi], { tools: [tool({ strict: true, input_schema: { type: 'object', additionalProperties: false } })] }),
    ],
    [
      'an effort that the family does not have',
      named('claude-opus-4-6', effort('xhigh')),
      "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
      named('claude-opus-4-7', effort('xhigh')),
    ],
    [
      'an effort where there is none',
      named('claude-haiku-4-5', effort('low')),
      'This model does not support the effort parameter.',
      named('claude-haiku-5-5', effort('low')),
    ],
    [
      'a budget where thinking is adaptive',
      named('claude-opus-5', budget),
      /^"thinking\.type\.enabled" is not supported for this model/,
      named('claude-opus-5', adaptive),
    ],
    [
      'adaptive thinking where there is a budget',
      named('claude-sonnet-4-5', adaptive),
      /^"thinking\.type\.adaptive" is not supported/,
      named('claude-sonnet-4-5', budget),
    ],
    [
      'a system message in mid-conversation on an older model',
      body([hi, { role: 'system', content: 'x' }], { model: 'claude-sonnet-4-5' }),
      /^messages: Unexpected role "system"/,
      body([hi, { role: 'system', content: 'x' }], { model: 'claude-opus-4-8' }),
    ],
  ])('refuses %s, and takes its good twin', (_what, request, problem, twin) => {
    const found = anthropicProblem(request, OPTIONS)
    if (typeof problem === 'string') expect(found).toBe(problem)
    else expect(found).toMatch(problem)
    expect(anthropicProblem(twin, OPTIONS)).toBeNull()
  })

  it.each<[string, Json]>([
    [
      'a tool turn that begins with thinking',
      body([hi, assistant(thinking('x', 'of-a-vendor'), use()), results(result(), { type: 'text', text: 'and more' })]),
    ],
    [
      'the same id in a later turn',
      body([hi, assistant(use()), results(result()), assistant(use()), results(result())]),
    ],
    ['a blank block beside another', body([results({ type: 'text', text: ' ' }, { type: 'text', text: 'x' })])],
    ['an empty result', body([hi, assistant(use()), results(result('c1', { content: undefined }))])],
  ])('takes %s', (_what, request) => expect(anthropicProblem(request, OPTIONS)).toBeNull())

  it('answers in the vendor shape, and counts the request as refused', async () => {
    const server = await serve([])
    const ask = { model: 'm', max_tokens: 5, messages: [hi, assistant(use())] as never }
    const error = await failure(anthropic(server).messages.create(ask))
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', error: { type: 'error' } })
    expect(server.requests).toMatchObject([{ rule: null, status: 400 }])
  })
})
