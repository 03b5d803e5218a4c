/**
 * The wrong rules of docs/protocol.md ("What breaks otherwise"): each a wrapper around a real function, or a switch of the database or
 * the processes, with the counterexample that the search must find. A wrong rule that gets through means that the explorer is blind.
 */
import { isSafe, toolNamed } from '../../contract/definition'
import type { KnownEvent } from '../../contract/events'
import { parseStep } from '../../contract/ids'
import { nextStep, type Decision, type Env } from '../../contract/next-step'
import { reduce } from '../../contract/reduce'
import type { State } from '../../contract/state'
import { allow, F, finish, fork, queue, steer, stop } from './hold'
import type { Scope } from './scope'
import { DEFINITION, type Entry, type Rules } from './world'

const reducing = (change: (s: State, e: KnownEvent, before: State) => State): Pick<Rules, 'reduce'> => ({
  reduce(s, e) {
    const r = reduce(s, e)
    return r.ok ? { ok: true, state: change(r.state, e, s) } : r
  },
})

/** Rule 5 broken: the key follows the head (kept apart from the seqs of openers, so that no later step meets the same key). */
const keyFromHead = reducing((s) => (s.due ? { ...s, due: 1000 + s.seq } : s))
/** Rule 5 broken: the key follows the newest message. */
const keyFromNewest = reducing((s) => (s.due ? { ...s, due: Math.max(s.due, ...s.unseen) } : s))
/** Rule 7 broken: turn_finished covers all before it. */
const endCoversAll: Partial<Rules> = {
  ...reducing((s, e) => (e.type === 'turn_finished' ? { ...s, turn: null, due: 0, unseen: [], queued: [] } : s)),
  nextStep(s, env) {
    const d = nextStep(s, env)
    const end = d.events.findIndex((e) => e.type === 'turn_finished')
    return end < 0 ? d : { ...d, events: d.events.slice(0, end + 1), run: [], waiting: 'nothing' }
  },
}
/** Rule 16 broken: goes on after interrupted. */
const goOnAfterInterrupted = reducing((s, e, before) => {
  const due = Math.max(...before.calls.map((c) => c.finished), before.turn?.opener ?? 0)
  return e.type === 'interrupted' && before.turn ? { ...s, turn: before.turn, due } : s
})
/** Rule 9 broken: the request is the log in its own order. */
const logOrder: Partial<Rules> = {
  request(s: State, _before: readonly number[], events: readonly Entry[]) {
    const shown = ['message_received', 'model_answered', 'tool_finished', 'interrupted']
    return events.flatMap(({ event }, i) => (shown.includes(event.type) && !s.queued.includes(i + 1) ? [i + 1] : []))
  },
}
/** Rule 16 broken: a checkpoint stands for a call without its result. */
const checkpointInMidStep: Partial<Rules> = {
  nextStep(s, env) {
    const d = nextStep(s, env)
    const events = d.events.map((e) =>
      e.type === 'checkpoint_made' ? { ...e, payload: { ...e.payload, hi: e.payload.hi - 1 } } : e,
    )
    return { ...d, events }
  },
}
/** Rule 5 broken: a fallback is asked under the step that failed. */
const fallbackUnderOldStep = reducing((s, e, before) =>
  e.type === 'model_failed' && e.payload.next ? { ...s, due: before.due } : s,
)
/** Rule 16 broken: each request that was too long is helped by another checkpoint, of the same as before. */
const recoversAgain = reducing((s) =>
  s.turn?.recovery === 'tried' ? { ...s, checkpoint: 0, turn: { ...s.turn, recovery: null } } : s,
)
/** Rule 14 broken: says cancelled or unknown without closing the row. */
const withoutClosing: Partial<Rules> = {
  nextStep(s: State, env: Env) {
    let drafts = env.drafts
    for (;;) {
      const d: Decision = nextStep(s, { ...env, drafts })
      if (d.closes.length === 0) return d
      const pretended = d.closes.map(({ step, outcome }) => ({
        step,
        state: 'closed' as const,
        token: '',
        fresh: false,
        outcome,
        result: null,
      }))
      drafts = new Map([...drafts, ...pretended.map((row): [string, typeof row] => [row.step, row])])
    }
  },
}
/** Rule 18 broken: what an older epoch started is unknown at once. */
const unknownAtOnce: Partial<Rules> = {
  nextStep(s: State, env: Env, me) {
    const d = nextStep(s, env)
    const older = d.run.filter(({ step }) => {
      const what = parseStep(step)
      const call = what.kind === 'tool' ? s.calls.find((c) => c.id === what.call) : undefined
      return call !== undefined && call.started > 0 && me.events[call.started - 1]?.e !== me.epoch
    })
    if (older.length === 0) return d
    const closes = older.map(({ step }) => ({
      step,
      token: env.drafts.get(step)?.token ?? null,
      outcome: 'unknown' as const,
    }))
    return { ...d, events: [], run: [], closes }
  },
}
/** Rule 21 broken: a fork goes on as if the log were its own. */
const forgetsTheFork: Partial<Rules> = { nextStep: (s, env) => nextStep({ ...s, inherited: 0 }, env) }
/** Rule 17 broken: unsafe calls are run before their tool_started is appended. */
const runsBeforeStarted: Partial<Rules> = {
  nextStep(s, env) {
    const d = nextStep(s, env)
    const starts = d.events.filter((e) => e.type === 'tool_started' && !isSafe(toolNamed(DEFINITION, e.payload.tool)!))
    const first = d.events.findIndex((e) => starts.includes(e))
    return first < 0 ? d : { ...d, events: d.events.slice(0, first) }
  },
}

