/** nextStep, rule by rule (docs/protocol.md), in the order of rule 16. Past 400 lines: it is a list, and is read as one. */
import { nextStep, type Decision, type Env } from '../../contract/next-step'
import { checkInvariants } from '../../contract/invariants'
import { toolStep } from '../../contract/ids'
import { reduceUnknown, reduce } from '../../contract/reduce'
import { emptyState, type State } from '../../contract/state'
import * as g from './given'

/** Decides, and judges every event of the decision by the invariants. */
function decide(s: State, env: Env = g.env()): Decision {
  const d = nextStep(s, env)
  let state = s
  for (const { fromDraft: _, ...event } of d.events) {
    const known = g.after(state, event, env.now)
    const next = reduce(state, known)
    if (!next.ok) throw new Error(next.refusal)
    expect(checkInvariants(state, known, next.state)).toEqual([])
    state = next.state
  }
  expect(d.state).toEqual(state)
  expect(d.events.length === 0 || d.closes.length === 0).toBe(true)
  return d
}
const brief = (d: Decision) => ({
  events: d.events.map((e) =>
    'outcome' in e.payload
      ? `${e.type}:${e.payload.outcome}`
      : 'reason' in e.payload
        ? `${e.type}:${e.payload.reason}`
        : e.type,
  ),
  closes: d.closes.map((c) => `${c.step}:${c.outcome}${c.token === null ? ':absent' : ''}`),
  run: d.run.map((r) => r.step),
  waiting: d.waiting,
})
const nothing = { events: [], closes: [], run: [], waiting: 'nothing' }
const due = g.given(g.created, g.message())
const withCalls = (...calls: (string | g.CallSpec)[]) => g.then(due, (s) => g.answered(s, calls))
const step0 = (s: State) => toolStep(g.callAt(s, 0))
const step1 = (s: State) => toolStep(g.callAt(s, 1))
const fork = (s: State) => g.then(s, g.forked)

describe('nothing to do', () => {
  it('does nothing for a log that does not exist, is new, or is idle', () => {
    expect(brief(decide(emptyState))).toEqual(nothing)
    expect(brief(decide(g.given(g.created)))).toEqual(nothing)
    expect(brief(decide(g.given(g.created, g.stop)))).toEqual(nothing)
    expect(brief(decide(g.given(g.created, g.message(), g.answered, g.turnFinished)))).toEqual(nothing)
  })
  it('does nothing in a closed session, whatever was under way', () => {
    expect(brief(decide(g.then(due, g.closed)))).toEqual({ ...nothing, waiting: 'closed' })
    expect(brief(decide(g.then(withCalls('pay'), g.closed)))).toEqual({ ...nothing, waiting: 'closed' })
  })
  it('does not step over an event that this worker does not know', () => {
    const s = reduceUnknown(due, { seq: 3, type: 'checkpoint_made', v: 1 })
    const drafts = [g.modelRow(due)]
    expect(brief(decide(s, g.env({ drafts })))).toEqual({ ...nothing, waiting: 'newer_worker' })
  })
})

