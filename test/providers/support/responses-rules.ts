/**
 * What Responses refuses, written from the SDK's types (openai 6.49), the recorded refusals and public issues, not from the adapter's code.
 * Gives back everything that is wrong with a request body that is to be stateless.
 */
import type { Json } from './recorded'

const TOP = [
  'model',
  'input',
  'instructions',
  'stream',
  'store',
  'include',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'max_output_tokens',
  'temperature',
  'top_p',
  'reasoning',
  'text',
  'service_tier',
  'prompt_cache_options',
]
/** Items of the vendor's own tools, which answer themselves. */
const SERVER = /^(?:web_search|file_search|code_interpreter|image_generation|mcp|computer|tool_search)_call$|^mcp_/
const IN_USER = ['input_text', 'input_image', 'input_file']
const OUTPUT_CHARS = 10_485_760

export function responsesProblems(body: Json): string[] {
  const wrong: string[] = []
  const say = (ok: boolean, what: string): void => void (ok || wrong.push(what))
  const serialised = JSON.stringify(body)
  say(!/\\u(?:0000|d[89a-f]..)/.test(serialised), 'NUL or a lone surrogate')
  say(!serialised.includes('raw-json-'), 'a stand-in was not replaced')
  for (const key of Object.keys(body)) say(TOP.includes(key), `unknown field ${key}`)
  say(body['store'] === false, 'store must be false: nothing is kept at the vendor’s')
  say((body['max_output_tokens'] as number) >= 16, 'max_output_tokens is below 16')
  const tools = (body['tools'] as Json[] | undefined) ?? []
  say(body['tools'] === undefined || tools.length > 0, 'empty tools')
  say(body['tool_choice'] === undefined || tools.length > 0, 'tool_choice without tools')
  for (const tool of tools) {
    if (tool['type'] !== 'function') continue
    say(/^[a-zA-Z0-9_-]{1,64}$/.test(String(tool['name'])), 'tool name')
    say((tool['parameters'] as Json)['type'] === 'object', 'parameters are no object schema')
    say('strict' in tool, 'strict is not said')
  }
  items(body['input'] as Json[], say)
  return wrong
}

function items(all: Json[], say: (ok: boolean, what: string) => void): void {
  say(all.length > 0, 'no input')
  const open = new Set<string>()
  const seen = new Set<string>()
  all.forEach((item, i) => {
    const type = String(item['type'] ?? 'message')
    const next = all[i + 1]
    switch (type) {
      case 'message':
        return message(item, i, say)
      case 'reasoning':
        say(!('id' in item) && !('status' in item), `reasoning ${i} names an id that is not stored`)
        say(
          typeof item['encrypted_content'] === 'string' && item['encrypted_content'] !== '',
          `reasoning ${i} is clear`,
        )
        say(!('content' in item), `reasoning ${i} has content in clear`)
        say(Array.isArray(item['summary']), `reasoning ${i} without a summary`)
        return say(
          next !== undefined && next['role'] !== 'user' && next['type'] !== 'function_call_output',
          `reasoning ${i} was provided without its required following item`,
        )
      case 'function_call': {
        const id = String(item['call_id'])
        say(/^[a-zA-Z0-9_-]{1,64}$/.test(id) && !seen.has(id), `call_id ${id}`)
        say(!('id' in item), `call ${i} names an id that is not stored`)
        say(/^[a-zA-Z0-9_-]{1,64}$/.test(String(item['name'])), `name ${String(item['name'])}`)
        const args = JSON.parse(String(item['arguments'])) as unknown
        say(typeof args === 'object' && args !== null && !Array.isArray(args), 'arguments are no object')
        seen.add(id)
        open.add(id)
        return
      }
      case 'function_call_output': {
        const { output } = item
        say(open.delete(String(item['call_id'])), `output ${i} answers no call`)
        if (typeof output === 'string')
          return say(output !== '' && output.length <= OUTPUT_CHARS, `output ${i} is empty`)
        for (const part of output as Json[]) say(IN_USER.includes(String(part['type'])), `part ${String(part['type'])}`)
        return
      }
      default:
        say(SERVER.test(type), `unknown item ${type}`)
    }
  })
  say(open.size === 0, `no tool output found for ${[...open].join()}`)
  say(all.at(-1)?.['role'] === 'user' || /_output$/.test(String(all.at(-1)?.['type'])), 'nothing is asked at the end')
}

function message(item: Json, i: number, say: (ok: boolean, what: string) => void): void {
  const { role, content } = item
  say(!('id' in item), `message ${i} names an id that is not stored`)
  say(role === 'user' || role === 'assistant', `role ${String(role)}`)
  say(role === 'assistant' || !('phase' in item), 'phase is the assistant’s')
  if (typeof content === 'string') return say(content.trim() !== '', `message ${i} is blank`)
  say((content as Json[]).length > 0, `message ${i} is empty`)
  for (const part of content as Json[]) {
    const type = String(part['type'])
    say(
      role === 'user' ? IN_USER.includes(type) : type === 'output_text',
      `a ${type} in a message of the ${String(role)}`,
    )
    if ('text' in part) say(String(part['text']).trim() !== '', `blank text at ${i}`)
  }
}
