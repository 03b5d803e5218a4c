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

  it('answers in the vendor shape', async () => {
    const error = await failure(
      openai(await serve([])).chat.completions.create({ model: 'm', messages: [hi, calls(call())] as never }),
    )
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', param: 'messages.[2].role', code: null })
  })
})
