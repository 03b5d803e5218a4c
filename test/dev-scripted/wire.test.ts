/** What the vendors' own SDKs read from the scripted server, streaming and not. */
import type { MessageParam } from '@anthropic-ai/sdk/resources/messages'
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions'
import type { ScriptInput } from '../../dev/scripted-model/script'
import { anthropic, closeAll, collect, openai, serve, until, user } from './support'

afterEach(closeAll)

const RICH: ScriptInput['rules'] = [
  {
    when: { step: 0 },
    say: {
      reasoning: 'I look at both, at once.',
      text: 'Two things at once, with 🙂.',
      calls: [
        { tool: 'read_file', args: { path: 'a b.txt', deep: [{ said: '{{last_user}}' }] } },
        { tool: 'list_files', args: {} },
      ],
      usage: { input: 100, output: 20, cacheRead: 60, cacheWrite: 10, reasoning: 5 },
    },
  },
  { when: { result: 'seven' }, say: { text: 'It says {{tool_result:0}}, and {{tool_result:1 | count}} files.' } },
]
const QUESTION = 'say "hello" {{step}}'
const ARGS = { path: 'a b.txt', deep: [{ said: QUESTION }] }

describe('Anthropic Messages', () => {
  const ask = { model: 'claude-x', max_tokens: 100, messages: [user(QUESTION)] as MessageParam[] }

  it.each(['whole', 'streamed'])('%s: reasoning, text, parallel calls, usage, stop reason', async (how) => {
    const server = await serve(RICH)
    const client = anthropic(server)
    const message =
      how === 'whole' ? await client.messages.create(ask) : await client.messages.stream(ask).finalMessage()
    expect(message.model).toBe('claude-x (scripted)')
    expect(message.id).toMatch(/^msg_scripted_/)
    expect(message.content).toMatchObject([
      { type: 'thinking', thinking: 'I look at both, at once.', signature: expect.stringMatching(/^scripted-/) },
      { type: 'text', text: 'Two things at once, with 🙂.' },
      { type: 'tool_use', name: 'read_file', input: ARGS, id: expect.stringMatching(/^[a-zA-Z0-9_-]+$/) },
      { type: 'tool_use', name: 'list_files', input: {} },
    ])
    expect(message.stop_reason).toBe('tool_use')
    expect(message.usage).toMatchObject({
      input_tokens: 30,
      cache_read_input_tokens: 60,
      cache_creation_input_tokens: 10,
      output_tokens: 20,
    })
    await until('the response is over', () => server.requests.every((r) => r.whole !== null))
    expect(server.requests).toMatchObject([
      { n: 1, api: 'anthropic', step: 0, rule: 'rule 0', status: 200, whole: true },
    ])
  })

  it('goes on from the results: the answer follows from the request', async () => {
    const client = anthropic(await serve(RICH))
    const first = await client.messages.create(ask)
    const [a, b] = first.content.flatMap((block) => (block.type === 'tool_use' ? [block.id] : []))
    const results = [
      { type: 'tool_result' as const, tool_use_id: a ?? '', content: 'seven' },
      { type: 'tool_result' as const, tool_use_id: b ?? '', content: [{ type: 'text' as const, text: 'x\ny\n\nz' }] },
    ]
    const messages = [...ask.messages, { role: 'assistant' as const, content: first.content }, user('')]
    messages[2] = { role: 'user', content: results } as never
    const second = await client.messages.create({ ...ask, messages })
    expect(second.content).toMatchObject([{ type: 'text', text: 'It says seven, and 3 files.' }])
    expect(second.stop_reason).toBe('end_turn')
  })

  it('streams text word by word, with the events of a recorded stream', async () => {
    const client = anthropic(await serve([{ say: { text: 'one two  three' } }]))
    const events = await collect(await client.messages.create({ ...ask, stream: true }))
    expect(events.map((e) => e.type)).toEqual([
      'message_start',
      'content_block_start',
      ...Array<string>(3).fill('content_block_delta'),
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
    expect(
      events.flatMap((e) => (e.type === 'content_block_delta' && e.delta.type === 'text_delta' ? [e.delta.text] : [])),
    ).toEqual(['one', ' two', '  three'])
  })

  it('writes arguments that are no JSON as the model did, and the SDK makes {} of them at max_tokens', async () => {
    const client = anthropic(
      await serve([{ say: { calls: [{ tool: 't', args: '{"path": "a' }], stop: 'max_tokens' } }]),
    )
    const stream = client.messages.stream(ask)
    const raw: string[] = []
    stream.on('streamEvent', (e) => {
      if (e.type === 'content_block_delta' && e.delta.type === 'input_json_delta') raw.push(e.delta.partial_json)
    })
    const message = await stream.finalMessage()
    expect(raw.join('')).toBe('{"path": "a')
    expect(message.stop_reason).toBe('max_tokens')
    expect(message.content).toMatchObject([{ type: 'tool_use', name: 't' }])
  })
})

describe('Chat Completions', () => {
  const ask = { model: 'gpt-x', messages: [user(QUESTION)] as ChatCompletionMessageParam[] }

  it('whole: reasoning, text, parallel calls, usage, stop reason', async () => {
    const server = await serve(RICH)
    const completion = await openai(server).chat.completions.create(ask)
    expect(completion).toMatchObject({
      model: 'gpt-x (scripted)',
      object: 'chat.completion',
      choices: [{ finish_reason: 'tool_calls' }],
    })
    expect(completion.choices[0]?.message).toMatchObject({
      content: 'Two things at once, with 🙂.',
      reasoning_content: 'I look at both, at once.',
      tool_calls: [
        { type: 'function', function: { name: 'read_file', arguments: JSON.stringify(ARGS) } },
        { type: 'function', function: { name: 'list_files', arguments: '{}' } },
      ],
    })
    expect(completion.usage).toMatchObject({
      prompt_tokens: 100,
      completion_tokens: 20,
      total_tokens: 120,
      prompt_tokens_details: { cached_tokens: 60 },
      completion_tokens_details: { reasoning_tokens: 5 },
    })
  })

  it.each([true, false])('streamed: the SDK puts the same together (usage asked for: %s)', async (include_usage) => {
    const server = await serve(RICH)
    const client = openai(server)
    const whole = await client.chat.completions.create(ask)
    const stream = client.chat.completions.stream({ ...ask, stream: true, stream_options: { include_usage } })
    const reasoning: string[] = []
    stream.on('chunk', (chunk) => {
      const { reasoning_content: part } = { reasoning_content: undefined, ...chunk.choices[0]?.delta } as {
        reasoning_content?: string
      }
      if (part !== undefined) reasoning.push(part)
    })
    const put = await stream.finalChatCompletion()
    expect(put.choices[0]?.message).toMatchObject({
      content: whole.choices[0]?.message.content,
      tool_calls: [
        { function: { arguments: JSON.stringify(ARGS) } },
        { function: { name: 'list_files', arguments: '{}' } },
      ],
    })
    expect(put.choices[0]?.finish_reason).toBe('tool_calls')
    expect(reasoning.join('')).toBe('I look at both, at once.')
    expect(put.usage?.prompt_tokens).toBe(include_usage ? 100 : undefined)
    await until('both are sent whole', () => server.requests.every((r) => r.whole))
  })

  it('goes on from tool messages; also without /v1 in the base URL', async () => {
    const server = await serve(RICH)
    const client = openai(server)
    client.baseURL = server.url
    const first = await client.chat.completions.create(ask)
    const message = first.choices[0]?.message
    const ids = message?.tool_calls?.map((call) => call.id) ?? []
    expect(ids.every((id) => id.length <= 40)).toBe(true)
    expect(new Set(ids).size).toBe(2)
    const second = await client.chat.completions.create({
      ...ask,
      messages: [
        ...ask.messages,
        { role: 'assistant', content: message?.content ?? null, tool_calls: message?.tool_calls },
        { role: 'tool', tool_call_id: ids[0] ?? '', content: 'seven' },
        { role: 'tool', tool_call_id: ids[1] ?? '', content: 'x' },
      ],
    })
    expect(second.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: 'It says seven, and 1 files.' },
    })
  })

  it('lists one model', async () => {
    const models = await collect(await openai(await serve([])).models.list())
    expect(models.map((model) => model.id)).toEqual(['scripted'])
  })
})

