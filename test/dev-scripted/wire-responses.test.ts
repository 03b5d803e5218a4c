/** What OpenAI's own SDK reads from the scripted server's Responses, streaming and not; and what it may send back. */
import OpenAI from 'openai'
import type {
  ResponseCreateParamsNonStreaming,
  ResponseInput,
  ResponseStreamEvent,
} from 'openai/resources/responses/responses'
import type { FaultInput, ScriptInput } from '../../dev/scripted-model/script'
import { closeAll, collect, failure, openai, serve, until, user } from './support'

afterEach(closeAll)

const RICH: ScriptInput['rules'] = [
  {
    when: { step: 0, provider: 'openai-responses' },
    say: {
      reasoning: 'I look at both, at once.',
      text: 'Two things at once, with 🙂.',
      calls: [
        { tool: 'read_file', args: { path: '{{last_user}}' } },
        { tool: 'list_files', args: {} },
      ],
      usage: { input: 100, output: 20, cacheRead: 60, cacheWrite: 10, reasoning: 5 },
    },
  },
  { when: { result: 'seven' }, say: { text: 'It says {{tool_result:0}}, and {{tool_result:1 | count}} files.' } },
]
const ask = {
  ...{ model: 'gpt-x', store: false, include: ['reasoning.encrypted_content' as const] },
  ...{ input: [user('a "b"')] as ResponseInput, reasoning: { summary: 'auto' as const } },
} satisfies ResponseCreateParamsNonStreaming

const types = (events: ResponseStreamEvent[]) => events.map((event) => event.type)

it('whole: reasoning, message with its phase, parallel calls, usage', async () => {
  const server = await serve(RICH)
  const response = await openai(server).responses.create(ask)
  expect(response).toMatchObject({ object: 'response', status: 'completed', model: 'gpt-x (scripted)', store: false })
  expect(response.output).toMatchObject([
    {
      ...{ type: 'reasoning', id: expect.stringMatching(/^rs_scripted_/) },
      summary: [{ type: 'summary_text', text: 'I look at both, at once.' }],
      encrypted_content: expect.stringMatching(/^scripted-/),
    },
    {
      ...{ type: 'message', role: 'assistant', status: 'completed', phase: 'commentary' },
      content: [{ type: 'output_text', text: 'Two things at once, with 🙂.', annotations: [] }],
    },
    { type: 'function_call', name: 'read_file', arguments: '{"path":"a \\"b\\""}', status: 'completed' },
    { type: 'function_call', name: 'list_files', arguments: '{}' },
  ])
  expect(response.output_text).toBe('Two things at once, with 🙂.')
  expect(response.usage).toEqual({
    ...{ input_tokens: 100, output_tokens: 20, total_tokens: 120 },
    input_tokens_details: { cached_tokens: 60, cache_write_tokens: 10 },
    output_tokens_details: { reasoning_tokens: 5 },
  })
  await until('the response is over', () => server.requests[0]?.whole === true)
  expect(server.requests).toMatchObject([{ api: 'openai-responses', step: 0, rule: 'rule 0', status: 200 }])
})

it('streamed: the SDK puts the same together, and the events are numbered', async () => {
  const client = openai(await serve(RICH))
  const whole = await client.responses.create(ask)
  const events = await collect(await client.responses.create({ ...ask, stream: true }))
  expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, i) => i))
  const put = await client.responses.stream({ ...ask, stream: true }).finalResponse()
  expect(put.output).toMatchObject(
    whole.output.map(({ id: _id, ...item }) => ({
      ...item,
      ...(item.type === 'function_call' ? { call_id: expect.any(String) } : {}),
      ...(item.type === 'reasoning' ? { encrypted_content: expect.any(String) } : {}),
    })),
  )
})

it('streams with the events of a recorded stream', async () => {
  const events = await collect(await openai(await serve(RICH)).responses.create({ ...ask, stream: true }))
  const item = (kind: string, inner: string[]) => [`${kind}.added`, ...inner, `${kind}.done`]
  const item_ = (inner: string[]) => item('response.output_item', inner)
  expect(types(events).filter((type, i, all) => type !== all[i - 1])).toEqual([
    'response.created',
    'response.in_progress',
    ...item_(
      item('response.reasoning_summary_part', [
        'response.reasoning_summary_text.delta',
        'response.reasoning_summary_text.done',
      ]),
    ),
    ...item_(item('response.content_part', ['response.output_text.delta', 'response.output_text.done'])),
    ...item_(['response.function_call_arguments.delta', 'response.function_call_arguments.done']),
    ...item_(['response.function_call_arguments.delta', 'response.function_call_arguments.done']),
    'response.completed',
  ])
})

it('without a summary asked for, reasoning is encrypted only; a model that does not reason gives none', async () => {
  const client = openai(await serve(RICH))
  const kinds = async (rest: object) =>
    (await client.responses.create({ ...ask, ...rest } as ResponseCreateParamsNonStreaming)).output
  expect((await kinds({ reasoning: null }))[0]).toMatchObject({ type: 'reasoning', summary: [] })
  expect((await kinds({ model: 'gpt-4o', reasoning: null, include: null })).map((item) => item.type)).toEqual([
    ...['message', 'function_call', 'function_call'],
  ])
})

