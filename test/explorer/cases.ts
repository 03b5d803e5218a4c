import { searcher } from './ask'
import { HOLD } from './hold'

jest.setTimeout(600_000)

/** The cases that must hold, in two halves of about the same cost, so that they run beside each other. */
const HALVES = 2

export function describeCases(part: 1 | 2): void {
  const cases = Object.entries(HOLD).flatMap(([name, { ci }]) => (ci === null ? [] : [{ name, total: ci }]))
  describe('every interleaving holds, and every state reaches a good end', () => {
    const { ask, end } = searcher()
    afterAll(end)
    it.each(cases.filter((_, i) => i % HALVES === part - 1))('$name, $total faults', async ({ name }) => {
      const { told, cut } = await ask({ kind: 'hold', name })
      expect({ told, cut }).toEqual({ told: [], cut: false })
    })
  })
}
