/** The parts of a worker whose database login serves a queue of tools and nothing else: no log, no provider, no owner's key. */
import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import { createExecuteQueuedTool } from '../activities/execute-queued-tool'
import { RunningSteps } from '../activities/running-steps'
import type { Tool } from '../contract/ports'
import { createQueueLog, createQueueOutput, type CallSealers } from '../log/queue-log'
import type { QueueKeys } from '../log/queue-key'
import { runTool } from '../tools/run-tool'
import { BEATS_PER_TTL, now, type ToolParts } from './parts'

export function createQueueParts(
  pool: Pool,
  ttlMs: number,
  tools: ReadonlyMap<string, Tool>,
  warn: (what: string, error: unknown) => void,
  keys?: QueueKeys,
): ToolParts {
  const sealers: CallSealers = new Map()
  const log = createQueueLog(pool, ttlMs, { sealers, ...(keys ? { keys } : {}) })
  const deltas = createQueueOutput(pool, sealers)
  const running = new RunningSteps(log, ttlMs / BEATS_PER_TTL, warn)
  return {
    cluster: '',
    toolActivities: ({ heartbeatMs }) => ({
      executeTool: createExecuteQueuedTool({
        ...{ log, running, tools, deltas, runTool, heartbeatMs, now, warn },
        randomToken: randomUUID,
        finish: async ({ ref, step }, token, event) =>
          (await log.finishDraft(ref, step, token, event)) === 'finished' ? { step, event, look: null } : null,
      }),
    }),
    async close() {
      running.close()
      await deltas.close()
    },
  }
}
