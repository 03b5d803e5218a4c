/**
 * What Messages refuses, written from the SDK's types (1.12), the recorded refusals and public issues, not from the adapter's code. Gives
 * back everything that is wrong with a request body.
 */
import type { Json } from './recorded'

const TOP = ['model', 'max_tokens', 'messages', 'stream', 'system', 'tools', 'thinking', 'output_config']
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
  for (const tool of (body['tools'] as Json[] | undefined) ?? []) {
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
  say(all.at(-1)?.role === 'user', 'prefill: the last message is the assistant’s')
  const seen = new Set<string>()
  let open: string[] = []
  all.forEach((message, i) => {
    say(i === 0 || message.role !== all[i - 1]?.role, `roles do not alternate at ${i}`)
    say(message.content.length > 0, `message ${i} is empty`)
    const types = message.content.map((block) => String(block['type']))
    for (const block of message.content)
      if (block['type'] === 'text') say(String(block['text']).trim() !== '', `blank text at ${i}`)
    if (message.role === 'user') {
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
