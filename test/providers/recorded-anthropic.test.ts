/** Real exchanges with Messages: each stream parsed, and folded back into the next request as the real client sent it. */
import { createHash } from 'node:crypto'
import type { View, ViewEntry } from '../../contract/provider-port'
import { entry, type Answered } from './support/answered'
import { anthropicAt, call, context, noBlob, said, spec, toAnthropic, unmarked, user } from './support/calls'
import { anthropicProblems } from './support/anthropic-rules'
import { chunks, recorded, streamOf, type Exchange, type Json } from './support/recorded'
import { sse, startWireServer, type WireServer } from './support/wire-server'

let server: WireServer
beforeEach(async () => {
  server = await startWireServer()
})
afterEach(() => server.close())

type Content = Json[]

function viewOf(body: Exchange['request']['body'], entries: ViewEntry[]): View {
  // Tools that the vendor runs have no schema, and no place in a definition.
  const own = ((body['tools'] as Json[] | undefined) ?? []).filter((t) => 'input_schema' in t)
  const tools = own.map((t) => ({
    name: String(t['name']),
    description: String(t['description'] ?? ''),
    inputSchema: JSON.stringify(t['input_schema']),
  }))
  return { system: typeof body['system'] === 'string' ? body['system'] : '', tools, entries }
}

/** Calls the model of that exchange, which answers with the recorded stream, over real HTTP. */
async function send(
  exchange: Exchange,
  entries: ViewEntry[],
  stream = streamOf(exchange, 'anthropic'),
): Promise<{ result: Answered; body: Json & { messages: Json[] }; said: [string, string][] }> {
  server.replies.splice(0, 9, sse(stream))
  const ctx = context()
  const { body } = exchange.request
  const budget = (body['thinking'] as { budget_tokens?: number } | undefined)?.budget_tokens
  // Another of the same kind, where the SDK would print that the recorded one is deprecated.
  const name = body.model.startsWith('claude-sonnet-4-5') ? 'claude-haiku-4-5' : body.model
  const model = spec('anthropic', name, {
    maxOutputTokens: body['max_tokens'] as number,
    ...(budget ? { reasoning: { budgetTokens: budget } } : {}),
  })
  const result = await anthropicAt(server).call({ model, view: viewOf(body, entries), blob: noBlob }, ctx)
  if (!result.ok) throw new Error(result.message)
  const sent = JSON.parse(server.received.at(-1)?.body ?? '{}') as Json & { messages: Json[] }
  expect(anthropicProblems(sent)).toEqual([])
  return { result, body: sent, said: ctx.said }
}

const firstText = (exchange: Exchange): string => {
  const content = exchange.request.body.messages[0]?.['content']
  return typeof content === 'string' ? content : String((content as Content)[0]?.['text'])
}

/** Ids by their order of appearance, a result's text as blocks, and no fields that say what is so anyway. */
function plain(messages: unknown): unknown {
  const ids: string[] = []
  const name = (id: string): string => `id${ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1}`
  return JSON.parse(
    JSON.stringify(unmarked(messages), (key, value: unknown) => {
      if (key === 'id' || key === 'tool_use_id') return name(String(value))
      if ((key === 'is_error' && value === false) || (key === 'caller' && (value as Json)['type'] === 'direct'))
        return undefined
      if (key === 'content' && typeof value === 'string') return [{ type: 'text', text: value }]
      return value
    }),
  )
}

test.each([
  ['thinking-then-tool-1', 'thinking-then-tool-2-replay'],
  ['parallel-tools-1', 'parallel-tools-2-results'],
])('the answer of %s goes back as the real client sent it in %s', async (one, two) => {
  const [first, second] = [recorded(`anthropic/${one}`), recorded(`anthropic/${two}`)]
  const asked = user(1, firstText(first))
  const { result } = await send(first, [asked])
  expect(result.stop).toBe('tool_calls')
  const answered = entry(2, result)
  const calls = answered.role === 'assistant' ? answered.blocks.filter((b) => b.type === 'tool_call') : []
  const outputs = (second.request.body.messages[2]?.['content'] as Content).map((r) => String(r['content']))
  const results: ViewEntry = {
    role: 'results',
    seq: 3,
    results: calls.map((c, i) => ({
      seq: 3 + i,
      call: c.call,
      name: c.name,
      outcome: 'ok',
      blocks: [{ type: 'text', text: outputs[i] ?? '' }],
    })),
  }
  const { body } = await send(second, [asked, answered, results])
  expect(plain(body.messages)).toEqual(plain(second.request.body.messages))
  expect(body['thinking']).toEqual(second.request.body['thinking'])
})

