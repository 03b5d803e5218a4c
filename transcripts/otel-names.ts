/**
 * The names of the GenAI semantic conventions (open-telemetry/semantic-conventions-genai 0.1.0, 2026, all of them "development"): what the
 * attributes of a model call, a tool and a turn are. What has no name there begins with `savefile.`.
 */
import type { Definition, ModelSpec } from '../contract/definition'
import type { Payload, StopReason, Usage } from '../contract/events'
import type { Named, Value } from './otel-span'

const COMPAT: Readonly<Partial<Record<NonNullable<ModelSpec['compat']>, string>>> = {
  deepseek: 'deepseek',
  mistral: 'mistral_ai',
}

export function providerName(provider: string, model: ModelSpec | null): string {
  if (!provider.startsWith('openai')) return provider
  return (model?.compat && COMPAT[model.compat]) ?? 'openai'
}

const FINISH: Readonly<Record<StopReason, string>> = {
  end: 'stop',
  stop_sequence: 'stop',
  tool_calls: 'tool_call',
  max_tokens: 'length',
  context_exceeded: 'length',
  refusal: 'content_filter',
  pause: 'pause',
  other: 'other',
}

export function finishReason(stop: StopReason): string {
  return FINISH[stop]
}

/** Which of a definition's models a request went to: its own, or a fallback. */
export function modelAsked(definition: Definition | null, fallback: number | undefined): ModelSpec | null {
  if (!definition) return null
  return fallback === undefined ? definition.model : (definition.fallbacks?.models[fallback - 1] ?? null)
}

export function requestNames(model: ModelSpec | null): Named {
  if (!model) return {}
  return {
    'gen_ai.request.model': model.name,
    'gen_ai.request.max_tokens': model.maxOutputTokens,
    'gen_ai.request.temperature': double(model.temperature),
    'gen_ai.request.top_p': double(model.topP),
    'gen_ai.request.stop_sequences': model.stop,
    'gen_ai.request.reasoning.level': model.reasoning?.effort,
    'gen_ai.request.stream': model.stream === false ? undefined : true,
    'gen_ai.output.type': model.output ? 'json' : undefined,
  }
}

export function responseNames(p: Payload<'model_answered'>): Named {
  const { firstByteMs } = p.timings
  return {
    'gen_ai.response.id': p.responseId,
    'gen_ai.response.model': p.model,
    'gen_ai.response.finish_reasons': [finishReason(p.stop)],
    'gen_ai.response.time_to_first_chunk': double(firstByteMs === undefined ? undefined : firstByteMs / 1000),
    ...usageNames(p.usage),
    'savefile.cost_usd': usd(p.costUsdMicros),
  }
}

/** `input` counts what was read from and written to a cache, as the conventions have it. */
export function usageNames(usage: Usage): Named {
  return {
    'gen_ai.usage.input_tokens': usage.input,
    'gen_ai.usage.output_tokens': usage.output,
    'gen_ai.usage.cache_read.input_tokens': usage.cacheRead || undefined,
    'gen_ai.usage.cache_write.input_tokens': usage.cacheWrite || undefined,
    'gen_ai.usage.reasoning.output_tokens': usage.reasoning || undefined,
  }
}

export function usd(micros: number | undefined): Value {
  return double(micros === undefined ? undefined : micros / 1_000_000)
}

function double(n: number | undefined): Value {
  return n === undefined ? undefined : { double: n }
}
