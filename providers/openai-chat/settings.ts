/** The settings of a Chat Completions request. What the server does not take is left out and said. */
import type { ChatCompletionCreateParams, ChatCompletionToolChoiceOption } from 'openai/resources/chat/completions'
import type { ModelSpec } from '../../contract/definition'
import type { View } from '../../contract/provider-port'
import type { Drop } from '../content'
import { effortFor } from '../effort'
import { NOT_STRICT, isStrictSchema } from '../json-text'
import type { RawJson } from '../raw-json'
import { choiceOf, isForced, serverTools, type Choice } from '../tool-choice'
import type { Compat } from './compat'

/** With the fields of servers other than OpenAI's. */
export type Settings = Partial<ChatCompletionCreateParams> & {
  chat_template_kwargs?: { enable_thinking: boolean }
  thinking?: { type: 'disabled' }
  reasoning?: { effort?: string; max_tokens?: number }
}

export function settings(
  model: ModelSpec,
  view: View,
  compat: Compat,
  seq: number,
  drop: Drop,
  raw: RawJson,
): Settings {
  const out: Settings = { [compat.maxTokens]: model.maxOutputTokens }
  const refused = (what: string): void => drop(seq, what, `${model.name} does not take it here`)
  if (compat.usageInStream && model.stream !== false) out.stream_options = { include_usage: true }
  if (model.temperature !== undefined)
    if (compat.sampling) out.temperature = model.temperature
    else refused('temperature')
  if (model.topP !== undefined)
    if (compat.sampling) out.top_p = model.topP
    else refused('top_p')
  if (model.stop)
    if (compat.stop) out.stop = model.stop
    else refused('stop')
  Object.assign(out, effort(model, compat, seq, drop), tools(model, view, compat, seq, drop))
  if (model.output)
    if (compat.output) out.response_format = format(model.output, seq, drop, raw)
    else refused('output schema')
  if (model.serviceTier !== undefined)
    if (compat.serviceTier) out.service_tier = model.serviceTier === 'standard' ? 'default' : model.serviceTier
    else refused(`service tier ${model.serviceTier}`)
  if (model.cache === 'off' || model.cache === '1h')
    drop(seq, `cache ${model.cache}`, 'this server decides by itself what it caches, and how long')
  return out
}

function effort(model: ModelSpec, compat: Compat, seq: number, drop: Drop): Settings {
  const budget = model.reasoning?.budgetTokens
  if (compat.mustNotThink) {
    const asked = model.reasoning?.effort
    const why = 'OpenAI takes tools on Chat Completions only without thinking: the provider openai-responses takes both'
    if (asked !== undefined && asked !== 'none') drop(seq, `effort ${asked}`, why)
    return compat.efforts.includes('none') ? { reasoning_effort: 'none' } : {}
  }
  const level = effortFor(model, compat.efforts, seq, drop)
  if (compat.effortIn === 'reasoning') {
    // One of the two: the effort, where both are said.
    if (level !== undefined) return { reasoning: { effort: level } }
    return budget === undefined ? {} : { reasoning: { max_tokens: budget } }
  }
  if (budget !== undefined) drop(seq, 'reasoning budget', 'Chat Completions knows effort only')
  if (level === undefined) return {}
  if (level !== 'none' || compat.off === 'level') return { reasoning_effort: level }
  return compat.off === 'enable_thinking'
    ? { chat_template_kwargs: { enable_thinking: false } }
    : { thinking: { type: 'disabled' } }
}

function tools(model: ModelSpec, view: View, compat: Compat, seq: number, drop: Drop): Settings {
  const server = compat.serverTools ? serverTools(model) : []
  const choice = allowed(
    choiceOf(
      model,
      view,
      server.map(({ name }) => name),
      seq,
      drop,
    ),
    model,
    compat,
    seq,
    drop,
  )
  const parallel = view.tools.length + server.length > 0 ? model.parallelToolCalls : undefined
  if (parallel === false && !compat.parallel) drop(seq, 'single tool calls', 'this server does not heed it')
  return {
    ...(choice ? { tool_choice: wireChoice(choice) } : {}),
    ...(parallel !== undefined && compat.parallel ? { parallel_tool_calls: parallel } : {}),
  }
}

function allowed(
  choice: Choice | undefined,
  model: ModelSpec,
  compat: Compat,
  seq: number,
  drop: Drop,
): Choice | undefined {
  const thinks = model.reasoning?.effort !== 'none'
  const why =
    choice && choice.kind !== 'auto' && compat.toolChoice === 'none'
      ? 'this server does not heed it'
      : compat.toolChoice === 'auto_while_thinking' && isForced(choice) && thinks
        ? `${model.name} takes no forced tool call while it thinks: effort none turns that off`
        : null
  if (why === null) return compat.toolChoice === 'none' ? undefined : choice
  drop(seq, 'tool choice', why)
  return undefined
}

function wireChoice(choice: Choice): ChatCompletionToolChoiceOption {
  return choice.kind === 'tool' ? { type: 'function', function: { name: choice.name } } : choice.kind
}

function format(
  { name, schema }: NonNullable<ModelSpec['output']>,
  seq: number,
  drop: Drop,
  raw: RawJson,
): NonNullable<ChatCompletionCreateParams['response_format']> {
  const strict = isStrictSchema(schema)
  if (!strict) drop(seq, 'strict output', NOT_STRICT)
  return { type: 'json_schema', json_schema: { name, schema: raw.of(schema) as Record<string, unknown>, strict } }
}