test('redacted thinking goes back verbatim, first in its message', async () => {
  const [first, second] = [recorded('anthropic/redacted-thinking-1'), recorded('anthropic/redacted-thinking-2-replay')]
  const asked = user(1, firstText(first))
  const { result } = await send(first, [asked])
  expect(result.blocks[0]).toEqual({ type: 'reasoning', text: '' })
  const { body } = await send(second, [asked, entry(2, result), user(3, 'What was that?')])
  expect(plain(body.messages)).toEqual(plain(second.request.body.messages))
})

test('blocks of a tool that the vendor ran are kept verbatim, and the pause is told', async () => {
  const [first, second] = [recorded('anthropic/stream-pause-turn-1'), recorded('anthropic/stream-pause-turn-2-resume')]
  const asked = user(1, firstText(first))
  const { result } = await send(first, [asked])
  expect(result.stop).toBe('pause')
  const { body } = await send(second, [asked, entry(2, result)])
  const theirs = second.request.body.messages[1]?.['content'] as Content
  const ours = body.messages[1]?.['content'] as Content
  // The paused answer is the last message: nothing is asked after it.
  expect(body.messages.map((m) => m['role'])).toEqual(['user', 'assistant'])
  expect(ours.map((b) => b['type'])).toEqual(theirs.map((b) => b['type']))
  // The recording has plain dashes and quotes in its requests, where its responses have the typographic ones.
  const ascii = (value: unknown): Json =>
    JSON.parse(
      JSON.stringify(value)
        .replace(/[\u2010-\u2015]/g, '-')
        .replace(/[\u2018\u2019]/g, "'")
        .replace(/\u2026/g, '...')
        .replace(/\u00a0/g, ' '),
    ) as Json
  for (const [i, block] of theirs.entries()) expect(ascii(ours[i])).toMatchObject(ascii(block))
})

test('a paused answer goes on where it stopped: both are one message, with its citations, and what is said next comes after it', async () => {
  const [first, second] = [recorded('anthropic/stream-pause-turn-1'), recorded('anthropic/stream-pause-turn-2-resume')]
  const asked = user(1, firstText(first))
  const paused = entry(2, (await send(first, [asked])).result)
  const resumed = await send(second, [asked, paused])
  const before = unmarked(resumed.body.messages)
  const went = entry(3, resumed.result)
  expect(resumed.result.blocks.some((b) => b.type === 'text')).toBe(true)
  const { body } = await send(second, [asked, paused, went, user(4, 'and?')])
  const messages = unmarked(body.messages)
  expect(messages.map((m) => m['role'])).toEqual(['user', 'assistant', 'user'])
  const [whole, begun] = [messages[1]?.['content'] as Content, before[1]?.['content'] as Content]
  expect(whole.slice(0, begun.length)).toEqual(begun)
  const cited = (blocks: Content): number =>
    blocks.filter((b) => (b['citations'] as unknown[] | undefined)?.length).length
  expect(cited(whole)).toBeGreaterThan(5)
})

test.each([
  ['a message comes instead', [user(3, 'Stop that.')], undefined],
  ['its replay was refused', [], 2],
  [
    'another model goes on',
    [{ role: 'assistant', seq: 3, blocks: [said('Well.')] } as ViewEntry, user(4, 'and?')],
    undefined,
  ],
])('a call of the vendor’s own tool that is left open gets a result: %s', async (_what, more, replayCut) => {
  const first = recorded('anthropic/stream-pause-turn-1')
  const asked = user(1, firstText(first))
  const paused = entry(2, (await send(first, [asked])).result)
  const { body, problems } = await toAnthropic(
    { system: '', tools: [], entries: [asked, paused, ...more], ...(replayCut ? { replayCut } : {}) },
    spec('anthropic', 'claude-haiku-4-5'),
  )
  expect(problems).toEqual([])
  expect(body.messages.map((m) => m['role'])).toEqual(['user', 'assistant', 'user'])
  const errors = JSON.stringify(body).match(/"error_code":"unavailable"/g) ?? []
  expect(errors).toHaveLength(replayCut ? 0 : 1)
})