describe('a model call is due (rules 5, 13 and 16 c)', () => {
  it('runs it under the step of the event that made it due', () => {
    expect(brief(decide(due))).toEqual({ ...nothing, run: ['model@2'], waiting: 'steps' })
    const after = g.given(g.created, g.message(), (s) => g.answered(s, ['pay']), g.started, g.finished)
    expect(decide(after).run).toMatchObject([{ step: 'model@5', kind: 'model', n: 2, queue: null, local: false }])
  })
  it('is not moved by what arrives while it is due', () => {
    const s = [g.message('steer'), g.message('queue')].reduce(g.then, due)
    expect(brief(decide(s)).run).toEqual(['model@2'])
  })
  it('runs it again while a row is running, fresh or not: the claim sorts it out', () => {
    for (const fresh of [true, false])
      expect(brief(decide(due, g.env({ drafts: [g.running('model@2', fresh)] }))).run).toEqual(['model@2'])
  })
  it('promotes a finished row, starts its calls in the same append, and runs them at once', () => {
    const d = decide(due, g.env({ drafts: [g.modelRow(due, ['pay', 'look'])] }))
    expect(brief(d)).toEqual({
      events: ['model_answered', 'tool_started', 'tool_started'],
      closes: [],
      run: ['tool@s:2.0', 'tool@s:2.1'],
      waiting: 'steps',
    })
    expect(d.events.map((e) => e.fromDraft)).toEqual(['model@2', undefined, undefined])
  })
  it('ends the turn after an answer without calls, and opens the next with what was queued', () => {
    const s = g.then(due, g.message('queue'))
    const d = decide(s, g.env({ drafts: [g.modelRow(due)] }))
    expect(brief(d)).toEqual({
      events: ['model_answered', 'turn_finished:done'],
      closes: [],
      run: ['model@3'],
      waiting: 'steps',
    })
  })
  it('calls again for a steering message that the answer had not seen', () => {
    const s = g.then(due, g.message('steer'))
    const d = decide(s, g.env({ drafts: [g.modelRow(due)] }))
    expect(brief(d)).toEqual({ events: ['model_answered'], closes: [], run: ['model@3'], waiting: 'steps' })
  })
  it('ends the turn as failed after model_failed, and leaves its message to the next request', () => {
    const d = decide(due, g.env({ drafts: [g.finishedRow('model@2', g.failed(due))] }))
    expect(brief(d)).toEqual({ ...nothing, events: ['model_failed', 'turn_finished:failed'] })
    expect(d.state.extra).toEqual([2])
  })
  it('says that a call was given up where its row was closed and no interrupt is there', () => {
    const d = decide(due, g.env({ drafts: [g.closedRow('model@2', 'cancelled')] }))
    expect(brief(d).events).toEqual(['model_failed', 'turn_finished:failed'])
  })
  it('refuses an answer that had not seen what made it due, rather than promoting it for ever', () => {
    const blind = g.finishedRow('model@2', g.answered(due, [], []))
    expect(() => nextStep(due, g.env({ drafts: [blind] }))).toThrow('model@2 is due again')
  })
})

describe('limits', () => {
  const loop = g.given(g.created, g.message(), (s) => g.answered(s, ['look']), g.started, g.finished)
  const limited = (limits: object) => g.env({ definition: g.defined({ limits }) })
  it.each([
    ['steps', { steps: 1 }],
    ['tokens', { tokens: 15 }],
    ['usd', { usdMicros: 7 }],
    ['seconds', { seconds: 97 }],
  ])('closes the absent row first, then ends the turn, at the limit of %s', (limit, limits) => {
    const e = limited(limits)
    expect(brief(decide(loop, e))).toEqual({ ...nothing, closes: ['model@5:cancelled:absent'], waiting: 'settling' })
    const d = decide(loop, { ...e, drafts: new Map([['model@5', g.closedRow('model@5', 'cancelled')]]) })
    expect(d.events).toEqual([{ type: 'turn_finished', payload: { turn: 2, reason: 'limit', limit } }])
  })
  it.each([
    ['steps', { steps: 2 }],
    ['tokens', { tokens: 31 }],
    ['usd', { usdMicros: 8 }],
    ['seconds', { seconds: 99 }],
  ])('goes on one below the limit of %s', (_limit, limits) => {
    expect(brief(decide(loop, limited(limits))).run).toEqual(['model@5'])
  })
  it('promotes an answer that is there, and leaves a call that runs alone, whatever the limit', () => {
    const e = limited({ steps: 1 })
    expect(brief(decide(loop, { ...e, drafts: new Map([['model@5', g.running('model@5')]]) })).run).toEqual(['model@5'])
    const d = decide(loop, { ...e, drafts: new Map([['model@5', g.modelRow(loop)]]) })
    expect(brief(d).events).toEqual(['model_answered', 'turn_finished:done'])
  })
  it('appends before it closes a row that the append names: a message that came between would else get its seq, and its row', () => {
    const s = g.given(g.created, g.message(), (x) => g.answered(x, ['look']), g.started)
    const d = decide(s, { ...limited({ steps: 1 }), drafts: new Map([['tool@s:2.0', g.toolRow(s)]]) })
    expect(brief(d)).toEqual({ ...nothing, events: ['tool_finished:ok'], waiting: 'steps' })
    expect(d.again).toBe(true)
    expect(brief(decide(d.state, limited({ steps: 1 })))).toEqual({
      ...nothing,
      closes: ['model@5:cancelled:absent'],
      waiting: 'settling',
    })
  })
  it('does not begin a call whose request alone would go beyond what is left of the tokens', () => {
    expect(loop).toMatchObject({ context: 16, turn: { tokens: 15 } })
    expect(brief(decide(loop, limited({ tokens: 30 }))).closes).toEqual(['model@5:cancelled:absent'])
    expect(brief(decide(g.then(loop, g.checkpoint), limited({ tokens: 30 }))).run).toEqual(['model@5'])
  })
  it('counts anew in the next turn', () => {
    const next = [g.turnFinished(loop, 'limit'), g.message()].reduce(g.then, loop)
    expect(brief(decide(next, limited({ steps: 1 }))).run).toEqual(['model@7'])
  })
  it('counts the seconds of an inherited turn from the fork, so that an old turn goes on (rule 22)', () => {
    const old = g.then(loop, (s) => g.forked(s))
    const late = g.T0 + 6 * g.SECOND + 50 * g.SECOND
    expect(brief(decide(old, { ...limited({ seconds: 52 }), now: late })).run).toEqual(['model@5'])
  })
})

