import { searcher } from './ask'
import { WRONG } from './wrong'

jest.setTimeout(600_000)

const { ask, end } = searcher()
afterAll(end)

// Each wrong rule is seen to break, with the counterexample that docs/protocol.md names: else the explorer would be blind to it.
describe('a wrong rule is caught', () => {
  it.each(Object.entries(WRONG))('%s', async (name, { expect: expected }) => {
    const { what } = await ask({ kind: 'wrong', name })
    expect(what).toContainEqual(expect.stringMatching(`^${escape(expected)}`))
  })
})

describe('without the wrong rule the same case holds', () => {
  const seen = new Set<string>()
  const cases = Object.entries(WRONG).filter(([, { switches: _s, rules: _r, expect: _e, ...scope }]) => {
    const key = JSON.stringify(scope)
    return !seen.has(key) && seen.add(key)
  })
  it.each(cases)('%s', async (name) => {
    expect((await ask({ kind: 'right', name })).what).toEqual([])
  })
})

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
