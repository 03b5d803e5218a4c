/**
 * How Chat Completions differs from server to server and model to model, as data. What is not known is taken to be the common case:
 * what vLLM, llama.cpp, Ollama and most hosts take.
 */
import type { ModelSpec } from '../../contract/definition'
import type { Drop } from '../content'

export interface Compat {
  maxTokens: 'max_tokens' | 'max_completion_tokens'
  /** The role of the first message; `user` where neither is taken. */
  systemRole: 'system' | 'developer' | 'user'
  /** Takes `stream_options`, and then sends usage in a last chunk. */
  usageInStream: boolean
  /** Takes `reasoning_effort`. */
  effort: boolean
  temperature: boolean
  /** Takes `file` parts (PDF). */
  files: boolean
  /** How an answer's reasoning goes back in a turn with tools: in the field in which it came, in this one always, or not at all. */
  reasoning: 'as_it_came' | 'reasoning_content' | 'none'
}

const COMMON: Compat = {
  maxTokens: 'max_tokens',
  systemRole: 'system',
  usageInStream: true,
  effort: true,
  temperature: true,
  files: false,
  reasoning: 'as_it_came',
}

interface Rule {
  host: RegExp
  model: RegExp
  differs: Partial<Compat>
}

/** Every rule that fits applies, the later over the earlier. */
const RULES: readonly Rule[] = [
  {
    host: /^api\.openai\.com$|\.openai\.azure\.com$/,
    model: /./,
    differs: { maxTokens: 'max_completion_tokens', files: true, effort: false, reasoning: 'none' },
  },
  // Its reasoning models take no temperature, and call the system prompt the developer's.
  {
    host: /^api\.openai\.com$|\.openai\.azure\.com$/,
    model: /^(?:o\d|gpt-(?:[5-9]|\d\d))/,
    differs: { systemRole: 'developer', effort: true, temperature: false },
  },
  // Recorded: error-400-system-role.
  { host: /^api\.openai\.com$/, model: /^o1-(?:mini|preview)/, differs: { systemRole: 'user', effort: false } },
  // In turns with tools it refuses an assistant message without the field, also one that another model wrote.
  { host: /(?:^|\.)deepseek\.com$/, model: /./, differs: { reasoning: 'reasoning_content' } },
  { host: /(?:^|\.)mistral\.ai$/, model: /./, differs: { usageInStream: false, effort: false, reasoning: 'none' } },
]

export function compatOf(host: string, model: string): Compat {
  return RULES.reduce(
    (compat, rule) => (rule.host.test(host) && rule.model.test(model) ? { ...compat, ...rule.differs } : compat),
    COMMON,
  )
}

interface Settings {
  max_tokens?: number
  max_completion_tokens?: number
  temperature?: number
  reasoning_effort?: NonNullable<ModelSpec['reasoning']>['effort']
  stream_options?: { include_usage: true }
}

/** The settings of a request. What the model does not take is left out and said. */
export function settings(model: ModelSpec, compat: Compat, seq: number, drop: Drop): Settings {
  const { temperature, reasoning } = model
  const out: Settings = { [compat.maxTokens]: model.maxOutputTokens }
  if (compat.usageInStream) out.stream_options = { include_usage: true }
  if (temperature !== undefined && compat.temperature) out.temperature = temperature
  else if (temperature !== undefined) drop(seq, 'temperature', `${model.name} refuses it`)
  if (reasoning?.effort !== undefined && compat.effort) out.reasoning_effort = reasoning.effort
  else if (reasoning?.effort !== undefined) drop(seq, 'effort', `${model.name} has no effort levels`)
  if (reasoning?.budgetTokens !== undefined) drop(seq, 'reasoning budget', 'Chat Completions knows effort only')
  return out
}