describe('open calls, each for itself (rules 16 b, 17 and 18)', () => {
  it('appends tool_started before anything runs, with a key that names the session and the call', () => {
    const d = decide(withCalls('pay', 'look'))
    expect(brief(d)).toEqual({
      events: ['tool_started', 'tool_started'],
      closes: [],
      run: ['tool@s:2.0', 'tool@s:2.1'],
      waiting: 'steps',
    })
    const keys = d.events.map((e) => (e.type === 'tool_started' ? e.payload.idempotencyKey : ''))
    expect(keys).toEqual([g.sha256('savefile/idempotency\n\ns:2.0'), g.sha256('savefile/idempotency\n\ns:2.1')])
  })
  it('hands a started call out again in a new epoch: its claim sorts it out', () => {
    const s = g.then(withCalls('pay'), g.started)
    for (const drafts of [[], [g.running(step0(s), true)], [g.running(step0(s), false)]])
      expect(brief(decide(s, g.env({ drafts })))).toEqual({ ...nothing, run: [step0(s)], waiting: 'steps' })
  })
  it('promotes each result as it comes, and makes the next model call due with the last one', () => {
    const s = g.then(g.then(withCalls('pay', 'look'), g.started), (x) => g.started(x, 1))
    const first = decide(s, g.env({ drafts: [g.toolRow(s, 1), g.running(step0(s))] }))
    expect(brief(first)).toEqual({ events: ['tool_finished:ok'], closes: [], run: [step0(s)], waiting: 'steps' })
    const both = decide(s, g.env({ drafts: [g.toolRow(s, 0), g.toolRow(s, 1)] }))
    expect(brief(both)).toEqual({
      events: ['tool_finished:ok', 'tool_finished:ok'],
      closes: [],
      run: ['model@7'],
      waiting: 'steps',
    })
  })
  it.each(['unknown', 'cancelled'] as const)(
    'says %s where the row was closed so, with what had been put out',
    (outcome) => {
      const s = g.then(withCalls('pay'), g.started)
      const row = g.closedRow(step0(s), outcome, [{ type: 'text', text: 'half' }])
      const d = decide(s, g.env({ drafts: [row] }))
      expect(d.events).toMatchObject([
        { type: 'tool_finished', payload: { outcome, blocks: [{}, { type: 'text', text: 'half' }] } },
      ])
    },
  )
  it.each([
    ['a tool that there is not', { name: 'nope' }],
    ['arguments that are not right', { name: 'pay', problem: 'it is not JSON' }],
  ])('does not run a call with %s: the model is told', (_what, call) => {
    const d = decide(withCalls(call))
    expect(d.events).toMatchObject([{ type: 'tool_finished', payload: { outcome: 'error', code: 'invalid_call' } }])
    expect(brief(d).run).toEqual(['model@4'])
  })
  it('does not run a tool that the definition denies, nor asks', () => {
    expect(brief(decide(withCalls('never'))).events).toEqual(['tool_finished:denied'])
  })
  it('passes on where and how long a tool runs', () => {
    const tools = [
      {
        name: 'far',
        description: '',
        inputSchema: '{"type":"object"}',
        approval: 'allow' as const,
        queue: 'lab',
        timeoutMs: 5,
        local: true,
      },
    ]
    const d = decide(withCalls('far'), g.env({ definition: g.defined({ tools }) }))
    expect(d.run).toEqual([{ step: 'tool@s:2.0', kind: 'tool', n: 1, queue: 'lab', local: true, timeoutMs: 5 }])
  })
})

