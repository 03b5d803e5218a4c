/** What a provider says when it does not answer: its class, whether and when to try again, and words that are safe to keep. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { ProviderName } from '../../contract/definition'
import { SavefileError } from '../../contract/errors'
import { createAnthropic } from '../../providers/anthropic/provider'
import { retryAfterMs, safeMessage } from '../../providers/failures'
import { createOpenAIChat } from '../../providers/openai-chat/provider'
import { AT, anthropicAt, context, KEY, noBlob, spec, user, view } from './support/calls'
import { recorded, type Json } from './support/recorded'
import { json, sse, startWireServer, type Reply, type WireServer } from './support/wire-server'

let server: WireServer
beforeEach(async () => {
  server = await startWireServer()
})
afterEach(() => server.close())

const anthropicSays = (type: string, message: string): object => ({ type: 'error', error: { type, message } })
const openaiSays = (code: string | null, message: string, type = 'invalid_request_error'): Json => ({
  error: { code, message, type, param: null },
})

function call(provider: ProviderName, reply: Reply) {
  server.replies.splice(0, 9, reply)
  const model = spec(provider, provider === 'anthropic' ? 'claude-haiku-4-5' : 'gpt-4o')
  return AT[provider](server).call({ model, view: view(user(1, 'hi')), blob: noBlob }, context())
}

test.each([
  [529, 'overloaded_error', 'Overloaded', 'overloaded', true],
  [503, 'api_error', 'Unavailable', 'overloaded', true],
  [500, 'api_error', 'Internal server error', 'overloaded', true],
  [429, 'rate_limit_error', 'slow down', 'rate_limited', true],
  [408, 'timeout_error', 'timed out', 'timeout', true],
  [400, 'invalid_request_error', 'messages.1: all messages must have non-empty content', 'refused_request', false],
  [400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum', 'context_exceeded', false],
  [
    400,
    'invalid_request_error',
    'input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000',
    'context_exceeded',
    false,
  ],
  [400, 'invalid_request_error', 'Your credit balance is too low to access the Anthropic API.', 'budget', false],
  [413, 'request_too_large', 'Request exceeds the maximum size', 'context_exceeded', false],
  [401, 'authentication_error', 'invalid x-api-key', 'auth', false],
  [403, 'permission_error', 'no', 'auth', false],
  [402, 'billing_error', 'pay', 'budget', false],
])('Anthropic %i %s (%s) is %s', async (status, type, message, what, retryable) => {
  expect(await call('anthropic', json(status, anthropicSays(type, message)))).toMatchObject({
    ok: false,
    class: what,
    retryable,
    status,
    message,
  })
})

test.each([
  [429, 'rate_limit_exceeded', 'Rate limit reached', 'rate_limited', true],
  [429, 'insufficient_quota', 'You exceeded your current quota', 'budget', false],
  [503, null, 'overloaded', 'overloaded', true],
  [500, null, 'The server had an error', 'overloaded', true],
  [408, null, 'timeout', 'timeout', true],
  [400, 'context_length_exceeded', 'too many', 'context_exceeded', false],
  [400, null, "This model's maximum context length is 4096 tokens.", 'context_exceeded', false],
  [400, 'unsupported_value', 'no', 'refused_request', false],
  [422, null, 'unprocessable', 'refused_request', false],
  [401, 'invalid_api_key', 'Incorrect API key provided.', 'auth', false],
  [403, null, 'Country not supported', 'auth', false],
])('Chat %i %s (%s) is %s', async (status, code, message, what, retryable) => {
  expect(await call('openai-chat', json(status, openaiSays(code, message)))).toMatchObject({
    ok: false,
    class: what,
    retryable,
    status,
    message,
  })
})

test.each<[ProviderName, number, Json | string]>([
  ['anthropic', 404, 'anthropic/error-404-model'],
  ['openai-chat', 404, 'chat/error-404-model'],
  ['openai-responses', 400, openaiSays('model_not_found', "The requested model 'x' does not exist.")],
  ['openai-chat', 400, openaiSays('invalid_request_error', 'Model Not Exist')],
  ['openai-chat', 400, { error: { message: 'x/y is not a valid model ID', code: 400 } }],
  ['openai-chat', 404, openaiSays(null, 'model "x" not found, try pulling it first')],
  ['openai-chat', 404, { error: { message: 'The model `x` does not exist.', type: 'NotFoundError', code: 404 } }],
])(
  '%s %i: a model that there is not is final, and what to do is said behind the vendor’s words',
  async (api, status, said) => {
    const body = typeof said === 'string' ? recorded(said).response.body : said
    const result = await call(api, json(status, body ?? {}))
    expect(result).toMatchObject({ ok: false, class: 'refused_request', retryable: false, status })
    const { message } = (body as { error: { message: string } }).error
    const [words, advice] = result.ok ? [] : result.message.split('\n')
    expect(words).toBe(message)
    expect(advice).toMatch(/^There is no model .+ at .+: look at its name, or .*savefile migrate/)
  },
)

test('what is not found elsewhere is no missing model', async () => {
  const message = "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."
  const result = await call('openai-responses', json(404, openaiSays(null, message)))
  expect(result).toMatchObject({ ok: false, class: 'refused_request', message })
})

test.each(['anthropic/error-400-effort'])('the recorded refusal %s', async (name) => {
  const { response } = recorded(name)
  const result = await call('anthropic', json(response.status, response.body))
  const message = (response.body?.['error'] as { message: string }).message
  expect(result).toMatchObject({
    ok: false,
    class: 'refused_request',
    retryable: false,
    status: response.status,
    message,
  })
})

test.each(['legacy-parameter', 'temperature'])(
  'the recorded refusal of a parameter by a model that thinks (%s) is no refusal of its replay',
  async (name) => {
    const file = path.join(__dirname, `../fixtures/wire/streams-vercel-ai/reasoning-model-${name}-error.json`)
    const result = await call('openai-chat', json(400, JSON.parse(readFileSync(file, 'utf8'))))
    expect(result).toMatchObject({ ok: false, class: 'refused_request', retryable: false, status: 400 })
    expect(result).not.toHaveProperty('replayRefused')
  },
)

test('an error that is no JSON', async () => {
  const page: Reply = (res) => void res.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad gateway</html>')
  for (const provider of ['anthropic', 'openai-chat'] as const)
    expect(await call(provider, page)).toMatchObject({
      class: 'overloaded',
      retryable: true,
      status: 502,
      message: expect.stringContaining('Bad gateway') as string,
    })
})

test.each([
  ['overloaded_error', 'overloaded', true],
  ['rate_limit_error', 'rate_limited', true],
  ['invalid_request_error', 'refused_request', false],
  ['something_new', 'overloaded', true],
])('an error event inside a 200: %s', async (type, what, retryable) => {
  const stream = `event: message_start\ndata: {"type":"message_start","message":{}}\n\nevent: error\ndata: ${JSON.stringify(anthropicSays(type, 'Oh'))}\n\n`
  expect(await call('anthropic', sse(stream))).toMatchObject({ ok: false, class: what, retryable, message: 'Oh' })
  const chunk = `data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: ${JSON.stringify(openaiSays(null, 'Oh', 'server_error'))}\n\n`
  expect(await call('openai-chat', sse(chunk))).toMatchObject({
    ok: false,
    class: 'overloaded',
    retryable: true,
    message: 'Oh',
  })
})

test.each(['anthropic', 'openai-chat'] as const)(
  '%s: one call is one request, the SDK does not try again',
  async (provider) => {
    await call(provider, json(529, anthropicSays('overloaded_error', 'x')))
    expect(server.received).toHaveLength(1)
  },
)

test('retry-after in seconds, in milliseconds, as a date, and none', async () => {
  const result = await call('anthropic', json(429, anthropicSays('rate_limit_error', 'x'), { 'retry-after': '7' }))
  expect(result).toMatchObject({ class: 'rate_limited', retryAfterMs: 7000 })
  const of = (headers: Record<string, string>): number | undefined =>
    retryAfterMs((name) => headers[name] ?? null, Date.parse('2026-11-23T10:00:00Z'))
  expect(of({ 'retry-after': 'Mon, 23 Nov 2026 10:01:30 GMT' })).toBe(90_000)
  expect(of({ 'retry-after': '1.5' })).toBe(1500)
  expect(of({ 'retry-after-ms': '250', 'retry-after': '9' })).toBe(250)
  expect(of({ 'retry-after': 'Mon, 23 Nov 2026 09:00:00 GMT' })).toBeUndefined()
  expect(of({ 'retry-after': 'soon' })).toBeUndefined()
  expect(of({})).toBeUndefined()
})

test('nobody listens, and a name that does not exist: unreachable, to be tried again, saying where', async () => {
  const gone = await startWireServer()
  await gone.close()
  for (const baseURL of [gone.url, 'http://no-such-host.invalid']) {
    for (const create of [createAnthropic, createOpenAIChat]) {
      const provider = create({ apiKey: KEY, baseURL })
      const result = await provider.call(
        { model: spec(provider.name as 'anthropic', 'm'), view: view(user(1, 'x')), blob: noBlob },
        context(),
      )
      expect(result).toMatchObject({
        ok: false,
        class: 'unreachable',
        retryable: true,
        message: expect.stringMatching(/ECONNREFUSED|ENOTFOUND|EAI_AGAIN/) as string,
      })
    }
  }
})

test('a socket that is closed before the headers', async () => {
  expect(await call('anthropic', (res) => void res.socket?.destroy())).toMatchObject({
    class: 'unreachable',
    retryable: true,
  })
})

test('no key is ever kept in a message', async () => {
  const result = await call(
    'openai-chat',
    json(
      401,
      openaiSays('invalid_api_key', `Incorrect API key provided: ${KEY}. Bearer abcdefghijkl, x-api-key: zzzzzzzzzz`),
    ),
  )
  expect(result.ok ? '' : result.message).toBe('Incorrect API key provided: [key]. Bearer [key], x-api-key: [key]')
  expect(safeMessage('Incorrect API key provided: sk-proj-********wxyz.', [])).toBe('Incorrect API key provided: [key]')
  expect(safeMessage('own-secret here', ['own-secret'])).toBe('[key] here')
  expect(safeMessage(`The model gpt-4o-2024-08-06 in project does not exist`, [])).toBe(
    'The model gpt-4o-2024-08-06 in project does not exist',
  )
  expect(safeMessage('x\0'.repeat(3000), [])).toHaveLength(2000)
})

test('a blob that cannot be read: away is tried again, gone is not', async () => {
  const request = (error: Error) => ({
    model: spec('anthropic', 'claude-haiku-4-5'),
    view: view({
      role: 'user',
      seq: 1,
      actor: 'user:ann',
      blocks: [
        { type: 'text', text: '', blob: { hash: `sha256:${'a'.repeat(64)}`, bytes: 1, mediaType: 'text/plain' } },
      ],
    }),
    blob: () => Promise.reject(error),
  })
  const at = anthropicAt(server)
  expect(await at.call(request(new Error('connection lost')), context())).toMatchObject({
    ok: false,
    class: 'internal',
    retryable: true,
    requestHash: '',
  })
  expect(await at.call(request(new SavefileError('blob_not_found', 'gone')), context())).toMatchObject({
    ok: false,
    class: 'internal',
    retryable: false,
  })
})

test('the environment is not read: neither keys nor headers nor addresses', async () => {
  const before = { ...process.env }
  Object.assign(process.env, {
    ANTHROPIC_AUTH_TOKEN: 'env-token',
    ANTHROPIC_BASE_URL: 'http://no-such-host.invalid',
    OPENAI_ORG_ID: 'env-org',
    OPENAI_BASE_URL: 'http://no-such-host.invalid',
  })
  try {
    await call('anthropic', json(400, {}))
    await call('openai-chat', json(400, {}))
  } finally {
    process.env = before
  }
  expect(server.received).toHaveLength(2)
  expect(server.received[0]?.headers).toMatchObject({ authorization: `Bearer ${KEY}` })
  expect(JSON.stringify(server.received)).not.toContain('env-')
})
