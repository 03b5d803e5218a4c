/** Every setting of a definition, by model and by server: what is sent, and what is left out and said. */
import type { ModelSpec } from '../../contract/definition'
import { serverToolView, spec, toAnthropic, toChat, toResponses, user, view, type Encoded } from './support/calls'

type More = Partial<ModelSpec>
const OPEN = '{"type":"object","properties":{"a":{"type":"string"}}}'
const STRICT = '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
const schema = (json: string): More => ({ output: { name: 'answer', schema: json } })

const NOT_SETTINGS = ['model', 'stream', 'messages', 'input', 'tools', 'system', 'instructions', 'store', 'include']
/** The settings that are sent, and what is said to be left out; nothing that the vendor would refuse. */
function seen({ body, dropped, problems }: Encoded): [sent: Record<string, unknown>, dropped: string[]] {
  expect(problems).toEqual([])
  const { max_tokens: _a, max_completion_tokens: _b, max_output_tokens: _c, stream_options: _d, ...rest } = body
  const sent = Object.entries(rest).filter(([key]) => !NOT_SETTINGS.includes(key))
  for (const { why } of dropped) expect(why).not.toBe('')
  return [Object.fromEntries(sent), dropped.map(({ what }) => what)]
}

type Case = [name: string, more: More, sent: Record<string, unknown>, dropped: string[]]

const ADAPTIVE = { type: 'adaptive', display: 'summarized' }
test.each<Case>([
  ['claude-opus-5-5', { topP: 0.5, temperature: 1 }, {}, ['temperature', 'top_p']],
  ['claude-opus-5-5', { stop: ['END'] }, { stop_sequences: ['END'] }, []],
  ['claude-opus-5-5', { stop: ['\n', 'END'] }, { stop_sequences: ['END'] }, ['stop']],
  // Recorded: error-400-effort.
  [
    'claude-opus-4-6',
    { reasoning: { effort: 'xhigh' } },
    { thinking: ADAPTIVE, output_config: { effort: 'high' } },
    ['effort xhigh'],
  ],
  ['claude-opus-4-6', { reasoning: { effort: 'max' } }, { thinking: ADAPTIVE, output_config: { effort: 'max' } }, []],
  ['claude-opus-4-5', { reasoning: { effort: 'max' } }, { output_config: { effort: 'high' } }, ['effort max']],
  [
    'claude-opus-4-7',
    { reasoning: { effort: 'xhigh' } },
    { thinking: ADAPTIVE, output_config: { effort: 'xhigh' } },
    [],
  ],
  ['claude-opus-4-7', { reasoning: { effort: 'none' } }, {}, []],
  ['claude-haiku-4-5', { reasoning: { effort: 'none' } }, {}, []],
  ['claude-opus-5', { reasoning: { effort: 'none' } }, { thinking: { type: 'disabled' } }, []],
  ['claude-haiku-5-5', { reasoning: { effort: 'none' } }, { thinking: { type: 'disabled' } }, []],
  ['claude-sonnet-5-5', { reasoning: { effort: 'none' } }, { thinking: { type: 'between_tools' } }, ['effort none']],
  ['claude-opus-5-5', { reasoning: { effort: 'none' } }, { output_config: { effort: 'low' } }, ['effort none']],
  ['claude-next-9', { reasoning: { effort: 'none' } }, { output_config: { effort: 'low' } }, ['effort none']],
  ['claude-haiku-4-5', { toolChoice: 'required' }, { tool_choice: { type: 'any' } }, []],
  ['claude-haiku-4-5', { toolChoice: { tool: 'look' } }, { tool_choice: { type: 'tool', name: 'look' } }, []],
  ['claude-haiku-4-5', { toolChoice: { tool: 'no such' } }, {}, ['tool choice']],
  ['claude-haiku-4-5', { toolChoice: 'none', parallelToolCalls: false }, { tool_choice: { type: 'none' } }, []],
  [
    'claude-haiku-4-5',
    { parallelToolCalls: false },
    { tool_choice: { type: 'auto', disable_parallel_tool_use: true } },
    [],
  ],
  [
    'claude-haiku-4-5',
    { toolChoice: 'required', parallelToolCalls: false },
    { tool_choice: { type: 'any', disable_parallel_tool_use: true } },
    [],
  ],
  // Forced tool choice with thinking is refused: the call was asked for by name, so thinking gives way.
  [
    'claude-haiku-4-5',
    { toolChoice: 'required', reasoning: { budgetTokens: 2000 } },
    { tool_choice: { type: 'any' } },
    ['reasoning'],
  ],
  [
    'claude-opus-5',
    { toolChoice: 'required', reasoning: { effort: 'max' } },
    { tool_choice: { type: 'any' }, thinking: { type: 'disabled' }, output_config: { effort: 'high' } },
    ['reasoning', 'effort max'],
  ],
  // These always think, and refuse a forced call for good.
  ['claude-opus-5-5', { toolChoice: { tool: 'look' } }, {}, ['tool choice']],
  ['claude-fable-5-1', { toolChoice: 'required' }, {}, ['tool choice']],
  ['claude-sonnet-5-5', { toolChoice: 'auto' }, { tool_choice: { type: 'auto' } }, []],
  [
    'claude-haiku-4-5',
    schema(OPEN),
    { output_config: { format: { type: 'json_schema', schema: JSON.parse(OPEN) as unknown } } },
    [],
  ],
  ['claude-sonnet-4-0', schema(OPEN), {}, ['output schema']],
  ['claude-haiku-4-5', { serviceTier: 'standard' }, { service_tier: 'standard_only' }, []],
  ['claude-haiku-4-5', { serviceTier: 'priority' }, { service_tier: 'auto' }, []],
  ['claude-haiku-4-5', { serviceTier: 'flex' }, {}, ['service tier flex']],
])('Anthropic %s with %j', async (name, more, sent, dropped) => {
  expect(seen(await toAnthropic(view(user(1, 'x')), spec('anthropic', name, more)))).toEqual([sent, dropped])
})

