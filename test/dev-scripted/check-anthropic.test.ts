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
