/**
 * What Anthropic's Messages API refuses with 400 `invalid_request_error`, in its words. Rules from the vendor's SDK types (version
 * 2026-10-21), recorded exchanges, public reports of its errors, and PITFALLS.md. test/dev-scripted/ shows that every recorded request
 * that the vendor took passes here.
 */
import { thinkingProblem, type ThinkingOptions } from './check-anthropic-thinking'
import { claudeFamily } from './families'
import { isRecord, list, records, str, type Json } from './json'

const ID = /^[a-zA-Z0-9_-]+$/
const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/
/** Block types of the SDK's ContentBlockParam and its beta, by the role whose they are. */
const USER_BLOCKS = new Set([
  'text',
  'image',
  'document',
  'search_result',
  'tool_result',
  'container_upload',
  'tool_addition',
  'tool_removal',
])
const ASSISTANT_BLOCKS = new Set([
  'text',
  'thinking',
  'redacted_thinking',
  'tool_use',
  'server_tool_use',
  'mcp_tool_use',
  'mcp_tool_result',
  'mcp_tool_listing',
  'compaction',
  'fallback',
  'container_upload',
])
const SERVER_RESULT = /_tool_result$/

export interface AnthropicOptions extends ThinkingOptions {
  /** The header `anthropic-version`. */
  version: string
}

/** Says what is wrong with a request body, in the vendor's words, or null. */
export function anthropicProblem(body: Json, options: AnthropicOptions): string | null {
  return (
    parametersProblem(body, options.version) ??
    familyProblem(body) ??
    toolsProblem(body) ??
    messagesProblem(body) ??
    thinkingProblem(body, options)
  )
}

function parametersProblem(body: Json, version: string): string | null {
  if (version === '') return 'anthropic-version: header is required'
  if (str(body.model) === '') return 'model: Field required'
  if (body.max_tokens === undefined) return 'max_tokens: Field required'
  if (typeof body.max_tokens !== 'number' || !Number.isInteger(body.max_tokens) || body.max_tokens < 0)
    return 'max_tokens: Input should be a valid integer, greater than or equal to 0'
  if (!Array.isArray(body.messages)) return 'messages: Field required'
  if (body.messages.length === 0) return 'messages: at least one message is required'
  for (const name of ['temperature', 'top_p', 'top_k'])
    if (body[name] !== undefined && version >= '2026-10-21') return `${name}: Extra inputs are not permitted`
  const budget = isRecord(body.thinking) ? body.thinking.budget_tokens : undefined
  if (typeof budget === 'number' && budget < 1024)
    return 'thinking.enabled.budget_tokens: Input should be greater than or equal to 1024'
  if (typeof budget === 'number' && body.max_tokens <= budget)
    return '`max_tokens` must be greater than `thinking.budget_tokens`'
  const forced = isRecord(body.tool_choice) && (body.tool_choice.type === 'any' || body.tool_choice.type === 'tool')
  if (forced && budget !== undefined) return 'Thinking may not be enabled when tool_choice forces tool use.'
  if (Array.isArray(body.system) && records(body.system).some((block) => block.type === 'text' && block.text === ''))
    return 'system: text content blocks must be non-empty'
  return null
}

/** What the model's family does not take. Recorded: error-400-effort. */
function familyProblem(body: Json): string | null {
  const family = claudeFamily(str(body.model))
  if (!family) return null
  const effort = isRecord(body.output_config) ? body.output_config.effort : undefined
  if (typeof effort === 'string' && family.effort.length === 0)
    return 'This model does not support the effort parameter.'
  if (typeof effort === 'string' && !family.effort.includes(effort))
    return `This model does not support effort level '${effort}'. Supported levels: ${[...family.effort].sort().join(', ')}.`
  const thinking = isRecord(body.thinking) ? str(body.thinking.type) : ''
  if (thinking === '' || family.thinking.includes(thinking)) return null
  // Reported by docs.memberjunction.org (UsesAdaptiveThinking).
  return thinking === 'enabled'
    ? '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
    : `"thinking.type.${thinking}" is not supported for this model.`
}

function toolsProblem(body: Json): string | null {
  const names = new Set<string>()
  for (const [i, tool] of records(body.tools).entries()) {
    const name = str(tool.name)
    // Tools with a type of their own are the vendor's; those have no schema.
    const custom = tool.type === undefined || tool.type === 'custom'
    if (custom && !TOOL_NAME.test(name))
      return `tools.${i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'`
    if (name !== '' && names.has(name)) return 'tools: Tool names must be unique.'
    names.add(name)
    if (!custom) continue
    const schema = tool.input_schema
    if (!isRecord(schema)) return `tools.${i}.custom.input_schema: Field required`
    if (schema.type !== 'object') return `tools.${i}.custom.input_schema.type: Input should be 'object'`
    const choice = ['oneOf', 'allOf', 'anyOf'].find((key) => schema[key] !== undefined)
    if (choice)
      return `tools.${i}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level`
  }
  return null
}

function messagesProblem(body: Json): string | null {
  const messages = list(body.messages)
  let before: { role: string; calls: string[] } = { role: '', calls: [] }
  for (const [i, message] of messages.entries()) {
    if (!isRecord(message)) return `messages.${i}: Input should be an object`
    const role = str(message.role)
    const problem =
      roleProblem(message, role, i) ??
      alternationProblem(before.role, role) ??
      contentProblem(message.content, role, i, i === messages.length - 1) ??
      pairingProblem(before.calls, message, role, i)
    if (problem) return problem
    before = {
      role,
      calls: records(message.content).flatMap((b) =>
        role === 'assistant' && b.type === 'tool_use' ? [str(b.id)] : [],
      ),
    }
  }
  if (before.calls.length > 0) return unanswered(messages.length - 1, before.calls)
  const last = messages.at(-1)
  if (isRecord(last) && last.role === 'assistant' && !records(last.content).some((b) => b.type === 'server_tool_use'))
    return 'This model does not support assistant message prefill. The conversation must end with a user message.'
  return null
}