describe('approvals', () => {
  const asked = g.then(withCalls('ask'), (s) => g.requested(s, 0, g.T0 + 200 * g.SECOND))
  it('asks, with the expiry of the definition, and starts nothing meanwhile; others run beside it', () => {
    const d = decide(withCalls('ask', 'look'))
    expect(brief(d)).toEqual({
      events: ['approval_requested', 'tool_started'],
      closes: [],
      run: ['tool@s:2.1'],
      waiting: 'steps',
    })
    expect(d.events[0]?.payload).toMatchObject({ rule: 'ask', expiresAt: g.T0 + 160 * g.SECOND })
    expect(d.wakeAt).toBe(g.T0 + 160 * g.SECOND)
  })
  it('waits for ever where the definition sets no expiry', () => {
    const d = decide(withCalls('ask'), g.env({ definition: g.defined({ approvalSeconds: undefined }) }))
    expect(d.events[0]?.payload).not.toHaveProperty('expiresAt')
    expect([d.waiting, d.wakeAt]).toEqual(['approval', null])
  })
  it('waits, and does not ask twice', () => {
    expect(brief(decide(asked))).toEqual({ ...nothing, waiting: 'approval' })
    expect(decide(asked).wakeAt).toBe(g.T0 + 200 * g.SECOND)
  })
  it('wakes at the earliest expiry of several', () => {
    const both = g.then(
      g.then(withCalls('ask', 'ask'), (x) => g.requested(x, 0, g.T0 + 150 * g.SECOND)),
      (x) => g.requested(x, 1, g.T0 + 300 * g.SECOND),
    )
    expect(decide(both).wakeAt).toBe(g.T0 + 150 * g.SECOND)
  })
  it('starts what was allowed, and says what was denied in the words of who denied it', () => {
    expect(brief(decide(g.then(asked, (s) => g.resolved(s, 'allow'))))).toMatchObject({
      events: ['tool_started'],
      run: ['tool@s:2.0'],
    })
    const d = decide(g.then(asked, (s) => g.resolved(s, 'deny', 0, { note: 'too dear' })))
    expect(d.events).toMatchObject([{ payload: { outcome: 'denied', blocks: [{ text: 'Not run: too dear.' }] } }])
  })
  it('counts an expired request as denied from that very moment, and not before', () => {
    const at = (now: number) => brief(decide(asked, g.env({ now }))).events
    expect(at(g.T0 + 200 * g.SECOND - 1)).toEqual([])
    expect(at(g.T0 + 200 * g.SECOND)).toEqual(['approval_resolved', 'tool_finished:denied'])
  })
  it('lets an allow stand that came before the expiry was carried out', () => {
    const s = g.then(asked, (x) => g.resolved(x, 'allow'))
    expect(brief(decide(s, g.env({ now: g.T0 + 900 * g.SECOND }))).events).toEqual(['tool_started'])
  })
  it('asks no more for a tool that was allowed for the session, in this turn and in later ones', () => {
    const both = g.then(g.then(withCalls('ask', 'ask'), g.requested), (s) => g.requested(s, 1))
    const s = g.then(both, (x) => g.resolved(x, 'allow', 0, { scope: 'session' }))
    expect(brief(decide(s)).run).toEqual(['tool@s:2.0', 'tool@s:2.1'])
    const once = g.then(both, (x) => g.resolved(x, 'allow'))
    expect(brief(decide(once)).run).toEqual(['tool@s:2.0'])
  })
})

describe('deferred calls', () => {
  it('are started, never run here, and waited for', () => {
    expect(brief(decide(withCalls('wait')))).toEqual({ ...nothing, events: ['tool_started'], waiting: 'deferred' })
    expect(brief(decide(g.then(withCalls('wait'), g.started)))).toEqual({ ...nothing, waiting: 'deferred' })
  })
  it('need their approval first, and wait for that before the other', () => {
    expect(brief(decide(withCalls('wait', 'wait_ask')))).toMatchObject({
      events: ['tool_started', 'approval_requested'],
      waiting: 'approval',
    })
  })
  it('are unknown after an interrupt', () => {
    const s = g.then(g.then(withCalls('wait'), g.started), g.stop)
    expect(brief(decide(s)).events).toEqual(['tool_finished:unknown', 'interrupted', 'turn_finished:interrupted'])
  })
})

