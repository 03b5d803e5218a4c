/**
 * What Claude's model families take, as data. Sources: the SDK's types (1.12, anthropic-version 2026-10-21), the recorded refusal of an
 * effort level, and platform.claude.com/docs as of November 2026: the model, migration, thinking, effort and structured output pages.
 */
import type { MessageCreateParamsBase } from '@anthropic-ai/sdk/resources/messages/messages'
import type { ModelSpec } from '../../contract/definition'
import type { View } from '../../contract/provider-port'
import type { Drop } from '../content'
import { effortFor, efforts, type Effort } from '../effort'
import type { RawJson } from '../raw-json'
import { choiceOf, isForced, serverTools, type Choice } from '../tool-choice'

type Level = Exclude<Effort, 'none' | 'minimal'>

interface Family {
  thinking: 'budget' | 'adaptive'
  /** Empty: it takes no effort. */
  efforts: readonly Level[]
  /** How thinking is turned off: left out, said, by a kind of its own, or not at all. */
  off: 'absent' | 'disabled' | 'between_tools' | 'never'
  /** Takes a tool choice that forces a call: while it does not think, or never. */
  forced: 'without_thinking' | 'never'
  /** Takes a schema for its answers. */
  output: boolean
}

const range = (from: Level, to: Level): readonly Level[] => efforts(from, to) as readonly Level[]
const UP_TO_46: readonly Level[] = ['low', 'medium', 'high', 'max']
const BUDGET: Family = { thinking: 'budget', efforts: [], off: 'absent', forced: 'without_thinking', output: false }
const ADAPTIVE: Family = {
  thinking: 'adaptive',
  efforts: range('low', 'max'),
  off: 'absent',
  forced: 'without_thinking',
  output: true,
}
const ALWAYS_THINKS: Family = { ...ADAPTIVE, off: 'never', forced: 'never' }

/** By prefix of the model's name, the first that fits. What is newer than these is taken to be like the strictest of the newest. */
const FAMILIES: readonly (readonly [prefix: string, family: Family])[] = [
  ['claude-3', BUDGET],
  ['claude-opus-4-1', { ...BUDGET, output: true }],
  ['claude-opus-4-5', { ...BUDGET, efforts: range('low', 'high'), output: true }],
  ['claude-opus-4-6', { ...ADAPTIVE, efforts: UP_TO_46 }],
  ['claude-opus-4-7', ADAPTIVE],
  ['claude-opus-4-8', ADAPTIVE],
  ['claude-opus-4', BUDGET],
  ['claude-opus-5-5', ALWAYS_THINKS],
  // It thinks where nothing is said.
  ['claude-opus-5', { ...ADAPTIVE, off: 'disabled' }],
  ['claude-sonnet-4-5', { ...BUDGET, output: true }],
  ['claude-sonnet-4-6', { ...ADAPTIVE, efforts: UP_TO_46 }],
  ['claude-sonnet-4', BUDGET],
  ['claude-sonnet-5-5', { ...ALWAYS_THINKS, off: 'between_tools' }],
  ['claude-sonnet-5', { ...ADAPTIVE, off: 'disabled' }],
  ['claude-haiku-4-5', { ...BUDGET, output: true }],
  ['claude-haiku-5-5', { ...ADAPTIVE, off: 'disabled' }],
]

const familyOf = (model: string): Family => FAMILIES.find(([prefix]) => model.startsWith(prefix))?.[1] ?? ALWAYS_THINKS

type Settings = Pick<
  MessageCreateParamsBase,
  'max_tokens' | 'thinking' | 'output_config' | 'tool_choice' | 'stop_sequences' | 'service_tier'
>

/** Of the request around the settings. */
interface Around {
  /** It goes on in the middle of a turn with tools whose last answer has no thinking of this model's. */
  midTurn: boolean
  seq: number
  drop: Drop
  raw: RawJson
}

/** The settings of a request. What the model does not take is left out and said. */
export function settings(model: ModelSpec, view: View, { midTurn, seq, drop, raw }: Around): Settings {
  const family = familyOf(model.name)
  for (const [what, value] of [
    ['temperature', model.temperature],
    ['top_p', model.topP],
  ] as const)
    if (value !== undefined) drop(seq, what, 'refused since anthropic-version 2026-10-21')
  const names = serverTools(model).map(({ name }) => name)
  const choice = choiceOf(model, view, names, seq, drop)
  const thinking = thinkingOf(model, family, isForced(choice), midTurn, seq, drop)
  return {
    max_tokens: model.maxOutputTokens,
    ...thinking,
    ...output(model, family, thinking, seq, drop, raw),
    ...toolChoice(model, family, choice, view.tools.length + names.length > 0, seq, drop),
    ...stops(model, seq, drop),
    ...tier(model, seq, drop),
  }
}

