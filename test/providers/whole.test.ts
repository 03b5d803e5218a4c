/** An answer in one piece: the same blocks, the same replay, the same result as streamed; and limits of time in all. */
import type { ProviderName } from '../../contract/definition'
import type { ModelResult } from '../../contract/provider-port'
import { AT, context, noBlob, spec, user, view } from './support/calls'
import { recorded, streamOf, type Api } from './support/recorded'
import { json, silence, sse, startWireServer, type Reply, type WireServer } from './support/wire-server'

let server: WireServer
beforeEach(async () => {
  server = await startWireServer()
})
afterEach(() => server.close())

type Options = Parameters<typeof spec>[2]
async function call(provider: ProviderName, reply: Reply, more: Options = {}): Promise<ModelResult> {
  server.replies.splice(0, 9, reply)
  const model = spec(provider, 'a-model', more)
  return AT[provider](server).call({ model, view: view(user(1, 'hi')), blob: noBlob }, context())
}
const plain = (result: ModelResult): object => ({ ...result, firstByteMs: 0, requestHash: '' })

test.each<[ProviderName, Api, string]>([
  ['anthropic', 'anthropic', 'thinking-then-tool-1'],
  ['anthropic', 'anthropic', 'redacted-thinking-1'],
  ['anthropic', 'anthropic', 'parallel-tools-1'],
  ['anthropic', 'anthropic', 'cache-write'],
  ['openai-chat', 'chat', 'deepseek-reasoning-1'],
  ['openai-chat', 'chat', 'parallel-tools'],
  ['openai-chat', 'chat', 'qwen-openrouter-tool'],
  ['openai-chat', 'chat', 'text'],
  ['openai-responses', 'responses', 'phase-1'],
])('%s: %s/%s in one piece is what it is as a stream', async (provider, api, name) => {
  const exchange = recorded(`${api}/${name}`)
  const streamed = await call(provider, sse(streamOf(exchange, api)))
  const whole = await call(provider, json(200, exchange.response.body), { stream: false })
  expect(streamed).toMatchObject({ ok: true })
  expect(plain(whole)).toEqual(plain(streamed))
  expect(JSON.parse(server.received.at(-1)?.body ?? '{}')).toMatchObject({ stream: false })
  expect(server.received.at(-1)?.body).not.toContain('stream_options')
})

test('Anthropic: arguments keep their spelling in one piece too, big numbers and the order of keys', async () => {
  const args = '{"2":1,"1":12345678901234567890,"text":"}, \\"{"}'
  const body = `{"type":"message","model":"m","content":[{"type":"text","text":"a\\"]"},{"type":"tool_use","id":"t","name":"look","input":${args}}],"stop_reason":"tool_use","usage":{}}`
  const reply: Reply = (res) => void res.writeHead(200, { 'content-type': 'application/json' }).end(body)
  const result = await call('anthropic', reply, { stream: false })
  expect(result.ok && result.blocks[1]).toMatchObject({ type: 'tool_call', name: 'look', args })
})

test.each<[ProviderName, object]>([
  ['anthropic', { type: 'error', error: { type: 'overloaded_error', message: 'Oh' } }],
  ['openai-chat', { error: { code: null, type: 'server_error', message: 'Oh' } }],
  [
    'openai-responses',
    { object: 'response', status: 'failed', error: { code: 'server_error', message: 'Oh' }, output: [] },
  ],
])('%s: an error inside a 200 is a failure in one piece too', async (provider, body) => {
  expect(await call(provider, json(200, body), { stream: false })).toMatchObject({
    ok: false,
    class: 'overloaded',
    message: 'Oh',
  })
})

test.each(['anthropic', 'openai-chat', 'openai-responses'] as const)(
  '%s: what is no answer at all is none',
  async (provider) => {
    expect(await call(provider, json(200, { ok: true }), { stream: false })).toMatchObject({
      ok: false,
      class: 'cut_off',
    })
    const page: Reply = (res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>')
    expect(await call(provider, page, { stream: false })).toMatchObject({ ok: false, class: 'refused_request' })
  },
)

test.each(['anthropic', 'openai-chat', 'openai-responses'] as const)(
  '%s: a limit in all ends an answer that is still being streamed, or that does not come',
  async (provider) => {
    const pings: Reply = async (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      while (!res.destroyed) {
        res.write(': ping\n\n')
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    const late = {
      ok: false,
      class: 'timeout',
      retryable: true,
      message: 'The answer was not there after 200 ms, the limit in all.',
    }
    expect(await call(provider, pings, { totalMs: 200 })).toMatchObject(late)
    expect(await call(provider, silence('', 0), { totalMs: 200 })).toMatchObject(late)
    expect(await call(provider, () => undefined, { totalMs: 200, stream: false })).toMatchObject(late)
  },
)
