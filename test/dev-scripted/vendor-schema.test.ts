/** Every request of the suite is held against what the vendors' SDKs say a request is (test/support/vendor-schemas.ts). */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Api } from '../../dev/scripted-model/conversation'
import type { Json } from '../../dev/scripted-model/json'
import { misfitOf, vendorCheck } from '../support/vendor-validate'
import { anthropic, closeAll, failure, serve, user } from './support'

afterEach(closeAll)

const hi = user('hi')
const claude = (rest: object): Json => ({ model: 'm', max_tokens: 5, messages: [hi], ...rest })
const gpt = (rest: object): Json => ({ model: 'm', messages: [hi], ...rest })
const input = (item: object): Json => ({ model: 'm', input: [item] })
const answer = { role: 'assistant', type: 'message', content: [{ type: 'output_text', text: 'x' }] }

it.each<[Api, string, Json, RegExp, Json]>([
  ['anthropic', 'a field', claude({ nonsense: 1 }), /additional properties.*"nonsense"/, claude({ speed: 'fast' })],
  [
    'anthropic',
    'a block',
    claude({ messages: [{ role: 'user', content: [{ type: 'input_text', text: 'x' }] }] }),
    /^\/messages\/0\/content/,
    claude({ messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }] }),
  ],
  [
    'anthropic',
    'a type',
    claude({ max_tokens: '5' }),
    /^\/max_tokens must be number/,
    claude({ thinking: { type: 'adaptive', block_binding: { prefix_mismatch_behavior: 'drop_block' } } }),
  ],
  ['openai-chat', 'a field', gpt({ top_kk: 1 }), /additional properties.*"top_kk"/, gpt({ top_k: 1 })],
  [
    'openai-chat',
    'a part',
    gpt({ messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }),
    /^\/messages\/0\/content/,
    gpt({ messages: [{ role: 'assistant', content: 'x', reasoning_content: 'r' }] }),
  ],
  ['openai-responses', 'a field', { model: 'm', max_tokens: 1 }, /"max_tokens"/, { model: 'm', input: 'x' }],
  ['openai-responses', 'an item', input({ type: 'tool_result', output: 'x' }), /^\/input/, input(answer)],
  [
    'openai-responses',
    'a missing call_id',
    input({ type: 'function_call_output', output: 'x' }),
    /^\/input\/0 .*"call_id"/,
    input({ type: 'function_call_output', call_id: 'c', output: 'x' }),
  ],
])('%s: tells %s that does not fit, and takes what does', (api, _what, body, words, twin) => {
  expect(misfitOf(api, body)).toMatch(words)
  expect(misfitOf(api, twin)).toBeNull()
})

const folder = path.join(__dirname, '..', 'fixtures', 'wire')
const APIS: Record<string, Api> = { anthropic: 'anthropic', chat: 'openai-chat', responses: 'openai-responses' }
it.each(Object.entries(APIS))('every recorded request of %s fits', (name, api) => {
  for (const file of readdirSync(path.join(folder, name))) {
    const { request } = JSON.parse(readFileSync(path.join(folder, name, file), 'utf8')) as { request: { body: Json } }
    expect([file, misfitOf(api, request.body)]).toEqual([file, null])
  }
})

it('a server that asks refuses with 400 in the vendor shape, and the misfit is kept', async () => {
  const { validate, misfits } = vendorCheck()
  const server = await serve([], { validate })
  const wrong = { model: 'm', max_tokens: 5, messages: [hi], service_tier: 'fast' as never }
  expect(await failure(anthropic(server).messages.create(wrong))).toMatchObject({
    ...{ status: 400, type: 'invalid_request_error' },
    message: expect.stringContaining("Does not fit the vendor's schema: /service_tier"),
  })
  expect(misfits).toEqual([expect.stringMatching(/^anthropic: \/service_tier/)])
})
