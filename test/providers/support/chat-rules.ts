/**
 * What Chat Completions, or one of the strict servers that speak it, refuses: written from the SDK's types (openai 6.49), the recorded
 * refusals and public issues, not from the adapter's code. Gives back everything that is wrong with a request body.
 */
import type { Json } from './recorded'

const TOP = [
  'model',
  'messages',
  'stream',
  'stream_options',
  'tools',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'stop',
  'reasoning_effort',
  'tool_choice',
  'parallel_tool_calls',
  'response_format',
  'service_tier',
  'reasoning',
  'thinking',
  'chat_template_kwargs',
]
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  system: ['role', 'content'],
  developer: ['role', 'content'],
  user: ['role', 'content'],
  assistant: ['role', 'content', 'tool_calls', 'reasoning_content', 'reasoning', 'reasoning_details'],
  tool: ['role', 'content', 'tool_call_id'],
}

export function chatProblems(body: Json): string[] {
  const wrong: string[] = []
  const say = (ok: boolean, what: string): void => void (ok || wrong.push(what))
  const serialised = JSON.stringify(body)
  say(!/\\u(?:0000|d[89a-f]..)/.test(serialised), 'NUL or a lone surrogate')
  say(!serialised.includes('raw-json-'), 'a stand-in was not replaced')
  for (const key of Object.keys(body)) say(TOP.includes(key), `unknown field ${key}`)
  say(!('max_tokens' in body && 'max_completion_tokens' in body), 'both limits of tokens')
  const tools = body['tools'] as { type: string; function: Json }[] | undefined
  say(tools === undefined || tools.length > 0, 'empty tools')
  say(body['tool_choice'] === undefined || tools !== undefined, 'tool_choice without tools')
  say(body['parallel_tool_calls'] === undefined || tools !== undefined, 'parallel_tool_calls without tools')
  for (const tool of tools ?? []) {
    if (tool.type !== 'function') continue
    say(/^[a-zA-Z0-9_-]{1,64}$/.test(String(tool.function['name'])), 'tool name')
    say((tool.function['parameters'] as Json)['type'] === 'object', 'parameters are no object schema')
  }
  const all = body['messages'] as Json[]
  const first = all.findIndex((m) => m['role'] !== 'system' && m['role'] !== 'developer')
  say(first <= 1, 'more than one system message')
  const talk = all.slice(Math.max(0, first))
  say(talk[0]?.['role'] === 'user', 'the first message is not the user’s')
  say(talk.at(-1)?.['role'] !== 'assistant', 'the last message is the assistant’s')
  const open: string[] = []
  const seen = new Set<string>()
  talk.forEach((message, i) => {
    const role = String(message['role'])
    const fields = FIELDS[role] ?? []
    for (const key of Object.keys(message)) say(fields.includes(key), `unknown field ${key} of a ${role} message`)
    say(role !== 'system' && role !== 'developer', 'a system message in mid-conversation')
    if (role !== 'tool') say(role !== talk[i - 1]?.['role'], `roles do not alternate at ${i}`)
    if (role === 'tool') {
      say(open.shift() === message['tool_call_id'], `result at ${i} does not follow its call, in order`)
      say(typeof message['content'] === 'string' && message['content'] !== '', 'a tool message is a text')
      return
    }
    say(open.length === 0, `calls without a result before ${i}`)
    const content = message['content']
    if (role === 'user') return user(content, say)
    const calls = message['tool_calls'] as
      { id: string; type: string; function: { name: string; arguments: string } }[] | undefined
    const nothing = content === null || (content === '' && calls !== undefined)
    say(nothing || (typeof content === 'string' && content.trim() !== ''), 'blank assistant content')
    say(calls === undefined ? content !== null : calls.length > 0, 'an assistant message that says nothing')
    for (const call of calls ?? []) {
      say(/^[a-zA-Z0-9_-]{1,40}$/.test(call.id) && !seen.has(call.id), `id ${call.id}`)
      say(/^[a-zA-Z0-9_-]{1,64}$/.test(call.function.name), `name ${call.function.name}`)
      const args = JSON.parse(call.function.arguments) as unknown
      say(typeof args === 'object' && args !== null && !Array.isArray(args), 'arguments are no object')
      seen.add(call.id)
      open.push(call.id)
    }
  })
  say(open.length === 0, 'calls without a result at the end')
  return wrong
}

function user(content: unknown, say: (ok: boolean, what: string) => void): void {
  if (typeof content === 'string') return say(content.trim() !== '', 'blank user content')
  for (const part of content as Json[]) {
    say(['text', 'image_url', 'file'].includes(String(part['type'])), `part ${String(part['type'])}`)
    if (part['type'] === 'text') say(String(part['text']).trim() !== '', 'blank text part')
  }
}
