/**
 * Every timeout, retry and pause of the loop, in one place, with its reason. Milliseconds unless the name says otherwise.
 * docs/operations.md says which to change when. What was measured is in bench/results/.
 */
import type { Profile } from './activities'
import type { FailureClass } from './events'

/**
 * `default`: a stalled Temporal server must not make every call in flight be paid twice, so a step is given up for lost only after 15 s.
 * `fast`: after a kill -9 a step goes on within about 3 s; costs a heartbeat every half second a step, and forgives no stall over 2 s.
 */
export const PROFILES: Readonly<Record<'default' | 'fast', Profile>> = {
  default: {
    heartbeatMs: 15_000,
    retryInitialMs: 1_000,
    // A second of patience saves the cold start of a run for a person who answers at once, and 1,500 failed workflow tasks in 2,000 races.
    lingerMs: 1_000,
    // An open prompt is worth seeing among the running workflows; after that the log alone remembers it.
    waitLingerMs: 600_000,
    // Ten minutes without Postgres come to 7 looks, some 45 history events.
    backoffMs: [1_000, 4_000, 15_000, 60_000, 120_000, 180_000, 240_000],
    // run_command gets 2 s between SIGTERM and SIGKILL.
    graceMs: 3_000,
    scheduleToStartMs: 600_000,
    searchAttributes: true,
  },
  fast: {
    heartbeatMs: 2_000,
    retryInitialMs: 100,
    lingerMs: 1_000,
    waitLingerMs: 600_000,
    backoffMs: [1_000, 4_000, 15_000, 60_000, 120_000, 180_000, 240_000],
    graceMs: 3_000,
    scheduleToStartMs: 600_000,
    searchAttributes: true,
  },
}

/** Before a run has its lease, and so its profile. */
export const FIRST_PROFILE = PROFILES.default

/** A workflow task that died with its worker is given out again after so long: the price of a kill in a mirror. Local activities are well below it. */
export const WORKFLOW_TASK_TIMEOUT_MS = 5_000

/**
 * `advance` as a local activity: a blip of Postgres is retried on the spot; anything longer is the workflow's business, whose timers cost
 * six history events each, where a local activity that went on would cost three every four seconds.
 */
export const ADVANCE = {
  startToCloseTimeout: 8_000,
  scheduleToCloseTimeout: 10_000,
  localRetryThreshold: 2_000,
  retry: { initialInterval: 100, backoffCoefficient: 2, maximumInterval: 1_000, maximumAttempts: 4 },
} as const

/** `callModel`: above what one attempt may take by its definition (model.totalMs, an hour at most); silence is judged inside (model.silenceMs). */
export const CALL_MODEL_MS = 3_900_000
/** What a tool's activity gets beyond the tool's own timeout, to write its result and, after a kill, to wait for a silent holder. */
export const TOOL_SLACK_MS = 60_000
/** Retries of a regular activity are for crashes and outages: they never give up by themselves, since the log says when to. */
export const ACTIVITY_RETRY = { backoffCoefficient: 2, maximumInterval: 30_000 } as const

/**
 * How many attempts a retryable failure allows, by its class. A busy provider is worth two minutes; one that is not there, or falls silent
 * for model.silenceMs each time, is soon told to the person who waits.
 */
export const MODEL_ATTEMPTS: Readonly<Record<FailureClass, number>> = {
  rate_limited: 8,
  overloaded: 8,
  cut_off: 5,
  unreachable: 5,
  timeout: 3,
  internal: 3,
  auth: 1,
  budget: 1,
  context_exceeded: 1,
  refused_request: 1,
}
/** Attempts in all, those that vanished with their process included: a request that kills whoever makes it must end too. */
export const MODEL_ATTEMPTS_IN_ALL = 16
/** The same of a tool that may run again. */
export const TOOL_ATTEMPTS_IN_ALL = 5
/** A provider that asks for a longer pause is not waited for: the turn fails, and says so. */
export const MAX_RETRY_AFTER_MS = 600_000
/** Pause before the next attempt where the provider names none: doubles from the first to the last. */
export const MODEL_RETRY = { firstMs: 1_000, lastMs: 60_000 } as const

/** Pauses before a result is offered to an absent Postgres again: short, since once it is back others may take the silent claim over. */
export const FINISH_RETRY = { firstMs: 100, lastMs: 500 }

/** An open run without progress is looked at by the reconciler after so long. */
export const OVERDUE_MS = 30_000
/** How often the reconciler looks, and how many sessions a look takes. */
export const RECONCILE = { everyMs: 10_000, batch: 500, replaceAfterStalls: 3 } as const
/** A snapshot of the state is kept every so many events: what a cold start reads is bounded by it. */
export const SNAPSHOT_EVERY = 200
