/** Real exchanges with Chat Completions: each stream parsed, and folded back into the next request as the real client sent it. */
import type { View, ViewEntry } from '../../contract/provider-port'
import { entry, results, type Answered } from './support/answered'
import { chatAt, context, noBlob, spec, user } from './support/calls'
import { chatProblems } from './support/chat-rules'
import { chunks, recorded, streamOf, type Exchange, type Json } from './support/recorded'
import { json, sse, startWireServer, type WireServer } from './support/wire-server'

let server: WireServer
beforeEach(async () => {
  server = await startWireServer()
})
afterEach(() => server.close())

async function send(
  exchange: Exchange,
  entries: ViewEntry[],
  { host = 'api.openai.com', stream = streamOf(exchange, 'chat') }: { host?: string; stream?: string } = {},
): Promise<{ result: Answered; body: Json & { messages: Json[] } }> {
  server.replies.splice(0, 9, sse(stream))
  const { body } = exchange.request
  const tools = ((body['tools'] as { function: Json }[] | undefined) ?? []).map((t) => ({
    name: String(t.function['name']),
    description: String(t.function['description'] ?? ''),
    inputSchema: JSON.stringify(t.function['parameters']),
  }))
  const systems = body.messages.flatMap((m) => (m['role'] === 'system' ? [String(m['content'])] : []))
  const view: View = { system: systems.join('\n\n'), tools, entries }
  const result = await chatAt(server, host).call(
    { model: spec('openai-chat', body.model), view, blob: noBlob },
    context(),
  )
  if (!result.ok) throw new Error(result.message)
  const sent = JSON.parse(server.received.at(-1)?.body ?? '{}') as Json & { messages: Json[] }
  expect(chatProblems(sent)).toEqual([])
  return { result, body: sent }
}

/** Ids by their order of appearance; a content that is null is one that is absent. */
function plain(messages: Json[]): unknown {
  const ids: string[] = []
  const name = (id: string): string => `id${ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1}`
  return JSON.parse(
    JSON.stringify(
      messages.filter((m) => m['role'] !== 'system'),
      (key, value: unknown) => {
        if (key === 'id' || key === 'tool_call_id') return name(String(value))
        return key === 'content' && value === null ? undefined : value
      },
    ),
  )
}

const outputsIn = (exchange: Exchange): string[] =>
  exchange.request.body.messages.flatMap((m) => (m['role'] === 'tool' ? [String(m['content'])] : []))
const userText = (exchange: Exchange): string =>
  String(exchange.request.body.messages.find((m) => m['role'] === 'user')?.['content'])

test('a conversation with parallel tools goes back as the real client sent it, step by step', async () => {
  const [one, two, three] = ['stream-parallel-tools-1', 'stream-tools-2', 'stream-tools-3-structured'].map((f) =>
    recorded(`chat/${f}`),
  ) as [Exchange, Exchange, Exchange]
  const asked = user(1, userText(one))
  const first = entry(2, (await send(one, [asked])).result)
  const history = [asked, first, results(first, outputsIn(two))]
  const second = await send(two, history)
  expect(plain(second.body.messages)).toEqual(plain(two.request.body.messages))
  const then = entry(5, second.result)
  const third = await send(three, [...history, then, results(then, outputsIn(three).slice(2))])
  expect(plain(third.body.messages)).toEqual(plain(three.request.body.messages))
  expect(third.result.stop).toBe('tool_calls')
  expect(JSON.parse(third.result.blocks[0]?.type === 'tool_call' ? third.result.blocks[0].args : '')).toHaveProperty(
    'answers',
  )
})

test('a tool result goes back as the real client sent it', async () => {
  const [one, two] = [recorded('chat/tool-1'), recorded('chat/tool-2-result')]
  const asked = user(1, userText(one))
  const first = entry(2, (await send(one, [asked])).result)
  const { body } = await send(two, [asked, first, results(first, outputsIn(two))])
  expect(plain(body.messages)).toEqual(plain(two.request.body.messages))
  expect(body).toMatchObject({ max_completion_tokens: 8192, stream_options: { include_usage: true } })
})

