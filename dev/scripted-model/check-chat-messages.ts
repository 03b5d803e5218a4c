/** What Chat Completions refuses in `messages`, in OpenAI's words: roles, parts, and calls without tool messages or tool messages without calls. */
import { argumentsProblem } from './check-responses-input'
import { isRecord, records, str, type Json } from './json'
import { emptyArray, nameProblem, problem, tooLong, wrongType, type OpenAIProblem } from './openai-problem'

const CALL_ID_CHARS = 40
/** `reasoning_content` and `reasoning` are what compatible servers want back, `reasoning_details` what OpenRouter does. */
const FIELDS: Record<string, string[]> = {
  system: ['content', 'name'],
  developer: ['content', 'name'],
  user: ['content', 'name'],
  assistant: [
    ...['content', 'name', 'refusal', 'audio', 'function_call', 'tool_calls'],
    ...['reasoning_content', 'reasoning', 'reasoning_details'],
  ],
  tool: ['content', 'tool_call_id'],
}
const PARTS: Record<string, string[]> = {
  system: ['text'],
  developer: ['text'],
  user: ['text', 'image_url', 'file'],
  assistant: ['text', 'refusal'],
  tool: ['text'],
}

export function messagesProblem(messages: unknown[]): OpenAIProblem | null {
  /** Ids of calls that wait for their tool messages, and where the assistant message stands. */
  let open: string[] = []
  let answer: string[] = []
  for (const [i, message] of messages.entries()) {
    if (!isRecord(message)) return wrongType(`messages[${i}]`, 'an object', message)
    const role = str(message.role)
    if (open.length > 0 && role !== 'tool') return unanswered(open, i)
    const found = messageProblem(message, role, i)
    if (found) return found
    if (role === 'tool') {
      const id = str(message.tool_call_id)
      if (!answer.includes(id)) return orphan(i)
      if (!open.includes(id))
        return problem(
          `Invalid parameter: 'tool_call_id' of '${id}' has already been answered.`,
          `messages.[${i}].tool_call_id`,
        )
      open = open.filter((other) => other !== id)
    } else {
      answer = records(message.tool_calls).map((call) => str(call.id))
      open = answer
    }
  }
  return open.length > 0 ? unanswered(open, messages.length) : null
}

function messageProblem(message: Json, role: string, i: number): OpenAIProblem | null {
  const fields = FIELDS[role]
  if (!fields)
    return problem(
      `Invalid value: '${role}'. Supported values are: 'system', 'assistant', 'user', 'tool', and 'developer'.`,
      `messages[${i}].role`,
      'invalid_value',
    )
  const extra = Object.keys(message).find((key) => key !== 'role' && !fields.includes(key))
  if (extra !== undefined)
    return problem(`Unknown parameter: 'messages[${i}].${extra}'.`, `messages[${i}].${extra}`, 'unknown_parameter')
  return contentProblem(message, role, i) ?? callsProblem(message.tool_calls, i)
}

function contentProblem(message: Json, role: string, i: number): OpenAIProblem | null {
  const { content } = message
  if (content === null || content === undefined) {
    if (role === 'assistant' && (message.tool_calls !== undefined || typeof message.refusal === 'string')) return null
    return problem(`Invalid value for 'content': expected a string, got null.`, `messages.[${i}].content`)
  }
  if (typeof content === 'string') return null
  if (!Array.isArray(content))
    return wrongType(`messages[${i}].content`, 'one of a string or array of objects', content)
  if (content.length === 0) return emptyArray(`messages[${i}].content`)
  for (const part of records(content)) {
    const type = str(part.type)
    if (role === 'tool' && type === 'image_url')
      return problem(
        `Invalid 'messages[${i}]'. Image URLs are only allowed for messages with role 'user', but this message with role 'tool' contains an image URL.`,
        `messages[${i}]`,
        'invalid_value',
      )
    if (!PARTS[role]?.includes(type))
      return problem(
        role === 'user'
          ? `Invalid 'messages[${i}]'. Content blocks are expected to be either text or image_url type.`
          : `Invalid value: '${type}'. Supported values are: ${(PARTS[role] ?? []).map((known) => `'${known}'`).join(' and ')}.`,
        `messages[${i}]`,
        'invalid_value',
      )
  }
  return null
}

function callsProblem(calls: unknown, i: number): OpenAIProblem | null {
  if (calls === undefined || calls === null) return null
  if (!Array.isArray(calls)) return wrongType(`messages[${i}].tool_calls`, 'an array of objects', calls)
  if (calls.length === 0) return emptyArray(`messages[${i}].tool_calls`)
  const ids = new Set<string>()
  for (const [j, call] of records(calls).entries()) {
    const at = `messages[${i}].tool_calls[${j}]`
    const id = str(call.id)
    if (id === '') return problem(`Missing required parameter: '${at}.id'.`, `${at}.id`, 'missing_required_parameter')
    if (id.length > CALL_ID_CHARS) return tooLong(`${at}.id`, id, CALL_ID_CHARS)
    if (ids.has(id))
      return problem(`Duplicate value for 'tool_call_id' of '${id}' in message[${i}].`, `messages.[${i}].tool_calls`)
    ids.add(id)
    const fn = isRecord(call.function) ? call.function : {}
    const named = nameProblem(fn.name, `${at}.function.name`)
    if (named) return named
    if (typeof fn.arguments !== 'string') return wrongType(`${at}.function.arguments`, 'a string', fn.arguments)
    const text = argumentsProblem(fn.arguments, `${at}.function.arguments`)
    if (text) return text
  }
  return null
}

function unanswered(ids: string[], i: number): OpenAIProblem {
  const message =
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. " +
    `The following tool_call_ids did not have response messages: ${ids.join(', ')}`
  return problem(message, `messages.[${i}].role`)
}

function orphan(i: number): OpenAIProblem {
  return problem(
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
    `messages.[${i}].role`,
  )
}
