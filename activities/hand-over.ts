/** Of an encrypted session: what its due calls take, for the hosts that run them. Before the run is told of them; again costs nothing. */
import { isSafe, toolNamed } from '../contract/definition'
import { parseStep, type SessionRef } from '../contract/ids'
import type { Decision } from '../contract/next-step'
import type { ExecutorLog } from '../contract/ports'

export async function handOver(
  log: Pick<ExecutorLog, 'definition' | 'handOver'>,
  ref: SessionRef,
  epoch: number,
  { run, state }: Decision,
): Promise<void> {
  for (const { step, queue } of run) {
    const parsed = parseStep(step)
    if (queue === null || parsed.kind !== 'tool') continue
    const call = state.calls.find(({ id }) => id === parsed.call)
    const tool = call && toolNamed(await log.definition(ref.space, call.definition), call.name)
    if (!call || !tool?.queueKey) continue
    const { id, args, idempotencyKey } = call
    const { workFolder } = state
    await log.handOver(
      ref,
      epoch,
      { id, tool: tool.name, args, idempotencyKey, timeoutMs: tool.timeoutMs, workFolder, safe: isSafe(tool) },
      { queue, key: tool.queueKey },
    )
  }
}
