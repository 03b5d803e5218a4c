/** All that a Temporal knows of a task queue's runs, as text: histories, descriptions, pending activities, metadata, schedules. */
import type { Client } from '@temporalio/client'
import type { World } from '../../support/world'
import { withTemporal } from '../../faults/support/temporal'

/** Every text in a value, bytes decoded: payloads are bytes, and JSON forms of them are base64. */
export function textsOf(value: unknown, seen = new Set<object>()): string[] {
  if (typeof value === 'string') {
    const decoded = /^[A-Za-z0-9+/_-]{12,}={0,2}$/.test(value) ? [Buffer.from(value, 'base64').toString('utf8')] : []
    return [value, ...decoded]
  }
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value)
    return [bytes.toString('utf8'), ...textsOf(bytes.toString('latin1'), seen)]
  }
  if (typeof value !== 'object' || value === null || seen.has(value)) return []
  seen.add(value)
  if (value instanceof Map) return textsOf([...value], seen)
  return Object.entries(value).flatMap(([key, item]) => [key, ...textsOf(item, seen)])
}

export interface Found {
  marker: string
  where: string
}

/** Which markers stand where. */
export function find(markers: readonly string[], exported: ReadonlyMap<string, unknown>): Found[] {
  return [...exported].flatMap(([where, value]) => {
    const text = textsOf(value).join('\n')
    return markers.filter((marker) => text.includes(marker)).map((marker) => ({ marker, where }))
  })
}

/** Histories and descriptions of every run of the queue, by a name of where they come from. */
export async function exportQueue(world: Pick<World, 'temporalAddress' | 'taskQueue'>): Promise<Map<string, unknown>> {
  return withTemporal(world, async (client) => {
    const exported = new Map<string, unknown>()
    for await (const { workflowId, runId } of client.workflow.list({ query: `TaskQueue = '${world.taskQueue}'` }))
      for (const [where, value] of await exportRun(client, workflowId, runId)) exported.set(where, value)
    for await (const schedule of client.schedule.list())
      if (schedule.scheduleId.includes(world.taskQueue)) {
        exported.set(`${schedule.scheduleId} listed`, schedule)
        exported.set(
          `${schedule.scheduleId} described`,
          await client.schedule.getHandle(schedule.scheduleId).describe(),
        )
      }
    return exported
  })
}

async function exportRun(client: Client, workflowId: string, runId: string): Promise<[string, unknown][]> {
  const handle = client.workflow.getHandle(workflowId, runId)
  const described = await handle.describe()
  return [
    [`${workflowId}/${runId} history`, await handle.fetchHistory()],
    [`${workflowId}/${runId} described`, described],
    [`${workflowId}/${runId} summary`, await described.staticSummary()],
    [`${workflowId}/${runId} details`, await described.staticDetails()],
  ]
}

/** What Temporal's UI shows of an open run now: pending activities with their last failures, and the current details. */
export async function exportOpen(
  world: Pick<World, 'temporalAddress'>,
  session: string,
): Promise<Map<string, unknown>> {
  return withTemporal(world, async (client) => {
    const handle = client.workflow.getHandle(session)
    const { raw } = await handle.describe()
    return new Map<string, unknown>([
      [`${session} open`, raw],
      [`${session} metadata`, await handle.query('__temporal_workflow_metadata')],
    ])
  })
}
