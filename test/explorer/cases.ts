import { explore } from './engine'
import { HOLD } from './hold'
import { logText, makeModel } from './model'

/** The cases that must hold, in two halves of about the same cost, so that they run beside each other. */
const HALVES = 2

export function describeCases(part: 1 | 2): void {
  const cases = Object.entries(HOLD).flatMap(([name, { ci, scope }]) =>
    ci === null ? [] : [{ name, ...scope, total: ci }],
  )
  describe('every interleaving holds, and every state reaches a good end', () => {
    it.each(cases.filter((_, i) => i % HALVES === part - 1))('$name, $total faults', ({ name: _, ...scope }) => {
      const { found, cut } = explore(makeModel(scope), { seconds: 600, ends: true })
      const told = found.map((f) => [f.what, ...f.names, ...logText(f.world)].join('\n'))
      expect({ told, cut }).toEqual({ told: [], cut: false })
    })
  })
}