describe('says that it is a script', () => {
  it('in a header of every response, errors too, in the start line and at GET /', async () => {
    const lines: string[] = []
    const server = await serve([], { log: (line) => lines.push(line) })
    expect(lines).toEqual([`scripted model at ${server.url} plays the script "of-a-test": it is not a model`])
    const paths = ['/', '/v1/models', '/nowhere'].map((path) => fetch(server.url + path))
    for (const response of await Promise.all([
      ...paths,
      fetch(`${server.url}/v1/messages`, { method: 'POST', body: '{' }),
    ]))
      expect(response.headers.get('x-savefile-scripted')).toBe('of-a-test')
    expect(await (await fetch(server.url)).json()).toMatchObject({ scripted: true, script: 'of-a-test' })
  })

  it('where no rule fits', async () => {
    const completion = await openai(await serve([])).chat.completions.create({ model: 'm', messages: [user('x')] })
    expect(completion.choices[0]?.message.content).toBe('This is a scripted model; nothing in its script fits this.')
  })
})

describe('which rule answers', () => {
  const say = async (rules: ScriptInput['rules'], messages: ChatCompletionMessageParam[], model = 'm') =>
    (await openai(await serve(rules)).chat.completions.create({ model, messages })).choices[0]?.message.content

  it('goes by turn, step and call', async () => {
    const rules = [
      { when: { turn: 1, step: 1 }, say: { text: 'second turn, second step' } },
      { when: { call: 2 }, say: { text: 'third call' } },
    ]
    const call = (id: string) => ({ id, type: 'function' as const, function: { name: 't', arguments: '{}' } })
    const start: ChatCompletionMessageParam[] = [user('a'), { role: 'assistant', content: 'b' }, user('c')]
    const step = (id: string): ChatCompletionMessageParam[] => [
      { role: 'assistant', content: null, tool_calls: [call(id)] },
      { role: 'tool', tool_call_id: id, content: 'r' },
    ]
    expect(await say(rules, [...start, ...step('1')])).toBe('second turn, second step')
    expect(await say(rules, [user('a'), ...step('1'), ...step('2')])).toBe('third call')
  })

  it('goes by text, model and provider', async () => {
    const rules = [
      { when: { provider: 'anthropic' as const }, say: { text: 'wrong wire' } },
      { when: { model: 'special' }, say: { text: 'by model' } },
      { when: { text: 'needle' }, say: { text: 'by text' } },
    ]
    expect(await say(rules, [user('x')], 'special')).toBe('by model')
    expect(await say(rules, [user('hay needle hay')])).toBe('by text')
  })

  it('a loop makes its call N times, then says its text; filler has the size asked for', async () => {
    const server = await serve([
      { say: { loop: 3, calls: [{ tool: 't', args: { n: '{{step}}' } }], text: 'done', bytes: 1000, deltaChars: 256 } },
    ])
    const client = openai(server)
    const messages: ChatCompletionMessageParam[] = [user('go')]
    for (let step = 0; ; step++) {
      const message = (await client.chat.completions.create({ model: 'm', messages })).choices[0]?.message
      const call = message?.tool_calls?.[0]
      if (!call || call.type !== 'function') {
        expect(step).toBe(3)
        expect(message?.content).toHaveLength(1005)
        expect(message?.content?.startsWith('done\n')).toBe(true)
        break
      }
      expect(message?.content).toHaveLength(1000)
      expect(call.function.arguments).toBe(`{"n":"${step}"}`)
      messages.push(
        { role: 'assistant', content: message?.content ?? null, tool_calls: message?.tool_calls },
        { role: 'tool', tool_call_id: call.id, content: 'ok' },
      )
    }
    expect(server.requests).toHaveLength(4)
  })
})
