/** Streams that end otherwise than they should, over real sockets, with both SDKs. */
import type { ProviderName } from '../../contract/definition'
import type { Provider } from '../../contract/provider-port'
import { anthropicAt, chatAt, context, noBlob, responsesAt, spec, user, view } from './support/calls'
import { anthropicStream, recorded, responsesStream, streamOf } from './support/recorded'
import { cut, json, silence, sse, startWireServer, type Reply, type WireServer } from './support/wire-server'

// The SDKs take hold of the console when they first print: from before that on, it is seen.
const printed = jest.spyOn(console, 'error')

let server: WireServer
beforeEach(async () => {
  server = await startWireServer()
})
afterEach(() => server.close())

interface Vendor {
  name: ProviderName
  at(server: WireServer): Provider
  stream: string
  /** Where the answer's last event begins. */
  last: number
  model: string
}
const thinking = streamOf(recorded('anthropic/stream-thinking'), 'anthropic')
const tools = streamOf(recorded('chat/stream-tools-3-structured'), 'chat')
const phases = streamOf(recorded('responses/stream-phase-reasoning'), 'responses')
const VENDORS: Vendor[] = [
  {
    name: 'anthropic',
    at: anthropicAt,
    stream: thinking,
    last: thinking.indexOf('event: message_stop'),
    model: 'claude-haiku-4-5',
  },
  {
    name: 'openai-chat',
    at: chatAt,
    stream: tools,
    last: tools.lastIndexOf('data:', tools.indexOf('"finish_reason":"')),
    model: 'gpt-4o',
  },
  {
    name: 'openai-responses',
    at: responsesAt,
    stream: phases,
    last: phases.indexOf('event: response.completed'),
    model: 'gpt-5.5',
  },
]

function call(vendor: Vendor, reply: Reply, more: { signal?: AbortSignal; silenceMs?: number } = {}) {
  server.replies.splice(0, 9, reply)
  const model = spec(vendor.name, vendor.model, more.silenceMs ? { silenceMs: more.silenceMs } : {})
  return vendor.at(server).call({ model, view: view(user(1, 'hi')), blob: noBlob }, context(more.signal))
}

