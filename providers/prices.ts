/**
 * What models cost, as far as it is known: list prices in US dollars per million tokens. A model that is not here has no price, and limits
 * in money do not bind it; nor does a service tier whose price is not known. A file of one's own goes over it (docs/providers.md).
 *
 * As of 2026-10-24. Claude: platform.claude.com/docs/en/about-claude/pricing and the overview pages of the models. OpenAI: its pricing page
 * (developers.openai.com/api/docs/pricing) as recorded in dated price tables (TheKrush/PromptFuel v1.0.19 to v1.0.23, kannandreans/agent-top
 * v0.9.1, openai-cost, openai-models); tiers from openai.com/api-priority-processing and tokenmix.ai, June 2026. Not represented: OpenAI's
 * tariff above 272,000 tokens, batches, and Claude's surcharges for regions.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { SavefileError } from '../contract/errors'
import type { Usage } from '../contract/events'
import type { Billed } from '../contract/provider-port'

export const PRICES_AS_OF = '2026-10-24'

const Dollars = z.number().nonnegative()
const Price = z.strictObject({
  input: Dollars,
  output: Dollars,
  /** As fresh ones where absent. */
  cacheRead: Dollars.optional(),
  cacheWrite: Dollars.optional(),
  /** Kept for an hour; as `cacheWrite` where absent. */
  cacheWrite1h: Dollars.optional(),
  /** Prompts longer than `over` tokens cost so many times as much, the answer included. */
  long: z.strictObject({ over: z.int().positive(), times: z.number().positive() }).optional(),
  /** By service tier: so many times as much. */
  tiers: z.record(z.string(), z.number().nonnegative()).optional(),
})
type Price = z.infer<typeof Price>
type Prices = Readonly<Record<string, Price>>

const claude = (input: number, output: number, cacheRead = input / 10): Price => ({
  input,
  output,
  cacheRead,
  cacheWrite: input * 1.25,
  cacheWrite1h: input * 2,
})
const gpt = (input: number, output: number, cacheRead: number, priority?: number, cacheWrite = input): Price => ({
  input,
  output,
  cacheRead,
  cacheWrite,
  ...(priority ? { tiers: { flex: 0.5, priority } } : {}),
})

const PRICES: Prices = {
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
  'gpt-6-sol': gpt(2, 10, 0.2, undefined, 2.5),
  'gpt-6-luna': gpt(0.1, 0.5, 0.01, undefined, 0.125),
  'gpt-5.6-terra': gpt(2, 12, 0.2),
  'gpt-5.6-luna': gpt(0.2, 1.2, 0.02),
  'gpt-5.5': gpt(5, 30, 0.5, 2.5),
  'gpt-5.4': gpt(2.5, 15, 0.25, 2),
  'gpt-5.4-mini': gpt(0.75, 4.5, 0.075, 2),
  'gpt-5.1': gpt(1.25, 10, 0.125, 2),
  'gpt-5': gpt(1.25, 10, 0.125, 2),
  'gpt-5-mini': gpt(0.25, 2, 0.025, 1.8),
  'gpt-5-nano': gpt(0.05, 0.4, 0.005),
  'gpt-4o': gpt(2.5, 10, 1.25, 1.7),
  'gpt-4o-mini': gpt(0.15, 0.6, 0.075, 5 / 3),
}

export interface PriceList {
  /** Millionths of a US dollar, rounded up; undefined where the price is not known. */
  costUsdMicros(model: string, usage: Usage, billed?: Billed): number | undefined
  /** One sentence for people who are about to use a model: what it may cost. `tokens`: what they are about to use, at most. */
  costHint(model: string, tokens: { input: number; output: number }): string
}

/** @param own by model, over those that are known here: with or without its date, as a whole. */
export function createPrices(own: Prices = {}): PriceList {
  const costUsdMicros: PriceList['costUsdMicros'] = (model, usage, billed = {}) => {
    const price = priceOf(model, own)
    const tier = billed.tier === undefined ? 1 : price?.tiers?.[billed.tier]
    if (!price || tier === undefined) return undefined
    const { input, cacheWrite = input, cacheRead = input, cacheWrite1h = cacheWrite } = price
    const times = (price.long && usage.input > price.long.over ? price.long.times : 1) * tier
    const fresh = Math.max(0, usage.input - usage.cacheRead - usage.cacheWrite)
    const hour = Math.min(billed.cacheWrite1h ?? 0, usage.cacheWrite)
    const dollarsPerMillion =
      fresh * input +
      usage.cacheRead * cacheRead +
      (usage.cacheWrite - hour) * cacheWrite +
      hour * cacheWrite1h +
      usage.output * price.output
    // Rounding of binary fractions must not add a micro.
    return Math.ceil(Number((dollarsPerMillion * times).toFixed(6)))
  }
  return {
    costUsdMicros,
    costHint(model, tokens) {
      const price = priceOf(model, own)
      if (!price) return `No price is known here for ${model}: see its provider's price list.`
      const most = costUsdMicros(model, { ...tokens, cacheRead: 0, cacheWrite: 0, reasoning: 0 }) ?? 0
      const cents = Math.max(0.01, Math.ceil(most / 10_000) / 100).toFixed(2)
      return `${model} costs $${price.input} per million tokens in and $${price.output} out (list prices of ${PRICES_AS_OF}): at most about $${cents} for this.`
    },
  }
}

export const { costUsdMicros, costHint } = createPrices()

/** A name with or without its date: another ending is another model, with another price. */
function priceOf(model: string, own: Prices): Price | undefined {
  const plain = model.replace(/(?:-0|-latest|-\d{4}-\d{2}-\d{2}|-\d{8})$/, '')
  for (const prices of [own, PRICES])
    for (const name of [model, plain]) if (Object.hasOwn(prices, name)) return prices[name]
  return undefined
}

/**
 * Prices from a JSON file: {"model": {"input": 1, "output": 5}}.
 * @throws SavefileError `setup_failed` that says what is wrong with it, and what would be right.
 */
export function readPrices(file: string): Prices {
  const wrong = (what: string): SavefileError =>
    new SavefileError(
      'setup_failed',
      `SAVEFILE_PRICES, the file ${file}: ${what}\nRight would be: {"my-model": {"input": 1.5, "output": 6, "cacheRead": 0.15}}, in US dollars per million tokens (docs/providers.md).`,
    )
  let json: unknown
  try {
    json = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw wrong(error instanceof SyntaxError ? `it is not JSON (${error.message}).` : String(error))
  }
  const parsed = z.record(z.string().min(1), Price).safeParse(json)
  if (parsed.success) return parsed.data
  throw wrong(parsed.error.issues.map((i) => `${i.path.join('.') || '(the file)'}: ${i.message}`).join('; '))
}
