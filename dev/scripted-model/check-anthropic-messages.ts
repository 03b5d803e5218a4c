/** What Anthropic's Messages API refuses in `messages`: roles, blocks, and calls without results or results without calls. */
import { claudeFamily } from './families'
import { isRecord, list, records, str, type Json } from './json'

const ID = /^[a-zA-Z0-9_-]+$/
export const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/
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
/** Fields of the blocks that adapters write (the SDK's *BlockParam); others pass as they are. */
const FIELDS: Record<string, string[]> = {
  text: ['type', 'text', 'cache_control', 'citations'],
  image: ['type', 'source', 'cache_control', 'transformations'],
  document: ['type', 'source', 'cache_control', 'citations', 'context', 'title'],
  thinking: ['type', 'thinking', 'signature'],
  redacted_thinking: ['type', 'data'],
  tool_use: ['type', 'id', 'name', 'input', 'cache_control', 'caller', 'toolset_name'],
  tool_result: ['type', 'tool_use_id', 'content', 'is_error', 'cache_control', 'toolset_name'],
}
const SERVER_RESULT = /_tool_result$/

export function messagesProblem(body: Json): string | null {
  const messages = list(body.messages)
  const version = claudeFamily(str(body.model))?.version ?? Infinity
  let before: { role: string; calls: string[] } = { role: '', calls: [] }
  for (const [i, message] of messages.entries()) {
    if (!isRecord(message)) return `messages.${i}: Input should be an object`
    const role = str(message.role)
    const problem =
      roleProblem(message, role, i) ??
      systemProblem(role, version) ??
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

/** Recorded as taken by claude-opus-4-8 (mid-conversation-system); reported as refused by those before. */
function systemProblem(role: string, version: number): string | null {
  if (role !== 'system' || version >= 408) return null
  return 'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an input message role.'
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
  const extra = Object.keys(block).find((key) => FIELDS[type]?.includes(key) === false)
  if (extra !== undefined) return `${at}.${type}.${extra}: Extra inputs are not permitted`
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
