/** What a worker takes from its environment: keys that leave it, one for both of OpenAI's APIs, and prices of one's own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Addresses } from '../../client/addresses'
import { readSettings } from '../../workers/settings'

const addresses = { databaseUrl: 'postgres://x', temporal: { address: 'x' } } as unknown as Addresses
const read = (env: Record<string, string | undefined>) => readSettings(env, addresses, { tools: [] })
const usage = { input: 1_000_000, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 }

test('keys are taken out of the environment, and an address alone is enough for a server of one’s own', () => {
  const env = { ANTHROPIC_API_KEY: 'a', OPENAI_API_KEY: 'o', OPENAI_BASE_URL: 'http://x/v1' }
  const names = (): string[] => [...read(env).providers.keys()]
  expect(names()).toEqual(['anthropic', 'openai-chat', 'openai-responses'])
  expect(env).toEqual({ OPENAI_BASE_URL: 'http://x/v1' })
  expect(names()).toEqual(['openai-chat', 'openai-responses'])
  expect([...read({}).providers]).toEqual([])
})

test('prices of one’s own count; a file that is wrong keeps the worker from starting, and says why', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'prices-'))
  const file = path.join(folder, 'prices.json')
  try {
    writeFileSync(file, '{"my-model":{"input":2,"output":3}}')
    expect(read({ SAVEFILE_PRICES: file }).prices.costUsdMicros('my-model', usage)).toBe(2_000_000)
    expect(read({}).prices.costUsdMicros('my-model', usage)).toBeUndefined()
    writeFileSync(file, '{"my-model":{"input":2}}')
    expect(() => read({ SAVEFILE_PRICES: file })).toThrow(expect.objectContaining({ code: 'setup_failed' }))
    expect(() => read({ SAVEFILE_PRICES: file })).toThrow(/my-model\.output/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