describe.each(VENDORS.map((v) => [v.name, v] as const))('%s', (_name, vendor) => {
  test('a socket that is cut in the middle of a block', async () => {
    expect(await call(vendor, cut(vendor.stream, 2000))).toMatchObject({ ok: false, class: 'cut_off', retryable: true })
  })

  test('a clean end without the last event', async () => {
    expect(await call(vendor, sse(vendor.stream.slice(0, vendor.last)))).toMatchObject({
      ok: false,
      class: 'cut_off',
      retryable: true,
    })
  })

  test('a clean end before the first event', async () => {
    expect(await call(vendor, sse(''))).toMatchObject({ ok: false, class: 'cut_off', retryable: true })
  })

  test('a socket that is cut once the answer is whole: it is not paid for again', async () => {
    // What a client has not read yet goes with the socket, and nothing shows the server how far it is: give it time.
    const wholeThenCut: Reply = (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(vendor.stream, () => setTimeout(() => res.socket?.destroy(), 200))
    }
    expect(await call(vendor, wholeThenCut)).toMatchObject({ ok: true })
  })

  test('a connection that stays open once the answer is whole is waited for two seconds, not until it counts as silent', async () => {
    expect(await call(vendor, silence(vendor.stream, vendor.stream.length), { silenceMs: 50_000 })).toMatchObject({
      ok: true,
    })
  }, 20_000)

  test.each([0, 2000])('nothing more is heard after %i bytes: it is given up, and tried again', async (at) => {
    const result = await call(vendor, silence(vendor.stream, at), { silenceMs: 150 })
    expect(result).toMatchObject({
      ok: false,
      class: 'timeout',
      retryable: true,
      message: 'Nothing was heard from the provider for 150 ms.',
    })
  })

  test('no headers come: it is given up, and tried again', async () => {
    expect(await call(vendor, () => undefined, { silenceMs: 150 })).toMatchObject({
      ok: false,
      class: 'timeout',
      retryable: true,
    })
  })

  test('bytes that are no event keep the call alive', async () => {
    const pings: Reply = async (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let i = 0; i < 8; i++) {
        res.write(': ping\n\n')
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      res.end(vendor.stream)
    }
    expect(await call(vendor, pings, { silenceMs: 400 })).toMatchObject({ ok: true })
  })

  test('stopped by the caller in mid-stream: at once, and not to be tried again', async () => {
    const stop = new AbortController()
    const started: Reply = (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(vendor.stream.slice(0, 2000), () => stop.abort())
    }
    const closed = new Promise((resolve) => server.replies.push((res) => (res.on('close', resolve), started(res))))
    server.replies.splice(0, server.replies.length, server.replies[server.replies.length - 1] as Reply)
    const model = spec(vendor.name, vendor.model)
    const result = await vendor
      .at(server)
      .call({ model, view: view(user(1, 'hi')), blob: noBlob }, context(stop.signal))
    expect(result).toMatchObject({ ok: false, class: 'cut_off', retryable: false })
    await closed
  })

  test('stopped before it began: nothing is sent', async () => {
    expect(await call(vendor, sse(vendor.stream), { signal: AbortSignal.abort() })).toMatchObject({
      ok: false,
      class: 'cut_off',
      retryable: false,
    })
    expect(server.received).toEqual([])
  })

  test('something in the stream that is not JSON is not printed', async () => {
    const at = vendor.stream.indexOf('\n\n', 500) + 2
    const result = await call(
      vendor,
      sse(`${vendor.stream.slice(0, at)}event: content_block_delta\ndata: {"secret\n\n${vendor.stream.slice(at)}`),
    )
    expect(result).toMatchObject({ ok: false, class: 'cut_off', retryable: true })
    expect(printed).not.toHaveBeenCalled()
  })

  test('a page instead of a stream: the base URL is wrong, and trying again does not help', async () => {
    const page: Reply = (res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>')
    const result = await call(vendor, page)
    expect(result).toMatchObject({
      ok: false,
      class: 'refused_request',
      retryable: false,
      message: expect.stringContaining('<html>Welcome') as string,
    })
    expect(await call(vendor, json(200, { ok: true }))).toMatchObject({ class: 'refused_request' })
  })

  test('bytes that are cut anywhere give the same answer', async () => {
    const bytes = Buffer.from(vendor.stream)
    const dribble: Reply = async (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let i = 0; i < bytes.length; i += 777) {
        res.write(bytes.subarray(i, i + 777))
        await new Promise((resolve) => setImmediate(resolve))
      }
      res.end()
    }
    const whole = await call(vendor, sse(vendor.stream))
    expect({ ...(await call(vendor, dribble)), firstByteMs: 0 }).toEqual({ ...whole, firstByteMs: 0 })
  })
})

const toolUse = (stop: string, ...deltas: string[]): string => {
  const stream = anthropicStream({
    id: 'm',
    model: 'x',
    content: [{ type: 'tool_use', id: 't', name: 'write', input: {} }],
    stop_reason: stop,
    usage: {},
  })
  const delta = (partial_json: string): string =>
    `event: content_block_delta\ndata: ${JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json } })}\n\n`
  return stream.replace(/event: content_block_delta\n.*\n\n/, () => deltas.map(delta).join(''))
}
const anthropic = VENDORS[0] as Vendor
const chat = VENDORS[1] as Vendor

test.each([
  ['max_tokens', ['{"path":"a.ts","te'], /^truncated/],
  ['max_tokens', [], /^truncated/],
  ['model_context_window_exceeded', ['{"path'], /^truncated/],
  ['tool_use', ['{"path'], /not JSON/],
  ['tool_use', ['[1]'], /not a JSON object/],
  ['max_tokens', ['{"a":', '1}'], undefined],
  ['tool_use', [], undefined],
] as const)('Anthropic: arguments at %s: %j', async (stop, deltas, problem) => {
  const result = await call(anthropic, sse(toolUse(stop, ...deltas)))
  const block = result.ok ? result.blocks[0] : undefined
  expect(block?.type === 'tool_call' ? block.problem : 'no call').toEqual(
    problem ? expect.stringMatching(problem) : undefined,
  )
})

