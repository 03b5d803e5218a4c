/**
 * What models cost, as far as it is known: list prices in US dollars per million tokens. A model that is not here has no price, and limits
 * in money do not bind it.
 *
 * As of 2026-10-24. Claude: platform.claude.com/docs/en/about-claude/pricing and the overview pages of the models. OpenAI: its pricing page
 * (developers.openai.com/api/docs/pricing) as recorded in dated price tables (TheKrush/PromptFuel v1.0.19 to v1.0.23, kannandreans/agent-top
 * v0.9.1, openai-cost, openai-models). Not represented: OpenAI's tariff above 272,000 tokens, tiers, batches, one-hour cache writes, and
 * Claude's surcharges for regions.
 */
import type { Usage } from '../contract/events'

export const PRICES_AS_OF = '2026-10-24'

interface Price {
  input: number
  output: number
  cacheRead: number
  cacheWrite: number
  /** Prompts longer than `over` tokens cost so many times as much, the answer included. */
  long?: { over: number; times: number }
}

const claude = (input: number, output: number, cacheRead = input / 10): Price => ({
  input,
  output,
  cacheRead,
  cacheWrite: input * 1.25,
})
const gpt = (input: number, output: number, cacheRead: number, cacheWrite = input): Price => ({
  input,
  output,
  cacheRead,
  cacheWrite,
})

const PRICES: Readonly<Record<string, Price>> = {
  'claude-fable-5-1': claude(10, 50, 0.25),
  'claude-fable-5': claude(10, 50),
  'claude-opus-5-5': claude(4, 20, 0.2),
  'claude-opus-5': claude(5, 25),
  'claude-opus-4-8': claude(5, 25),
  'claude-opus-4-7': claude(5, 25),
  'claude-opus-4-6': claude(5, 25),
  'claude-opus-4-5': claude(5, 25),
  'claude-opus-4-1': claude(15, 75),
  'claude-opus-4': claude(15, 75),
  'claude-sonnet-5-5': claude(2, 10, 0.1),
  'claude-sonnet-5': claude(2, 10),
  'claude-sonnet-4-6': claude(3, 15),
  'claude-sonnet-4-5': claude(3, 15),
  'claude-sonnet-4': claude(3, 15),
  'claude-haiku-5-5': { ...claude(0.1, 0.5), long: { over: 100_000, times: 5 } },
  'claude-haiku-4-5': claude(1, 5),
  'gpt-6-astra': gpt(10, 50, 1),
  'gpt-6-sol': gpt(2, 10, 0.2, 2.5),
  'gpt-6-luna': gpt(0.1, 0.5, 0.01, 0.125),
  'gpt-5.6-terra': gpt(2, 12, 0.2),
  'gpt-5.6-luna': gpt(0.2, 1.2, 0.02),
  'gpt-5.5': gpt(5, 30, 0.5),
  'gpt-5.4': gpt(2.5, 15, 0.25),
  'gpt-5.4-mini': gpt(0.75, 4.5, 0.075),
  'gpt-5': gpt(1.25, 10, 0.125),
  'gpt-5-mini': gpt(0.25, 2, 0.025),
  'gpt-5-nano': gpt(0.05, 0.4, 0.005),
  'gpt-4o': gpt(2.5, 10, 1.25),
  'gpt-4o-mini': gpt(0.15, 0.6, 0.075),
}

/** A name with or without its date: another ending is another model, with another price. */
function priceOf(model: string): Price | undefined {
  const plain = model.replace(/(?:-0|-latest|-\d{4}-\d{2}-\d{2}|-\d{8})$/, '')
  return [model, plain].map((name) => (Object.hasOwn(PRICES, name) ? PRICES[name] : undefined)).find((price) => price)
}

/** Millionths of a US dollar, rounded up; undefined where the price of the model is not known. */
export function costUsdMicros(model: string, usage: Usage): number | undefined {
  const price = priceOf(model)
  if (!price) return undefined
  const times = price.long && usage.input > price.long.over ? price.long.times : 1
  const fresh = Math.max(0, usage.input - usage.cacheRead - usage.cacheWrite)
  const dollarsPerMillion =
    fresh * price.input +
    usage.cacheRead * price.cacheRead +
    usage.cacheWrite * price.cacheWrite +
    usage.output * price.output
  // Rounding of binary fractions must not add a micro.
  return Math.ceil(Number((dollarsPerMillion * times).toFixed(6)))
}

/** One sentence for people who are about to use a model: what it may cost. `tokens`: what they are about to use, at most. */
export function costHint(model: string, tokens: { input: number; output: number }): string {
  const price = priceOf(model)
  if (!price) return `No price is known here for ${model}: see its provider's price list.`
  const most = costUsdMicros(model, { ...tokens, cacheRead: 0, cacheWrite: 0, reasoning: 0 }) ?? 0
  const cents = Math.max(0.01, Math.ceil(most / 10_000) / 100).toFixed(2)
  return `${model} costs $${price.input} per million tokens in and $${price.output} out (list prices of ${PRICES_AS_OF}): at most about $${cents} for this.`
}