test.each<Case>([
  ['gpt-4o', { temperature: 1, topP: 0.5 }, { temperature: 1, top_p: 0.5 }, []],
  // Sampling is refused while it thinks, and taken while it does not.
  ['gpt-5', { temperature: 1, topP: 0.5 }, {}, ['temperature', 'top_p']],
  ['gpt-5.4', { temperature: 1 }, { temperature: 1 }, []],
  ['gpt-5.4', { temperature: 1, reasoning: { effort: 'low' } }, { reasoning: { effort: 'low' } }, ['temperature']],
  ['gpt-5.5', { temperature: 1 }, {}, ['temperature']],
  ['gpt-5.5', { temperature: 1, reasoning: { effort: 'none' } }, { temperature: 1, reasoning: { effort: 'none' } }, []],
  ['gpt-4o', { stop: ['END'] }, {}, ['stop']],
  // Refused: an effort level that a model does not have.
  ['gpt-5.1', { reasoning: { effort: 'minimal' } }, { reasoning: { effort: 'low' } }, ['effort minimal']],
  ['gpt-5-pro', { reasoning: { effort: 'low' } }, { reasoning: { effort: 'high' } }, ['effort low']],
  ['gpt-5.5-pro', { reasoning: { effort: 'none' } }, { reasoning: { effort: 'medium' } }, ['effort none']],
  ['gpt-5.5', { reasoning: { effort: 'max' } }, { reasoning: { effort: 'xhigh' } }, ['effort max']],
  ['gpt-5.6-sol', { reasoning: { effort: 'max' } }, { reasoning: { effort: 'max' } }, []],
  ['gpt-6-astra', { reasoning: { effort: 'none' } }, { reasoning: { effort: 'low' } }, ['effort none']],
  ['o3', { reasoning: { effort: 'xhigh' } }, { reasoning: { effort: 'high' } }, ['effort xhigh']],
  ['gpt-4o', { reasoning: { effort: 'low', budgetTokens: 2000 } }, {}, ['effort low', 'reasoning budget']],
  [
    'gpt-4o',
    { toolChoice: { tool: 'look' }, parallelToolCalls: false },
    { tool_choice: { type: 'function', name: 'look' }, parallel_tool_calls: false },
    [],
  ],
  ['gpt-4o', { toolChoice: 'required' }, { tool_choice: 'required' }, []],
  ['gpt-4o', { toolChoice: { tool: 'gone' } }, {}, ['tool choice']],
  [
    'gpt-4o',
    schema(STRICT),
    { text: { format: { type: 'json_schema', name: 'answer', strict: true, schema: JSON.parse(STRICT) as unknown } } },
    [],
  ],
  [
    'gpt-4o',
    schema(OPEN),
    { text: { format: { type: 'json_schema', name: 'answer', strict: false, schema: JSON.parse(OPEN) as unknown } } },
    ['strict output'],
  ],
  ['gpt-4o', { serviceTier: 'flex' }, { service_tier: 'flex' }, []],
  ['gpt-4o', { serviceTier: 'standard' }, { service_tier: 'default' }, []],
  ['gpt-5.6-sol', { cache: 'off' }, { prompt_cache_options: { mode: 'explicit' } }, []],
  ['gpt-4o', { cache: 'off' }, {}, ['cache off']],
  ['gpt-4o', { cache: '5m' }, {}, []],
  ['gpt-4o', { maxOutputTokens: 3 }, {}, ['maximum of output tokens']],
])('Responses %s with %j', async (name, more, sent, dropped) => {
  const encoded = await toResponses(view(user(1, 'x')), spec('openai-responses', name, more))
  expect(seen(encoded)).toEqual([sent, dropped])
  expect(encoded.body['store']).toBe(false)
  expect(encoded.body).not.toHaveProperty('previous_response_id')
})

