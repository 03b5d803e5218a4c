/**
 * What Postgres does in one transaction, under the rules of docs/protocol.md: claim, append, close; and the look of an executor, which is
 * the real nextStep over the log and the draft rows.
 */
import type { Definition } from '../../contract/definition'
import type { NewEvent } from '../../contract/events'
import { nextAfter } from '../../contract/fallbacks'
import { callId, parseStep } from '../../contract/ids'
import type { DraftView } from '../../contract/next-step'
import {
  entry,
  HASH,
  intern,
  keyOf,
  type Folded,
  type Look,
  type Proc,
  type Row,
  type Rules,
  type Switch,
  type World,
} from './world'

export interface Store {
  fold(log: readonly number[]): Folded
  look(w: World, s: number, epoch: number, grace: boolean, sig: number): Look
  appendExecutor(
    w: World,
    s: number,
    epoch: number,
    look: Look,
  ): 'stale_epoch' | 'head_moved' | 'closed' | 'appended' | 'nothing'
  appendPerson(w: World, s: number, event: NewEvent, client: string): void
  has(w: World, s: number, key: string): boolean
  hasInLineage(w: World, s: number, key: string): boolean
  /** The live process that holds this row. */
  holder(w: World, s: number, step: string, row: Row): (Proc & { k: 'step' }) | undefined
}

export const stepProcs = (w: World): (Proc & { k: 'step' })[] =>
  w.procs.filter((p): p is Proc & { k: 'step' } => p.k === 'step')
const token = (row: Row): string => `${row.e}/${row.a}`

export function makeStore(
  fold: (log: readonly number[]) => Folded,
  rules: Rules,
  on: ReadonlySet<Switch>,
  answers: readonly string[][],
  definition: Definition,
): Store {
  const looks = new Map<string, Look>()

  const holder: Store['holder'] = (w, s, step, row) =>
    stepProcs(w).find((p) => p.s === s && p.step === step && p.e === row.e && p.a === row.a && p.pc < 3)

  /** The event that a finished row becomes. */
  const resultOf = (s: number, step: string, row: Row, f: Folded): DraftView['result'] => {
    const what = parseStep(step)
    if (what.kind === 'tool') {
      const kind = f.calls.find((c) => c.id === what.call)?.kind ?? '?'
      return { type: 'tool_finished', payload: { call: what.call, tool: kind, outcome: 'ok', blocks: [] } }
    }
    if (what.kind === 'checkpoint')
      return {
        type: 'checkpoint_made',
        payload: { step, lo: 1, hi: row.hi ?? 0, blocks: [{ type: 'text', text: 'sum' }], method: 'model' },
      }
    const calls = answers[f.answers] ?? []
    if (calls[0] === 'fail' || calls[0] === 'long') {
      const failure = calls[0] === 'long' ? 'context_exceeded' : 'overloaded'
      const next = nextAfter(f.tried, definition, failure)
      return {
        type: 'model_failed',
        payload: { step, class: failure, retryable: true, attempts: [], message: '', ...(next ? { next } : {}) },
      }
    }
    const pause = calls[0] === 'pause'
    return {
      type: 'model_answered',
      payload: {
        step,
        provider: 'p',
        model: 'm',
        blocks: pause
          ? []
          : calls.map((name, i) => ({ type: 'tool_call', call: callId(`s${s}`, what.due, i), name, args: '{}' })),
        stop: pause ? 'pause' : 'end',
        usage: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
        timings: { startedAt: 0, totalMs: 0 },
        manifest: { view: 1, definition: HASH, prev: row.prev ?? 0, saw: row.saw ?? [], dropped: [], requestHash: '' },
        attempts: [],
      },
    }
  }

  const viewOf = (w: World, s: number, step: string, row: Row, f: Folded): DraftView => {
    const process = row.st === 'c' ? holder(w, s, step, row) : undefined
    return {
      step,
      state: row.st === 'c' ? 'running' : row.st === 'f' ? 'finished' : 'closed',
      token: token(row),
      fresh: process !== undefined && !process.frozen,
      outcome: row.st === 'x' ? (row.o ?? null) : null,
      result: row.st === 'f' ? resultOf(s, step, row, f) : null,
    }
  }

  const look: Store['look'] = (w, s, epoch, grace, sig) => {
    const { log, drafts } = w.ses[s]!
    const f = fold(log)
    const rows = Object.entries(drafts)
      .filter(([step, row]) => !(on.has('refuseOld') && step.startsWith('model') && row.st === 'f' && row.e !== epoch))
      .map(([step, row]): [string, DraftView] => [step, viewOf(w, s, step, row, f)])
    const beats = rows.map(([, row]) => (row.fresh ? 1 : 0)).join('')
    const key = `${s}|${log.join()}|${JSON.stringify(drafts)}|${beats}|${epoch}|${grace}|${sig}`
    const known = looks.get(key)
    if (known) return known
    const state = sig && f.tried.turn ? { ...f.tried, stop: sig } : f.tried
    const env = { now: 0, sha256: (text: string) => text, definition: () => definition, drafts: new Map(rows), grace }
    const d = rules.nextStep(state, env, { epoch, events: log.map(entry) })
    const made: Look = {
      head: log.length,
      events: d.events.map(({ fromDraft, ...event }) => {
        const sent = event.type === 'model_answered' ? drafts[fromDraft ?? '']?.sent : undefined
        return intern({ key: keyOf(event), e: epoch, event, ...(sent ? { sent } : {}) })
      }),
      closes: d.closes,
      run: d.run.map((r) => r.step),
      again: d.again,
      waits: d.waiting === 'approval' || d.waiting === 'deferred',
      settling: d.waiting === 'settling' && d.closes.length === 0,
      sig,
    }
    if (looks.size > 300_000) looks.clear()
    looks.set(key, made)
    return made
  }

  const has: Store['has'] = (w, s, key) => {
    const { log } = w.ses[s]!
    return log.slice(fold(log).truth.inherited).some((id) => entry(id).key === key)
  }

  const appendExecutor: Store['appendExecutor'] = (w, s, epoch, l) => {
    const ses = w.ses[s]!
    if (ses.epoch !== epoch) {
      if (!on.has('noFence')) return 'stale_epoch'
      if (l.events.length > 0 && (ses.log.length === l.head || on.has('noHead'))) w.bad ||= 'a stale epoch appended'
    }
    if (l.closes.length > 0) {
      for (const { step, token: seen, outcome } of l.closes) {
        const row = ses.drafts[step]
        if (row ? row.st === 'c' && token(row) === seen : seen === null)
          ses.drafts[step] = { st: 'x', o: outcome, e: epoch, a: 0 }
      }
      return 'closed'
    }
    if (l.events.length === 0) return 'nothing'
    if (ses.log.length !== l.head && !on.has('noHead')) return 'head_moved'
    for (const id of l.events) {
      const { key } = entry(id)
      if (has(w, s, key)) continue
      ses.log.push(id)
      if (on.has('gcOnPromote')) {
        delete ses.drafts[key]
        if (key.startsWith('result:')) delete ses.drafts[`tool@${key.slice(7)}`]
      }
    }
    return 'appended'
  }

  return {
    fold,
    look,
    appendExecutor,
    appendPerson(w, s, event, client) {
      const key = keyOf(event, client)
      if (!has(w, s, key)) w.ses[s]!.log.push(intern({ key, e: 0, event }))
    },
    has,
    hasInLineage: (w, s, key) => w.ses[s]!.log.some((id) => entry(id).key === key),
    holder,
  }
}
