/**
 * The session workflow: one open run a session, whose only memory is the log (DESIGN.md section 6, docs/protocol.md rules 16 to 20).
 * It asks `advance` what is due, runs the steps that it is told to run, and asks again after every report and every nudge.
 * It may die anywhere: the next run finds its place from the log.
 *
 * Temporal's sandbox loads this file: no Node modules, no clock, no content (L6).
 */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  TemporalFailure,
  TimeoutFailure,
  condition,
  continueAsNew,
  defineSignal,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow'
import { defineSearchAttributeKey } from '@temporalio/common'
import {
  NUDGE_SIGNAL,
  type Advanced,
  type Profile,
  type SessionActivities,
  type SessionInput,
} from '../contract/activities'
import type { RunStep } from '../contract/next-step'
import { ACTIVITY_RETRY, ADVANCE, CALL_MODEL_MS, FIRST_PROFILE, TOOL_SLACK_MS } from '../contract/timing'

const { advance } = proxyLocalActivities<SessionActivities>(ADVANCE)
// Of its own: call-site options are merged into these, and a tool is not to inherit how long a look may take.
const { executeTool: executeToolHere } = proxyLocalActivities<SessionActivities>({
  startToCloseTimeout: TOOL_SLACK_MS,
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
})
const { callModel, executeTool } = proxyActivities<SessionActivities>({ startToCloseTimeout: CALL_MODEL_MS })

/** Waits for another cluster's silence, each at most the time to live of its lease. */
const MAX_REFUSED = 20
const STATE = defineSearchAttributeKey('SavefileState', 'KEYWORD')
const TURN = defineSearchAttributeKey('SavefileTurn', 'INT')

export async function session({ ref }: SessionInput): Promise<void> {
  let nudged = false
  let reported = false
  let profile: Profile = FIRST_PROFILE
  let epoch: number | null = null
  let grace = true
  let outages = 0
  let failed = false
  let refused = 0
  let broken: unknown
  const inFlight = new Map<string, CancellationScope>()
  let neverBegan: string[] = []
  /** What the process of the last step saw, which saves asking. */
  let heard: Advanced | null = null
  /** Ends the wait for a report or a nudge. */
  let wake = (): void => {}
  setHandler(defineSignal(NUDGE_SIGNAL), () => {
    nudged = true
    wake()
  })
  // A scope that was not cancelled serves the next step too. Few promises: the sandbox takes a stack trace of each, and a scope makes three.
  const spare: CancellationScope[] = []

  const start = (epoch: number, step: RunStep): void => {
    const scope = spare.pop() ?? new CancellationScope()
    inFlight.set(step.step, scope)
    const ended = (saw: Advanced | null): void => {
      inFlight.delete(step.step)
      if (!scope.consideredCancelled) spare.push(scope)
      heard = saw
      reported = true
      wake()
    }
    void scope
      .run(() => execute(ref, epoch, step, profile))
      .then(ended, (error: unknown) => {
        if (wasNeverTaken(error)) neverBegan.push(step.step)
        // Only Temporal's own failures are caught: a bug fails the workflow task, and is retried after a deploy.
        else if (!(error instanceof TemporalFailure)) broken = error
        else failed = !isCancellation(error)
        ended(null)
      })
  }

  const pause = (): number => profile.backoffMs[Math.min(outages++, profile.backoffMs.length - 1)] ?? 60_000

  for (;;) {
    if (broken) throw broken
    if (failed) await condition(() => nudged, pause())
    // Only where nothing else happened since, and nothing else runs.
    const seen: Advanced | null = grace && !nudged && neverBegan.length === 0 && inFlight.size === 0 ? heard : null
    heard = null
    nudged = reported = failed = false
    const given = neverBegan
    neverBegan = []
    let look: Advanced
    try {
      look = seen ?? (await advance({ ref, epoch, grace, ...(given.length > 0 ? { neverBegan: given } : {}) }))
    } catch (error) {
      // A local activity's failure comes as it is, without an ActivityFailure around it.
      if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error
      // Postgres is away. A nudge means that somebody could append: then it is back.
      neverBegan.push(...given)
      setCurrentDetails(waitsFor(error))
      await condition(() => nudged, pause())
      continue
    }
    if (look.status !== 'ok' || look.run.every((step) => !step.local)) outages = 0
    if (look.status === 'over') {
      for (const scope of inFlight.values()) scope.cancel()
      return
    }
    if (look.status === 'owned_elsewhere') {
      // Not for ever in one history: what is due stays due, and the reconciler starts another run.
      if (++refused > MAX_REFUSED) return
      setCurrentDetails('another cluster runs this session')
      await condition(() => nudged, look.retryMs)
      continue
    }
    epoch = look.epoch
    profile = look.profile ?? profile
    const due = new Set(look.run.map((step) => step.step))
    for (const [key, scope] of inFlight) if (!due.has(key)) scope.cancel()
    // A run that has said much goes on as a new one, between two steps: the new run claims a new epoch and adopts the drafts.
    if (inFlight.size === 0 && look.run.length > 0 && workflowInfo().continueAsNewSuggested)
      await continueAsNew<typeof session>({ ref })
    for (const step of look.run) if (!inFlight.has(step.step)) start(epoch, step)
    setCurrentDetails(details(look))

    if (look.waiting === 'settling') {
      // What runs was told to stop; after the grace its rows are closed whatever it does.
      await condition(() => inFlight.size === 0, profile.graceMs)
      grace = false
      continue
    }
    grace = true
    if (inFlight.size > 0) {
      const news = (): boolean => nudged || reported
      // With a timeout it leaves a timer in the history; without one a promise does, which costs the sandbox a third of what a condition does.
      if (look.wakeInMs !== null) await condition(news, look.wakeInMs)
      else if (!news()) await new Promise<void>((resolve) => (wake = resolve))
      continue
    }
    const waits = look.waiting === 'approval' || look.waiting === 'deferred'
    if (waits && profile.searchAttributes) upsertSearchAttributes([{ key: STATE, value: `waiting_${look.waiting}` }])
    const stay = waits ? Math.min(profile.waitLingerMs, look.wakeInMs ?? Infinity) : profile.lingerMs
    const more = nudged || reported || (await condition(() => nudged, stay))
    if (more || (waits && look.wakeInMs !== null && look.wakeInMs <= stay)) {
      if (waits && profile.searchAttributes) upsertSearchAttributes([{ key: STATE, value: 'running' }])
      continue
    }
    if (profile.searchAttributes)
      upsertSearchAttributes([...(waits ? [] : [{ key: STATE, value: 'idle' }]), { key: TURN, value: look.turn }])
    return
  }
}

