/**
 * The explorer by hand: `npm run explore -- --seconds 600 [--seed n] [--wide] [--wrong] [--depth ci] [name ...]`. Searches each case to
 * its end, or until its share of the time is over, then walks the wide ones at random. Exit code 1 where a property fails, or a wrong
 * rule gets through; the trace is printed.
 */
import { parseArgs } from 'node:util'
import { explore, walk, type Found } from './engine'
import { HOLD, WIDE } from './hold'
import { logText, makeModel } from './model'
import type { World } from './world'
import { WRONG } from './wrong'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    depth: { type: 'string', default: 'deep' },
    wide: { type: 'boolean', default: false },
    hold: { type: 'boolean', default: false },
    wrong: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    ends: { type: 'boolean', default: true },
  },
})
const every = !values.wide && !values.wrong && !values.hold
const chosen = (name: string): boolean => positionals.length === 0 || positionals.includes(name)
const hold = Object.entries(HOLD).filter(([name]) => (every || values.hold) && chosen(name))
const wide = Object.entries(WIDE).filter(([name]) => (every || values.wide) && chosen(name))
const wrong = Object.entries(WRONG).filter(([name]) => (every || values.wrong) && chosen(name))
const deadline = Date.now() + Number(values.seconds) * 1000
let bad = 0
let left = hold.length + 2 * wide.length
let states = 0
/** An equal share of the time that is left: what a small case does not use, the later ones have. */
const share = (parts: number): number => Math.max(1, ((deadline - Date.now()) / 1000) * (parts / Math.max(1, left)))

const print = (found: Found<World>[]): void => {
  for (const f of found)
    console.log(
      [
        `  ${f.what}`,
        ...f.names.map((n, i) => `  ${String(i + 1).padStart(3)} ${n}`),
        ...logText(f.world).map((l) => `  ${l}`),
      ].join('\n'),
    )
}
for (const [name, { expect, ...scope }] of wrong) {
  const r = explore(makeModel(scope), { seconds: 120, until: expect })
  const caught = r.found.find((f) => f.what.startsWith(expect))
  if (!caught) bad++
  states += r.states
  console.log(
    `${caught ? 'caught' : 'MISSED'} ${name}: ${caught ? `${caught.what} [${caught.depth} steps]` : expect}; ${r.states} states, ${r.ms} ms${r.cut ? ', CUT SHORT' : ''}`,
  )
  if (values.trace || !caught) print(caught ? [caught] : r.found)
}
for (const [name, c] of hold) {
  const total = values.depth === 'ci' ? c.ci : c.deep
  if (total === null) continue
  const r = explore(makeModel({ ...c.scope, total }), { seconds: share(1), ends: values.ends })
  left--
  states += r.states
  if (r.found.length > 0) bad++
  console.log(
    `${r.found.length > 0 ? 'FAILS ' : 'holds '} ${name}: ${r.states} states, depth ${r.depth}, ${r.ends} ends, faults ${total}, ${r.ms} ms${r.cut ? ', CUT SHORT' : ''}`,
  )
  print(r.found)
}
for (const [name, scope] of wide) {
  const r = walk(makeModel(scope), { seconds: share(2), seed: Number(values.seed) })
  left -= 2
  if (r.found.length > 0) bad++
  console.log(
    `${r.found.length > 0 ? 'FAILS ' : 'holds '} ${name}: ${r.walks} random walks, ${r.steps} steps, seed ${values.seed}, ${r.ms} ms`,
  )
  print(r.found)
}
console.log(`${states} states; ${bad === 0 ? 'everything holds' : `${bad} wrong`}`)
process.exitCode = bad === 0 ? 0 : 1