test('DeepSeek gets its reasoning back in a turn with tools', async () => {
  const [one, two, three] = [1, 2, 3].map((n) =>
    recorded(`chat/deepseek-reasoning-${n}${n === 2 ? '-replay' : ''}`),
  ) as [Exchange, Exchange, Exchange]
  const host = 'api.deepseek.com'
  const asked = user(1, userText(one))
  const first = entry(2, (await send(one, [asked], { host })).result)
  const loaded = results(first, ['{}'])
  // Their client made up a call here, with empty reasoning: for us, an answer of another model.
  const madeUp = two.request.body.messages[5] as Json & {
    tool_calls: { function: { name: string; arguments: string } }[]
  }
  const fn = madeUp.tool_calls[0]?.function
  const foreign: ViewEntry = {
    role: 'assistant',
    seq: 4,
    blocks: [
      { type: 'reasoning', text: 'Claude thought' },
      { type: 'tool_call', call: 'x', name: fn?.name ?? '', args: fn?.arguments ?? '' },
    ],
    replay: {
      provider: 'anthropic',
      platform: 'api.anthropic.com',
      model: 'claude',
      format: 1,
      blocks: ['{"type":"thinking"}', null],
    },
  }
  const history = [asked, first, loaded, foreign, results(foreign, [outputsIn(two)[1] ?? ''])]
  const second = await send(two, history, { host })
  expect(plain(second.body.messages)).toEqual(plain(two.request.body.messages))
  expect(second.result.dropped).toEqual([{ seq: 4, what: 'reasoning', why: 'made by another provider: anthropic' }])
  const then = entry(6, second.result)
  const third = await send(three, [...history, then, results(then, outputsIn(three).slice(2))], { host })
  expect(plain(third.body.messages)).toEqual(plain(three.request.body.messages))
  expect(third.result.usage).toMatchObject({ input: 976, cacheRead: 896, output: 61, reasoning: 25 })
  expect(third.body).toHaveProperty('max_tokens')
})

test.each([
  [
    'deepseek-tool-call',
    ['reasoning', 'tool_call'],
    'tool_calls',
    { input: 339, output: 83, cacheRead: 320, reasoning: 39 },
  ],
  ['alibaba-tool-call', ['tool_call'], 'tool_calls', { input: 295, output: 22 }],
  ['alibaba-reasoning', ['reasoning', 'text'], 'end', { input: 24, output: 1355, reasoning: 1084 }],
  ['openai-text', ['text'], 'end', { input: 16, output: 300 }],
])('the recorded stream %s', async (name, types, stop, usage) => {
  const { result } = await send(recorded('chat/text'), [user(1, 'go')], {
    host: 'llm.example',
    stream: chunks(name, 'chat'),
  })
  expect(result.blocks.map((b) => b.type)).toEqual(types)
  expect(result).toMatchObject({ stop, usage })
  for (const block of result.blocks) if (block.type === 'tool_call') expect(block.problem).toBeUndefined()
})

test.each([
  'text',
  'parallel-tools',
  'qwen-openrouter-tool',
  'stream-moderation',
  'deepseek-stream-reasoning',
  'web-search-annotations',
])('the recorded answer %s holds what was said', async (name) => {
  const exchange = recorded(`chat/${name}`)
  const { result } = await send(exchange, [user(1, 'go')])
  const message = (exchange.response.body?.['choices'] as { message: Json }[] | undefined)?.[0]?.message
  const text = result.blocks.flatMap((b) => (b.type === 'text' ? [b.text] : [])).join('')
  if (message) expect(text).toBe(message['content'] ?? '')
  else expect(text).not.toBe('')
  const theirs = (message?.['tool_calls'] as { function: { arguments: string } }[] | undefined) ?? []
  expect(result.blocks.flatMap((b) => (b.type === 'tool_call' ? [b.args] : []))).toEqual(
    theirs.map((c) => c.function.arguments),
  )
})

test('an error inside a stream is a failure, whatever came before it', async () => {
  const exchange = recorded('chat/openrouter-stream-error')
  server.replies.push(sse(streamOf(exchange, 'chat')))
  const request = {
    model: spec('openai-chat', 'minimax/minimax-m2:free'),
    view: { system: '', tools: [], entries: [user(1, 'hi')] },
    blob: noBlob,
  }
  const result = await chatAt(server, 'openrouter.ai').call(request, context())
  expect(result).toMatchObject({ ok: false, class: 'refused_request', status: 400, message: 'Token limit reached' })
})

test.each([
  ['chat/error-400-system-role', 'refused_request', false],
  ['chat/error-400-audio', 'refused_request', false],
  ['chat/error-400-web-search', 'refused_request', false],
  ['chat/error-404-model', 'refused_request', false],
  ['chat/openrouter-error-429', 'rate_limited', true],
])('the recorded refusal %s is %s', async (name, what, retryable) => {
  const { response } = recorded(name)
  server.replies.push(json(response.status, response.body))
  const request = {
    model: spec('openai-chat', 'gpt-4o'),
    view: { system: '', tools: [], entries: [user(1, 'hi')] },
    blob: noBlob,
  }
  const result = await chatAt(server).call(request, context())
  expect(result).toMatchObject({ ok: false, class: what, retryable, status: response.status })
  expect(result.ok ? '' : result.message).toContain(String((response.body?.['error'] as Json)['message']).slice(0, 40))
})
