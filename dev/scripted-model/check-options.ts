import type { Binding } from './replay'

/** Which server of Chat Completions answers; each has rules of its own. */
export const COMPAT = ['openai', 'vllm', 'llama.cpp', 'ollama', 'deepseek', 'openrouter', 'mistral'] as const
export type Compat = (typeof COMPAT)[number]

export interface CheckOptions {
  /** What reasoning that comes back is bound to. Absent: `prefix` for Anthropic's, `model` for OpenAI's. */
  bindReplay?: Binding
  /** Reasoning and ids that this server did not issue count as good: for recorded requests. */
  trustReplay?: boolean
  compat?: Compat
}
