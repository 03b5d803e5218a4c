/** Shapes of history with which sessions were bricked elsewhere (PITFALLS.md), encoded for every wire API and judged by their rules. */
import type { Block, ContentBlock } from '../../contract/blocks'
import type { View, ViewEntry } from '../../contract/provider-port'
import { encodeMessages } from '../../providers/anthropic/request'
import { createRawJson } from '../../providers/raw-json'
import {
  answer,
  call,
  result,
  said,
  spec,
  toAnthropic,
  toChat,
  toResponses,
  user,
  view,
  type Encoded,
} from './support/calls'
import type { Json } from './support/recorded'

const PNG = { hash: `sha256:${'a'.repeat(64)}`, bytes: 3, mediaType: 'image/png' }
const PDF = { hash: `sha256:${'b'.repeat(64)}`, bytes: 3, mediaType: 'application/pdf' }
const ZIP = { hash: `sha256:${'c'.repeat(64)}`, bytes: 3, mediaType: 'application/zip' }
const LONG = { hash: `sha256:${'d'.repeat(64)}`, bytes: 9, mediaType: 'text/plain; charset=utf-8' }
const blob = (hash: string): Promise<Uint8Array> =>
  Promise.resolve(hash === LONG.hash ? Buffer.from('long text') : Buffer.from([1, 2, 3]))

async function all(v: View): Promise<{ anthropic: Encoded; chat: Encoded; responses: Encoded }> {
  const anthropic = await toAnthropic(v, undefined, blob)
  const chat = await toChat(v, undefined, blob)
  const responses = await toResponses(v, undefined, blob)
  const problems = { anthropic: anthropic.problems, chat: chat.problems, responses: responses.problems }
  expect(problems).toEqual({ anthropic: [], chat: [], responses: [] })
  return { anthropic, chat, responses }
}
const roles = ({ body }: Encoded): unknown[] => body.messages.map((m) => m['role'])
const content = (e: Encoded, i: number): Json[] => e.body.messages[i]?.['content'] as Json[]
const withResult = (outcome: 'ok' | 'error', ...blocks: ContentBlock[]): ViewEntry => ({
  role: 'results',
  seq: 3,
  results: [{ seq: 3, call: 'a', name: 'look', outcome, blocks }],
})

test('ids are within every vendor’s pattern, the same for all, and never twice', async () => {
  const ids = ['s:1.0', 's:1.1', 's_1:0', `${'x'.repeat(64)}:1000000.12`, 'toolu_+/=']
  const { anthropic, chat, responses } = await all(
    view(user(1, 'go'), answer(2, ...ids.map((id) => call(id))), result(3, ids)),
  )
  const theirs = content(anthropic, 1).map((b) => b['id'])
  expect((chat.body.messages[2]?.['tool_calls'] as Json[]).map((c) => c['id'])).toEqual(theirs)
  expect(responses.body.input.slice(1, 6).map((item) => item['call_id'])).toEqual(theirs)
  expect(new Set(theirs).size).toBe(ids.length)
})

test('a tool name that a model invented goes back within the pattern', async () => {
  const { anthropic } = await all(view(user(1, 'go'), answer(2, call('a', 'functions.read file')), result(3, ['a'])))
  expect(content(anthropic, 1)[0]?.['name']).toBe('functions_read_file')
})

test.each(['{"cut', '[1,2]', '"text"', 'null', '', '12'])(
  'arguments that are no object (%s) do not poison the next request',
  async (args) => {
    const { anthropic, chat, responses } = await all(
      view(user(1, 'go'), answer(2, call('a', 'look', args)), result(3, ['a'])),
    )
    expect(content(anthropic, 1)[0]?.['input']).toEqual({ _invalid: args })
    const calls = chat.body.messages[2]?.['tool_calls'] as { function: { arguments: string } }[]
    expect(calls[0]?.function.arguments).toBe(JSON.stringify({ _invalid: args }))
    expect(responses.body.input[1]?.['arguments']).toBe(JSON.stringify({ _invalid: args }))
  },
)

test('a lone surrogate or a NUL that the model escaped is not sent back', async () => {
  const { anthropic } = await all(
    view(user(1, 'go'), answer(2, call('a', 'look', '{"t":"\\ud800 \\u0000 \\ud83d\\ude00"}')), result(3, ['a'])),
  )
  expect(content(anthropic, 1)[0]?.['input']).toEqual({ t: '\uFFFD \uFFFD 😀' })
})

