/**
 * How Chat Completions differs from server to server, as data. What is not known is taken to be the common case: what vLLM, llama.cpp,
 * Ollama and most hosts take. Sources: the recorded exchanges, the servers' own documentation, and the public reports named below.
 */
import type { ModelSpec } from '../../contract/definition'
import { efforts, type Effort } from '../effort'
import { chatToolsOnlyWithoutThinking, isOpenAIHost, openaiFamily, thinks } from '../openai-models'

export type CompatName = NonNullable<ModelSpec['compat']>

export interface Compat {
  maxTokens: 'max_tokens' | 'max_completion_tokens'
  /** The role of the first message; `user` where neither is taken. */
  systemRole: 'system' | 'developer' | 'user'
  /** The content of an answer that only calls tools: templates that add to it fail on null (seen: Qwen3's). */
  noContent: null | ''
  /** Takes `stream_options`, and then sends usage in a last chunk. */
  usageInStream: boolean
  efforts: readonly Effort[]
  /** How an effort is written: in the field of OpenAI, or in OpenRouter's object, which also takes a budget. */
  effortIn: 'reasoning_effort' | 'reasoning'
  /** How thinking is turned off, where `none` is not a level like the others. */
  off: 'level' | 'enable_thinking' | 'thinking_disabled'
  /** Takes this request, which has tools, only without thinking. */
  mustNotThink: boolean
  /** Takes temperature and top_p. */
  sampling: boolean
  stop: boolean
  /** `auto_while_thinking`: a forced call is refused while it thinks. */
  toolChoice: 'all' | 'auto_while_thinking' | 'none'
  parallel: boolean
  /** Takes `response_format` with a schema. */
  output: boolean
  /** Takes tools that are not functions, which it runs itself. */
  serverTools: boolean
  serviceTier: boolean
  /** Takes `file` parts (PDF). */
  files: boolean
  /** Takes images; one that does not refuses the whole request. */
  images: boolean
  /** Refuses a tool's output above OpenAI's limit. */
  outputLimit: boolean
  /** How an answer's reasoning goes back in a turn with tools: in the field in which it came, in this one always, or not at all. */
  reasoning: 'as_it_came' | 'reasoning_content' | 'none'
  /** Takes `reasoning_details` back: verbatim, in every turn, instead of the field. */
  details: boolean
}

const COMMON: Compat = {
  maxTokens: 'max_tokens',
  systemRole: 'system',
  noContent: '',
  usageInStream: true,
  efforts: efforts('none', 'max'),
  effortIn: 'reasoning_effort',
  off: 'level',
  mustNotThink: false,
  sampling: true,
  stop: true,
  toolChoice: 'all',
  parallel: true,
  output: true,
  serverTools: false,
  serviceTier: false,
  files: false,
  images: true,
  outputLimit: false,
  reasoning: 'as_it_came',
  details: false,
}

const NAMED: Readonly<Record<CompatName, Partial<Compat>>> = {
  openai: {
    maxTokens: 'max_completion_tokens',
    noContent: null,
    efforts: [],
    serviceTier: true,
    files: true,
    outputLimit: true,
    reasoning: 'none',
  },
  // Qwen and its like think unless the template is told not to (docs.vllm.ai, reasoning outputs).
  vllm: { off: 'enable_thinking', efforts: ['none', ...efforts('low', 'high')] },
  'llama.cpp': { off: 'enable_thinking', efforts: ['none', ...efforts('low', 'high')] },
  // A tool choice is not heeded (ollama/ollama#17921).
  ollama: { toolChoice: 'none', parallel: false, efforts: ['none', ...efforts('low', 'max')] },
  // In turns with tools it refuses an assistant message without the field, also one that another model wrote.
  // Its models take no images (can1357/oh-my-pi#9169), but for those named so (api-docs.deepseek.com/guides/vision).
  deepseek: {
    noContent: null,
    images: false,
    reasoning: 'reasoning_content',
    off: 'thinking_disabled',
    efforts: ['none', 'low', 'high', 'max'],
    toolChoice: 'auto_while_thinking',
    parallel: false,
    output: false,
  },
  openrouter: {
    noContent: null,
    effortIn: 'reasoning',
    serverTools: true,
    serviceTier: true,
    files: true,
    details: true,
  },
  // It refuses what it does not know (BerriAI/litellm#30835).
  mistral: { noContent: null, usageInStream: false, efforts: [], reasoning: 'none' },
}

const HOSTS: readonly (readonly [host: RegExp, name: CompatName])[] = [
  [/(?:^|\.)deepseek\.com$/, 'deepseek'],
  [/(?:^|\.)openrouter\.ai$/, 'openrouter'],
  [/(?:^|\.)mistral\.ai$/, 'mistral'],
]

type Asked = Pick<ModelSpec, 'name' | 'compat' | 'reasoning'>

/** By the name that the definition gives, else by the host that is asked. `tools`: the request has some. */
export function compatOf(host: string, model: Asked, tools: boolean): Compat {
  const found = isOpenAIHost(host) ? 'openai' : HOSTS.find(([pattern]) => pattern.test(host))?.[1]
  // Qwen at an address that says nothing is most likely behind vLLM.
  const name = model.compat ?? found ?? (/qwen/i.test(model.name) ? 'vllm' : undefined)
  const compat = name ? { ...COMMON, ...NAMED[name] } : COMMON
  if (name === 'deepseek' && /vision/.test(model.name)) return { ...compat, images: true }
  return name === 'openai' ? ofOpenAI(compat, model, tools) : compat
}

/** OpenAI's own: those that reason call the system prompt the developer's, and take neither temperature nor stop while they do. */
function ofOpenAI(compat: Compat, { name, reasoning }: Asked, tools: boolean): Compat {
  const family = openaiFamily(name)
  if (!family.reasons && family.efforts.length === 0) return compat
  const mustNotThink = tools && chatToolsOnlyWithoutThinking(name)
  const free = mustNotThink ? family.efforts.includes('none') : !thinks(family, reasoning?.effort)
  // Recorded: error-400-system-role.
  const systemRole = /^o1-(?:mini|preview)/.test(name) ? 'user' : 'developer'
  return { ...compat, systemRole, efforts: family.efforts, sampling: free, stop: free, mustNotThink }
}
