/** Real exchanges with Responses: each answer parsed, and folded back into the next request as the real client sent it. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import type { View, ViewEntry } from '../../contract/provider-port'
import { entry, results, type Answered } from './support/answered'
import { context, noBlob, responsesAt, said, spec, user } from './support/calls'
import { chunks, recorded, streamOf, type Exchange, type Json } from './support/recorded'
import { responsesProblems } from './support/responses-rules'
import { json, sse, startWireServer, type WireServer } from './support/wire-server'

let server: WireServer
beforeEach(async () => {
  server = await startWireServer()
})
afterEach(() => server.close())

async function send(
  exchange: Exchange,
  entries: ViewEntry[],
  stream = streamOf(exchange, 'responses'),
): Promise<{ result: Answered; input: Json[]; body: Json; said: [string, string][] }> {
  server.replies.splice(0, 9, sse(stream))
  const { body } = exchange.request
  const tools = (body['tools'] as Json[] | undefined) ?? []
  const own = tools.filter((tool) => tool['type'] === 'function')
  const theirs = tools.filter((tool) => tool['type'] !== 'function')
  const view: View = {
    system: String(body['instructions'] ?? ''),
    tools: own.map((tool) => ({
      name: String(tool['name']),
      description: String(tool['description'] ?? ''),
      inputSchema: JSON.stringify(tool['parameters']),
    })),
    entries,
  }
  const model = spec(
    'openai-responses',
    body.model,
    theirs.length > 0 ? { serverTools: theirs.map((t) => JSON.stringify(t)) } : {},
  )
  const ctx = context()
  const result = await responsesAt(server).call({ model, view, blob: noBlob }, ctx)
  if (!result.ok) throw new Error(result.message)
  const sent = JSON.parse(server.received.at(-1)?.body ?? '{}') as Json & { input: Json[] }
  expect(responsesProblems(sent)).toEqual([])
  return { result, input: sent.input, body: sent, said: ctx.said }
}

/**
 * Call ids by their order of appearance, no ids of items (but of the vendor's own tools), no word that says what is so anyway, a message of
 * texts alone as their text.
 */
function plain(items: Json[]): unknown {
  const ids: string[] = []
  const name = (id: string): string => `id${ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1}`
  return items
    .filter((item) => item['role'] !== 'assistant' || item['content'] !== '')
    .map((item) => {
      const { id, status, type = 'message', content, call_id, ...rest } = item
      const parts = Array.isArray(content) ? (content as Json[]) : []
      const alone = parts.length > 0 && parts.every((part) => part['text'] !== undefined)
      return {
        type,
        ...(type === 'web_search_call' ? { id, status } : {}),
        ...(call_id === undefined ? {} : { call_id: name(String(call_id)) }),
        ...(content === undefined ? {} : { content: alone ? parts.map((part) => part['text']).join('') : content }),
        ...rest,
      }
    })
}
// The recording has plain dashes and quotes in its requests, where its responses have the typographic ones.
const ascii = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value)
      .replace(/[\u2010-\u2015]/g, '-')
      .replace(/[\u2018\u2019]/g, "'")
      .replace(/[\u201c\u201d]/g, '\\"')
      .replace(/\u2026/g, '...')
      .replace(/[\u00a0\u202f]/g, ' '),
  )

const asked = (exchange: Exchange): ViewEntry => user(1, String(exchange.request.body.input[0]?.['content']))
const outputs = (exchange: Exchange): string[] =>
  exchange.request.body.input.flatMap((item) =>
    item['type'] === 'function_call_output' ? [String(item['output'])] : [],
  )

test.each([
  ['tool-1', 'tool-2-output'],
  ['parallel-tools-1', 'parallel-tools-2'],
  ['reasoning-tool-1', 'reasoning-tool-2-replay'],
  ['phase-1', 'phase-2-replay'],
])('the answer of %s goes back as the real client sent it in %s', async (one, two) => {
  const [first, second] = [recorded(`responses/${one}`), recorded(`responses/${two}`)]
  const question = asked(first)
  const { result } = await send(first, [question])
  expect(result.stop).toBe('tool_calls')
  const answered = entry(2, result)
  const { input } = await send(second, [question, answered, results(answered, outputs(second))])
  expect(ascii(plain(input))).toEqual(ascii(plain(second.request.body.input)))
})

test('the vendor’s own tools and the reasoning between them go back as they came', async () => {
  const [first, second] = [recorded('responses/web-search-1'), recorded('responses/web-search-2-replay')]
  const question = asked(first)
  const { result, body } = await send(first, [question])
  expect(result.blocks.map((b) => b.type)).toEqual(['reasoning', 'structured', 'reasoning', 'text'])
  expect(body['tools']).toEqual(first.request.body['tools'])
  const next = user(3, String(second.request.body.input.at(-1)?.['content']))
  const { input } = await send(second, [question, entry(2, result), next])
  expect(ascii(plain(input))).toEqual(ascii(plain(second.request.body.input)))
})

