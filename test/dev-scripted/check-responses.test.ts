/** What the checker of Responses refuses, each beside its good twin. */
import { responsesProblem } from '../../dev/scripted-model/check-responses'
import type { Json } from '../../dev/scripted-model/json'
import { closeAll, failure, openai, serve, user } from './support'

afterEach(closeAll)

const hi = user('hi')
const body = (input: unknown, rest: object = {}): Json => ({ model: 'm', input, store: false, ...rest })
const call = (id = 'c1', rest: object = {}) => ({
  ...{ type: 'function_call', call_id: id, name: 't', arguments: '{}' },
  ...rest,
})
const output = (id = 'c1', rest: object = {}) => ({ type: 'function_call_output', call_id: id, output: 'r', ...rest })
const reasoning = (rest: object = {}) => ({ type: 'reasoning', summary: [], encrypted_content: 'gAAAAx==', ...rest })
const said = (rest: object = {}) => ({
  ...{ type: 'message', role: 'assistant', id: 'msg_1', status: 'completed' },
  ...{ content: [{ type: 'output_text', text: 'x', annotations: [] }], ...rest },
})
const part = (role: string, type: string, rest: object = { text: 'x' }) => ({ role, content: [{ type, ...rest }] })
const fn = (rest: object = {}) => ({
  type: 'function',
  name: 't',
  parameters: { type: 'object' },
  strict: false,
  ...rest,
})
const closed = (properties: object, required = Object.keys(properties)) => ({
  ...{ type: 'object', properties, required, additionalProperties: false },
})
const format = (rest: object) => ({ text: { format: { type: 'json_schema', name: 'x', strict: true, ...rest } } })

const trusted = { trustReplay: true }

