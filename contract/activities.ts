/**
 * The activities that workflow code calls, as types: ids, numbers and enum words only (L6).
 */
import type { SessionRef } from './ids'
import type { RunStep, Waiting } from './next-step'

/** Numbers that the worker chooses and a run learns once, with its lease: all in milliseconds. */
export interface Profile {
  heartbeatMs: number
  retryInitialMs: number
  /** How long a run with nothing to do stays, so that the next input finds it warm. */
  lingerMs: number
  /** How long a run stays that waits for a person. */
  waitLingerMs: number
  /** Pauses between looks while Postgres is away; the last one repeats. */
  backoffMs: number[]
  graceMs: number
  /** How long a step may wait for a worker of its queue. */
  scheduleToStartMs: number
  /** False where the search attributes could not be registered. */
  searchAttributes: boolean
}

export interface AdvanceInput {
  ref: SessionRef
  /** Null: claim the lease first. */
  epoch: number | null
  grace: boolean
  /** Steps that no worker took in time: they are closed as never begun, unless somebody did. */
  neverBegan?: string[]
}

export type Advanced =
  | {
      status: 'ok'
      epoch: number
      run: RunStep[]
      waiting: Waiting
      wakeInMs: number | null
      turn: number
      profile?: Profile
    }
  /** Another executor has the session, or nobody can have it: this run ends. */
  | { status: 'over' }
  /** Another cluster was heard of lately. */
  | { status: 'owned_elsewhere'; retryMs: number }

export interface StepInput {
  ref: SessionRef
  epoch: number
  step: string
}

export interface SessionActivities {
  /** plan and mirror in one: reads the tail and the draft rows, promotes and appends what is due, says what to run. */
  advance(input: AdvanceInput): Promise<Advanced>
  /**
   * A step, and then what is due after it, where the same process could say: else null, and the run asks `advance`. What is due may already
   * lie behind further steps: short in-process tools are run on the spot.
   */
  callModel(input: StepInput): Promise<Advanced | null>
  executeTool(input: StepInput): Promise<Advanced | null>
}

export interface ReconcileActivities {
  /** Nudges every session whose work is due while log and beats stand still. Gives back how many. */
  reconcile(): Promise<{ nudged: number; replaced: number }>
}

/** What a session workflow gets. */
export interface SessionInput {
  ref: SessionRef
}

export const SESSION_WORKFLOW = 'session'
export const RECONCILE_WORKFLOW = 'reconcile'
export const NUDGE_SIGNAL = 'nudge'
export const DEFAULT_TASK_QUEUE = 'savefile'
