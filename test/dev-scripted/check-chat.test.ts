/** What the checker of Chat Completions refuses, each beside its good twin. */
import { chatProblem } from '../../dev/scripted-model/check-chat'
import type { Json } from '../../dev/scripted-model/json'
import { closeAll, failure, openai, serve, user } from './support'

afterEach(closeAll)

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

  const closed = { type: 'object', properties: { a: {} }, required: ['a'], additionalProperties: false }
  const open = { type: 'object', properties: { a: {} } }
  const schema = (of: object) => ({
    response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: of } },
  })
  const on = (model: string, rest: object = {}, messages: object[] = [hi]) => body(messages, { model, ...rest })
  const system = { role: 'system', content: 's' }
  const developer = { role: 'developer', content: 's' }
  const image = { role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://x/y.png' } }] }
  const thought = (rest: object) => ({ ...calls(call('aaaaaaaaa')), ...rest })
  const answered = told('aaaaaaaaa')

  it.each<[string, Json, string | RegExp, Json]>([
    ['an unknown parameter', body([hi], { input: 1 }), "Unknown parameter: 'input'.", body([hi], { seed: 1 })],
    [
      "another server's parameter on OpenAI",
      on('gpt-5', { top_k: 1 }),
      "Unknown parameter: 'top_k'.",
      on('Qwen/Qwen3.5-4B', { top_k: 1 }),
    ],
    [
      'max_tokens on a reasoning model',
      on('gpt-5', { max_tokens: 9 }),
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      on('gpt-5', { max_completion_tokens: 9 }),
    ],
    [
      'temperature on a reasoning model',
      on('o3', { temperature: 1 }),
      "Unsupported parameter: 'temperature' is not supported with this model.",
      on('gpt-4o', { temperature: 1 }),
    ],
    [
      'an effort that the model does not have',
      on('o3', { reasoning_effort: 'minimal' }),
      /^Unsupported value: 'minimal' is not supported with the 'o3' model/,
      on('o3', { reasoning_effort: 'low' }),
    ],
    [
      'an open schema in a strict tool',
      body([hi], fn({ strict: true, parameters: open })),
      /'additionalProperties' is required to be supplied and to be false/,
      body([hi], fn({ strict: true, parameters: closed })),
    ],
    [
      'an open schema of the answer',
      body([hi], schema(open)),
      /^Invalid schema for response_format 'x'/,
      body([hi], schema(closed)),
    ],
    [
      'JSON that is not spoken of',
      body([hi], { response_format: { type: 'json_object' } }),
      /must contain the word 'json'/,
      body([user('in JSON')], { response_format: { type: 'json_object' } }),
    ],
    [
      'reasoning sent back to OpenAI',
      on('gpt-5', {}, [hi, { role: 'assistant', content: 'x', reasoning_content: 'r' }, hi]),
      "Unknown parameter: 'messages[1].reasoning_content'.",
      on('deepseek-chat', {}, [hi, { role: 'assistant', content: 'x', reasoning_content: 'r' }, hi]),
    ],
    [
      'a second system message on Qwen',
      on('Qwen/Qwen3.5-4B', {}, [system, hi, system]),
      'System message must be at the beginning.',
      on('Qwen/Qwen3.5-4B', {}, [system, hi]),
    ],
    [
      'a conversation of nobody on Qwen',
      on('qwen3.5', {}, [system]),
      'No user query found in messages.',
      on('qwen3.5', {}, [hi]),
    ],
    [
      'a developer on Qwen',
      on('qwen3.5', {}, [developer, hi]),
      'Unexpected message role.',
      on('gpt-5', {}, [developer, hi]),
    ],
    [
      'a developer on DeepSeek',
      on('deepseek-chat', {}, [developer, hi]),
      /messages\[0\]\.role: unknown variant `developer`, expected one of/,
      on('deepseek-chat', {}, [system, hi]),
    ],
    [
      'an image on DeepSeek',
      on('deepseek-chat', {}, [image]),
      /^Failed to deserialize .* messages\[0\]: unknown variant `image_url`, expected `text`/,
      on('gpt-4o', {}, [image]),
    ],
    [
      'a schema of the answer on DeepSeek',
      on('deepseek-chat', schema(closed)),
      'This response_format type is unavailable now',
      on('deepseek-chat', { response_format: { type: 'json_object' } }),
    ],
    [
      'a tool turn without its reasoning on DeepSeek',
      on('deepseek-reasoner', {}, [hi, thought({}), answered]),
      /^Missing `reasoning_content` field in the assistant message at message index 1\./,
      on('deepseek-reasoner', {}, [hi, thought({ reasoning_content: '' }), answered]),
    ],
    [
      'the same where it is told to think',
      on('deepseek-chat', { thinking: { type: 'enabled' } }, [hi, thought({}), answered]),
      /^Missing `reasoning_content`/,
      on('deepseek-chat', {}, [hi, thought({}), answered]),
    ],
    [
      'an id that is not nine characters on Mistral',
      on('mistral-large-latest', {}, [hi, calls(call('call_1')), told('call_1')]),
      'Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.',
      on('mistral-large-latest', {}, [hi, thought({}), answered]),
    ],
    [
      'a user after a tool on Mistral',
      on('mistral-large-latest', {}, [hi, thought({}), answered, hi]),
      "Unexpected role 'user' after role 'tool'",
      on('mistral-large-latest', {}, [hi, thought({}), answered, { role: 'assistant', content: 'x' }, hi]),
    ],
    [
      'an answer last on Mistral',
      on('mistral-large-latest', {}, [hi, { role: 'assistant', content: 'x' }]),
      /^Expected last role User or Tool/,
      on('m', {}, [hi, { role: 'assistant', content: 'x' }]),
    ],
  ])('refuses %s, and takes its good twin', (_what, request, message, twin) => {
    const found = chatProblem(request)?.message
    if (typeof message === 'string') expect(found).toBe(message)
    else expect(found).toMatch(message)
    expect(chatProblem(twin)).toBeNull()
  })

  it('PDF files go to any model at OpenRouter, and to no Qwen template; images to those of DeepSeek that are named so', () => {
    const pdf = { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' } }
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }
    const says = (model: string, part: object, compat?: 'openrouter' | 'vllm'): string | undefined =>
      chatProblem(on(model, {}, [{ role: 'user', content: [{ type: 'text', text: 'x' }, part] }]), { compat })?.message
    expect(says('qwen/qwen3-235b', pdf)).toBeUndefined()
    expect(says('qwen3', pdf, 'openrouter')).toBeUndefined()
    expect(says('qwen3', pdf, 'vllm')).toBe('Unexpected item type in content.')
    expect(says('deepseek-v4-pro', image)).toMatch(/unknown variant `image_url`, expected `text`$/)
    expect(says('deepseek-v4-flash-vision-exp', image)).toBeUndefined()
  })

  it('is the server that its address names, or its script', async () => {
    const server = await serve([], { script: { name: 'x', compat: 'vllm', rules: [] } })
    const late = { model: 'm', messages: [hi, system] as never }
    const client = openai(server)
    expect(await failure(client.chat.completions.create(late))).toMatchObject({ status: 400, type: 'BadRequestError' })
    client.baseURL = `${server.url}/openrouter/v1`
    expect((await client.chat.completions.create(late)).object).toBe('chat.completion')
    client.baseURL = `${server.url}/nobody/v1`
    expect(await failure(client.chat.completions.create(late))).toMatchObject({ status: 404 })
  })

  it('answers in the vendor shape', async () => {
    const error = await failure(
      openai(await serve([])).chat.completions.create({ model: 'm', messages: [hi, calls(call())] as never }),
    )
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', param: 'messages.[2].role', code: null })
  })
})