it('goes on from outputs: what it gave out, it takes back', async () => {
  const client = openai(await serve(RICH))
  const first = await client.responses.create(ask)
  const [a, b] = first.output.flatMap((item) => (item.type === 'function_call' ? [item.call_id] : []))
  const outputs = [
    { type: 'function_call_output' as const, call_id: a ?? '', output: 'seven' },
    { type: 'function_call_output' as const, call_id: b ?? '', output: [{ type: 'input_text' as const, text: 'x' }] },
  ]
  const input = [...ask.input, ...(first.output as ResponseInput), ...outputs]
  const second = await client.responses.create({ ...ask, input })
  expect(second.output_text).toBe('It says seven, and 1 files.')
})

it('refuses the encrypted content of `output_item.added`: only that of `output_item.done` is whole', async () => {
  const client = openai(await serve([{ say: { reasoning: 'hm', text: 'x' } }]))
  const events = await collect(await client.responses.create({ ...ask, stream: true }))
  const items = (type: string) =>
    events.flatMap((event) => (event.type === type && 'item' in event ? [event.item] : []))
  const again = (reasoning: unknown) =>
    client.responses.create({
      ...ask,
      input: [...ask.input, reasoning, items('response.output_item.done')[1], user('and?')] as ResponseInput,
    })
  expect(await failure(again(items('response.output_item.added')[0]))).toMatchObject({
    code: 'invalid_encrypted_content',
  })
  expect((await again(items('response.output_item.done')[0])).status).toBe('completed')
})

it('a refusal is a part of its own', async () => {
  const client = openai(await serve([{ say: { refusal: 'I will not say that.' } }]))
  const { output } = await client.responses.create(ask)
  expect(output).toMatchObject([{ content: [{ type: 'refusal', refusal: 'I will not say that.' }] }])
  const events = await collect(await client.responses.create({ ...ask, stream: true }))
  expect(types(events)).toEqual(expect.arrayContaining(['response.refusal.delta', 'response.refusal.done']))
  const chat = await client.chat.completions.create({ model: 'm', messages: [user('x')] })
  expect(chat.choices[0]).toMatchObject({
    finish_reason: 'stop',
    message: { content: null, refusal: 'I will not say that.' },
  })
})

it('tokens that end in the middle of arguments leave the response incomplete, and the call as it was written', async () => {
  const client = openai(await serve([{ say: { calls: [{ tool: 't', args: '{"path": "a' }], stop: 'max_tokens' } }]))
  const whole = await client.responses.create(ask)
  const events = await collect(await client.responses.create({ ...ask, stream: true }))
  expect(whole).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
  expect(whole.output).toMatchObject([{ arguments: '{"path": "a', status: 'incomplete' }])
  expect(types(events).at(-1)).toBe('response.incomplete')
})

it.each([
  ['refusal', 'incomplete', 'response.incomplete'],
  ['context_exceeded', 'failed', 'response.failed'],
] as const)('stop %s is status %s', async (stop, status, event) => {
  const client = openai(await serve([{ say: { text: 'x', stop } }]))
  expect((await client.responses.create(ask)).status).toBe(status)
  expect(types(await collect(await client.responses.create({ ...ask, stream: true }))).at(-1)).toBe(event)
})

describe('faults', () => {
  const read = async (fault: FaultInput) => {
    const server = await serve([{ say: { text: 'one two three four', fault } }])
    const seen: string[] = []
    let last = ''
    let error: unknown = null
    try {
      for await (const event of await openai(server).responses.create({ ...ask, stream: true })) {
        last = event.type
        if (event.type === 'response.output_text.delta') seen.push(event.delta)
      }
    } catch (thrown) {
      error = thrown
    }
    return { seen, last, error }
  }

  it('cut: what came before it arrived, then "terminated"', async () =>
    expect(await read({ kind: 'cut', afterDeltas: 2 })).toMatchObject({
      ...{ seen: ['one', ' two'], error: { message: 'terminated' } },
    }))

  it('clean end: no last event, and no error', async () =>
    expect(await read({ kind: 'clean_end', afterDeltas: 2 })).toEqual({
      ...{ seen: ['one', ' two'], last: 'response.output_text.delta', error: null },
    }))

  it('an error event, as recorded', async () => {
    const { seen, error } = await read({ kind: 'error_event', afterDeltas: 1, type: 'insufficient_quota' })
    expect(seen).toEqual(['one'])
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(error).toMatchObject({ type: 'insufficient_quota', code: 'insufficient_quota' })
  })

  it('a response that fails', async () =>
    expect(await read({ kind: 'failed', afterDeltas: 1 })).toMatchObject({
      ...{ seen: ['one'], last: 'response.failed', error: null },
    }))

  it.each([429, 503])('status %s', async (status) => {
    const server = await serve([{ say: { text: 'x', fault: { kind: 'status', status, retryAfter: 7 } } }])
    const error = (await failure(openai(server).responses.create(ask))) as InstanceType<typeof OpenAI.APIError>
    expect(error).toMatchObject({ status, message: expect.stringContaining(`Scripted fault: status ${status}`) })
    expect(error.headers?.get('retry-after')).toBe('7')
  })

  it('without streaming, a failure is the status that it stands for', async () => {
    const server = await serve([{ say: { text: 'x', fault: { kind: 'failed' } } }])
    expect((await failure(openai(server).responses.create(ask))).status).toBe(500)
  })
})
