/**
 * What Anthropic's Messages API refuses with 400 `invalid_request_error`, in its words. Rules from the vendor's SDK types (version
 * 2026-10-21), recorded exchanges, public reports of its errors, and PITFALLS.md. test/dev-scripted/ shows that every recorded request
 * that the vendor took passes here.
 */
import { thinkingProblem, type ThinkingOptions } from './check-anthropic-thinking'
import { messagesProblem, TOOL_NAME } from './check-anthropic-messages'
import { isOpen } from './check-schema'
import { claudeFamily } from './families'
import { isRecord, list, records, str, type Json } from './json'

/** Of MessageCreateParamsBase, of its beta, and the sampling that older versions take. */
const PARAMETERS = new Set(
  (
    'max_tokens messages model cache_control container diagnostics inference_geo metadata output_config service_tier speed stop_sequences ' +
    'stream system thinking tool_choice tools context_management mcp_servers fallbacks thread temperature top_p top_k'
  ).split(' '),
)
const CACHE_MARKS = 4

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
    choiceProblem(body) ??
    cacheProblem(body) ??
    messagesProblem(body) ??
    thinkingProblem(body, options)
  )
}

function parametersProblem(body: Json, version: string): string | null {
  const extra = Object.keys(body).find((key) => !PARAMETERS.has(key))
  if (extra !== undefined) return `${extra}: Extra inputs are not permitted`
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
  const thinks = isRecord(body.thinking) && ['enabled', 'adaptive'].includes(str(body.thinking.type))
  if (forced && thinks) return 'Thinking may not be enabled when tool_choice forces tool use.'
  if (list(body.stop_sequences).some((text) => str(text).trim() === ''))
    return 'stop_sequences: each stop sequence must contain non-whitespace'
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
    if (tool.strict === true && isOpen(schema)) return `tools.${i}.custom.input_schema: ${CLOSED}`
  }
  return null
}

/** Structured output and strict tools (platform.claude.com/docs, structured outputs). */
const CLOSED = "For 'object' type, 'additionalProperties' must be explicitly set to false"

function choiceProblem(body: Json): string | null {
  const format = isRecord(body.output_config) && isRecord(body.output_config.format) ? body.output_config.format : {}
  if (format.type === 'json_schema' && isOpen(format.schema)) return `output_config.format.schema: ${CLOSED}`
  if (!isRecord(body.tool_choice)) return null
  if (list(body.tools).length === 0) return 'tool_choice: tool_choice may only be specified while providing tools'
  const { type, name } = body.tool_choice
  return type === 'tool' && !records(body.tools).some((tool) => tool.name === name)
    ? `Tool '${str(name)}' not found in provided tools`
    : null
}

/**
 * Reported: griffinmartin/opencode-claude-auth 121, tghamm/Anthropic.SDK 50 (at most four), and that longer lives come first, in the order
 * tools, system, messages.
 */
function cacheProblem(body: Json): string | null {
  const blocks = [
    ...marked(body.tools, 'tools'),
    ...marked(body.system, 'system'),
    ...records(body.messages).flatMap((message, i) => marked(message.content, `messages.${i}.content`)),
  ]
  const automatic = body.cache_control == null ? 0 : 1
  if (blocks.length + automatic > CACHE_MARKS)
    return `A maximum of ${CACHE_MARKS} blocks with cache_control may be provided. Found ${blocks.length + automatic}.`
  const empty = blocks.find(({ block }) => block.type === 'text' && block.text === '')
  if (empty) return `${empty.at}: cache_control cannot be set for empty text blocks`
  const lives = blocks.map(({ block }) => (isRecord(block.cache_control) ? (block.cache_control.ttl ?? '5m') : '5m'))
  const late = lives.findIndex((life, i) => life === '1h' && lives.slice(0, i).includes('5m'))
  if (late >= 0)
    return (
      `${blocks[late]?.at}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. ` +
      'Note that blocks are processed in the following order: `tools`, `system`, `messages`.'
    )
  return null
}

/** Blocks with a cache mark, those in tool results too. */
function marked(blocks: unknown, at: string): { at: string; block: Json }[] {
  return list(blocks).flatMap((block, i) => {
    if (!isRecord(block)) return []
    const inner = block.type === 'tool_result' ? marked(block.content, `${at}.${i}.tool_result.content`) : []
    return block.cache_control == null ? inner : [...inner, { at: `${at}.${i}`, block }]
  })
}
