/**
 * The nudge: tells Temporal that a session has something to do, by its id and nothing else (L6). Used after every input, and by the
 * reconciler. A nudge decides nothing: what is due stands in the log, so a failed one costs time, never an input (L7).
 */
import { isGrpcServiceError, ServiceError, type Client as TemporalClient } from '@temporalio/client'
import { defineSearchAttributeKey, TypedSearchAttributes } from '@temporalio/common'
import { DEFAULT_TASK_QUEUE, NUDGE_SIGNAL, SESSION_WORKFLOW, type SessionInput } from '../contract/activities'
import { workflowId, type SessionRef } from '../contract/ids'
import { WORKFLOW_TASK_TIMEOUT_MS } from '../contract/timing'

export const SESSION_ATTRIBUTE = defineSearchAttributeKey('SavefileSession', 'KEYWORD')
export const SPACE_ATTRIBUTE = defineSearchAttributeKey('SavefileSpace', 'KEYWORD')
export const STATE_ATTRIBUTE = defineSearchAttributeKey('SavefileState', 'KEYWORD')

/** An input is accepted whatever Temporal does: nobody waits longer than this for it. */
export const NUDGE_DEADLINE_MS = 2_000

export interface NudgeOptions {
  taskQueue?: string
  deadlineMs?: number
}

/** gRPC's own number. */
const INVALID_ARGUMENT = 3

/** `why` is for people on this side: it never goes to Temporal or into the log. */
export type Nudged = { nudged: true } | { nudged: false; why: string }

/** Servers on which our search attributes are not registered: they are told without. */
const withoutAttributes = new WeakSet<TemporalClient>()

/**
 * Signals the session's run, and starts one where none is open. Never throws: what it is called for has been committed already, and
 * whoever sent it must not take a failed nudge for a refusal.
 */
export async function nudge(temporal: TemporalClient, ref: SessionRef, options: NudgeOptions = {}): Promise<Nudged> {
  const deadline = Date.now() + (options.deadlineMs ?? NUDGE_DEADLINE_MS)
  const taskQueue = options.taskQueue ?? DEFAULT_TASK_QUEUE
  try {
    await temporal.connection.withDeadline(deadline, async () => {
      try {
        await start(temporal, ref, taskQueue, !withoutAttributes.has(temporal))
      } catch (error) {
        if (withoutAttributes.has(temporal) || !refusedAttributes(error)) throw error
        withoutAttributes.add(temporal)
        await start(temporal, ref, taskQueue, false)
      }
    })
    return { nudged: true }
  } catch (error) {
    return { nudged: false, why: reasonOf(error) }
  }
}

async function start(temporal: TemporalClient, ref: SessionRef, taskQueue: string, attributes: boolean): Promise<void> {
  const input: SessionInput = { ref }
  await temporal.workflow.signalWithStart(SESSION_WORKFLOW, {
    workflowId: workflowId(ref),
    taskQueue,
    args: [input],
    signal: NUDGE_SIGNAL,
    signalArgs: [],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT_MS,
    ...(attributes
      ? {
          typedSearchAttributes: new TypedSearchAttributes([
            { key: SESSION_ATTRIBUTE, value: ref.session },
            { key: SPACE_ATTRIBUTE, value: ref.space },
            { key: STATE_ATTRIBUTE, value: 'running' },
          ]),
        }
      : {}),
  })
}

function grpcOf(error: unknown): { code: number; details: string } | null {
  const cause = error instanceof ServiceError ? error.cause : error
  return isGrpcServiceError(cause) ? { code: cause.code, details: cause.details } : null
}

function refusedAttributes(error: unknown): boolean {
  const grpc = grpcOf(error)
  return grpc?.code === INVALID_ARGUMENT && /search attribute/i.test(grpc.details)
}

function reasonOf(error: unknown): string {
  const grpc = grpcOf(error)
  if (grpc) return `gRPC status ${grpc.code}: ${grpc.details}`
  return error instanceof Error ? error.message : String(error)
}