it.each<[string, Json, string | RegExp, Json | null]>([
  ['no model', body([hi], { model: undefined }), "Missing required parameter: 'model'.", body([hi])],
  ['no input', body(undefined), /must be provided/, body('hi')],
  ['an empty input', body([]), /^Invalid 'input': empty array/, body([hi])],
  ['an unknown parameter', body([hi], { seed: 1 }), "Unknown parameter: 'seed'.", body([hi], { user: 'u' })],
  [
    'a parameter of Chat',
    body([hi], { max_tokens: 20 }),
    /has moved to 'max_output_tokens'/,
    body([hi], { max_output_tokens: 20 }),
  ],
  [
    'fewer than 16 output tokens',
    body([hi], { max_output_tokens: 15 }),
    "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 15 instead.",
    body([hi], { max_output_tokens: 16 }),
  ],
  [
    'a temperature out of range',
    body([hi], { temperature: 3 }),
    /decimal above maximum value/,
    body([hi], { temperature: 2 }),
  ],
  [
    'temperature on a reasoning model',
    body([hi], { model: 'gpt-5', temperature: 1 }),
    "Unsupported parameter: 'temperature' is not supported with this model.",
    body([hi], { model: 'gpt-4o', temperature: 1 }),
  ],
  [
    'an effort on a model that does not reason',
    body([hi], { model: 'gpt-4o', reasoning: { effort: 'low' } }),
    /'reasoning.effort' is not supported with this model/,
    body([hi], { model: 'gpt-5', reasoning: { effort: 'low' } }),
  ],
  [
    'an effort that the model does not have',
    body([hi], { model: 'gpt-5.1', reasoning: { effort: 'minimal' } }),
    "Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model. Supported values are: 'none', 'low', 'medium', and 'high'.",
    body([hi], { model: 'gpt-5', reasoning: { effort: 'minimal' } }),
  ],
  [
    'encrypted reasoning of a model that does not reason',
    body([hi], { model: 'gpt-4.1', include: ['reasoning.encrypted_content'] }),
    'Encrypted content is not supported with this model.',
    body([hi], { model: 'gpt-5', include: ['reasoning.encrypted_content'] }),
  ],
  [
    'stream_options without stream',
    body([hi], { stream_options: { include_obfuscation: false } }),
    /only allowed when 'stream' is enabled/,
    body([hi], { stream: true, stream_options: { include_obfuscation: false } }),
  ],
  [
    'a cache key too long',
    body([hi], { prompt_cache_key: 'k'.repeat(65) }),
    /^Invalid 'prompt_cache_key': string too long/,
    body([hi], { prompt_cache_key: 'k'.repeat(64) }),
  ],
  [
    'a response that was not stored',
    body([hi], { previous_response_id: 'resp_1' }),
    /^Previous response with id 'resp_1' not found/,
    null,
  ],
  [
    "a tool in Chat's shape",
    body([hi], { tools: [{ type: 'function', function: { name: 't' } }] }),
    "Missing required parameter: 'tools[0].name'.",
    body([hi], { tools: [fn()] }),
  ],
  [
    'an unknown tool type',
    body([hi], { tools: [{ type: 'web_search_2' }] }),
    /^Invalid value: 'web_search_2'/,
    body([hi], { tools: [{ type: 'web_search' }] }),
  ],
  ['a tool name out of pattern', body([hi], { tools: [fn({ name: 'a.b' })] }), /does not match pattern/, null],
  [
    'a schema root that is no object',
    body([hi], { tools: [fn({ parameters: { type: 'object', anyOf: [] } })] }),
    /^Invalid schema for function 't': schema must have type 'object'/,
    null,
  ],
  [
    'an open object in a strict schema',
    body([hi], { tools: [fn({ strict: true, parameters: closed({ a: { type: 'object', properties: {} } }) })] }),
    "Invalid schema for function 't': In context=('properties', 'a'), 'additionalProperties' is required to be supplied and to be false.",
    body([hi], { tools: [fn({ strict: true, parameters: closed({ a: closed({}) }) })] }),
  ],
  [
    'an optional property in a strict schema',
    body([hi], { tools: [fn({ strict: true, parameters: closed({ a: {} }, []) })] }),
    /'required' is required to be supplied and to be an array including every key in properties. Missing 'a'/,
    body([hi], { tools: [fn({ strict: false, parameters: closed({ a: {} }, []) })] }),
  ],
  [
    'a tool choice without tools',
    body([hi], { tool_choice: 'required' }),
    /must be specified with 'tools'/,
    body([hi], { tool_choice: 'required', tools: [fn()] }),
  ],
  [
    'a tool choice that is not there',
    body([hi], { tools: [fn()], tool_choice: { type: 'function', name: 'u' } }),
    /^Tool choice 'u' not found/,
    body([hi], { tools: [fn()], tool_choice: { type: 'function', name: 't' } }),
  ],
  [
    'an open schema of the answer',
    body([hi], format({ schema: { type: 'object', properties: {} } })),
    /^Invalid schema for response_format 'x': In context=\(\)/,
    body([hi], format({ schema: closed({}) })),
  ],
  [
    'JSON that is not spoken of',
    body([hi], { text: { format: { type: 'json_object' } } }),
    /must contain the word 'json'/,
    body([user('in JSON')], { text: { format: { type: 'json_object' } } }),
  ],
  ['an unknown item', body([{ type: 'tool_result' }]), /^Invalid value: 'tool_result'/, null],
  [
    'an unknown field on an item',
    body([{ ...hi, cache_control: {} }]),
    "Unknown parameter: 'input[0].cache_control'.",
    body([{ ...hi, type: 'message' }]),
  ],
  ['a role of Chat', body([{ role: 'tool', content: 'x' }]), /^Invalid value: 'tool'/, null],
  [
    'a part of Chat',
    body([part('user', 'text')]),
    "Invalid value: 'text'. Supported values are: 'input_text', 'input_image', and 'input_file'.",
    body([part('user', 'input_text')]),
  ],
  [
    'input text from the assistant',
    body([hi, part('assistant', 'input_text')]),
    "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
    body([hi, part('assistant', 'output_text'), part('assistant', 'refusal', { refusal: 'no' })]),
  ],
  [
    'an image without an address',
    body([part('user', 'input_image', { image_url: 'AAAA' })]),
    /Expected a valid URL/,
    body([part('user', 'input_image', { image_url: 'data:image/png;base64,AAAA' })]),
  ],
  [
    'arguments that are no text',
    body([call('c1', { arguments: {} })]),
    /expected a string, but got an object instead/,
    null,
  ],
  [
    'arguments that are no object',
    body([call('c1', { arguments: '{"a' }), output()]),
    /expected the JSON text of an object/,
    body([call('c1', { arguments: '{"a":1e2}' }), output()]),
  ],
  [
    'a call id of more than 64 characters',
    body([call('c'.repeat(65)), output('c'.repeat(65))]),
    /maximum length 64, but got a string with length 65/,
    body([call('c'.repeat(64)), output('c'.repeat(64))]),
  ],
  [
    'a call without its output',
    body([hi, call()]),
    'No tool output found for function call c1.',
    body([call(), output()]),
  ],
  [
    'an output without its call',
    body([hi, output()]),
    'No tool call found for function call output with call_id c1.',
    null,
  ],
  [
    'an output before its call',
    body([output(), call()]),
    'No tool call found for function call output with call_id c1.',
    null,
  ],
  [
    'an output that names the id instead of the call_id',
    body([call('c1', { id: 'fc_1' }), output('fc_1')]),
    'No tool call found for function call output with call_id fc_1.',
    body([call('c1', { id: 'fc_1' }), output()]),
  ],
  [
    'two outputs of a call',
    body([call(), output(), output()]),
    'No tool call found for function call output with call_id c1.',
    body([call(), output(), call(), output()]),
  ],
  [
    'the same call twice',
    body([call(), call(), output()]),
    /^Duplicate function call/,
    body([call(), call('c2'), output('c2'), output()]),
  ],
  [
    "a call's id that is another kind's",
    body([call('c1', { id: 'call_1' }), output()]),
    "Invalid 'input[0].id': 'call_1'. Expected an ID that begins with 'fc'.",
    null,
  ],
  [
    'an id twice',
    body([call('c1', { id: 'fc_1' }), output(), call('c2', { id: 'fc_1' }), output('c2')]),
    /^Duplicate item found with id fc_1/,
    null,
  ],
  [
    'reasoning without its following item',
    body([hi, reasoning({ id: 'rs_1' }), hi]),
    "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
    body([hi, reasoning({ id: 'rs_1' }), said(), hi]),
  ],
  [
    'reasoning before a message that was written, not said',
    body([hi, reasoning({ id: 'rs_1' }), { role: 'assistant', content: 'x' }, hi]),
    /without its required following item/,
    body([hi, reasoning(), { role: 'assistant', content: 'x' }, hi]),
  ],
  [
    'a call whose reasoning was left out',
    body([hi, call('c1', { id: 'fc_scripted_00ffr_0' }), output()]),
    "Item 'fc_scripted_00ffr_0' of type 'function_call' was provided without its required 'reasoning' item: 'rs_scripted_00ffr'.",
    body([hi, call('c1', { id: 'fc_scripted_00ff_0' }), output()]),
  ],
  [
    'content in plain reasoning',
    body([hi, reasoning({ content: [{ type: 'reasoning_text', text: 'x' }] }), said()]),
    /^Invalid 'input\[1\].content': array too long/,
    body([hi, reasoning({ content: [] }), said()]),
  ],
  [
    'output beyond ten megabytes',
    body([call(), output('c1', { output: 'x'.repeat(10_485_761) })]),
    /maximum length 10485760/,
    null,
  ],
  [
    'on DeepSeek, something between calls and their outputs',
    body([call(), said(), output()], { model: 'deepseek-v4-flash' }),
    'No tool output found for tool call c1.',
    body([call(), said(), output()]),
  ],
])('refuses %s', (_what, request, message, twin) => {
  const found = responsesProblem(request, trusted)?.message ?? responsesProblem(request)?.message
  if (typeof message === 'string') expect(found).toBe(message)
  else expect(found).toMatch(message)
  if (twin) expect(responsesProblem(twin, trusted)).toBeNull()
})

it('answers 404 for items that were not stored', async () => {
  const client = openai(await serve([]))
  const ask = (input: object[]) => failure(client.responses.create({ model: 'm', store: false, input: input as never }))
  for (const item of [
    { type: 'item_reference', id: 'rs_1' },
    { type: 'reasoning', id: 'rs_1', summary: [] },
  ])
    expect(await ask([hi, item])).toMatchObject({
      status: 404,
      code: null,
      param: 'input',
      message: expect.stringContaining(
        "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.",
      ),
    })
})

it('answers 400 invalid_encrypted_content for what it did not issue', async () => {
  const client = openai(await serve([]))
  const input = [hi, reasoning({ id: 'rs_1' }), said(), hi] as never
  expect(await failure(client.responses.create({ model: 'm', store: false, input }))).toMatchObject({
    ...{ status: 400, code: 'invalid_encrypted_content', param: null, type: 'invalid_request_error' },
    message: expect.stringContaining('The encrypted content for item rs_1 could not be verified.'),
  })
})
