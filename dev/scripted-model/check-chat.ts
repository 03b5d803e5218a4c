/**
 * What Chat Completions refuses with 400, in OpenAI's words. Rules from the vendor's SDK types, recorded exchanges, public reports of its
 * errors and PITFALLS.md; where compatible servers are stricter (vLLM reads arguments as JSON, templates want an object), theirs count,
 * because an adapter has to serve those too.
 */
import type { CheckOptions } from './check-options'
import { effortProblem } from './check-responses'
import { isReasoningModel } from './families'
import { isRecord, list, records, str, type Json } from './json'
import { emptyArray, nameProblem, problem, tooLong, wrongType, type OpenAIProblem } from './openai-problem'

const CALL_ID_CHARS = 40
/** `reasoning_content` and `reasoning` are what compatible servers want back. */
const FIELDS: Record<string, string[]> = {
  system: ['content', 'name'],
  developer: ['content', 'name'],
  user: ['content', 'name'],
  assistant: ['content', 'name', 'refusal', 'audio', 'function_call', 'tool_calls', 'reasoning_content', 'reasoning'],
  tool: ['content', 'tool_call_id'],
}
const PARTS: Record<string, string[]> = {
  system: ['text'],
  developer: ['text'],
  user: ['text', 'image_url', 'file'],
  assistant: ['text', 'refusal'],
  tool: ['text'],
}

/** What is wrong with a request body, or null. */
export function chatProblem(body: Json, _options: CheckOptions = {}): OpenAIProblem | null {
  return parametersProblem(body) ?? modelProblem(body) ?? toolsProblem(body) ?? messagesProblem(list(body.messages))
}

function parametersProblem(body: Json): OpenAIProblem | null {
  if (str(body.model) === '') return problem('you must provide a model parameter')
  if (body.messages === undefined)
    return problem("Missing required parameter: 'messages'.", 'messages', 'missing_required_parameter')
  if (!Array.isArray(body.messages)) return wrongType('messages', 'an array of objects', body.messages)
  if (body.messages.length === 0) return emptyArray('messages')
  if (body.stream_options !== undefined && body.stream_options !== null && body.stream !== true)
    return problem("The 'stream_options' parameter is only allowed when 'stream' is enabled.", 'stream_options')
  if (body.tools === undefined && body.tool_choice !== undefined)
    return problem("'tool_choice' is only allowed when 'tools' are specified.", 'tool_choice')
  return null
}

const SAMPLING = ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty', 'logprobs']

/** What OpenAI's models do not take, by their names. Recorded: error-400-system-role, error-400-web-search, reasoning-model-*-error. */
function modelProblem(body: Json): OpenAIProblem | null {
  const model = str(body.model)
  const reasons = isReasoningModel(model)
  if (reasons === true && body.max_tokens != null)
    return problem(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      'max_tokens',
      'unsupported_parameter',
    )
  const sampling = SAMPLING.find((name) => body[name] != null)
  if (reasons === true && sampling && body.reasoning_effort !== 'none')
    return problem(`Unsupported parameter: '${sampling}' is not supported with this model.`, sampling)
  if (reasons === false && body.reasoning_effort != null)
    return problem('Unrecognized request argument supplied: reasoning_effort')
  if (reasons !== null && body.web_search_options != null && !model.includes('search'))
    return problem('Web search options not supported with this model.', 'web_search_options')
  const system = records(body.messages).findIndex((message) => message.role === 'system')
  if (/^o1-(mini|preview)/.test(model) && system >= 0)
    return problem(
      `Unsupported value: 'messages[${system}].role' does not support 'system' with this model.`,
      `messages[${system}].role`,
      'unsupported_value',
    )
  return effortProblem(body.reasoning_effort, model, 'reasoning_effort')
}

function toolsProblem(body: Json): OpenAIProblem | null {
  if (Array.isArray(body.tools) && body.tools.length === 0) return emptyArray('tools')
  for (const [i, tool] of records(body.tools).entries()) {
    if (!isRecord(tool.function))
      return problem(
        `Missing required parameter: 'tools[${i}].function'.`,
        `tools[${i}].function`,
        'missing_required_parameter',
      )
    const named = nameProblem(tool.function.name, `tools[${i}].function.name`)
    if (named) return named
    const { parameters } = tool.function
    const type = isRecord(parameters) ? parameters.type : parameters === undefined ? 'object' : null
    const choice =
      isRecord(parameters) && ['oneOf', 'anyOf', 'allOf', 'enum', 'not'].some((key) => parameters[key] !== undefined)
    if (type !== 'object' || choice)
      return problem(
        `Invalid schema for function '${str(tool.function.name)}': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.`,
        `tools[${i}].function.parameters`,
        'invalid_function_parameters',
      )
  }
  return null
}

function messagesProblem(messages: unknown[]): OpenAIProblem | null {
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
    if (!isObjectJson(fn.arguments))
      return problem(
        `Invalid '${at}.function.arguments': expected the JSON text of an object.`,
        `${at}.function.arguments`,
        'invalid_value',
      )
  }
  return null
}

function isObjectJson(text: string): boolean {
  try {
    return isRecord(JSON.parse(text))
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
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
