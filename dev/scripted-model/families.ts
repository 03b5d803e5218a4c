/**
 * What is known of models by their names. A name that is not known ("m", "claude-x") is asked nothing here: only the rules that hold for every
 * model count. Sources: platform.claude.com/docs (effort, adaptive thinking, preserved thinking), docs.aws.amazon.com/bedrock (adaptive
 * thinking), the recorded refusal error-400-effort, the comments on ReasoningEffort in the openai SDK, public reports of its refusals.
 */
export interface ClaudeFamily {
  /** Major and minor, as one number: 4.5 is 405. */
  version: number
  effort: readonly string[]
  /** What `thinking.type` may be. */
  thinking: readonly string[]
}

const BUDGET = ['enabled', 'disabled']
const BOTH = ['enabled', 'disabled', 'adaptive']
const THREE = ['low', 'medium', 'high']
const FOUR = [...THREE, 'max']
const FIVE = ['low', 'medium', 'high', 'xhigh', 'max']

export function claudeFamily(model: string): ClaudeFamily | null {
  const match = /claude-(opus|sonnet|haiku|fable|mythos)-(\d)(?:-(\d)(?!\d))?/.exec(model)
  if (!match) return null
  const [, name = ''] = match
  const version = Number(match[2]) * 100 + Number(match[3] ?? 0)
  const only = name === 'fable' || name === 'mythos'
  if (only) return { version, effort: FIVE, thinking: ['adaptive'] }
  if (version >= 407) return { version, effort: FIVE, thinking: ['adaptive', 'disabled', 'between_tools'] }
  if (version === 406) return { version, effort: FOUR, thinking: BOTH }
  return { version, effort: name === 'opus' && version === 405 ? THREE : [], thinking: BUDGET }
}

/** True for o1, o3, o4 and gpt-5 and later, false for older ones, null for names that are not OpenAI's. */
export function isReasoningModel(model: string): boolean | null {
  if (/^(ft:)?(o\d|gpt-([5-9]|\d\d))/.test(model)) return !/-chat(-latest)?$/.test(model)
  return /^(ft:)?(gpt-3\.5|gpt-4|chatgpt-4o)/.test(model) ? false : null
}

/** The efforts that an OpenAI model takes; null where that is not known. */
export function gptEfforts(model: string): readonly string[] | null {
  if (isReasoningModel(model) !== true) return null
  if (/^o\d/.test(model)) return THREE
  const minor = Number(/^gpt-5\.(\d+)/.exec(model)?.[1] ?? (model.startsWith('gpt-5') ? 0 : NaN))
  if (Number.isNaN(minor)) return null
  if (minor === 0) return ['minimal', ...THREE]
  if (minor === 1) return model.includes('codex-max') ? ['none', ...THREE, 'xhigh'] : ['none', ...THREE]
  return minor <= 5 ? ['none', ...THREE, 'xhigh'] : ['none', ...THREE, 'xhigh', 'max']
}
