/** What a call cost, where it is known. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Usage } from '../../contract/events'
import { costHint, costUsdMicros, createPrices, readPrices } from '../../providers/prices'

const usage = (input: number, output: number, cacheRead = 0, cacheWrite = 0): Usage => ({
  input,
  output,
  cacheRead,
  cacheWrite,
  reasoning: 0,
})

test('tokens from the cache have their own prices, and count once', () => {
  // 1,000 fresh at $3, 8,000 read at $0.30, 1,000 written at $3.75, 500 out at $15.
  expect(costUsdMicros('claude-sonnet-4-6', usage(10_000, 500, 8000, 1000))).toBe(3000 + 2400 + 3750 + 7500)
})

test.each([
  ['claude-haiku-4-5-20251001', 1],
  ['claude-sonnet-4-0', 3],
  ['claude-sonnet-4-20250514', 3],
  ['gpt-4o-2024-08-06', 2.5],
  ['gpt-5.4-mini', 0.75],
])('%s is priced with or without its date', (model, price) => {
  expect(costUsdMicros(model, usage(1_000_000, 0))).toBe(price * 1e6)
})

test.each(['gpt-5-pro', 'gpt-5.7', 'claude-opus-9', 'scripted', 'toString', ''])(
  '%s has no known price: another ending is another model',
  (model) => {
    expect(costUsdMicros(model, usage(1_000_000, 0))).toBeUndefined()
  },
)

test('long prompts cost more where the vendor says so', () => {
  expect(costUsdMicros('claude-haiku-5-5', usage(100_000, 0))).toBe(10_000)
  expect(costUsdMicros('claude-haiku-5-5', usage(100_001, 0))).toBe(50_001)
})

test('a fraction of a micro is rounded up, and never for binary reasons', () => {
  expect(costUsdMicros('gpt-4o-mini', usage(1, 0))).toBe(1)
  // 4 × 0.05 + 7 × 0.4 is 3.0000000000000004 in binary.
  expect(costUsdMicros('gpt-5-nano', usage(4, 7))).toBe(3)
})

test('people are told what it may cost, or that nobody knows', () => {
  expect(costHint('claude-haiku-4-5', { input: 100_000, output: 5000 })).toBe(
    'claude-haiku-4-5 costs $1 per million tokens in and $5 out (list prices of 2026-10-24): at most about $0.13 for this.',
  )
  expect(costHint('llama', { input: 1, output: 1 })).toContain('No price is known here for llama')
})

test('what is kept in the cache for an hour costs more to write, and a tier has its factor', () => {
  // 1,000 written at $3.75, of which 400 at $6.
  expect(costUsdMicros('claude-sonnet-4-6', usage(1000, 0, 0, 1000), { cacheWrite1h: 400 })).toBe(2250 + 2400)
  expect(costUsdMicros('gpt-5', usage(1000, 0), { tier: 'flex' })).toBe(625)
  expect(costUsdMicros('gpt-5', usage(1000, 0), { tier: 'priority' })).toBe(2500)
  expect(costUsdMicros('claude-sonnet-4-6', usage(1000, 0), { tier: 'priority' })).toBeUndefined()
})

describe('prices of one’s own', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'prices-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const file = (text: string): string => {
    const name = path.join(folder, 'prices.json')
    writeFileSync(name, text)
    return name
  }

  test('they go over the ones that are known, and leave the others', () => {
    const own = {
      'my-model': { input: 1, output: 2 },
      'gpt-4o': { input: 9, output: 9, cacheRead: 0.5, tiers: { flex: 0.1 } },
    }
    const prices = createPrices(readPrices(file(JSON.stringify(own))))
    expect(prices.costUsdMicros('my-model', usage(1000, 1000, 500))).toBe(3000)
    expect(prices.costUsdMicros('my-model-2026-01-01', usage(1000, 0))).toBe(1000)
    expect(prices.costUsdMicros('gpt-4o-2024-08-06', usage(1000, 0, 1000), { tier: 'flex' })).toBe(50)
    expect(prices.costUsdMicros('gpt-5', usage(1000, 0))).toBe(1250)
    expect(prices.costHint('my-model', { input: 1, output: 1 })).toContain('my-model costs $1')
  })

  test.each([
    ['{"a": {"input": 1}}', /a\.output/],
    ['{"a": {"input": -1, "output": 1}}', /a\.input/],
    ['{"a": {"input": 1, "output": 1, "cached": 1}}', /cached/],
    ['[1]', /the file/],
    ['{', /not JSON/],
  ])('a file that is wrong (%s) says where, and what would be right', (text, what) => {
    expect(() => readPrices(file(text))).toThrow(what)
    expect(() => readPrices(file(text))).toThrow(/Right would be/)
    expect(() => readPrices(path.join(folder, 'none.json'))).toThrow(/SAVEFILE_PRICES.*ENOENT/)
  })
})