describe('interrupts (rules 8, 14 and 16 a)', () => {
  const stopped = g.then(due, g.stop)
  const end = ['interrupted', 'turn_finished:interrupted']
  it('closes the row of a model call before it says anything, also one that is not there yet', () => {
    const drafts = [g.running('model@2', false)]
    expect(brief(decide(stopped, g.env({ drafts })))).toEqual({
      ...nothing,
      closes: ['model@2:cancelled'],
      waiting: 'settling',
    })
    expect(brief(decide(stopped))).toEqual({ ...nothing, closes: ['model@2:cancelled:absent'], waiting: 'settling' })
  })
  it('keeps what the stopped call had streamed', () => {
    const d = decide(
      stopped,
      g.env({ drafts: [g.closedRow('model@2', 'cancelled', [{ type: 'text', text: 'so f' }])] }),
    )
    expect(brief(d).events).toEqual(end)
    expect(d.events[0]?.payload).toEqual({
      turn: 2,
      by: 3,
      partial: [{ step: 'model@2', blocks: [{ type: 'text', text: 'so f' }] }],
    })
  })
  it('promotes an answer that was there, and cancels its calls, which had not seen the interrupt', () => {
    const d = decide(stopped, g.env({ drafts: [g.modelRow(due, ['pay', 'ask'])] }))
    expect(brief(d).events).toEqual(['model_answered', 'tool_finished:cancelled', 'tool_finished:cancelled', ...end])
  })
  it('promotes a failure that was there', () => {
    expect(brief(decide(stopped, g.env({ drafts: [g.finishedRow('model@2', g.failed(due))] }))).events).toEqual([
      'model_failed',
      ...end,
    ])
  })
  const three = g.then(
    g.then(g.then(withCalls('pay', 'put', 'ask'), g.started), (s) => g.started(s, 1)),
    g.stop,
  )
  it('closes the row of each started call: unknown where it was claimed, cancelled where it never began', () => {
    const d = decide(three, g.env({ drafts: [g.running(step0(three), false)] }))
    expect(brief(d)).toEqual({
      ...nothing,
      closes: [`${step0(three)}:unknown`, `${step1(three)}:cancelled:absent`],
      waiting: 'settling',
    })
  })
  it('then appends a result for every open call, interrupted and turn_finished at once', () => {
    const drafts = [g.closedRow(step0(three), 'unknown'), g.toolRow(three, 1)]
    expect(brief(decide(three, g.env({ drafts }))).events).toEqual([
      'tool_finished:unknown',
      'tool_finished:ok',
      'tool_finished:cancelled',
      ...end,
    ])
  })
  it('leaves live executors alone in the first look, and closes their rows in a later one', () => {
    const rows = (fresh: boolean) => ({ drafts: [g.running(step0(three), fresh)] })
    expect(brief(decide(three, g.env({ ...rows(true), grace: true })))).toEqual({ ...nothing, waiting: 'settling' })
    expect(brief(decide(three, g.env({ ...rows(true), grace: false }))).closes).toHaveLength(2)
    expect(brief(decide(three, g.env({ ...rows(false), grace: true }))).closes).toHaveLength(2)
  })
  it('finishes the turn where only that is left, and opens the next with the message that interrupted', () => {
    const s = g.then(g.then(due, g.message('interrupt')), g.interrupted)
    expect(brief(decide(s))).toMatchObject({ events: ['turn_finished:interrupted'], run: ['model@3'] })
    expect(decide(s).run).toEqual(expect.arrayContaining([expect.objectContaining({ n: 1 })]))
  })
  it('interrupts a turn that waits for an approval, or has only to finish', () => {
    const waiting = g.then(g.then(withCalls('ask'), g.requested), g.stop)
    expect(brief(decide(waiting)).events).toEqual(['tool_finished:cancelled', ...end])
    const settled = g.then(
      g.then(due, (s) => g.answered(s)),
      g.stop,
    )
    expect(brief(decide(settled)).events).toEqual(end)
  })
})

