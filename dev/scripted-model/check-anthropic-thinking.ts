/**
 * What Anthropic refuses of thinking that comes back. Words and rules: platform.claude.com/docs "Fix a thinking block bound to a different
 * conversation" and "Extended thinking"; anthropics/claude-code 63267 and its like (latest assistant message); ThinkingBlockParam in the SDK.
 */
import type { CheckOptions } from './check-options'
import { isRecord, records, str, type Json } from './json'
import { judge, walkAnthropic, type Verdict } from './replay'

const BINDING_BETA = 'thinking-binding-controls-2026-08-01'

export interface ThinkingOptions extends CheckOptions {
  betas?: string[]
}

export function thinkingProblem(body: Json, options: ThinkingOptions): string | null {
  return bindingProblem(body, options.betas ?? []) ?? replayProblem(body, options) ?? turnProblem(body)
}

function bindingProblem(body: Json, betas: string[]): string | null {
  if (!isRecord(body.thinking) || body.thinking.block_binding === undefined || betas.includes(BINDING_BETA)) return null
  return `thinking.${str(body.thinking.type)}.block_binding: Extra inputs are not permitted`
}

/** True where the caller asked that what fails is left out, not refused. */
function drops(body: Json): boolean {
  const binding = isRecord(body.thinking) && isRecord(body.thinking.block_binding) ? body.thinking.block_binding : {}
  return binding.prefix_mismatch_behavior === 'drop_block'
}

function replayProblem(body: Json, options: ThinkingOptions): string | null {
  const messages = records(body.messages)
  if (!messages.some((message) => records(message.content).some(isThinking))) return null
  const latest = `messages.${messages.findLastIndex((message) => message.role === 'assistant')}.`
  for (const { at, token, text, item, place } of walkAnthropic(body).found) {
    const verdict = judge(token, text, place, options.bindReplay ?? 'prefix')
    const problem = words(verdict, at, str(item.type), at.startsWith(latest))
    const excused =
      (verdict === 'foreign' && options.trustReplay === true) || (verdict.startsWith('other') && drops(body))
    if (problem && !excused) return problem
  }
  return null
}

function words(verdict: Verdict, at: string, type: string, latest: boolean): string | null {
  switch (verdict) {
    case 'ok':
      return null
    case 'altered':
      return latest
        ? `${at}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant message cannot be modified. These blocks must remain as they were in the original response.`
        : `${at}: Invalid \`signature\` in \`${type}\` block`
    case 'other prefix':
      return `${at}: Invalid \`signature\` in \`${type}\` block. The block is bound to a different conversation. Remove the block, or set \`thinking.block_binding.prefix_mismatch_behavior\` to "drop_block".`
    // The vendor leaves out another model's thinking without a word; but a client that sends it does not know what it sends.
    case 'other model':
    case 'foreign':
      return `${at}: Invalid \`signature\` in \`${type}\` block`
  }
}

/** With a thinking budget, a turn of tools begins with thinking. Adaptive thinking does not ask for it. */
function turnProblem(body: Json): string | null {
  if (!isRecord(body.thinking) || body.thinking.type !== 'enabled') return null
  const messages = records(body.messages)
  const asked = messages.findLastIndex(
    (message) => message.role === 'user' && !records(message.content).some((block) => block.type === 'tool_result'),
  )
  const turn = messages.slice(asked + 1).findIndex((message) => message.role === 'assistant')
  if (turn < 0) return null
  const first = records(messages[asked + 1 + turn]?.content)[0]
  if (first && isThinking(first)) return null
  const found = first === undefined ? 'text' : str(first.type)
  return (
    `messages.${asked + 1 + turn}.content.0.type: Expected \`thinking\` or \`redacted_thinking\`, but found \`${found}\`. ` +
    'When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). ' +
    'We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`.'
  )
}

function isThinking(block: Json): boolean {
  return block.type === 'thinking' || block.type === 'redacted_thinking'
}
