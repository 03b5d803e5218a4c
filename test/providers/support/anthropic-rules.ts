/**
 * What Messages refuses, written from the SDK's types (1.12), the recorded refusals and public issues, not from the adapter's code. Gives
 * back everything that is wrong with a request body.
 */
import type { Json } from './recorded'

const TOP = [
  'model',
  'max_tokens',
  'messages',
  'stream',
  'system',
  'tools',
  'thinking',
  'output_config',
  'tool_choice',
  'stop_sequences',
  'service_tier',
]
const IN_USER = ['text', 'image', 'document', 'tool_result']
const IN_ASSISTANT = /^(?:text|thinking|redacted_thinking|tool_use|server_tool_use|\w+_tool_result)$/

export function anthropicProblems(body: Json): string[] {
  const wrong: string[] = []
  const say = (ok: boolean, what: string): void => void (ok || wrong.push(what))
  const serialised = JSON.stringify(body)
  say(!/\\u(?:0000|d[89a-f]..)/.test(serialised), 'NUL or a lone surrogate')
  say(!serialised.includes('raw-json-'), 'a stand-in was not replaced')
  for (const key of Object.keys(body)) say(TOP.includes(key), `unknown or refused field ${key}`)
  const max = body['max_tokens'] as number
  say(Number.isInteger(max) && max > 0, 'max_tokens')
  const thinking = body['thinking'] as { type: string; budget_tokens?: number } | undefined
  if (thinking?.type === 'enabled')
    say((thinking.budget_tokens ?? 0) >= 1024 && (thinking.budget_tokens ?? 0) < max, 'budget_tokens')
  const thinks = thinking?.type === 'enabled' || thinking?.type === 'adaptive'
  const choice = body['tool_choice'] as { type: string; name?: string } | undefined
  const tools = (body['tools'] as Json[] | undefined) ?? []
  say(choice === undefined || tools.length > 0, 'tool_choice without tools')
  say(!thinks || choice === undefined || ['auto', 'none'].includes(choice.type), 'a forced call while it thinks')
  const names = tools.map((tool) => tool['name'])
  say(choice?.name === undefined || names.includes(choice.name), 'a forced call of no tool')
  for (const tool of tools) {
    // One that the vendor runs itself.
    if (tool['type'] !== undefined && tool['type'] !== 'custom') continue
    say(/^[a-zA-Z0-9_-]{1,64}$/.test(String(tool['name'])), `tool name ${String(tool['name'])}`)
    say((tool['input_schema'] as Json | undefined)?.['type'] === 'object', 'input_schema is no object schema')
  }
  for (const block of (body['system'] as Json[] | undefined) ?? [])
    say(String(block['text']).trim() !== '', 'blank system')
  say((serialised.match(/"cache_control":/g) ?? []).length <= 4, 'more than 4 cache breakpoints')
  messages(body['messages'] as { role: string; content: Json[] }[], say)
  return wrong
}

function messages(all: { role: string; content: Json[] }[], say: (ok: boolean, what: string) => void): void {
  say(all.length > 0, 'no messages')
  say(all[0]?.role === 'user', 'the first message is not the user’s')
  const end = all.at(-1)
  const resumes = end?.content.some((block) => block['type'] === 'server_tool_use') === true
  say(end?.role === 'user' || resumes, 'prefill: the last message is the assistant’s')
  const seen = new Set<string>()
  let running: string[] = []
  let open: string[] = []
  all.forEach((message, i) => {
    say(i === 0 || message.role !== all[i - 1]?.role, `roles do not alternate at ${i}`)
    say(message.content.length > 0, `message ${i} is empty`)
    const types = message.content.map((block) => String(block['type']))
    for (const block of message.content)
      if (block['type'] === 'text') say(String(block['text']).trim() !== '', `blank text at ${i}`)
    if (message.role === 'user') {
      say(running.length === 0, `a server tool without its result before ${i}`)
      say(
        types.every((type) => IN_USER.includes(type)),
        `a ${types.join()} in a user message`,
      )
      const results = message.content.filter((block) => block['type'] === 'tool_result')
      say(
        results.every((_, n) => types[n] === 'tool_result'),
        `results do not come first at ${i}`,
      )
      say(
        JSON.stringify(results.map((r) => r['tool_use_id'])) === JSON.stringify(open),
        `results at ${i} do not answer the calls before`,
      )
      for (const result of results) {
        const inner = result['content'] as Json[]
        say(inner.length > 0, 'empty result')
        if (result['is_error'])
          say(
            inner.every((b) => b['type'] === 'text'),
            'an error result is text only',
          )
        for (const b of inner) if (b['type'] === 'text') say(String(b['text']).trim() !== '', 'blank text in a result')
      }
      open = []
      return
    }
    say(
      types.every((type) => IN_ASSISTANT.test(type)),
      `a ${types.join()} in an assistant message`,
    )
    say(!/thinking$/.test(types.at(-1) ?? ''), `message ${i} ends in thinking`)
    if (types.some((t) => /thinking$/.test(t)))
      say(/thinking$/.test(types[0] ?? ''), `thinking does not come first at ${i}`)
    for (const block of message.content) {
      if (block['type'] === 'server_tool_use') running.push(String(block['id']))
      if (/_tool_result$/.test(String(block['type']))) running = running.filter((id) => id !== block['tool_use_id'])
      if (block['type'] === 'thinking') say(String(block['signature'] ?? '') !== '', 'thinking without a signature')
      if (block['type'] !== 'tool_use') continue
      const id = String(block['id'])
      say(/^[a-zA-Z0-9_-]+$/.test(id) && id.length <= 64, `id ${id}`)
      say(!seen.has(id), `id ${id} twice`)
      say(/^[a-zA-Z0-9_-]{1,128}$/.test(String(block['name'])), `name ${String(block['name'])}`)
      const input = block['input']
      say(typeof input === 'object' && input !== null && !Array.isArray(input), 'input is no object')
      seen.add(id)
      open.push(id)
    }
  })
}
