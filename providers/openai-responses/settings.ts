/** The settings of a Responses request. What the model does not take is left out and said. */
import type { ResponseCreateParams } from 'openai/resources/responses/responses'
import type { ModelSpec } from '../../contract/definition'
import type { View } from '../../contract/provider-port'
import type { Drop } from '../content'
import { effortFor, efforts } from '../effort'
import { NOT_STRICT, isStrictSchema } from '../json-text'
import { isOpenAIHost, openaiFamily, thinks, type OpenAIFamily } from '../openai-models'
import type { RawJson } from '../raw-json'
import { choiceOf, serverTools, type Choice } from '../tool-choice'

type Settings = Partial<ResponseCreateParams>

/** OpenAI refuses less. */
const LEAST_TOKENS = 16

/** A server of another's takes what it knows, and leaves the rest unread. */
const ELSEWHERE: OpenAIFamily = { efforts: efforts('none', 'max'), reasons: true, cacheOff: false }

export function settings(
  model: ModelSpec,
  view: View,
  platform: string,
  seq: number,
  drop: Drop,
  raw: RawJson,
): Settings {
  const own = isOpenAIHost(platform)
  const family = own ? openaiFamily(model.name) : ELSEWHERE
  const refused = (what: string): void => drop(seq, what, `${model.name} does not take it`)
  if (model.maxOutputTokens < LEAST_TOKENS)
    drop(seq, 'maximum of output tokens', `it must be at least ${LEAST_TOKENS}: that is sent`)
  const out: Settings = {
    max_output_tokens: Math.max(LEAST_TOKENS, model.maxOutputTokens),
    store: false,
    // Of a model that does not reason it is refused.
    ...(family.reasons || family.efforts.length > 0 ? { include: ['reasoning.encrypted_content'] } : {}),
  }
  const sampling = !own || !thinks(family, model.reasoning?.effort)
  if (model.temperature !== undefined)
    if (sampling) out.temperature = model.temperature
    else refused('temperature')
  if (model.topP !== undefined)
    if (sampling) out.top_p = model.topP
    else refused('top_p')
  if (model.stop) drop(seq, 'stop', 'Responses has no such option')
  const effort = effortFor(model, family.efforts, seq, drop)
  if (effort !== undefined) out.reasoning = { effort }
  if (model.reasoning?.budgetTokens !== undefined) drop(seq, 'reasoning budget', 'Responses knows effort only')
  const names = serverTools(model).map(({ name }) => name)
  const choice = choiceOf(model, view, names, seq, drop)
  if (choice) out.tool_choice = wireChoice(choice)
  if (model.parallelToolCalls !== undefined && view.tools.length + names.length > 0)
    out.parallel_tool_calls = model.parallelToolCalls
  if (model.output) out.text = { format: format(model.output, seq, drop, raw) }
  if (model.serviceTier) out.service_tier = model.serviceTier === 'standard' ? 'default' : model.serviceTier
  // Without a breakpoint of its own, and none that OpenAI chooses, nothing is cached.
  if (model.cache === 'off' && family.cacheOff) out.prompt_cache_options = { mode: 'explicit' }
  else if (model.cache === 'off' || model.cache === '1h')
    drop(seq, `cache ${model.cache}`, 'this vendor decides by itself what it caches, and how long')
  return out
}

function wireChoice(choice: Choice): NonNullable<ResponseCreateParams['tool_choice']> {
  return choice.kind === 'tool' ? { type: 'function', name: choice.name } : choice.kind
}

function format(
  { name, schema }: NonNullable<ModelSpec['output']>,
  seq: number,
  drop: Drop,
  raw: RawJson,
): NonNullable<NonNullable<ResponseCreateParams['text']>['format']> {
  const strict = isStrictSchema(schema)
  if (!strict) drop(seq, 'strict output', NOT_STRICT)
  return { type: 'json_schema', name, schema: raw.of(schema) as Record<string, unknown>, strict }
}