test('thinking is streamed as it comes, and kept with its signature', async () => {
  const { result, said } = await send(recorded('anthropic/stream-thinking'), [user(1, 'How do I cross the street?')])
  expect(result.blocks.map((b) => b.type)).toEqual(['reasoning', 'text'])
  const [reasoning, text] = result.blocks
  const deltas = (kind: string): string => said.flatMap(([k, body]) => (k === kind ? [body] : [])).join('')
  expect(reasoning).toEqual({ type: 'reasoning', text: deltas('reasoning') })
  expect(text).toEqual({ type: 'text', text: deltas('text') })
  const kept = JSON.parse(result.replay?.blocks[0] ?? '{}') as Json
  expect(kept).toMatchObject({ type: 'thinking', thinking: deltas('reasoning') })
  expect(String(kept['signature']).length).toBeGreaterThan(100)
  expect(result.replay?.blocks[1]).toBeNull()
  expect(result).toMatchObject({ stop: 'end', model: 'claude-sonnet-4-20250514', usage: { input: 43, output: 282 } })
  expect(result.responseId).toMatch(/^msg_/)
  expect(result.firstByteMs).toBeGreaterThanOrEqual(0)
})

test('a tool call without arguments has the arguments {}', async () => {
  const { result } = await send(
    recorded('anthropic/parallel-tools-1'),
    [user(1, 'go')],
    chunks('anthropic-tool-no-args', 'anthropic'),
  )
  expect(result.blocks[1]).toEqual({ type: 'tool_call', call: '', name: 'updateIssueList', args: '{}' })
})

test('a refusal is a block and a stop reason', async () => {
  const { result } = await send(
    recorded('anthropic/parallel-tools-1'),
    [user(1, 'go')],
    chunks('anthropic-refusal', 'anthropic'),
  )
  expect(result.stop).toBe('refusal')
  expect(result.blocks).toEqual([
    { type: 'refusal', text: expect.stringContaining('violative cyber content') as string },
  ])
})

test.each(['cache-read', 'cache-write', 'text-stop-sequence'])(
  'usage counts what came from the cache: %s',
  async (name) => {
    const exchange = recorded(`anthropic/${name}`)
    const usage = exchange.response.body?.['usage'] as Record<string, number>
    const { result } = await send(exchange, [user(1, 'go')])
    const { input_tokens = 0, cache_read_input_tokens: read = 0, cache_creation_input_tokens: written = 0 } = usage
    expect(result.usage).toMatchObject({
      input: input_tokens + read + written,
      cacheRead: read,
      cacheWrite: written,
      output: usage['output_tokens'],
    })
    if (name === 'text-stop-sequence') expect(result.stop).toBe('stop_sequence')
  },
)

test('usage that only message_delta tells in full is taken from there', async () => {
  const { result } = await send(
    recorded('anthropic/cache-read'),
    [user(1, 'go')],
    chunks('anthropic-message-delta-input-tokens', 'anthropic'),
  )
  const deltaUsage = chunks('anthropic-message-delta-input-tokens', 'anthropic').match(
    /"message_delta".*"input_tokens":(\d+)/,
  )?.[1]
  expect(result.usage.input - result.usage.cacheRead - result.usage.cacheWrite).toBe(Number(deltaUsage))
})

test('the request is what the SDK’s version takes: its hash, its headers, no temperature', async () => {
  server.replies.push(sse(streamOf(recorded('anthropic/text-stop-sequence'), 'anthropic')))
  const model = spec('anthropic', 'claude-haiku-4-5', { temperature: 0.5 })
  const result = await anthropicAt(server).call(
    { model, view: viewOf(recorded('anthropic/parallel-tools-1').request.body, [user(7, 'hi')]), blob: noBlob },
    context(),
  )
  const [got] = server.received
  expect(got?.headers['anthropic-version']).toBe('2026-10-21')
  expect(got?.path).toBe('/v1/messages')
  expect(result.requestHash).toBe(
    createHash('sha256')
      .update(got?.body ?? '')
      .digest('hex'),
  )
  expect(JSON.parse(got?.body ?? '{}')).not.toHaveProperty('temperature')
  expect(result.dropped).toEqual([
    { seq: 7, what: 'temperature', why: expect.stringContaining('2026-10-21') as string },
  ])
})

test('a server’s reused ids and an assistant first are never sent: each call has an id of its own', async () => {
  const again = [
    user(1, 'a'),
    { role: 'assistant', seq: 2, blocks: [call('s:1.0')] },
    { role: 'results', seq: 3, results: [{ seq: 3, call: 's:1.0', name: 'look', outcome: 'ok', blocks: [] }] },
  ] as ViewEntry[]
  const { body } = await send(recorded('anthropic/foreign-ids-reused'), [
    ...again,
    { role: 'assistant', seq: 4, blocks: [call('s:3.0')] },
    { role: 'results', seq: 5, results: [{ seq: 5, call: 's:3.0', name: 'look', outcome: 'ok', blocks: [] }] },
  ])
  const ids = JSON.stringify(body.messages).match(/"id":"[^"]+"/g) ?? []
  expect(new Set(ids).size).toBe(2)
})
