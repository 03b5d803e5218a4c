/**
 * Searches in a thread of its own, outside of jest's realm, where every look at a global is slow: the same cases in half the time. Asked by
 * name; answers with what was found, as text.
 */
import { parentPort } from 'node:worker_threads'
import { explore } from './engine'
import { HOLD } from './hold'
import { logText, makeModel } from './model'
import { WRONG } from './wrong'

export type Search = { kind: 'hold' | 'wrong' | 'right'; name: string }
export interface Searched {
  /** Each finding with its trace. */
  told: string[]
  what: string[]
  cut: boolean
}

/** Enough for a loaded machine: what is to be found is there, however long it takes. */
const SECONDS = 600

export function search({ kind, name }: Search): Searched {
  if (kind === 'hold') {
    const { ci, scope } = HOLD[name]!
    return searched(explore(makeModel({ ...scope, total: ci ?? 0 }), { seconds: SECONDS, ends: true }))
  }
  const { switches, rules, expect, ...scope } = WRONG[name]!
  if (kind === 'wrong')
    return searched(explore(makeModel({ ...scope, switches, rules }), { seconds: SECONDS, until: expect }))
  return searched(explore(makeModel({ ...scope, mayWait: true, mustInterrupt: false }), { seconds: 1 }))
}

function searched({
  found,
  cut,
}: ReturnType<typeof explore<ReturnType<ReturnType<typeof makeModel>['init']>>>): Searched {
  return {
    told: found.map((f) => [f.what, ...f.names, ...logText(f.world)].join('\n')),
    what: found.map((f) => f.what),
    cut,
  }
}

parentPort?.on('message', (asked: Search) => parentPort?.postMessage(search(asked)))