test('blank texts are left out, and what would be empty says so', async () => {
  const entries = [
    user(1, ' \n'),
    answer(2, said(''), call('a')),
    result(3, ['a'], ''),
    answer(4, said('  ')),
    { ...user(5, 'x'), blocks: [] } as ViewEntry,
  ]
  const { anthropic, chat } = await all(view(...entries))
  expect(content(anthropic, 0)[0]?.['text']).toBe('(no text)')
  expect(content(anthropic, 2)[0]?.['content']).toEqual([{ type: 'text', text: '(no output)' }])
  expect(chat.body.messages.map((m) => m['content'])).toEqual([
    'Be brief.',
    '(no text)',
    null,
    '(no output)',
    '(no text)',
    '(no text)',
  ])
})

test('consecutive messages of people are one, and so are consecutive answers', async () => {
  const { anthropic, chat } = await all(
    view(user(1, 'one'), user(2, 'two'), answer(3, call('a')), result(4, ['a']), user(5, 'three')),
  )
  expect(roles(anthropic)).toEqual(['user', 'assistant', 'user'])
  expect(content(anthropic, 2).map((b) => b['type'])).toEqual(['tool_result', 'text'])
  expect(roles(chat)).toEqual(['system', 'user', 'assistant', 'tool', 'user'])
  expect(chat.body.messages[1]?.['content']).toBe('one\n\ntwo')
})

test('a history that begins or ends with the assistant is framed by the user, and one without messages has one', async () => {
  const { anthropic, chat } = await all(view(answer(1, said('Hello, how can I help?'))))
  expect(roles(anthropic)).toEqual(['user', 'assistant', 'user'])
  expect(roles(chat)).toEqual(['system', 'user', 'assistant', 'user'])
  expect(roles((await all(view())).anthropic)).toEqual(['user'])
})

test('the system prompt stands first and alone, and a blank one is left out', async () => {
  const { anthropic, chat } = await all({ ...view(user(1, 'x')), system: ' ' })
  expect(anthropic.body).not.toHaveProperty('system')
  expect(roles(chat)).toEqual(['user'])
  expect((await toChat(view(user(1, 'x')), spec('openai-chat', 'o3'))).body.messages[0]?.['role']).toBe('developer')
  // Recorded: error-400-system-role.
  expect((await toChat(view(user(1, 'x')), spec('openai-chat', 'o1-mini'))).body.messages[0]?.['role']).toBe('user')
})

test('no tools: the field is left out', async () => {
  const { anthropic, chat } = await all({ ...view(user(1, 'x')), tools: [] })
  expect(anthropic.body).not.toHaveProperty('tools')
  expect(chat.body).not.toHaveProperty('tools')
})

test('key order and big numbers survive, in arguments and in schemas', async () => {
  const schema = '{"type":"object","properties":{"2":{},"1":{"maximum":12345678901234567890}}}'
  const args = '{"2":1,"1":12345678901234567890}'
  const v = {
    ...view(user(1, 'x'), answer(2, call('a', 'look', args)), result(3, ['a'])),
    tools: [{ name: 'look', description: '', inputSchema: schema }],
  }
  const raw = createRawJson()
  const { params } = await encodeMessages({ model: spec('anthropic', 'claude-haiku-4-5'), view: v, blob }, 'x', raw)
  const body = raw.restore(JSON.stringify(params))
  expect(body).toContain(`"input":${args}`)
  expect(body).toContain(`"input_schema":${schema}`)
})

