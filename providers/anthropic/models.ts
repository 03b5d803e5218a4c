/**
 * What Claude's model families take, as data. Sources: the SDK's types (1.12, anthropic-version 2026-10-21) and
 * platform.claude.com/docs, models and thinking pages, as of October 2026.
 */
import type { MessageCreateParamsStreaming } from '@anthropic-ai/sdk/resources/messages/messages'
import type { ModelSpec } from '../../contract/definition'
import type { Drop } from '../content'

interface Family {
  thinking: 'budget' | 'adaptive'
  effort: boolean
}

/** By prefix of the model's name, the first that fits. Every family that is newer than these thinks adaptively. */
const OLDER: readonly (readonly [prefix: string, family: Family])[] = [
  ['claude-3', { thinking: 'budget', effort: false }],
  ['claude-opus-4-5', { thinking: 'budget', effort: true }],
  ['claude-opus-4-6', { thinking: 'adaptive', effort: true }],
  ['claude-opus-4-7', { thinking: 'adaptive', effort: true }],
  ['claude-opus-4-8', { thinking: 'adaptive', effort: true }],
  ['claude-opus-4', { thinking: 'budget', effort: false }],
  ['claude-sonnet-4-6', { thinking: 'adaptive', effort: true }],
  ['claude-sonnet-4', { thinking: 'budget', effort: false }],
  ['claude-haiku-4', { thinking: 'budget', effort: false }],
]
const NEWER: Family = { thinking: 'adaptive', effort: true }

type Settings = Pick<MessageCreateParamsStreaming, 'max_tokens' | 'thinking' | 'output_config'>

/** The settings of a request. What the model does not take is left out and said. */
export function settings(model: ModelSpec, seq: number, drop: Drop): Settings {
  const family = OLDER.find(([prefix]) => model.name.startsWith(prefix))?.[1] ?? NEWER
  const { maxOutputTokens, reasoning, temperature } = model
  if (temperature !== undefined) drop(seq, 'temperature', 'refused since anthropic-version 2026-10-21')
  const out: Settings = { max_tokens: maxOutputTokens }
  if (!reasoning) return out
  const { effort, budgetTokens } = reasoning
  if (effort !== undefined && family.effort)
    out.output_config = { effort: effort === 'minimal' || effort === 'none' ? 'low' : effort }
  else if (effort !== undefined) drop(seq, 'effort', `${model.name} has no effort levels`)
  if (family.thinking === 'adaptive') {
    // Without `display` the newer models stream empty thinking.
    out.thinking = { type: 'adaptive', display: 'summarized' }
    if (budgetTokens !== undefined) drop(seq, 'reasoning budget', `${model.name} decides by itself how much to think`)
  } else if (budgetTokens !== undefined) {
    const budget = Math.min(budgetTokens, maxOutputTokens - 1)
    if (budget >= 1024) out.thinking = { type: 'enabled', budget_tokens: budget }
    else drop(seq, 'reasoning budget', 'the budget must be at least 1024 and below the maximum of output tokens')
  }
  return out
}