test('encrypted reasoning is taken from the item when it is done', async () => {
  const exchange = recorded('responses/stream-phase-reasoning')
  const { result, body } = await send(exchange, [asked(exchange)])
  const done = (exchange.response.sse ?? '').match(
    /"type":"response\.output_item\.done","item":(\{"id":"rs_.*?\})\s*,"output_index"/,
  )
  const item = JSON.parse(done?.[1] ?? '{}') as Json
  expect(JSON.parse(result.replay?.blocks[0] ?? '{}')).toEqual({
    type: 'reasoning',
    encrypted_content: item['encrypted_content'],
    summary: [],
  })
  expect(JSON.parse(result.replay?.blocks[1] ?? '{}')).toEqual({ phase: 'commentary' })
  expect(result.replay?.blocks[2]).toBeNull()
  expect(result.blocks.map((b) => b.type)).toEqual(['reasoning', 'text', 'tool_call'])
  expect(result).toMatchObject({ stop: 'tool_calls', model: 'gpt-5.5-2026-04-23' })
  expect(body).toMatchObject({ store: false, include: ['reasoning.encrypted_content'] })
  expect(body).not.toHaveProperty('previous_response_id')
})

test('a summary is streamed as it comes, and is the text of the reasoning', async () => {
  const exchange = recorded('responses/reasoning-tool-1')
  const { result, said: deltas } = await send(exchange, [asked(exchange)])
  const streamed = deltas.flatMap(([kind, body]) => (kind === 'reasoning' ? [body] : [])).join('')
  expect(result.blocks[0]).toEqual({ type: 'reasoning', text: streamed })
  expect(streamed).toContain('\n\n')
  expect(result.usage).toMatchObject({ input: 124, output: 1926, reasoning: 1792 })
})

test('the recorded streams of vercel/ai: a tool loop of a model that thinks, four calls long', async () => {
  const lines = chunks('openai-reasoning-encrypted-content.1', 'responses').split('event: response.created')
  const history: ViewEntry[] = [user(1, 'Compute.')]
  const exchange = recorded('responses/phase-1')
  for (const [n, part] of lines.slice(1).entries()) {
    const { result } = await send(exchange, history, `event: response.created${part}`)
    const answered = entry(10 * (n + 1), result)
    history.push(answered)
    if (result.stop === 'tool_calls') history.push(results(answered, ['42']))
    else expect(result.blocks).toEqual([said('The final result is **570**.')])
  }
  expect(history).toHaveLength(8)
  await send(exchange, [...history, user(99, 'and?')])
})

const files = readdirSync(path.join(__dirname, '../fixtures/wire/responses')).map((file) => file.replace('.json', ''))
const answered = files.filter((file) => recorded(`responses/${file}`).response.status === 200)
const refused = files.filter((file) => recorded(`responses/${file}`).response.status !== 200)

test.each(answered)('the recorded answer %s holds what was said, in one piece as streamed', async (name) => {
  const exchange = recorded(`responses/${name}`)
  const { result } = await send(exchange, [user(1, 'go')])
  const { body } = exchange.response
  if (!body) return expect(result.blocks.length).toBeGreaterThan(0)
  const items = body['output'] as Json[]
  const texts = items.flatMap((item) => (item['type'] === 'message' ? (item['content'] as Json[]) : []))
  expect(result.blocks.flatMap((b) => (b.type === 'text' ? [b.text] : []))).toEqual(texts.map((part) => part['text']))
  const calls = items.filter((item) => item['type'] === 'function_call')
  expect(result.blocks.flatMap((b) => (b.type === 'tool_call' ? [b.args] : []))).toEqual(
    calls.map((c) => c['arguments']),
  )
  server.replies.splice(0, 9, json(200, body))
  const view = { system: '', tools: [], entries: [user(1, 'go')] }
  const model = spec('openai-responses', exchange.request.body.model, { stream: false })
  const whole = await responsesAt(server).call({ model, view, blob: noBlob }, context())
  expect({ ...whole, firstByteMs: 0, requestHash: '' }).toEqual({
    ...result,
    ok: true,
    dropped: [],
    firstByteMs: 0,
    requestHash: '',
  })
})

test.each(refused)('the recorded refusal %s is classified', async (name) => {
  const { response } = recorded(`responses/${name}`)
  server.replies.push(json(response.status, response.body))
  const view = { system: '', tools: [], entries: [user(1, 'hi')] }
  const result = await responsesAt(server).call(
    { model: spec('openai-responses', 'gpt-5'), view, blob: noBlob },
    context(),
  )
  expect(result).toMatchObject({ ok: false, class: 'refused_request', retryable: false, status: 400 })
})

test('a quota error inside a stream is about money, and not tried again', async () => {
  server.replies.push(sse(chunks('openai-error.1', 'responses')))
  const view = { system: '', tools: [], entries: [user(1, 'hi')] }
  const result = await responsesAt(server).call(
    { model: spec('openai-responses', 'gpt-5'), view, blob: noBlob },
    context(),
  )
  expect(result).toMatchObject({ ok: false, class: 'budget', retryable: false })
})
