/** What a call cost, where it is known. */
import type { Usage } from '../../contract/events'
import { costHint, costUsdMicros } from '../../providers/prices'

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