describe('forks (rules 21 and 22)', () => {
  const startedCall = (name: string) => g.then(withCalls(name), g.started)
  it('does not run an unsafe call again that was started in the inherited stretch', () => {
    expect(brief(decide(fork(startedCall('pay'))))).toMatchObject({
      events: ['tool_finished:unknown'],
      run: ['model@6'],
    })
  })
  it.each(['look', 'put'])('runs a safe call again (%s), under the inherited idempotency key', (name) => {
    const s = fork(startedCall(name))
    expect(brief(decide(s))).toEqual({ ...nothing, run: ['tool@s:2.0'], waiting: 'steps' })
    expect(s.calls[0]?.idempotencyKey).toBe('key of s:2.0')
  })
  it('asks in the fork for an unsafe call that was not started, whatever the definition or an approval in the parent allowed', () => {
    expect(brief(decide(fork(withCalls('pay'))))).toMatchObject({ events: ['approval_requested'], waiting: 'approval' })
    const allowed = g.then(g.then(withCalls('ask'), g.requested), (s) =>
      g.resolved(s, 'allow', 0, { scope: 'session' }),
    )
    expect(brief(decide(fork(allowed)))).toEqual({ ...nothing, waiting: 'approval' })
    expect(brief(decide(g.then(fork(allowed), (s) => g.resolved(s, 'allow'))))).toMatchObject({
      events: ['tool_started'],
    })
    expect(brief(decide(g.then(fork(allowed), (s) => g.resolved(s, 'deny')))).events).toEqual(['tool_finished:denied'])
  })
  it('keeps the decision of the parent for a safe call', () => {
    const asked = g.then(withCalls('ask_look'), g.requested)
    expect(brief(decide(fork(g.then(asked, (s) => g.resolved(s, 'allow')))))).toMatchObject({ run: ['tool@s:2.0'] })
    expect(brief(decide(fork(g.then(asked, (s) => g.resolved(s, 'deny'))))).events).toEqual(['tool_finished:denied'])
    expect(brief(decide(fork(withCalls('look'))))).toMatchObject({ events: ['tool_started'], run: ['tool@s:2.0'] })
  })
  it('does not let the expiry of an inherited request decide in the fork', () => {
    const s = fork(g.then(withCalls('ask'), (x) => g.requested(x, 0, g.T0)))
    expect(brief(decide(s))).toEqual({ ...nothing, waiting: 'approval' })
    expect(decide(s).wakeAt).toBeNull()
  })
  it('says unknown for an inherited deferred call, and in an interrupted fork for what the parent started', () => {
    expect(brief(decide(fork(startedCall('wait')))).events).toEqual(['tool_finished:unknown'])
    const s = g.then(fork(startedCall('put')), g.stop)
    expect(brief(decide(s)).events).toEqual(['tool_finished:unknown', 'interrupted', 'turn_finished:interrupted'])
  })
  it('finishes an interrupted turn that was cut before its turn_finished', () => {
    const s = fork(g.then(g.then(due, g.stop), g.interrupted))
    expect(brief(decide(s)).events).toEqual(['turn_finished:interrupted'])
  })
  const keyOf = (s: State): string | undefined =>
    decide(s).events.flatMap((e) => (e.type === 'tool_started' ? [e.payload.idempotencyKey] : []))[0]
  it('gives a call that begins in a fork a key of its own, so that its payment is not taken for the one of the parent', () => {
    const s = withCalls('look')
    const keys = [s, fork(s), g.then(fork(s), g.forked)].map(keyOf)
    expect(keys.every(Boolean)).toBe(true)
    expect(new Set(keys).size).toBe(3)
  })
  it('treats an adopted import as a fork: what was started is unknown, decisions are asked for again, keys are new', () => {
    const adopted = (s: State): State => g.then(s, g.custody)
    expect(brief(decide(adopted(startedCall('pay'))))).toMatchObject({ events: ['tool_finished:unknown'] })
    expect(brief(decide(adopted(withCalls('pay'))))).toMatchObject({ events: ['approval_requested'] })
    expect(keyOf(adopted(withCalls('look')))).not.toBe(keyOf(withCalls('look')))
  })
  it('does not let what a later answer calls count as inherited', () => {
    const s = g.then(fork(due), (x) => g.answered(x, ['pay']))
    expect(brief(decide(s))).toMatchObject({ events: ['tool_started'], run: ['tool@s:2.0'] })
  })
})
