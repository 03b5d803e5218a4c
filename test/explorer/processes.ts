/**
 * What can happen next: people, nudges, the reconciler, workflow runs, activity processes, sweeping. One action is one Postgres
 * transaction, one outside effect, or one decision of Temporal. Faults are drawn from a budget. Past 400 lines: the actions share one
 * closure over scope, store and switches, and a rule is checked by reading them side by side.
 */
import type { Definition } from '../../contract/definition'
import type { NewEvent } from '../../contract/events'
import { checkpointDue } from '../../contract/compaction'
import { parseStep } from '../../contract/ids'
import type { Action } from './engine'
import type { Scope } from './scope'
import { stepProcs, type Store } from './database'
import {
  entry,
  HASH,
  intern,
  isDeferredKind,
  isSafeKind,
  keyOf,
  type Fault,
  type Look,
  type Proc,
  type Rules,
  type Run,
  type Switch,
  type World,
} from './world'

type StepProc = Proc & { k: 'step' }
const say = (l: Look): string =>
  l.closes.length > 0
    ? `closes ${l.closes.map((c) => `${c.step} as ${c.outcome}`).join(', ')}`
    : l.events.length > 0
      ? `appends ${l.events.map((id) => describe(entry(id).event)).join(', ')}`
      : 'has nothing to append'
const describe = (e: NewEvent): string => e.type + ('outcome' in e.payload ? `:${e.payload.outcome}` : '')
const bump = (counts: Record<string, number>, key: string): number => (counts[key] = (counts[key] ?? 0) + 1)

