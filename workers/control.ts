/**
 * What a worker makes sure of at Temporal, at its start and after every reconnect: the search attributes, and the reconciler's Schedule.
 * A Temporal that lost everything is set up again by the next look.
 */
import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ServiceError,
  isGrpcServiceError,
  type Client,
} from '@temporalio/client'
import { RECONCILE_WORKFLOW } from '../contract/activities'
import { workflowId, type SessionRef } from '../contract/ids'

/** Temporal's own numbers (temporal.api.enums.v1.IndexedValueType). */
const KEYWORD = 2
const INT = 3
const ATTRIBUTES = { SavefileSession: KEYWORD, SavefileSpace: KEYWORD, SavefileState: KEYWORD, SavefileTurn: INT }
/** A workflow task that failed so often is not going to succeed by itself. */
const STUCK_ATTEMPTS = 3
const DEADLINE_MS = 10_000

/** Which Temporal this is: a lease taken through another one is told apart by it. */
export async function clusterId(client: Client): Promise<string> {
  const info = await client.connection.withDeadline(Date.now() + DEADLINE_MS, () =>
    client.workflowService.getClusterInfo({}),
  )
  return `${info.clusterId ?? ''}/${client.options.namespace}`
}

/** True where the search attributes are there, or could be made. A cloud that refuses is no reason not to work. */
export async function ensureSearchAttributes(client: Client): Promise<boolean> {
  const { namespace } = client.options
  try {
    await client.connection.withDeadline(Date.now() + DEADLINE_MS, async () => {
      const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace })
      const missing = Object.fromEntries(
        Object.entries(ATTRIBUTES).filter(([name]) => !(name in (customAttributes ?? {}))),
      )
      if (Object.keys(missing).length > 0)
        await client.connection.operatorService.addSearchAttributes({ namespace, searchAttributes: missing })
    })
    return true
  } catch (error) {
    if (isGrpcServiceError(error)) return false
    throw error
  }
}

export function scheduleId(taskQueue: string): string {
  return `savefile-reconcile-${taskQueue}`
}

export async function ensureSchedule(client: Client, taskQueue: string, everyMs: number): Promise<void> {
  const id = scheduleId(taskQueue)
  try {
    await client.schedule.getHandle(id).describe()
    return
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error
  }
  try {
    await client.schedule.create({
      scheduleId: id,
      spec: { intervals: [{ every: everyMs }] },
      policies: { overlap: 'SKIP', catchupWindow: '1 minute' },
      action: { type: 'startWorkflow', workflowType: RECONCILE_WORKFLOW, workflowId: id, taskQueue, args: [] },
    })
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error
  }
}

/** Ends a run whose workflow task fails again and again. Its session goes on from the log in another run. */
export async function terminateStuck(client: Client, ref: SessionRef): Promise<boolean> {
  const handle = client.workflow.getHandle(workflowId(ref))
  try {
    const { raw, status } = await handle.describe()
    if (status.name !== 'RUNNING' || (raw.pendingWorkflowTask?.attempt ?? 0) < STUCK_ATTEMPTS) return false
    await handle.terminate('stuck')
    return true
  } catch (error) {
    // Ended meanwhile, or never was: nothing to replace. Any other answer of Temporal's is for the next look.
    if (error instanceof ServiceError || isGrpcServiceError(error) || (error as Error).name === 'WorkflowNotFoundError')
      return false
    throw error
  }
}