test.each([
  ['end_turn', 'end'],
  ['tool_use', 'tool_calls'],
  ['max_tokens', 'max_tokens'],
  ['stop_sequence', 'stop_sequence'],
  ['pause_turn', 'pause'],
  ['refusal', 'refusal'],
  ['model_context_window_exceeded', 'context_exceeded'],
  ['a_new_reason', 'other'],
])('Anthropic stops for %s', async (stop, means) => {
  expect(await call(anthropic, sse(anthropicStream({ content: [], stop_reason: stop, usage: {} })))).toMatchObject({
    ok: true,
    stop: means,
  })
})

const responses = VENDORS[2] as Vendor
const responseWith = (status: string, reason: string | null, ...output: object[]): string =>
  responsesStream({
    id: 'r',
    model: 'm',
    status,
    incomplete_details: reason === null ? null : { reason },
    output,
    usage: {},
  })

test.each([
  ['max_output_tokens', 'max_tokens', '{"path', /^truncated/],
  ['max_output_tokens', 'max_tokens', '', /^truncated/],
  ['max_output_tokens', 'max_tokens', '{"path":"a"}', undefined],
  ['content_filter', 'refusal', '{"path', /^truncated/],
])('Responses: arguments at %s: %s, %s', async (reason, stop, args, problem) => {
  const item = { type: 'function_call', id: 'fc_1', call_id: 'c', name: 'write', arguments: args, status: 'incomplete' }
  const result = await call(responses, sse(responseWith('incomplete', reason, item)))
  expect(result).toMatchObject({ ok: true, stop })
  const block = result.ok ? result.blocks[0] : undefined
  expect(block?.type === 'tool_call' ? block.problem : 'no call').toEqual(
    problem ? expect.stringMatching(problem) : undefined,
  )
})

test('Responses: a limit in the middle of reasoning leaves reasoning alone, and nothing is sent back of it', async () => {
  const item = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAA' }
  const result = await call(responses, sse(responseWith('incomplete', 'max_output_tokens', item)))
  expect(result).toMatchObject({ ok: true, stop: 'max_tokens', blocks: [{ type: 'reasoning', text: '' }] })
})

test('Responses: a refusal is a content part, a block and a stop reason', async () => {
  const item = { type: 'message', id: 'm', role: 'assistant', content: [{ type: 'refusal', refusal: 'I cannot.' }] }
  expect(await call(responses, sse(responseWith('completed', null, item)))).toMatchObject({
    ok: true,
    stop: 'refusal',
    blocks: [{ type: 'refusal', text: 'I cannot.' }],
  })
})

test.each([
  ['server_error', 'overloaded', true],
  ['rate_limit_exceeded', 'rate_limited', true],
  ['invalid_prompt', 'refused_request', false],
  ['invalid_image_format', 'refused_request', false],
  ['insufficient_quota', 'budget', false],
  ['something_new', 'overloaded', true],
])(
  'Responses: %s as response.failed, and as an error event in either of its shapes, inside a 200',
  async (code, what, retryable) => {
    const event = (e: { type: string; [more: string]: unknown }): string =>
      `event: ${e.type}\ndata: ${JSON.stringify(e)}\n\n`
    const created = event({ type: 'response.created', response: { id: 'r', output: [] } })
    for (const last of [
      event({ type: 'response.failed', response: { status: 'failed', error: { code, message: 'Oh' } } }),
      event({ type: 'error', code, message: 'Oh', param: null }),
      event({ type: 'error', error: { code, message: 'Oh' } }),
    ])
      expect(await call(responses, sse(created + last))).toMatchObject({
        ok: false,
        class: what,
        retryable,
        message: 'Oh',
      })
  },
)

const chunksOf = (...deltas: object[]): string =>
  deltas
    .map(
      (d) =>
        `data: ${JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta: d, finish_reason: null }] })}\n\n`,
    )
    .join('')
