/** What a step leaves in Temporal: history events and bytes as the server counts them, with all summaries on. From two turns of different length. */
import { workflowId } from '../../contract/ids'
import { waitUntil } from '../../dev/processes'
import { round } from '../stats'
import { atMost, type Figure, type Options, type Outcome } from '../scenario'
import { workFolder, type Stack } from '../stack'
import { checkSessions, createSessions, playTurns, type ToolKind } from '../turns'

const LIMITS = { regular: { events: 15, bytes: 3.2 }, 'in-process': { events: 9, bytes: 2 } }

export async function history(stack: Stack, { quick }: Options): Promise<Outcome> {
  const world = await stack.world()
  try {
    await world.worker()
    const folder = workFolder(stack)
    const [few, many] = quick ? [5, 25] : [20, 120]
    const sizes = async (kind: ToolKind, steps: number): Promise<{ events: number; bytes: number }> => {
      const ids = await createSessions(world, 3, kind, folder)
      await playTurns(world, ids, { steps })
      await checkSessions(world, ids)
      const all = await Promise.all(ids.map((id) => sizeOf(stack, workflowId({ space: 'default', session: id }))))
      return {
        events: all.reduce((sum, one) => sum + one.events, 0) / all.length,
        bytes: all.reduce((sum, one) => sum + one.bytes, 0) / all.length,
      }
    }
    const figures: Figure[] = []
    const data: Record<string, unknown> = {}
    for (const kind of ['regular', 'in-process'] as const) {
      const [short, long] = [await sizes(kind, few), await sizes(kind, many)]
      const events = (long.events - short.events) / (many - few)
      const kilobytes = (long.bytes - short.bytes) / (many - few) / 1000
      figures.push(
        atMost(`history of a step with a ${kind} tool`, events, LIMITS[kind].events, ' events'),
        atMost(`history of a step with a ${kind} tool, size`, kilobytes, LIMITS[kind].bytes, ' KB'),
      )
      data[kind] = { [`${few} steps`]: short, [`${many} steps`]: long, bytesPerStep: round(kilobytes * 1000) }
    }
    return { figures, data }
  } finally {
    await world.close()
  }
}

/** Of the whole run, once it has ended. */
async function sizeOf(stack: Stack, id: string): Promise<{ events: number; bytes: number }> {
  const handle = stack.temporalClient.workflow.getHandle(id)
  const over = async (): Promise<boolean> => (await handle.describe()).status.name !== 'RUNNING'
  if (!(await waitUntil(over, 60_000))) throw new Error(`the run of ${id} does not end`)
  const { historyLength, historySize } = await handle.describe()
  return { events: historyLength, bytes: historySize ?? 0 }
}
