/** What OpenRouter wants back verbatim: recorded exchanges, read whole and sent back as they came, and documented pieces of a stream. */
import type { ModelResult, ViewEntry } from '../../contract/provider-port'
import { addDetail, type Detail } from '../../providers/openai-chat/reasoning-details'
import { hostProblem } from '../../dev/scripted-model/check-chat-host'
import { entry, results, type Answered } from './support/answered'
import { chatAt, context, noBlob, spec, toChat, user, view } from './support/calls'
import { recorded, streamOf, type Json } from './support/recorded'
import { json, sse, startWireServer, type WireServer } from './support/wire-server'

const HOST = 'openrouter.ai'
let server: WireServer
beforeEach(async () => {
  server = await startWireServer()
})
afterEach(() => server.close())

async function answer(name: string, stream: boolean): Promise<Answered & { model: string }> {
  const exchange = recorded(name)
  const reply = stream ? sse(streamOf(exchange, 'chat')) : json(200, exchange.response.body ?? {})
  server.replies.splice(0, 9, reply)
  const model = spec('openai-chat', exchange.request.body.model, { stream })
  const result = await chatAt(server, HOST).call({ model, view: view(user(1, 'hi')), blob: noBlob }, context())
  if (!result.ok) throw new Error(result.message)
  return { ...result, model: exchange.request.body.model }
}
/** What goes back of an answer, and why something does not. */
async function sentBack(
  answered: Answered & { model: string },
  { model = answered.model, host = HOST, cut = 0 } = {},
): Promise<{ message: Json; dropped: { what: string; why: string }[] }> {
  const history = { ...view(user(1, 'hi'), entry(2, answered), user(3, 'and?')), replayCut: cut }
  const { body, dropped } = await toChat(history, spec('openai-chat', model), noBlob, host)
  return { message: body.messages.find(({ role }) => role === 'assistant') ?? {}, dropped }
}
const keptOf = ({ replay }: Answered): Detail[] =>
  (JSON.parse(replay?.blocks[0] ?? '{}') as { details: Detail[] }).details

test('a recorded answer in one piece: its details go back as they came, and the field does not', async () => {
  const { response } = recorded('chat/openrouter-reasoning')
  const [choice] = (response.body?.['choices'] as { message: Json }[]) ?? []
  const answered = await answer('chat/openrouter-reasoning', false)
  expect(answered.blocks[0]).toMatchObject({ type: 'reasoning', text: choice?.message['reasoning'] })
  const { message, dropped } = await sentBack(answered)
  expect(JSON.stringify(message['reasoning_details'])).toBe(JSON.stringify(choice?.message['reasoning_details']))
  expect((message['reasoning_details'] as Json[]).map(({ type }) => type)).toEqual([
    'reasoning.summary',
    'reasoning.encrypted',
  ])
  expect(message).not.toHaveProperty('reasoning')
  expect(dropped).toEqual([])
})

test('a recorded stream: the pieces of a detail are one again, with the signature that came last', async () => {
  const answered = await answer('chat/openrouter-stream-reasoning', true)
  const said = 'This is a simple arithmetic question. 2+2 equals 4.'
  expect(answered.blocks).toMatchObject([
    { type: 'reasoning', text: said },
    { type: 'text', text: '2 + 2 = 4' },
  ])
  const [detail, ...more] = keptOf(answered)
  expect(more).toEqual([])
  expect(detail).toEqual({
    type: 'reasoning.text',
    text: said,
    signature: expect.stringMatching(/^Et0BCkgI.{200,}$/) as string,
    format: 'anthropic-claude-v1',
    index: 0,
  })
  const { message } = await sentBack(answered)
  expect(message['reasoning_details']).toEqual([detail])
})

test('a recorded stream that only gives what is encrypted: nothing to read, and it goes back', async () => {
  const answered = await answer('chat/openrouter-stream-encrypted', true)
  expect(answered.blocks[0]).toEqual({ type: 'reasoning', text: '' })
  const { message } = await sentBack(answered)
  expect(message['reasoning_details']).toMatchObject([
    { type: 'reasoning.encrypted', data: expect.stringMatching(/^gAAAA/) as string, id: expect.any(String) as string },
  ])
})

test('it goes to the same model at the same host only, and not behind a cut', async () => {
  const answered = await answer('chat/openrouter-stream-reasoning', true)
  for (const elsewhere of [{ model: 'openai/gpt-5-mini' }, { host: 'api.example.com' }, { cut: 2 }]) {
    const { message, dropped } = await sentBack(answered, elsewhere)
    expect(message).not.toHaveProperty('reasoning_details')
    expect(message).not.toHaveProperty('reasoning')
    expect(dropped.map(({ what }) => what)).toEqual(['reasoning'])
  }
})