function execute(ref: SessionInput['ref'], epoch: number, step: RunStep, profile: Profile): Promise<Advanced | null> {
  const input = { ref, epoch, step: step.step }
  const common = {
    heartbeatTimeout: profile.heartbeatMs,
    // A step that was told to stop says what it did: the grace of an interrupt waits for that.
    cancellationType: 'WAIT_CANCELLATION_COMPLETED' as const,
    retry: { ...ACTIVITY_RETRY, initialInterval: profile.retryInitialMs },
  }
  if (step.kind === 'model')
    return callModel.executeWithOptions(
      { ...common, startToCloseTimeout: CALL_MODEL_MS, summary: `callModel · step ${step.n}` },
      [input],
    )
  const startToCloseTimeout = step.timeoutMs + TOOL_SLACK_MS
  if (step.local)
    return executeToolHere.executeWithOptions({ startToCloseTimeout, retry: { maximumAttempts: 3 } }, [input])
  return executeTool.executeWithOptions(
    {
      ...common,
      startToCloseTimeout,
      summary: `executeTool · step ${step.n}`,
      ...(step.queue === null ? {} : { taskQueue: step.queue, scheduleToStartTimeout: profile.scheduleToStartMs }),
    },
    [input],
  )
}

/** What a look that failed waits for, by the enum word that its failure carries. */
function waitsFor(error: TemporalFailure): string {
  const failure = error instanceof ActivityFailure ? error.cause : error
  const type = failure instanceof ApplicationFailure ? failure.type : undefined
  if (type === 'corrupt_log') return 'the log does not verify: see savefile verify'
  return type && type !== 'database_unreachable' ? `stopped by ${type}: see the worker's log` : 'waiting for Postgres'
}

function wasNeverTaken(error: unknown): boolean {
  return (
    error instanceof ActivityFailure &&
    error.cause instanceof TimeoutFailure &&
    error.cause.timeoutType === 'SCHEDULE_TO_START'
  )
}

function details(look: Extract<Advanced, { status: 'ok' }>): string {
  const turn = `turn ${look.turn}`
  if (look.waiting === 'approval') return `${turn} · waiting for an approval`
  if (look.waiting === 'deferred') return `${turn} · waiting for a result from outside`
  if (look.waiting === 'settling') return `${turn} · stopping`
  if (look.waiting === 'newer_worker') return `${turn} · needs a newer worker`
  const [first] = look.run
  if (!first) return `${turn} · idle`
  return first.kind === 'model'
    ? `${turn} · step ${first.n} · calling the model`
    : `${turn} · step ${first.n} · running ${look.run.length === 1 ? 'a tool' : `${look.run.length} tools`}`
}