export function makeActions(
  scope: Scope,
  definition: Definition,
  store: Store,
  rules: Rules,
  on: ReadonlySet<Switch>,
): (w: World) => Action<World>[] {
  const clusters = scope.clusters ?? 1

  const mine = (w: World, p: StepProc): Run | null => {
    const run = w.runs[p.c]![p.s]
    return run && run.epoch === p.e && run.flight[p.step] === p.a ? run : null
  }
  const startRun = (w: World, c: number, s: number): void => {
    w.runs[c]![s] = {
      id: ++w.runIds,
      epoch: 0,
      st: 'claim',
      nudged: false,
      grace: true,
      flight: {},
      look: null,
      sig: 0,
    }
  }
  const wake = (run: Run): void => {
    if (run.st === 'wait' || run.st === 'ask' || run.st === 'grace') run.st = 'look'
    else run.nudged = true
  }
  const nudge = (w: World, c: number, s: number): void => {
    const run = w.runs[c]![s]
    if (!run) startRun(w, c, s)
    else if (!(on.has('completeBlind') && run.st === 'wait' && Object.keys(run.flight).length === 0)) wake(run)
  }
  const spawn = (w: World, c: number, s: number, e: number, step: string, a: number): void =>
    void w.procs.push({ k: 'step', s, c, step, e, a, pc: 0, frozen: false })
  /** Rule 2: by the run's id, so that a repeat of a claim is the same claim. */
  const claim = (w: World, s: number, id: number): number => {
    const ses = w.ses[s]!
    if (ses.owner === id && !on.has('claimNotById')) return ses.epoch
    ses.owner = id
    ses.epoch++
    // Never claimed, no run, stale: such a process can do nothing any more.
    w.procs = w.procs.filter((p) => p.k !== 'step' || p.s !== s || p.pc > 0 || mine(w, p) || on.has('claimNoEpoch'))
    return ses.epoch
  }
  const settle = (w: World, c: number, s: number, status: string, l: Look): void => {
    const run = w.runs[c]![s]!
    run.look = null
    if (status === 'stale_epoch') {
      if (on.has('staleReclaim') && w.left.reclaim > 0) {
        w.left.reclaim--
        Object.assign(run, { st: 'claim', epoch: 0, flight: {} })
      } else w.runs[c]![s] = null
      return
    }
    if (status === 'head_moved' || l.closes.length > 0 || l.again) return
    if (l.sig) run.sig = 0
    run.grace = !l.settling || run.grace
    for (const step of Object.keys(run.flight)) if (!l.run.includes(step)) delete run.flight[step]
    for (const step of l.run)
      if (!run.flight[step]) {
        run.flight[step] = 1
        spawn(w, c, s, run.epoch, step, 1)
      }
    if (run.nudged && !on.has('completeBlind')) run.nudged = false
    else run.st = l.settling ? 'grace' : l.waits ? 'ask' : 'wait'
  }
  const readAndDecide = (w: World, c: number, s: number): void => {
    const run = w.runs[c]![s]!
    const l = store.look(w, s, run.epoch, run.grace, run.sig)
    const turn = store.fold(w.ses[s]!.log).truth.turn
    if (run.sig && turn && run.sig !== turn.opener) w.bad ||= 'an interrupt killed a later turn'
    if (l.events.length > 0 || l.closes.length > 0) run.look = l
    else settle(w, c, s, w.ses[s]!.epoch !== run.epoch ? 'stale_epoch' : 'nothing', l)
  }
  const report = (w: World, i: number): void => {
    const p = w.procs[i] as StepProc
    const run = mine(w, p)
    w.procs.splice(i, 1)
    if (!run) return
    delete run.flight[p.step]
    wake(run)
  }
  /** Done, and waiting to report; one that nobody waits for is gone. */
  const leave = (w: World, i: number): void => {
    const p = w.procs[i] as StepProc
    if (mine(w, p)) p.pc = 3
    else w.procs.splice(i, 1)
  }

  return (w) => {
    const text = JSON.stringify(w)
    const out: Action<World>[] = []
    const add = (name: string, change: (n: World) => void, fault: Fault | null = null): void => {
      if (fault && (w.left.total <= 0 || (fault !== 'sweep' && w.left[fault] <= 0))) return
      const next = (): World => {
        const n = JSON.parse(text) as World
        if (fault) {
          n.left.total--
          if (fault !== 'sweep') n.left[fault]--
        }
        change(n)
        return n
      }
      out.push({ name, fault: fault !== null, next })
    }
    scope.people.forEach((_, i) => person(w, i, add))
    if (w.signal)
      add('the interrupt signal is delivered', (n) => {
        const run = n.runs[0]![0]
        if (run) {
          run.sig = n.signal
          wake(run)
        }
        n.signal = 0
      })
    for (let c = 0; c < clusters; c++) w.ses.forEach((ses, s) => ses.log.length > 0 && temporal(w, c, s, add))
    w.procs.forEach((p, i) => (p.k === 'step' ? activity(w, p, i, add) : frozenLocal(p, i, add)))
    if (scope.sweep) w.ses.forEach((_, s) => sweep(w, s, add))
    return out
  }

  type Add = (name: string, change: (n: World) => void, fault?: Fault | null) => void

  function person(w: World, i: number, add: Add): void {
    const step = scope.people[i]![w.people[i]!]
    if (!step) return
    const { s = 0, c = 0 } = step
    const ses = w.ses[s]!
    if (step.do !== 'fork' && ses.log.length === 0) return
    const f = store.fold(ses.log)
    const said = (n: World): void => {
      n.people[i]!++
      if (!step.noNudge) n.nudges[c]![s]!++
    }
    if (step.do === 'msg') {
      const event: NewEvent = {
        type: 'message_received',
        payload: { blocks: [{ type: 'text', text: step.id }], delivery: step.delivery },
      }
      add(`person ${i} sends ${step.id} (${step.delivery})`, (n) => (store.appendPerson(n, s, event, step.id), said(n)))
      if (!store.has(w, s, keyOf(event, step.id)))
        add(
          `person ${i} sends ${step.id}, never hears of it and will send again`,
          (n) => store.appendPerson(n, s, event, step.id),
          'retry',
        )
    }
    if (step.do === 'stop' && (!step.seen || ses.log.some((id) => entry(id).event.type === step.seen))) {
      if (on.has('signalInterrupt'))
        add(`person ${i} signals an interrupt`, (n) => {
          n.people[i]!++
          n.signal = f.truth.turn?.opener ?? -1
        })
      else
        add(`person ${i} interrupts`, (n) => {
          store.appendPerson(
            n,
            s,
            { type: 'message_received', payload: { blocks: [], delivery: 'interrupt' } },
            `stop${i}`,
          )
          said(n)
        })
    }
    if (step.do === 'approve') {
      const inherited = f.truth.inherited
      const call = f.calls.find((x) => x.asked && (inherited < x.asked || !x.started || x.started > inherited))
      if (!call) return
      add(`person ${i} ${step.decision === 'allow' ? 'allows' : 'denies'} ${call.id} in session ${s}`, (n) => {
        const event: NewEvent = {
          type: 'approval_resolved',
          payload: { call: call.id, decision: step.decision, scope: 'once' },
        }
        const taken = on.has('approvalThroughLineage') && store.hasInLineage(n, s, keyOf(event))
        if ((!call.finished || on.has('approveClosed')) && !taken) store.appendPerson(n, s, event, '')
        said(n)
      })
    }
    if (step.do === 'finish') {
      const call = f.calls.find((x) => isDeferredKind(x.kind) && x.started)
      if (!call) return
      add(`person ${i} finishes ${call.id} in session ${s}`, (n) => {
        const event: NewEvent = {
          type: 'tool_finished',
          payload: { call: call.id, tool: call.kind, outcome: 'ok', blocks: [{ type: 'text', text: `by ${i}` }] },
        }
        const key = keyOf(event)
        const taken = on.has('deferredKey')
          ? false
          : on.has('ownKeyOnly')
            ? store.has(n, s, key)
            : store.hasInLineage(n, s, key)
        if (!taken) n.ses[s]!.log.push(intern({ key, e: 0, event }))
        said(n)
      })
    }
    if (step.do === 'fork')
      ses.log.forEach((id, at) => {
        const { type } = entry(id).event
        if (step.at && type !== step.at) return
        add(`person ${i} forks after ${at + 1} ${type}`, (n) => {
          const event: NewEvent = {
            type: 'forked',
            payload: { parent: 's0', seq: at + 1, hash: '', definition: HASH, open: step.open ?? 'rule' },
          }
          n.ses[1]!.log = [...n.ses[0]!.log.slice(0, at + 1), intern({ key: keyOf(event), e: 0, event })]
          n.people[i]!++
          n.nudges[0]![1]!++
        })
      })
  }

  function temporal(w: World, c: number, s: number, add: Add): void {
    const tag = (clusters > 1 ? `cluster ${c} ` : '') + (w.ses.length > 1 ? `session ${s} ` : '')
    const run = w.runs[c]![s]!
    const ses = w.ses[s]!
    if (w.nudges[c]![s]) {
      add(`${tag}nudge delivered`, (n) => (n.nudges[c]![s]!--, nudge(n, c, s)))
      add(`${tag}nudge lost`, (n) => void n.nudges[c]![s]!--, 'lose')
    }
    reconciler(w, c, s, tag, add)
    if (!run) return
    if (run.st === 'claim') {
      add(`${tag}run ${run.id} claims`, (n) => {
        const r = n.runs[c]![s]!
        r.epoch = claim(n, s, r.id)
        r.st = 'look'
      })
      add(
        `${tag}run ${run.id}: the worker freezes before the claim, another repeats it`,
        (n) => void n.procs.push({ k: 'claim', s, id: run.id }),
        'dup',
      )
    } else if (run.st === 'look' && !run.look)
      add(`${tag}run e${run.epoch} reads log and drafts`, (n) => readAndDecide(n, c, s))
    else if (run.st === 'look' && run.look) {
      const what = say(run.look) + (run.look.run.length > 0 ? `, runs ${run.look.run.join(', ')}` : '')
      add(`${tag}run e${run.epoch} ${what}`, (n) => {
        const l = n.runs[c]![s]!.look!
        settle(n, c, s, store.appendExecutor(n, s, run.epoch, l), l)
      })
      const again = `${tag}run e${run.epoch}: the worker freezes before it ${what}, another repeats the step`
      add(
        again,
        (n) => (
          n.procs.push({ k: 'append', s, e: run.epoch, look: n.runs[c]![s]!.look! }),
          (n.runs[c]![s]!.look = null)
        ),
        'dup',
      )
      const unheard = `${tag}run e${run.epoch} ${what}, the worker dies before it reports`
      add(
        unheard,
        (n) => (store.appendExecutor(n, s, run.epoch, n.runs[c]![s]!.look!), (n.runs[c]![s]!.look = null)),
        'dup',
      )
    } else if (run.st === 'grace') {
      add(
        `${tag}run e${run.epoch}: the grace is over`,
        (n) => void Object.assign(n.runs[c]![s]!, { grace: false, st: 'look' }),
      )
    } else if (Object.keys(run.flight).length === 0 && !(on.has('waitOpen') && run.st === 'ask'))
      add(`${tag}run e${run.epoch} completes`, (n) => void (n.runs[c]![s] = null))
    if (run.st !== 'claim')
      add(`${tag}run e${run.epoch} is terminated, or lost with its cluster`, (n) => void (n.runs[c]![s] = null), 'loss')
    for (const [step, attempt] of Object.entries(run.flight)) {
      const p = stepProcs(w).find(
        (x) => x.c === c && x.s === s && x.e === run.epoch && x.step === step && x.a === attempt,
      )
      // Schedule-to-start timeout; a frozen poller may hold the task all the same.
      if (p && p.pc === 0 && step.startsWith('tool') && ses.epoch === run.epoch && !ses.drafts[step])
        add(
          `${tag}nobody polls for ${step}: its row is closed as never begun`,
          (n) => {
            n.ses[s]!.drafts[step] = { st: 'x', o: 'cancelled', e: run.epoch, a: 0 }
            delete n.runs[c]![s]!.flight[step]
            wake(n.runs[c]![s]!)
          },
          'noworker',
        )
      // Heartbeat timeout: the attempt is dead or frozen.
      if (!p || p.frozen)
        add(`${tag}Temporal retries ${step}, attempt ${attempt + 1}`, (n) => {
          n.runs[c]![s]!.flight[step] = attempt + 1
          spawn(n, c, s, run.epoch, step, attempt + 1)
        })
    }
  }

  /** Rule 20: every session whose next step is due while log and beats stand still, open run or not. */
  function reconciler(w: World, c: number, s: number, tag: string, add: Add): void {
    const ses = w.ses[s]!
    if (scope.noReconciler || !store.fold(ses.log).tried.turn) return
    const due = (epoch: number): Look => store.look(w, s, epoch, false, 0)
    const run = w.runs[c]![s]
    if (!run) {
      const other = w.runs.some((runs, j) => j !== c && runs[s])
      if (other && w.left.steal <= 0) return
      const l = due(-1)
      if (l.events.length + l.closes.length + l.run.length > 0)
        add(
          `${tag}reconciler starts a run${other ? ' beside the other one' : ''}`,
          (n) => startRun(n, c, s),
          other ? 'steal' : null,
        )
    } else if (
      !on.has('reconcileNoRun') &&
      run.st === 'ask' &&
      ses.epoch === run.epoch &&
      due(run.epoch).events.length > 0
    )
      add(`${tag}reconciler nudges the waiting run`, (n) => nudge(n, c, s))
  }

  function frozenLocal(p: Exclude<Proc, StepProc>, i: number, add: Add): void {
    if (p.k === 'claim')
      add(`frozen claim of run ${p.id} wakes`, (n) => (n.procs.splice(i, 1), void claim(n, p.s, p.id)))
    else
      add(
        `frozen step of e${p.e} wakes and ${say(p.look)}`,
        (n) => (n.procs.splice(i, 1), void store.appendExecutor(n, p.s, p.e, p.look)),
      )
  }

  function activity(w: World, p: StepProc, i: number, add: Add): void {
    const { s, step } = p
    const what = parseStep(step)
    const me = `${step} e${p.e}/${p.a}${p.frozen ? ' (was frozen)' : ''}`
    const row = w.ses[s]!.drafts[step]
    const stale = w.ses[s]!.epoch !== p.e
    if (!p.frozen && p.pc < 3) add(`${me} freezes`, (n) => void ((n.procs[i] as StepProc).frozen = true), 'freeze')
    if (!p.frozen) add(`${me} is killed`, (n) => void n.procs.splice(i, 1), 'crash')

    const take = (n: World): void => {
      const x = n.procs[i] as StepProc
      x.pc = 1
      n.ses[s]!.drafts[step] = { st: 'c', e: p.e, a: p.a }
      if (stale && !on.has('claimNoEpoch')) n.bad ||= 'claim under a stale epoch'
      if (what.kind === 'tool') return void (n.claimed[`${s}>${what.call}`] = 1)
      const { log } = n.ses[s]!
      const f = store.fold(log)
      if (what.kind === 'checkpoint') {
        x.slot = `${s}${step}`
        if (n.answered[x.slot]) n.bad ||= `a summary that had reached a draft was asked for again ~ ${step}`
        n.ses[s]!.drafts[step] = { st: 'c', e: p.e, a: p.a, hi: checkpointDue(f.tried, definition) ?? 0 }
        return void bump(n.paid, x.slot)
      }
      const sent = rules.request(f.tried, f.sent, log.map(entry))
      const before = f.tried.lastAnswer ? [...f.sent, f.tried.lastAnswer] : []
      x.sent = sent
      const saw = sent.filter((seq) => !before.includes(seq))
      n.ses[s]!.drafts[step] = { st: 'c', e: p.e, a: p.a, sent, saw, prev: f.tried.lastAnswer }
      x.slot = `${s}model@${f.truth.due}`
      if (n.answered[x.slot]) n.bad ||= `a model answer that had reached a draft was asked for again ~ ${step}`
      bump(n.paid, x.slot)
    }
    if (p.pc === 0) {
      if (on.has('noClaim') && what.kind === 'tool')
        return add(`${me} begins without a claim`, (n) => {
          ;(n.procs[i] as StepProc).pc = 1
          n.claimed[`${s}>${what.call}`] = 1
        })
      if (stale && !on.has('claimNoEpoch')) return add(`${me} may not claim: stale epoch`, (n) => report(n, i))
      const claims = `${me} claims${what.kind === 'model' ? ' and asks the model' : ''}`
      if (!row) return add(claims, take)
      if (on.has('refuseOld') && what.kind === 'model' && row.st === 'f' && row.e !== p.e)
        return add(`${me} ignores the older draft and asks the model`, take)
      if (row.st !== 'c')
        return add(`${me} finds its draft ${row.st === 'f' ? 'finished' : 'closed'}`, (n) => leave(n, i))
      const other = store.holder(w, s, step, row)
      if (other && !other.frozen && !on.has('noWait')) return // its beat is fresh: wait
      const kind =
        what.kind === 'tool' ? (store.fold(w.ses[s]!.log).calls.find((c) => c.id === what.call)?.kind ?? '') : 'i'
      if (isSafeKind(kind) || on.has('retryBlind')) return add(`${me} takes the claim over`, take)
      return add(`${me} finds a claim that no longer beats: closes it as unknown`, (n) => {
        n.ses[s]!.drafts[step] = { st: 'x', o: 'unknown', e: p.e, a: 0 }
        leave(n, i)
      })
    }
    if (p.pc === 1 && what.kind === 'tool')
      return add(`${me} takes effect`, (n) => {
        bump(n.effects, `${s}>${what.call}`)
        ;(n.procs[i] as StepProc).pc = 2
      })
    if (p.pc === 1 || p.pc === 2) return add(`${me} writes its result to the draft`, (n) => (finish(n, p), leave(n, i)))
    add(`${me} reports to Temporal`, (n) => report(n, i))
  }

  /** Rule 12: by whoever holds the token, whatever the epoch has become. */
  function finish(n: World, p: StepProc): void {
    const ses = n.ses[p.s]!
    const row = ses.drafts[p.step]
    const own = row?.st === 'c' && row.e === p.e && row.a === p.a
    const allowed = own && !(on.has('finishNeedsEpoch') && ses.epoch !== p.e)
    if (allowed || (on.has('finishAny') && row) || on.has('noClaim')) {
      if (scope.compaction === 'fails' && parseStep(p.step).kind === 'checkpoint') {
        if (ses.epoch === p.e) ses.drafts[p.step] = { st: 'x', o: 'cancelled', e: p.e, a: 0 }
        return
      }
      if (p.slot && JSON.stringify(row?.sent) !== JSON.stringify(p.sent))
        n.bad ||= 'the manifest names events that the model was not sent'
      ses.drafts[p.step] = { ...row, st: 'f', e: p.e, a: p.a }
      if (p.slot) n.answered[p.slot] = 1
    } else if (own) n.lost = p.slot ? 'answer' : 'result'
  }

  /** Rule 15: once the step's own turn has its turn_finished, appended under an epoch older than the session's. */
  function sweep(w: World, s: number, add: Add): void {
    const ses = w.ses[s]!
    const events = ses.log.map(entry)
    for (const [step, row] of Object.entries(ses.drafts)) {
      const what = parseStep(step)
      const key = what.kind === 'tool' ? `result:${what.call}` : step
      const p = what.kind !== 'tool' ? what.due : events.findIndex((e) => e.key === key) + 1
      const finishes = (turn: number) => (e: { event: NewEvent }) =>
        e.event.type === 'turn_finished' && e.event.payload.turn === turn
      const opens =
        events[p - 1]?.event.type === 'message_received' &&
        (store.fold(ses.log).truth.turn?.opener === p || events.some(finishes(p)))
      const end = p
        ? events.find((e, i) => (opens ? finishes(p)(e) : e.event.type === 'turn_finished' && i + 1 > p))
        : undefined
      const may = on.has('sweepByRowEpoch')
        ? row.st !== 'c' && row.e < ses.epoch && events.some((e) => e.key === key)
        : end !== undefined && end.e < ses.epoch
      if (may) add(`draft ${step} is swept`, (n) => void delete n.ses[s]!.drafts[step], 'sweep')
    }
  }
}