test('behind a checkpoint, what was signed for what stood before it stays away', async () => {
  const answered = await answer('chat/openrouter-stream-reasoning', true)
  const moved: ViewEntry = { ...(entry(2, answered) as Extract<ViewEntry, { role: 'assistant' }>), moved: true }
  const model = spec('openai-chat', answered.model)
  const { body, dropped } = await toChat(view(user(1, 'hi'), moved, user(3, 'and?')), model, noBlob, HOST)
  expect(JSON.stringify(body)).not.toContain('reasoning_details')
  expect(dropped).toMatchObject([
    { seq: 2, what: 'reasoning', why: 'it is bound to what a checkpoint has taken the place of' },
  ])
})

test('in a turn with tools too, and before the calls’ results', async () => {
  const answered = await answer('chat/openrouter-stream-reasoning', true)
  const calls: Answered = {
    ...answered,
    blocks: [...answered.blocks.slice(0, 1), { type: 'tool_call', call: 'a', name: 'look', args: '{}' }],
  }
  const called = entry(2, calls)
  const entries: ViewEntry[] = [user(1, 'hi'), called, results(called, ['done'])]
  const { body, problems } = await toChat(view(...entries), spec('openai-chat', answered.model), noBlob, HOST)
  expect(problems).toEqual([])
  expect(body.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'tool'])
  expect(body.messages[2]?.['reasoning_details']).toEqual(keptOf(answered))
})

test.each<[string, Detail[], Detail[]]>([
  [
    'summaries by their index, with what is encrypted between them',
    [
      { type: 'reasoning.summary', index: 0, summary: 'a' },
      { type: 'reasoning.summary', index: 0, summary: 'b' },
      { type: 'reasoning.encrypted', index: 1, id: 'rs_1', data: 'x' },
      { type: 'reasoning.summary', index: 2, summary: 'c' },
      { type: 'reasoning.summary', index: 2, summary: 'd', format: 'openai-responses-v1' },
    ],
    [
      { type: 'reasoning.summary', index: 0, summary: 'ab' },
      { type: 'reasoning.encrypted', index: 1, id: 'rs_1', data: 'x' },
      { type: 'reasoning.summary', index: 2, summary: 'cd', format: 'openai-responses-v1' },
    ],
  ],
  [
    'without an index only what follows at once',
    [
      { type: 'reasoning.text', text: 'a' },
      { type: 'reasoning.text', text: 'b', signature: null },
      { type: 'reasoning.encrypted', data: 'x' },
      { type: 'reasoning.encrypted', data: 'y' },
      { type: 'reasoning.text', text: 'c' },
    ],
    [
      { type: 'reasoning.text', text: 'ab' },
      { type: 'reasoning.encrypted', data: 'x' },
      { type: 'reasoning.encrypted', data: 'y' },
      { type: 'reasoning.text', text: 'c' },
    ],
  ],
])('%s are put together', (_what, pieces, whole) => {
  const details: Detail[] = []
  for (const piece of pieces) addDetail(details, piece)
  expect(details).toEqual(whole)
})

test('the scripted server refuses details that were left in pieces', () => {
  const piece = { type: 'reasoning.text', text: 'a', index: 0 }
  const body = (reasoning_details: Json[]): Json => ({
    model: 'anthropic/claude-sonnet-4.5',
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'ho', reasoning_details },
    ],
  })
  expect(hostProblem(body([piece]), 'openrouter')).toBeNull()
  expect(hostProblem(body([piece, { ...piece, signature: 'x' }]), 'openrouter')?.message).toMatch(/Invalid `signature`/)
})

test('what OpenRouter passes on of a vendor that refuses its own replay is told as such, with the vendor’s words', async () => {
  const answered = await answer('chat/openrouter-stream-reasoning', true)
  const raw = '{"type":"error","error":{"message":"messages.1.content.0: Invalid `signature` in `thinking` block"}}'
  server.replies.splice(
    0,
    9,
    json(400, {
      error: { code: 400, message: 'Provider returned error', metadata: { provider_name: 'Anthropic', raw } },
    }),
  )
  const history = view(user(1, 'hi'), entry(2, answered), user(3, 'and?'))
  const refused: ModelResult = await chatAt(server, HOST).call(
    { model: spec('openai-chat', answered.model), view: history, blob: noBlob },
    context(),
  )
  expect(refused).toMatchObject({
    ok: false,
    class: 'refused_request',
    retryable: false,
    replayRefused: true,
    message: expect.stringMatching(/^Provider returned error: .*Invalid `signature`/) as string,
  })
})
