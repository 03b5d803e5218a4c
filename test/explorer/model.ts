/**
 * A scope as a model that the engine can search: the first world, what must hold in each, what must not be an end.
 */
import { nextStep } from '../../contract/next-step'
import { reduce } from '../../contract/reduce'
import { makeStore } from './database'
import type { Model } from './engine'
import { makeActions } from './processes'
import type { Scope } from './scope'
import {
  definitionOf,
  entry,
  FAULTS,
  HASH,
  intern,
  isDeferredKind,
  isSafeKind,
  keyOf,
  makeReader,
  realRequest,
  type Rules,
  type World,
} from './world'

const REAL: Rules = { reduce, nextStep, request: realRequest }

export function makeModel(scope: Scope): Model<World> {
  const rules: Rules = { ...REAL, ...scope.rules }
  const on = new Set(scope.switches)
  const fold = makeReader(rules)
  const definition = definitionOf(scope)
  const store = makeStore(fold, rules, on, scope.answers, definition)
  const actions = makeActions(scope, definition, store, rules, on)
  const sessions = scope.people.some((p) => p.some((x) => x.do === 'fork')) ? 2 : 1
  const clusters = scope.clusters ?? 1

  const init = (): World => {
    const event = { type: 'session_created' as const, payload: { definition: HASH, origin: { kind: 'new' as const } } }
    const created = intern({ key: keyOf(event), e: 0, event })
    const none = Object.fromEntries(FAULTS.map((f) => [f, 0])) as World['left']
    return {
      ses: Array.from({ length: sessions }, (_, s) => ({ log: s ? [] : [created], epoch: 0, owner: 0, drafts: {} })),
      runs: Array.from({ length: clusters }, () => Array.from({ length: sessions }, () => null)),
      runIds: 0,
      procs: [],
      nudges: Array.from({ length: clusters }, () => Array.from({ length: sessions }, () => 0)),
      people: scope.people.map(() => 0),
      left: { ...none, ...scope.faults, total: scope.total },
      effects: {},
      paid: {},
      answered: {},
      claimed: {},
      signal: 0,
      bad: '',
      lost: '',
    }
  }

  const check = (w: World): string | null => {
    if (w.bad) return w.bad
    if (scope.soft && w.lost) return `a received ${w.lost} was thrown away, though nobody had taken over`
    const family = new Map<string, { n: number; may: number; kind: string }>()
    for (const [s, { log }] of w.ses.entries()) {
      const f = fold(log)
      if (f.bad) return f.bad
      const { inherited } = f.truth
      for (const c of f.calls) {
        if (isDeferredKind(c.kind)) continue
        const n = w.effects[`${s}>${c.id}`] ?? 0
        const all = family.get(c.id) ?? { n: 0, may: 1, kind: c.kind }
        all.n += n
        if (s > 0 && c.allowedHere && c.answer <= inherited) all.may++
        // Its owner said so.
        if (f.truth.rerun && c.started && c.started <= inherited) all.may++
        family.set(c.id, all)
        if (!isSafeKind(c.kind) && n > 1) return `effect of an unsafe tool twice ~ ${c.id}`
        if (c.finished <= inherited) continue
        if (c.outcome === 'ok' && n === 0) return 'recorded as ok without an effect'
        if ((c.outcome === 'cancelled' || c.outcome === 'denied') && n > 0)
          return `recorded as ${c.outcome}, yet it took effect`
        if (scope.soft && c.outcome === 'unknown' && c.answer > inherited && !w.claimed[`${s}>${c.id}`])
          return 'recorded as unknown, though it provably never began'
      }
    }
    for (const [id, x] of family)
      if (!isSafeKind(x.kind) && x.n > x.may)
        return `effect of an unsafe tool twice in a family of forks without a decision in the fork ~ ${id}`
    const dear = Object.entries(w.paid).find(([, n]) => scope.maxPaid !== undefined && n > scope.maxPaid)
    return dear ? `one step paid for ${dear[1]} times ~ ${dear[0]}` : null
  }

  const done = (w: World): string | null => {
    for (const [s, { log }] of w.ses.entries()) {
      if (log.length === 0) continue
      const f = fold(log)
      if (f.truth.turn && !f.tried.turn) return 'a message was never answered'
      if (!f.tried.turn) continue
      const l = store.look(w, s, -1, false, 0)
      if (l.events.length + l.closes.length + l.run.length > 0)
        return 'stuck: there is work, all is quiet, nothing will happen'
      if (!scope.mayWait) return 'ends waiting for a person who has no more to say'
    }
    if (!on.has('waitOpen') && w.runs.flat().some((run) => run !== null)) return 'a run stays open for nothing'
    if (scope.mustInterrupt && !w.ses[0]!.log.some((id) => entry(id).event.type === 'interrupted'))
      return 'an interrupt was lost'
    return null
  }

  const sorted = <T>(o: Record<string, T>): Record<string, T> => {
    const keys = Object.keys(o)
    return keys.length < 2 ? o : Object.fromEntries(keys.sort().map((k) => [k, o[k]!]))
  }
  /** One text for each state: keys sorted, processes in an order of their own. */
  const encode = (w: World): string => {
    for (const ses of w.ses) ses.drafts = sorted(ses.drafts)
    w.effects = sorted(w.effects)
    w.paid = sorted(w.paid)
    w.answered = sorted(w.answered)
    w.claimed = sorted(w.claimed)
    for (const runs of w.runs) for (const run of runs) if (run) run.flight = sorted(run.flight)
    if (w.procs.length > 1)
      w.procs = w.procs
        .map((p): [string, (typeof w.procs)[number]] => [JSON.stringify(p), p])
        .sort((a, b) => (a[0] < b[0] ? -1 : 1))
        .map(([, p]) => p)
    return JSON.stringify(w)
  }
  return { init, actions, check, done, encode, decode: (text) => JSON.parse(text) as World }
}

/** The logs of a world, for people. */
export function logText(w: World): string[] {
  return w.ses.flatMap(({ log }, s) =>
    log.map((id, i) => {
      const { event, e } = entry(id)
      return `log ${s}: ${i + 1} ${event.type} ${JSON.stringify(event.payload)}${e ? ` e${e}` : ''}`
    }),
  )
}
