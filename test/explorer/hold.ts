/**
 * The small cases of docs/protocol.md in which every property must hold. `total`: how many faults of any kind fall in one behaviour;
 * in CI the smaller one, on demand (`npm run explore`) the larger one.
 */
import type { Scope } from './scope'
import type { PersonStep } from './world'

type At = { s?: number; c?: number }
export const queue = (id: string, at: At = {}): PersonStep => ({ do: 'msg', id, delivery: 'queue', ...at })
export const steer = (id: string, at: At = {}): PersonStep => ({ do: 'msg', id, delivery: 'steer', ...at })
export const interrupt = (id: string, at: At = {}): PersonStep => ({ do: 'msg', id, delivery: 'interrupt', ...at })
export const stop = (seen?: (PersonStep & { do: 'stop' })['seen'], at: At = {}): PersonStep => ({
  do: 'stop',
  seen,
  ...at,
})
export const allow = (at: At = {}): PersonStep => ({ do: 'approve', decision: 'allow', ...at })
export const deny = (at: At = {}): PersonStep => ({ do: 'approve', decision: 'deny', ...at })
export const finish = (at: At = {}): PersonStep => ({ do: 'finish', ...at })
type Fork = PersonStep & { do: 'fork' }
export const fork = (at?: Fork['at'], open?: Fork['open']): PersonStep => ({ do: 'fork', at, open })

export const F: Scope['faults'] = { freeze: 2, crash: 1, loss: 1, dup: 1, lose: 1 }
const F2: Scope['faults'] = { ...F, loss: 2 }
const child = { s: 1 }

export interface Case {
  /** How many faults fall together in CI; null: too large for CI. */
  ci: number | null
  /** On demand. */
  deep: number
  scope: Scope
}
const scope = (
  [ci, deep]: [Case['ci'], number],
  people: PersonStep[][],
  answers: string[][],
  more: Partial<Scope> = {},
): Case => ({
  ci,
  deep,
  scope: { people, answers, faults: F, total: ci ?? 0, ...more },
})
const soft = { soft: true }
const wait = { mayWait: true }

