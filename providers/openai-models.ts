/**
 * What OpenAI's own models take, as data, for both of its APIs. Sources: the recorded exchanges; levels as measured by asking for each of
 * them (enricoros/big-AGI#1159, anomalyco/opencode#26268, anomalyco/models.dev#2296 and #2439, July 2026); which of them reason and whether
 * that can be turned off (pydantic/pydantic-ai, checked live in July 2026; gpt-6 from its guide).
 */
import { efforts, type Effort } from './effort'

export interface OpenAIFamily {
  /** Empty: it does not reason. */
  efforts: readonly Effort[]
  /** Whether it reasons where no effort is said. */
  reasons: boolean
  /** The prompt cache can be told not to. */
  cacheOff: boolean
}

const family = (levels: readonly Effort[], reasons = true, cacheOff = false): OpenAIFamily => ({
  efforts: levels,
  reasons,
  cacheOff,
})
const MEDIUM = family(['medium'])
const PRO = family(efforts('medium', 'xhigh'))
const CODEX = family(efforts('low', 'xhigh'))
const NOT: OpenAIFamily = family([], false)

/** The first that fits. What is newer than these is taken to be like the newest. */
const FAMILIES: readonly (readonly [model: RegExp, family: OpenAIFamily])[] = [
  [/^gpt-(?:[6-9]|\d\d)/, family(efforts('low', 'max'), true, true)],
  [/^gpt-5\.\d+-chat/, MEDIUM],
  [/^gpt-5\.\d+-pro/, PRO],
  [/^gpt-5\.1-codex-max/, CODEX],
  [/^gpt-5\.1-codex/, family(efforts('low', 'high'))],
  [/^gpt-5\.\d+-codex/, CODEX],
  [/^gpt-5\.1/, family(['none', ...efforts('low', 'high')], false)],
  [/^gpt-5\.[234](?!\d)/, family(['none', ...efforts('low', 'xhigh')], false)],
  [/^gpt-5\.5/, family(['none', ...efforts('low', 'xhigh')])],
  [/^gpt-5\.\d/, family(['none', ...efforts('low', 'max')], true, true)],
  [/^gpt-5-chat/, NOT],
  [/^gpt-5-pro/, family(['high'])],
  [/^gpt-5-codex/, family(efforts('low', 'high'))],
  [/^gpt-5/, family(efforts('minimal', 'high'))],
  [/^codex-/, family(efforts('low', 'high'))],
  // These reason, and have no levels.
  [/^o1-(?:mini|preview)/, family([])],
  [/^o\d/, family(efforts('low', 'high'))],
]

export function openaiFamily(model: string): OpenAIFamily {
  return FAMILIES.find(([pattern]) => pattern.test(model))?.[1] ?? NOT
}

/** Whether the model thinks in this request: then it takes neither temperature nor top_p nor stop. */
export function thinks({ efforts: has, reasons }: OpenAIFamily, asked: Effort | undefined): boolean {
  if (has.length === 0 || asked === undefined) return reasons
  // Where the level is not there, a lower one is sent: only a `none` that is there turns it off.
  return asked !== 'none' || !has.includes('none')
}

/** From gpt-5.2 on, Chat Completions takes tools only without thinking (openai/openai-openapi#541, BerriAI/litellm#34569). */
export function chatToolsOnlyWithoutThinking(model: string): boolean {
  return /^gpt-(?:5\.[2-9]|5\.\d\d|[6-9]|\d\d)/.test(model) && !/-chat/.test(model)
}

export function isOpenAIHost(host: string): boolean {
  return /^api\.openai\.com$|\.openai\.azure\.com$/.test(host)
}