test('images and PDFs: in results for Anthropic and Responses, after all the results for Chat', async () => {
  const look: ViewEntry = {
    role: 'results',
    seq: 3,
    results: [
      {
        seq: 3,
        call: 'a',
        name: 'look',
        outcome: 'ok',
        blocks: [
          { type: 'text', text: 'here' },
          { type: 'image', blob: PNG },
        ],
      },
      { seq: 4, call: 'b', name: 'look', outcome: 'ok', blocks: [{ type: 'file', blob: PDF, name: 'a.pdf' }] },
    ],
  }
  const { anthropic, chat, responses } = await all(view(user(1, 'go'), answer(2, call('a'), call('b')), look))
  expect(responses.body.input.slice(3).map((item) => item['output'])).toEqual([
    [
      { type: 'input_text', text: 'here' },
      { type: 'input_image', detail: 'auto', image_url: 'data:image/png;base64,AQID' },
    ],
    [
      { type: 'input_text', text: '(no output)' },
      { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,AQID' },
    ],
  ])
  expect((content(anthropic, 2)[0]?.['content'] as Json[])[1]).toEqual({
    type: 'image',
    source: { type: 'base64', media_type: 'image/png', data: 'AQID' },
  })
  expect(roles(chat)).toEqual(['system', 'user', 'assistant', 'tool', 'tool', 'user'])
  expect((chat.body.messages[5]?.['content'] as Json[]).map((p) => p['type'])).toEqual([
    'text',
    'image_url',
    'text',
    'file',
  ])
  expect((chat.body.messages[5]?.['content'] as { image_url?: { url: string } }[])[1]?.image_url?.url).toBe(
    'data:image/png;base64,AQID',
  )
})

test('an error result is text only: its image comes after the results', async () => {
  const { anthropic } = await all(
    view(user(1, 'go'), answer(2, call('a')), withResult('error', { type: 'image', blob: PNG })),
  )
  expect(content(anthropic, 2).map((b) => b['type'])).toEqual(['tool_result', 'text', 'image'])
  expect(content(anthropic, 2)[0]).toMatchObject({ is_error: true, content: [{ type: 'text', text: '(no output)' }] })
})

test('what a provider does not take is said in its place, and in the report', async () => {
  const v = view({ role: 'user', seq: 1, actor: 'user:ann', blocks: [{ type: 'file', blob: ZIP, name: 'a.zip' }] })
  const { anthropic } = await all(v)
  expect(content(anthropic, 0)[0]?.['text']).toBe('[file a.zip, application/zip, 3 bytes: not shown]')
  expect(anthropic.dropped).toEqual([{ seq: 1, what: 'file', why: 'application/zip is not sent to this provider' }])
  const pdf = view({ role: 'user', seq: 1, actor: 'user:ann', blocks: [{ type: 'file', blob: PDF }] })
  const vllm = await toChat(pdf, spec('openai-chat', 'qwen'), blob, 'localhost')
  expect(vllm.dropped).toEqual([{ seq: 1, what: 'file', why: 'application/pdf is not sent to this provider' }])
  expect(vllm.body.messages[1]?.['content']).toBe('[file file.pdf, application/pdf: not shown]')
})

test('long texts are loaded from their blobs, text files are shown as text', async () => {
  const blocks: ContentBlock[] = [
    { type: 'text', text: '', blob: LONG },
    { type: 'file', blob: LONG, name: 'a.txt' },
  ]
  const { chat } = await all(view({ role: 'user', seq: 1, actor: 'user:ann', blocks }))
  expect(chat.body.messages[1]?.['content']).toBe('long text\n\n[file a.txt]\nlong text')
})

test('an answer’s own attachments are not sent back: assistants send text only', async () => {
  const blocks: Block[] = [
    { type: 'image', blob: PNG },
    { type: 'refusal', text: 'I cannot.' },
  ]
  const { anthropic } = await all(view(user(1, 'x'), answer(2, ...blocks), user(3, 'y')))
  expect(content(anthropic, 1).map((b) => b['text'])).toEqual(['[image not shown]', 'I cannot.'])
  expect(anthropic.dropped).toEqual([{ seq: 2, what: 'image', why: 'an attachment of an answer cannot be sent back' }])
})

test('cache breakpoints stand at the end of system, tools and what the user sent last, and nowhere else', async () => {
  const { anthropic } = await all(
    view(
      user(1, 'one'),
      answer(2, call('a')),
      result(3, ['a']),
      answer(4, said('ok')),
      user(5, 'two'),
      user(6, 'three'),
    ),
  )
  const marked: string[] = []
  JSON.stringify(anthropic.body, function (this: Json, key, value: unknown) {
    if (key === 'cache_control') marked.push(String(this['text'] ?? this['name'] ?? this['type']))
    return value
  })
  expect(marked.sort()).toEqual(['Be brief.', 'look', 'three'])
})

test('a tool’s output that is longer than OpenAI takes is cut there, and only there', async () => {
  const huge = 'x'.repeat(10_485_761)
  const v = view(user(1, 'go'), answer(2, call('a')), result(3, ['a'], huge))
  const { anthropic, chat, responses } = await all(v)
  const why = 'OpenAI takes no more than 10485760 characters of it'
  for (const { dropped } of [chat, responses]) expect(dropped).toEqual([{ seq: 3, what: 'output', why }])
  expect(String(chat.body.messages[3]?.['content'])).toHaveLength(10_485_760)
  expect(anthropic.dropped).toEqual([])
  expect((await toChat(v, spec('openai-chat', 'qwen'), blob, 'localhost')).dropped).toEqual([])
})