export const HOLD: Record<string, Case> = {
  'one message': scope([2, 3], [[queue('m1')]], [[]], { faults: { ...F2, retry: 1 }, ...soft }),
  'two queued': scope([1, 2], [[queue('m1')], [queue('m2')]], [[]], { faults: { ...F, freeze: 1 }, ...soft }),
  steer: scope([0, 1], [[queue('m1')], [steer('m2')]], [['i']], soft),
  'steer without a tool': scope([1, 2], [[queue('m1')], [steer('m2')]], [[]], soft),
  'a model call fails': scope([1, 2], [[queue('m1')], [queue('m2')]], [['fail']], soft),
  'stop as a call fails': scope([1, 1], [[queue('m1')], [stop()]], [['fail']]),
  unsafe: scope([1, 3], [[queue('m1')]], [['u']], { faults: F2, ...soft }),
  idempotent: scope([1, 3], [[queue('m1')]], [['i']], { faults: F2, ...soft }),
  'two in parallel': scope([1, 2], [[queue('m1')]], [['u', 'i']], soft),
  approval: scope([1, 2], [[queue('m1'), allow()]], [['ua']], soft),
  'two approvers': scope([0, 1], [[queue('m1')], [allow()], [deny()]], [['ua']], soft),
  'approval in parallel': scope([0, 1], [[queue('m1'), allow()]], [['ua', 'i']], soft),
  'stop a model call': scope([1, 2], [[queue('m1')], [stop()]], [[]]),
  'stop an unsafe tool': scope([1, 2], [[queue('m1')], [stop('tool_started')]], [['u']]),
  'stop anywhere': scope([0, 1], [[queue('m1')], [stop()]], [['u']]),
  'stop two tools': scope([0, 1], [[queue('m1')], [stop('model_answered')]], [['u', 'i']]),
  'stop, then the next': scope([0, 1], [[queue('m1'), queue('m2')], [stop()]], [['u']]),
  'two stops': scope([0, 1], [[queue('m1')], [stop()], [stop()]], [['u']]),
  'stop at an approval': scope([0, 1], [[queue('m1')], [allow()], [stop()]], [['ua']], wait),
  'interrupting message': scope([0, 1], [[queue('m1')], [interrupt('m2')]], [['u']]),
  'two clusters': scope([0, 1], [[queue('m1')], [queue('m2', { c: 1 })]], [[]], {
    clusters: 2,
    faults: { steal: 1, freeze: 1 },
    ...soft,
  }),
  'two clusters, unsafe': scope([1, 2], [[queue('m1')]], [['u']], { clusters: 2, faults: { ...F, steal: 2 }, ...soft }),
  'two clusters, stop': scope([0, 1], [[queue('m1')], [stop('model_answered', { c: 1 })]], [['u']], {
    clusters: 2,
    faults: { ...F, steal: 1 },
  }),
  'deferred twice': scope([1, 2], [[queue('m1')], [finish()], [finish()]], [['d']]),
  'deferred and stop': scope([0, 1], [[queue('m1')], [finish()], [stop()]], [['d']]),
  'a checkpoint': scope([1, 2], [[queue('m1')]], [['i']], { compaction: 'works', ...soft }),
  'a checkpoint and steering': scope([0, 1], [[queue('m1')], [steer('m2')]], [['i']], { compaction: 'works', ...soft }),
  'a checkpoint and a stop': scope([0, 1], [[queue('m1')], [stop('tool_finished')]], [['i']], { compaction: 'works' }),
  'no summary comes of it': scope([1, 2], [[queue('m1')]], [['i']], { compaction: 'fails', ...soft }),
  'a fallback answers': scope([1, 2], [[queue('m1')]], [['fail'], []], { fallback: true, ...soft }),
  'a fallback and steering': scope([0, 1], [[queue('m1')], [steer('m2')]], [['fail'], ['i']], {
    fallback: true,
    ...soft,
  }),
  'a fallback and a stop': scope([1, 2], [[queue('m1')], [stop()]], [['fail'], []], { fallback: true }),
  'a fallback that fails too': scope([0, 1], [[queue('m1')], [queue('m2')]], [['fail'], ['fail']], {
    fallback: true,
    ...soft,
  }),
  'too long': scope([0, 1], [[queue('m1'), queue('m2')]], [[], ['long']], { compaction: 'forced', ...soft }),
  'too long, and a stop': scope([0, 1], [[queue('m1'), queue('m2')], [stop('model_failed')]], [[], ['long']], {
    compaction: 'forced',
  }),
  'too long without end, then a fallback': scope(
    [0, 1],
    [[queue('m1'), queue('m2')]],
    [[], ['long'], ['long'], ['long']],
    { compaction: 'forced', fallback: true, ...soft },
  ),
  'too long, and no summary comes of it': scope([0, 1], [[queue('m1'), queue('m2')]], [[], ['long']], {
    compaction: 'fails',
    ...soft,
  }),
  'a pause': scope([0, 1], [[queue('m1')], [steer('m2')]], [['pause'], []], soft),
  'a pause and a stop': scope([1, 2], [[queue('m1')], [stop()]], [['pause'], []]),
  'fork anywhere': scope([0, 0], [[queue('m1')], [fork()], [allow(child)]], [['u']]),
  'fork anywhere, a fault': scope([0, 1], [[queue('m1')], [fork('tool_started')]], [['u']], {
    faults: { crash: 1, loss: 1 },
  }),
  'fork that runs again what was started': scope(
    [0, 1],
    [[queue('m1')], [fork('tool_started', 'rerun')], [stop('forked', child)]],
    [['u']],
    { ...wait, faults: { crash: 1, loss: 1 } },
  ),
  'fork and stop': scope(
    [0, 0],
    [[queue('m1')], [stop('model_answered')], [fork('tool_started')], [allow(child)]],
    [['u']],
    wait,
  ),
  'fork of a stopped turn': scope(
    [0, 1],
    [[queue('m1')], [stop('model_answered')], [fork('interrupted')]],
    [['u']],
    wait,
  ),
  'fork at an approval': scope([0, 0], [[queue('m1'), allow()], [fork('approval_resolved')]], [['ua']], wait),
  'fork at a request': scope([0, 0], [[queue('m1')], [fork('approval_requested')], [allow(child)]], [['ua']], wait),
  'fork at an approval, both go on': scope(
    [null, 0],
    [[queue('m1'), allow()], [fork('approval_resolved')], [allow(child)]],
    [['ua']],
  ),
  'fork at a request, both go on': scope(
    [null, 0],
    [[queue('m1'), allow()], [fork('approval_requested')], [allow(child)]],
    [['ua']],
  ),
  'fork beside two tools': scope([null, 0], [[queue('m1')], [fork('tool_started')], [allow(child)]], [['u', 'i']]),
  'fork of a deferred call': scope(
    [0, 0],
    [[queue('m1')], [finish()], [fork('tool_started')], [finish(child)]],
    [['d']],
    wait,
  ),
  'no worker': scope([1, 2], [[queue('m1')], [stop('tool_started')]], [['u']], { faults: { noworker: 1, freeze: 1 } }),
  'unknown, then again': scope([1, 2], [[queue('m1')]], [['u'], ['u']], soft),
  'swept drafts': scope([2, 3], [[queue('m1')]], [['u']], { sweep: true }),
  'swept after a stop': scope([1, 3], [[queue('m1')], [stop()]], [['u']], {
    sweep: true,
    faults: { freeze: 1, loss: 1 },
  }),
  'no reconciler': scope([0, 0], [[queue('m1'), allow()], [queue('m2')]], [['ua']], { noReconciler: true, faults: {} }),
}

const many = { freeze: 3, crash: 2, loss: 2, dup: 2, lose: 3 }
/** Too wide to exhaust: random walks, many faults at once. */
export const WIDE: Record<string, Scope> = {
  tools: {
    people: [[queue('m1'), allow(), queue('m3')], [steer('m2')], [stop('tool_started')]],
    answers: [['ua', 'i', 'u'], ['i']],
    faults: { ...many, retry: 2 },
    total: 6,
    mayWait: true,
  },
  clusters: {
    people: [[queue('m1'), allow(), queue('m3', { c: 1 })], [steer('m2', { c: 1 })], [interrupt('m4', { c: 1 })]],
    answers: [['u', 'ia'], ['u']],
    faults: { ...many, steal: 3 },
    total: 6,
    clusters: 2,
    mayWait: true,
  },
  forks: {
    people: [
      [queue('m1'), allow(), queue('m3')],
      [fork()],
      [allow(child), queue('m4', child)],
      [allow(child)],
      [finish(), finish()],
      [stop(undefined, child)],
    ],
    answers: [['ua', 'i', 'd'], ['u']],
    faults: many,
    total: 4,
    mayWait: true,
  },
  swept: {
    people: [[queue('m1'), queue('m2')], [stop('model_answered')]],
    answers: [['u', 'i'], ['u']],
    faults: { freeze: 4, crash: 2, loss: 3, dup: 3 },
    total: 9,
    sweep: true,
    mayWait: true,
  },
}