const one = [[queue('m1')]]
const two = [[queue('m1')], [queue('m2')]]
const steered = [[queue('m1')], [steer('m2')]]
const w = (
  people: Scope['people'],
  answers: Scope['answers'],
  total: number,
  expect: string,
  more: Partial<Scope>,
): Scope & { expect: string } => ({
  people,
  answers,
  faults: F,
  total,
  expect,
  ...more,
})

export const WRONG: Record<string, Scope & { expect: string }> = {
  'a retry runs an unsafe tool without looking at the claim': w(one, [['u']], 1, 'effect of an unsafe tool twice', {
    switches: ['retryBlind'],
  }),
  'an effect without a claim': w(one, [['u']], 1, 'effect of an unsafe tool twice', { switches: ['noClaim'] }),
  'append without fence': w(one, [[]], 2, 'a stale epoch appended', {
    clusters: 2,
    faults: { steal: 1, dup: 1 },
    switches: ['noFence'],
  }),
  'append without expected head, over a steering message': w(
    steered,
    [[]],
    0,
    'turn_finished cannot follow in phase due: work_left',
    { switches: ['noHead'] },
  ),
  'append without expected head, turn_finished over an interrupt': w(
    [[queue('m1')], [stop('model_answered')]],
    [['u']],
    1,
    'turn_finished cannot follow in phase stopping: interrupt_pending',
    { switches: ['noHead'] },
  ),
  'append without expected head, tool_started after an interrupt': w(
    [[queue('m1')], [stop()]],
    [['u']],
    1,
    'tool_started cannot follow in phase stopping: interrupt_pending',
    { switches: ['noHead'] },
  ),
  'step key from the head': w(two, [[]], 1, 'a model answer that had reached a draft was asked for again', {
    rules: keyFromHead,
  }),
  'step key from the newest input': w(steered, [[]], 1, 'a model answer that had reached a draft was asked for again', {
    rules: keyFromNewest,
  }),
  'view in log order': w(steered, [['i']], 0, 'a later request rewrites an earlier one', { rules: logOrder }),
  "an older epoch's draft is refused": w(one, [[]], 1, 'a model answer that had reached a draft was asked for again', {
    switches: ['refuseOld'],
  }),
  "finish needs the session's epoch, answer": w(one, [[]], 1, 'a received answer was thrown away', {
    switches: ['finishNeedsEpoch'],
    soft: true,
  }),
  "finish needs the session's epoch, tool": w(one, [['u']], 1, 'a received result was thrown away', {
    switches: ['finishNeedsEpoch'],
    soft: true,
  }),
  'any attempt writes the draft': w(steered, [[]], 2, 'the manifest names events that the model was not sent', {
    switches: ['finishAny'],
  }),
  'cancelled without closing the row': w(
    [[queue('m1')], [stop('tool_started')]],
    [['u']],
    1,
    'recorded as cancelled, yet it took effect',
    { rules: withoutClosing },
  ),
  'run before tool_started is in the log': w(
    [[queue('m1')], [stop()]],
    [['u']],
    0,
    'recorded as cancelled, yet it took effect',
    { rules: runsBeforeStarted },
  ),
  'started is unknown at once in a new epoch': w(
    one,
    [['u']],
    1,
    'recorded as unknown, though it provably never began',
    { rules: unknownAtOnce, soft: true },
  ),
  'promotion deletes the draft': w(one, [['u']], 2, 'effect of an unsafe tool twice', { switches: ['gcOnPromote'] }),
  'interrupt by signal, late': w(
    [[queue('m1')], [stop('message_received')], [queue('m2')]],
    [[]],
    0,
    'an interrupt killed a later turn',
    { switches: ['signalInterrupt'] },
  ),
  'interrupt by signal, lost': w([[queue('m1')], [stop('message_received')]], [[]], 0, 'an interrupt was lost', {
    switches: ['signalInterrupt'],
    mustInterrupt: true,
  }),
  'turn_finished covers all before it': w(two, [[]], 0, 'a message was never answered', { rules: endCoversAll }),
  'reconciler passes over open runs': w([[queue('m1'), allow()]], [['ua']], 1, 'stuck', {
    faults: { lose: 1 },
    switches: ['reconcileNoRun', 'waitOpen'],
  }),
  'a fork runs what its parent started': w(
    [[queue('m1')], [fork()]],
    [['u']],
    0,
    'effect of an unsafe tool twice in a family',
    { rules: forgetsTheFork },
  ),
  "a fork keeps its parent's approval": w(
    [[queue('m1'), allow()], [fork('approval_resolved')]],
    [['ua']],
    0,
    'started in a fork without an approval given there',
    { rules: forgetsTheFork },
  ),
  'an approval is looked up through the lineage': w(
    [[queue('m1'), allow()], [fork('approval_resolved')], [allow({ s: 1 })]],
    [['ua']],
    0,
    'ends waiting',
    { switches: ['approvalThroughLineage'] },
  ),
  'a fork goes on after interrupted': w(
    [[queue('m1')], [stop('model_answered')], [fork('interrupted')]],
    [['u']],
    0,
    'model_answered cannot follow in phase stopped: after_interrupted',
    { rules: goOnAfterInterrupted },
  ),
  "a deferred result not under the call's key": w([[queue('m1')], [finish()], [finish()]], [['d']], 0, 'event twice', {
    switches: ['deferredKey'],
  }),
  'a deferred result looked up in own rows only': w(
    [[queue('m1')], [finish()], [fork()], [finish({ s: 1 })]],
    [['d']],
    0,
    'a second result for one call',
    { switches: ['ownKeyOnly'] },
  ),
  'an approval of a closed call': w([[queue('m1')], [allow()], [stop()]], [['ua']], 0, 'approval of a closed call', {
    switches: ['approveClosed'],
  }),
  'a claim always bumps the epoch': w(one, [['u']], 1, 'stuck', {
    faults: { dup: 1 },
    noReconciler: true,
    switches: ['claimNotById'],
  }),
  'stale runs claim again and do not wait': w(one, [[]], 1, 'one step paid for', {
    clusters: 2,
    faults: { steal: 1, reclaim: 4 },
    switches: ['staleReclaim', 'noWait'],
    maxPaid: 4,
  }),
  "sweep by the row's own epoch": w(one, [['u']], 2, 'effect of an unsafe tool twice', {
    sweep: true,
    switches: ['sweepByRowEpoch'],
  }),
  'sweep with claims not fenced by epoch': w(
    [[queue('m1'), queue('m2')]],
    [['u']],
    4,
    'effect of an unsafe tool twice',
    { sweep: true, faults: { freeze: 1 }, switches: ['claimNoEpoch'] },
  ),
  'a checkpoint ends in the middle of a step': w(
    one,
    [['i']],
    0,
    'checkpoint_made cannot follow in phase due: wrong_range',
    { rules: checkpointInMidStep, compaction: 'works' },
  ),
  'a fallback keeps the step that failed': w(
    one,
    [['fail'], []],
    0,
    'turn_finished cannot follow in phase due: work_left',
    {
      rules: fallbackUnderOldStep,
      fallback: true,
    },
  ),
  'a request that is too long is helped without end': w(
    [[queue('m1'), queue('m2')]],
    [[], ['long'], ['long'], ['long']],
    0,
    'model_failed cannot follow in phase due: wrong_next',
    { rules: recoversAgain, compaction: 'forced' },
  ),
  'completion drops a nudge': w(two, [[]], 0, 'stuck', { faults: {}, noReconciler: true, switches: ['completeBlind'] }),
  'a beating claim is taken over': w(one, [['u']], 1, 'one step paid for', {
    clusters: 2,
    faults: { steal: 1 },
    switches: ['noWait'],
    maxPaid: 1,
  }),
}