/** A forced call and thinking exclude each other: the call is what was asked for by name, so thinking gives way. */
function thinkingOf(
  model: ModelSpec,
  family: Family,
  forced: boolean,
  midTurn: boolean,
  seq: number,
  drop: Drop,
): Pick<Settings, 'thinking'> {
  const { reasoning } = model
  const off = forced && family.forced === 'without_thinking'
  const budget = reasoning?.budgetTokens
  const thinks = family.thinking === 'budget' ? budget !== undefined : reasoning || family.off !== 'absent'
  if (off && thinks) drop(seq, 'reasoning', 'a tool call is forced, which this model takes only without thinking')
  if (off || reasoning?.effort === 'none') return turnedOff(model, family, seq, drop)
  if (!reasoning) return {}
  if (family.thinking === 'adaptive') {
    if (budget !== undefined) drop(seq, 'reasoning budget', `${model.name} decides by itself how much to think`)
    // Without `display` the newer models stream empty thinking.
    return { thinking: { type: 'adaptive', display: 'summarized' } }
  }
  if (budget === undefined) return {}
  if (midTurn) {
    drop(seq, 'reasoning budget', 'this turn began without thinking of this model: it thinks from the next turn on')
    return {}
  }
  const fits = Math.min(budget, model.maxOutputTokens - 1)
  if (fits >= 1024) return { thinking: { type: 'enabled', budget_tokens: fits } }
  drop(seq, 'reasoning budget', 'the budget must be at least 1024 and below the maximum of output tokens')
  return {}
}

function turnedOff(model: ModelSpec, family: Family, seq: number, drop: Drop): Pick<Settings, 'thinking'> {
  if (family.off === 'never') drop(seq, 'effort none', `${model.name} always thinks: its lowest effort is sent`)
  if (family.off === 'between_tools') drop(seq, 'effort none', `${model.name} still thinks between its tool calls`)
  return family.off === 'absent' || family.off === 'never' ? {} : { thinking: { type: family.off } }
}

function output(
  model: ModelSpec,
  family: Family,
  { thinking }: Pick<Settings, 'thinking'>,
  seq: number,
  drop: Drop,
  raw: RawJson,
): Pick<Settings, 'output_config'> {
  // Whoever turned thinking off asks for as little as there is, where it cannot be turned off.
  const none = model.reasoning?.effort === 'none'
  const lowest = none && family.off === 'never' ? family.efforts[0] : undefined
  // With thinking turned off the newest models take no more than `high`.
  const levels =
    thinking?.type === 'disabled' ? family.efforts.filter((e) => e !== 'xhigh' && e !== 'max') : family.efforts
  const effort = none ? lowest : effortFor(model, levels, seq, drop)
  const { output: wanted } = model
  if (wanted && !family.output) drop(seq, 'output schema', `${model.name} takes none`)
  const format =
    wanted && family.output
      ? { type: 'json_schema' as const, schema: raw.of(wanted.schema) as Record<string, unknown> }
      : undefined
  if (!effort && !format) return {}
  return { output_config: { ...(effort ? { effort } : {}), ...(format ? { format } : {}) } }
}

function toolChoice(
  model: ModelSpec,
  family: Family,
  choice: Choice | undefined,
  tools: boolean,
  seq: number,
  drop: Drop,
): Pick<Settings, 'tool_choice'> {
  const taken = isForced(choice) && family.forced === 'never' ? undefined : choice
  if (choice && !taken) drop(seq, 'tool choice', `${model.name} takes no forced tool call`)
  const single = model.parallelToolCalls === false && tools ? { disable_parallel_tool_use: true } : {}
  if (taken?.kind === 'none') return { tool_choice: { type: 'none' } }
  if (taken?.kind === 'tool') return { tool_choice: { type: 'tool', name: taken.name, ...single } }
  if (taken?.kind === 'required') return { tool_choice: { type: 'any', ...single } }
  return taken || 'disable_parallel_tool_use' in single ? { tool_choice: { type: 'auto', ...single } } : {}
}

function stops({ stop = [] }: ModelSpec, seq: number, drop: Drop): Pick<Settings, 'stop_sequences'> {
  const taken = stop.filter((text) => text.trim() !== '')
  if (taken.length < stop.length) drop(seq, 'stop', 'a stop text of blanks alone is refused')
  return taken.length > 0 ? { stop_sequences: taken } : {}
}

function tier({ serviceTier }: ModelSpec, seq: number, drop: Drop): Pick<Settings, 'service_tier'> {
  if (serviceTier === 'auto') return { service_tier: 'auto' }
  if (serviceTier === 'standard') return { service_tier: 'standard_only' }
  if (serviceTier === 'flex') drop(seq, 'service tier flex', 'Anthropic has none')
  // Priority is a commitment of the account, used where `auto` allows it.
  return serviceTier === 'priority' ? { service_tier: 'auto' } : {}
}
