/** What the checkers refuse, seen through the vendors' SDKs where they let it through; and that what vendors took passes. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { anthropicProblem } from '../../dev/scripted-model/check-anthropic'
import { chatProblem } from '../../dev/scripted-model/check-chat'
import type { Json } from '../../dev/scripted-model/json'
import { signatureOf } from '../../dev/scripted-model/wire-anthropic'
import { anthropic, closeAll, failure, openai, serve, user } from './support'

afterEach(closeAll)

const VERSION = '2026-10-21'
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
      'thinking that was changed',
      body([hi, assistant(thinking('x!', signatureOf('x')), use()), results(result())]),
      /Invalid `signature` in `thinking` block/,
    ],
    [
      'an assistant message last',
      body([hi, assistant({ type: 'text', text: 'I' })]),
      /does not support assistant message prefill/,
    ],
    ['a document from the assistant', body([hi, assistant({ type: 'document' }), hi]), /Input tag 'document'/],
  ])('refuses %s', (_what, request, problem) => {
    const found = anthropicProblem(request, VERSION)
    if (typeof problem === 'string') expect(found).toBe(problem)
    else expect(found).toMatch(problem)
  })

  it.each<[string, Json]>([
    [
      'a tool turn, thinking as it was signed',
      body([
        hi,
        assistant(thinking('x', signatureOf('x')), use()),
        results(result(), { type: 'text', text: 'and more' }),
      ]),
    ],
    [
      'the same id in a later turn',
      body([hi, assistant(use()), results(result()), assistant(use()), results(result())]),
    ],
    ['a blank block beside another', body([results({ type: 'text', text: ' ' }, { type: 'text', text: 'x' })])],
    ['an empty result', body([hi, assistant(use()), results(result('c1', { content: undefined }))])],
  ])('takes %s', (_what, request) => expect(anthropicProblem(request, VERSION)).toBeNull())

  it('answers in the vendor shape, and counts the request as refused', async () => {
    const server = await serve([])
    const ask = { model: 'm', max_tokens: 5, messages: [hi, assistant(use())] as never }
    const error = await failure(anthropic(server).messages.create(ask))
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', error: { type: 'error' } })
    expect(server.requests).toMatchObject([{ rule: null, status: 400 }])
  })
})

describe('Chat', () => {
  const body = (messages: object[], rest: object = {}): Json => ({ model: 'm', messages, ...rest })
  const hi = user('hi')
  const call = (id = 'c1', rest: object = {}) => ({
    id,
    type: 'function',
    function: { name: 't', arguments: '{}', ...rest },
  })
  const calls = (...tool_calls: object[]) => ({ role: 'assistant', content: null, tool_calls })
  const told = (id = 'c1', content: unknown = 'r') => ({ role: 'tool', tool_call_id: id, content })
  const fn = (rest: object) => ({ tools: [{ type: 'function', function: { name: 't', ...rest } }] })

  it.each<[string, Json, string | RegExp]>([
    ['no model', body([hi], { model: undefined }), 'you must provide a model parameter'],
    ['no messages', { model: 'm' }, "Missing required parameter: 'messages'."],
    ['an empty list of messages', body([]), /^Invalid 'messages': empty array/],
    [
      'stream_options without stream',
      body([hi], { stream_options: { include_usage: true } }),
      /only allowed when 'stream' is enabled/,
    ],
    ['tool_choice without tools', body([hi], { tool_choice: 'auto' }), /only allowed when 'tools' are specified/],
    ['no tools in tools', body([hi], { tools: [] }), /^Invalid 'tools': empty array/],
    ['a tool name out of pattern', body([hi], fn({ name: 'a.b' })), /does not match pattern/],
    [
      'a tool name too long',
      body([hi], fn({ name: 'a'.repeat(65) })),
      /maximum length 64, but got a string with length 65/,
    ],
    [
      'a schema root that is no object',
      body([hi], fn({ parameters: { type: 'array' } })),
      /^Invalid schema for function 't'/,
    ],
    [
      'a schema root anyOf',
      body([hi], fn({ parameters: { type: 'object', anyOf: [] } })),
      /^Invalid schema for function 't'/,
    ],
    ['an unknown role', body([{ role: 'results', content: 'x' }]), /^Invalid value: 'results'/],
    [
      'another vendor field on a message',
      body([{ ...hi, cache_control: {} }]),
      "Unknown parameter: 'messages[0].cache_control'.",
    ],
    ['null for the user', body([{ role: 'user', content: null }]), /expected a string, got null/],
    ['an answer of nothing', body([hi, { role: 'assistant', content: null }]), /expected a string, got null/],
    [
      'an unknown part',
      body([{ role: 'user', content: [{ type: 'input_audio' }] }]),
      "Invalid 'messages[0]'. Content blocks are expected to be either text or image_url type.",
    ],
    [
      'an image from a tool',
      body([hi, calls(call()), told('c1', [{ type: 'image_url' }])]),
      /Image URLs are only allowed for messages with role 'user'/,
    ],
    ['a call without its tool message, at the end', body([hi, calls(call())]), /did not have response messages: c1$/],
    [
      'a call without its tool message, in the middle',
      body([hi, calls(call(), call('c2')), told(), hi]),
      /did not have response messages: c2$/,
    ],
    [
      'a tool message without a call',
      body([hi, told()]),
      /must be a response to a preceeding message with 'tool_calls'/,
    ],
    [
      'a tool message after another message',
      body([hi, calls(call()), told(), hi, told()]),
      /must be a response to a preceeding message/,
    ],
    ['two tool messages of a call', body([hi, calls(call()), told(), told()]), /has already been answered/],
    ['the same id twice', body([hi, calls(call(), call()), told()]), /Duplicate value for 'tool_call_id' of 'c1'/],
    [
      'an id over 40 characters',
      body([hi, calls(call('c'.repeat(41)))]),
      /maximum length 40, but got a string with length 41/,
    ],
    ['no calls in tool_calls', body([hi, calls()]), /tool_calls': empty array/],
    [
      'arguments that are no text',
      body([hi, calls(call('c1', { arguments: {} }))]),
      /expected a string, but got an object instead/,
    ],
    [
      'arguments that are no JSON',
      body([hi, calls(call('c1', { arguments: '{"a' }))]),
      /expected the JSON text of an object/,
    ],
    [
      'arguments that are no object',
      body([hi, calls(call('c1', { arguments: '[1]' }))]),
      /expected the JSON text of an object/,
    ],
  ])('refuses %s', (_what, request, message) => {
    const found = chatProblem(request)?.message
    if (typeof message === 'string') expect(found).toBe(message)
    else expect(found).toMatch(message)
  })

  it('answers in the vendor shape', async () => {
    const error = await failure(
      openai(await serve([])).chat.completions.create({ model: 'm', messages: [hi, calls(call())] as never }),
    )
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', param: 'messages.[2].role', code: null })
  })
})

it.each(['\0', '\ud800', 'a\udc00b'])('refuses text that no vendor takes: %j', async (bad) => {
  const server = await serve([])
  const a = anthropic(server).messages.create({ model: 'm', max_tokens: 5, messages: [user(bad)] })
  expect(await failure(a)).toMatchObject({ status: 400, type: 'invalid_request_error' })
  const o = openai(server).chat.completions.create({ model: 'm', messages: [user(bad)] })
  expect(await failure(o)).toMatchObject({ status: 400 })
})

it('takes text that only looks like it', async () => {
  const message = await anthropic(await serve([])).messages.create({
    model: 'm',
    max_tokens: 5,
    messages: [user('\\ud800 \\u0000 😀')],
  })
  expect(message.role).toBe('assistant')
})

describe('recorded exchanges (test/fixtures/wire)', () => {
  const folder = path.join(__dirname, '..', 'fixtures', 'wire')
  const recorded = ['anthropic', 'chat'].flatMap((api) =>
    readdirSync(path.join(folder, api)).map((file) => {
      const { request, response } = JSON.parse(readFileSync(path.join(folder, api, file), 'utf8')) as {
        request: { body: Json }
        response: { status: number }
      }
      return { name: `${api}/${file}`, api, body: request.body, status: response.status }
    }),
  )
  const problem = ({ api, body }: { api: string; body: Json }) =>
    api === 'anthropic' ? anthropicProblem(body, VERSION) : chatProblem(body)

  it('there are enough of them', () => expect(recorded.length).toBeGreaterThanOrEqual(45))

  it.each(recorded.filter((r) => r.status === 200))('takes $name, as the vendor did', (r) =>
    expect(problem(r)).toBeNull(),
  )

  it('refuses the audio part in the recorded words', () => {
    const audio = recorded.find((r) => r.name === 'chat/error-400-audio.json')
    expect(audio && problem(audio)).toEqual({
      message: "Invalid 'messages[3]'. Content blocks are expected to be either text or image_url type.",
      param: 'messages[3]',
      code: 'invalid_value',
    })
  })
})