test.each([
  ['gpt-4o', undefined],
  ['gpt-5', ['reasoning.encrypted_content']],
  ['gpt-5.4', ['reasoning.encrypted_content']],
])('Responses %s is asked for encrypted reasoning where it reasons: %j', async (name, include) => {
  expect((await toResponses(view(user(1, 'x')), spec('openai-responses', name))).body['include']).toEqual(include)
})

const NO_TOOLS = { ...view(user(1, 'x')), tools: [] }
const FUNCTION = { type: 'function', function: { name: 'look' } }
const format = (json: string, strict: boolean) => ({
  response_format: {
    type: 'json_schema',
    json_schema: { name: 'answer', strict, schema: JSON.parse(json) as unknown },
  },
})

test.each<[host: string, ...Case]>([
  [
    'api.openai.com',
    'gpt-4o',
    { temperature: 1, topP: 0.5, stop: ['END'] },
    { temperature: 1, top_p: 0.5, stop: ['END'] },
    [],
  ],
  ['api.openai.com', 'gpt-5', { topP: 0.5, stop: ['END'] }, {}, ['top_p', 'stop']],
  [
    'api.openai.com',
    'gpt-4o',
    { toolChoice: { tool: 'look' }, parallelToolCalls: false },
    { tool_choice: FUNCTION, parallel_tool_calls: false },
    [],
  ],
  ['api.openai.com', 'gpt-4o', schema(STRICT), format(STRICT, true), []],
  ['api.openai.com', 'gpt-4o', schema(OPEN), format(OPEN, false), ['strict output']],
  ['api.openai.com', 'gpt-4o', { serviceTier: 'flex', cache: '1h' }, { service_tier: 'flex' }, ['cache 1h']],
  // From gpt-5.2 on, tools and thinking exclude each other on Chat Completions.
  ['api.openai.com', 'gpt-5.4', { reasoning: { effort: 'high' } }, { reasoning_effort: 'none' }, ['effort high']],
  ['api.openai.com', 'gpt-5.6-sol', { temperature: 1 }, { reasoning_effort: 'none', temperature: 1 }, []],
  ['api.openai.com', 'gpt-5.1', { reasoning: { effort: 'high' } }, { reasoning_effort: 'high' }, []],
  // vLLM and llama.cpp: the template is told not to think.
  [
    'localhost',
    'Qwen/Qwen3-8B',
    { reasoning: { effort: 'none' } },
    { chat_template_kwargs: { enable_thinking: false } },
    [],
  ],
  [
    'localhost',
    'any',
    { compat: 'vllm', reasoning: { effort: 'none' } },
    { chat_template_kwargs: { enable_thinking: false } },
    [],
  ],
  [
    'localhost',
    'any',
    { compat: 'llama.cpp', reasoning: { effort: 'max' } },
    { reasoning_effort: 'high' },
    ['effort max'],
  ],
  ['localhost', 'any', { reasoning: { effort: 'none' } }, { reasoning_effort: 'none' }, []],
  [
    'localhost',
    'any',
    { compat: 'vllm', toolChoice: 'required', ...schema(STRICT) },
    { tool_choice: 'required', ...format(STRICT, true) },
    [],
  ],
  ['localhost', 'any', { serviceTier: 'flex' }, {}, ['service tier flex']],
  [
    'localhost',
    'any',
    { compat: 'ollama', toolChoice: 'required', parallelToolCalls: false },
    {},
    ['tool choice', 'single tool calls'],
  ],
  ['api.deepseek.com', 'deepseek-v4', { toolChoice: 'required' }, {}, ['tool choice']],
  [
    'api.deepseek.com',
    'deepseek-v4',
    { toolChoice: 'required', reasoning: { effort: 'none' } },
    { tool_choice: 'required', thinking: { type: 'disabled' } },
    [],
  ],
  [
    'api.deepseek.com',
    'deepseek-v4',
    { reasoning: { effort: 'medium' }, ...schema(STRICT) },
    { reasoning_effort: 'low' },
    ['effort medium', 'output schema'],
  ],
  ['openrouter.ai', 'qwen/qwen3', { reasoning: { budgetTokens: 2000 } }, { reasoning: { max_tokens: 2000 } }, []],
  ['openrouter.ai', 'qwen/qwen3', { reasoning: { effort: 'none' } }, { reasoning: { effort: 'none' } }, []],
  [
    'api.mistral.ai',
    'mistral-medium',
    { reasoning: { effort: 'high' }, parallelToolCalls: false },
    { parallel_tool_calls: false },
    ['effort high'],
  ],
  ['gateway.example', 'mistral-medium', { compat: 'mistral', reasoning: { effort: 'high' } }, {}, ['effort high']],
])('Chat %s %s with %j', async (host, name, more, sent, dropped) => {
  expect(seen(await toChat(view(user(1, 'x')), spec('openai-chat', name, more), undefined, host))).toEqual([
    sent,
    dropped,
  ])
})

