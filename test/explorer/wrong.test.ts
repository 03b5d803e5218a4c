import { explore } from './engine'
import { makeModel } from './model'
import { WRONG } from './wrong'

// Each wrong rule is seen to break, with the counterexample that docs/protocol.md names: else the explorer would be blind to it.
// Seconds enough for a loaded machine: what is to be found is there, however long it takes.
describe('a wrong rule is caught', () => {
  it.each(Object.entries(WRONG))('%s', (_name, { expect: expected, ...scope }) => {
    const { found } = explore(makeModel(scope), { seconds: 600, until: expected })
    expect(found.map((f) => f.what)).toContainEqual(expect.stringMatching(`^${escape(expected)}`))
  })
})

describe('without the wrong rule the same case holds', () => {
  const seen = new Set<string>()
  const cases = Object.entries(WRONG).filter(([, { switches: _s, rules: _r, expect: _e, ...scope }]) => {
    const key = JSON.stringify(scope)
    return !seen.has(key) && seen.add(key)
  })
  it.each(cases)('%s', (_name, { switches: _s, rules: _r, expect: _e, ...scope }) => {
    const { found } = explore(makeModel({ ...scope, mayWait: true, mustInterrupt: false }), { seconds: 1 })
    expect(found.map((f) => f.what)).toEqual([])
  })
})

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
