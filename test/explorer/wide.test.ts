import { walk } from './engine'
import { WIDE } from './hold'
import { logText, makeModel } from './model'

// A counted number of walks, so that a slow machine tests the same; the seed changes by day, and is in the message of a failure.
const seed = Number(process.env.SAVEFILE_SEED ?? Math.floor(Date.now() / 86_400_000))

describe('random walks with many faults hold', () => {
  it.each(Object.entries(WIDE))(`%s (seed ${seed})`, (_name, scope) => {
    const { found, walks } = walk(makeModel(scope), { seconds: Infinity, seed, walks: 200 })
    expect(found.map((f) => [`seed ${seed}`, f.what, ...f.names, ...logText(f.world)].join('\n'))).toEqual([])
    expect(walks).toBe(200)
  })
})