function roleProblem(message: Json, role: string, i: number): string | null {
  if (!['user', 'assistant', 'system'].includes(role))
    return `messages.${i}.role: Input should be 'user', 'assistant' or 'system'`
  const extra = Object.keys(message).find((key) => key !== 'role' && key !== 'content')
  return extra === undefined ? null : `messages.${i}.${extra}: Extra inputs are not permitted`
}

/**
 * Stricter than the vendor: its SDK types say that consecutive turns of one role are combined into one. A view that alternates is right
 * everywhere (other hosts of the same models insist on it), so one that does not is refused here.
 */
function alternationProblem(before: string, role: string): string | null {
  if (before !== role || role === 'system') return null
  return `messages: roles must alternate between "user" and "assistant", but found multiple "${role}" roles in a row`
}

function contentProblem(content: unknown, role: string, i: number, last: boolean): string | null {
  if (content === undefined || content === null) return `messages.${i}.content: Field required`
  const empty = typeof content === 'string' ? content === '' : list(content).length === 0
  if (empty && !(last && role === 'assistant'))
    return `messages.${i}: all messages must have non-empty content except for the optional final assistant message`
  if (typeof content === 'string')
    return content.trim() === '' ? 'messages: text content blocks must contain non-whitespace text' : null
  if (!Array.isArray(content)) return `messages.${i}.content: Input should be a valid list`
  const ids = new Set<string>()
  for (const [j, block] of content.entries()) {
    const at = `messages.${i}.content.${j}`
    if (!isRecord(block)) return `${at}: Input should be an object`
    const problem = blockProblem(block, role, at)
    if (problem) return problem
    if (block.type === 'tool_use' && ids.has(str(block.id))) return `${at}: \`tool_use\` ids must be unique`
    if (block.type === 'tool_use') ids.add(str(block.id))
  }
  // A blank block beside others was recorded as accepted.
  const blank = content.every((block) => isRecord(block) && block.type === 'text' && str(block.text).trim() === '')
  return blank ? 'messages: text content blocks must contain non-whitespace text' : null
}

function blockProblem(block: Json, role: string, at: string): string | null {
  const type = str(block.type)
  const known =
    role === 'user'
      ? USER_BLOCKS.has(type)
      : role === 'system'
        ? type === 'text' || type.startsWith('tool_')
        : ASSISTANT_BLOCKS.has(type) || SERVER_RESULT.test(type)
  if (!known)
    return `${at}: Input tag '${type}' found using 'type' does not match any of the expected tags for role '${role}'`
  switch (type) {
    case 'text':
      if (typeof block.text !== 'string') return `${at}.text.text: Field required`
      if (role === 'user' && list(block.citations).length > 0)
        return `${at}.text.citations: Extra inputs are not permitted`
      return block.text === '' ? 'messages: text content blocks must be non-empty' : null
    case 'thinking':
      if (typeof block.thinking !== 'string') return `${at}.thinking.thinking: Field required`
      return str(block.signature) === '' ? `${at}.thinking.signature: Field required` : null
    case 'redacted_thinking':
      return str(block.data) === '' ? `${at}.redacted_thinking.data: Field required` : null
    case 'tool_use':
      if (!ID.test(str(block.id))) return `${at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`
      if (!TOOL_NAME.test(str(block.name)))
        return `${at}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'`
      return isRecord(block.input) ? null : `${at}.tool_use.input: Input should be a valid dictionary`
    case 'tool_result':
      return resultProblem(block, at)
    default:
      return null
  }
}

function resultProblem(block: Json, at: string): string | null {
  if (!ID.test(str(block.tool_use_id)))
    return `${at}.tool_result.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'`
  for (const [k, part] of records(block.content).entries()) {
    if (part.type === 'text' && part.text === '') return 'messages: text content blocks must be non-empty'
    if (block.is_error === true && part.type !== 'text')
      return `${at}.tool_result.content.${k}: all content must be type "text" if \`is_error\` is true`
  }
  return null
}

/** Results stand first in the message right after their calls: one for each call, and none without. */
function pairingProblem(calls: string[], message: Json, role: string, i: number): string | null {
  const blocks = records(message.content)
  const results = role === 'user' ? blocks.filter((b) => b.type === 'tool_result').map((b) => str(b.tool_use_id)) : []
  const orphan = results.find((id) => !calls.includes(id))
  if (orphan !== undefined)
    return (
      `messages.${i}.content.${blocks.findIndex((b) => b.tool_use_id === orphan)}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${orphan}. ` +
      'Each `tool_result` block must have a corresponding `tool_use` block in the previous message.'
    )
  const twice = results.find((id, k) => results.indexOf(id) !== k)
  if (twice !== undefined)
    return `messages.${i}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${twice}`
  const first = blocks.slice(0, results.length).filter((b) => b.type === 'tool_result').length
  const missing = calls.filter((id) => first < results.length || !results.includes(id))
  return missing.length > 0 ? unanswered(i - 1, missing) : null
}

function unanswered(i: number, ids: string[]): string {
  return (
    `messages.${i}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${ids.join(', ')}. ` +
    'Each `tool_use` block must have a corresponding `tool_result` block in the next message.'
  )
}