const finish = (reason: string): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: reason }] })}\n\n`
const fn = (args: string, name?: string): object => ({ function: { ...(name ? { name } : {}), arguments: args } })
const callsOf = async (stream: string): Promise<string[]> => {
  const result = await call(chat, sse(stream))
  if (!result.ok) throw new Error(result.message)
  return result.blocks.flatMap((b) => (b.type === 'tool_call' ? [`${b.name}(${b.args})`] : []))
}

test.each([
  ['without an index', [{ id: 'a', ...fn('{"x"', 'one') }, fn(':1}'), { id: 'b', ...fn('{}', 'two') }]],
  ['without index and id', [fn('{"x"', 'one'), fn(':1}'), fn('{}', 'two')]],
  [
    'all with index 0',
    [
      { index: 0, id: 'a', ...fn('{"x":1}', 'one') },
      { index: 0, id: 'b', ...fn('{}', 'two') },
    ],
  ],
  [
    'with name and id in every delta',
    [
      { index: 0, id: 'a', ...fn('{"x"', 'one') },
      { index: 0, id: 'a', ...fn(':1}', 'one') },
      { index: 1, id: 'b', ...fn('{}', 'two') },
    ],
  ],
  [
    'interleaved',
    [
      { index: 0, id: 'a', ...fn('{"x"', 'one') },
      { index: 1, id: 'b', ...fn('{', 'two') },
      { index: 0, ...fn(':1}') },
      { index: 1, ...fn('}') },
    ],
  ],
])('Chat: calls %s', async (_how, deltas) => {
  expect(await callsOf(chunksOf(...deltas.map((d) => ({ tool_calls: [d] }))) + finish('tool_calls'))).toEqual([
    'one({"x":1})',
    'two({})',
  ])
})

test('Chat: a missing [DONE], several choices, usage in a chunk of its own, a stop that hides calls', async () => {
  const other = `data: ${JSON.stringify({ choices: [{ index: 1, delta: { content: 'other' }, finish_reason: 'stop' }] })}\n\n`
  const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 2, prompt_cache_hit_tokens: 3 } })}\n\n`
  const result = await call(
    chat,
    sse(
      other +
        chunksOf({ content: 'one' }, { tool_calls: [{ index: 0, id: 'a', ...fn('', 'look') }] }) +
        finish('stop') +
        usage,
    ),
  )
  expect(result).toMatchObject({ ok: true, stop: 'tool_calls', usage: { input: 5, output: 2, cacheRead: 3 } })
  expect(result.ok && result.blocks).toEqual([
    { type: 'text', text: 'one' },
    { type: 'tool_call', call: '', name: 'look', args: '{}' },
  ])
})

test('Chat: a refusal is a block and a stop reason', async () => {
  const result = await call(chat, sse(chunksOf({ refusal: 'I can' }, { refusal: 'not.' }) + finish('stop')))
  expect(result).toMatchObject({ ok: true, stop: 'refusal', blocks: [{ type: 'refusal', text: 'I cannot.' }] })
})

test.each(['reasoning', 'reasoning_content'])('Chat: thinking in the field %s', async (name) => {
  const result = await call(chat, sse(chunksOf({ [name]: 'h' }, { [name]: 'm' }, { content: 'ok' }) + finish('stop')))
  expect(result).toMatchObject({
    ok: true,
    blocks: [
      { type: 'reasoning', text: 'hm' },
      { type: 'text', text: 'ok' },
    ],
  })
  expect(result.ok && result.replay?.blocks).toEqual([`{"field":"${name}"}`, null])
})

test('Chat: arguments that a limit cut are marked', async () => {
  const result = await call(
    chat,
    sse(chunksOf({ tool_calls: [{ index: 0, id: 'a', ...fn('{"path', 'write') }] }) + finish('length')),
  )
  expect(result).toMatchObject({
    ok: true,
    stop: 'max_tokens',
    blocks: [{ problem: expect.stringMatching(/^truncated/) as string }],
  })
})

test('NUL and lone surrogates of a model are normalised, and counted', async () => {
  const result = await call(
    chat,
    sse(`data: {"choices":[{"index":0,"delta":{"content":"a\\u0000b\\ud800"},"finish_reason":"stop"}]}\n\n`),
  )
  expect(result).toMatchObject({ ok: true, blocks: [{ type: 'text', text: 'a\uFFFDb\uFFFD', normalised: 2 }] })
})