test('a tool choice without any tool is left out, and said only where it was to force something', async () => {
  for (const [toolChoice, dropped] of [
    ['required', ['tool choice']],
    ['none', []],
  ] as const) {
    const more = { toolChoice, parallelToolCalls: false } as const
    expect(seen(await toAnthropic(NO_TOOLS, spec('anthropic', 'claude-haiku-4-5', more)))).toEqual([{}, dropped])
    expect(seen(await toChat(NO_TOOLS, spec('openai-chat', 'gpt-4o', more)))).toEqual([{}, dropped])
    expect(seen(await toResponses(NO_TOOLS, spec('openai-responses', 'gpt-4o', more)))).toEqual([{}, dropped])
  }
})

test('tools that the vendor runs go along as they are written; where nobody runs them that is said', async () => {
  const search = '{"type":"web_search_20250305","name":"web_search","max_uses":3}'
  const { anthropic, responses, chat, openrouter } = await serverToolView([search])
  for (const encoded of [anthropic, responses, openrouter])
    expect((encoded.body['tools'] as unknown[])[0]).toEqual(JSON.parse(search))
  expect(chat.body['tools']).toHaveLength(1)
  expect(chat.dropped.map(({ what }) => what)).toEqual(['server tool web_search'])
})

test.each([
  [undefined, { type: 'ephemeral' }],
  ['5m', { type: 'ephemeral' }],
  ['1h', { type: 'ephemeral', ttl: '1h' }],
  ['off', undefined],
] as const)('cache %s: the marks of Anthropic', async (cache, mark) => {
  const { body } = await toAnthropic(view(user(1, 'x')), spec('anthropic', 'claude-haiku-4-5', cache ? { cache } : {}))
  const marks = JSON.stringify(body).match(/"cache_control":(\{.*?\})/g) ?? []
  expect(marks).toHaveLength(mark ? 3 : 0)
  for (const text of marks) expect(text).toBe(`"cache_control":${JSON.stringify(mark)}`)
})

test('settings are said at the first message of the view, so that a manifest says them once', async () => {
  const { dropped } = await toResponses(view(user(7, 'x')), spec('openai-responses', 'gpt-5', { stop: ['a'] }))
  expect(dropped).toEqual([{ seq: 7, what: 'stop', why: 'Responses has no such option' }])
})
