/** The parts of a worker, wired once for the life of the process: log, providers, tools, and the activities over them. */
import { VIEW_VERSION } from '../contract/events'
import { createHash, randomUUID } from 'node:crypto'
import { Context } from '@temporalio/activity'
import type { Pool } from 'pg'
import { createAdvance } from '../activities/advance'
import { createCallModel } from '../activities/call-model'
import { createExecuteTool } from '../activities/execute-tool'
import { goingOn } from '../activities/go-on'
import { RunningSteps } from '../activities/running-steps'
import { Lru, type CachedState } from '../activities/session-cache'
import type { Profile, SessionActivities } from '../contract/activities'
import type { Keyring } from '../contract/keys'
import type { Tool } from '../contract/ports'
import type { Provider } from '../contract/provider-port'
import { createExecutorLog } from '../log/executor-log'
import { createDeltaWriter } from '../log/live'
import { createVault } from '../log/vault'
import type { PriceList } from '../providers/prices'
import { buildSummaryView, buildView, newlyDropped } from '../providers/view'
import { runTool } from '../tools/run-tool'

export interface ToolParts {
  /** The Temporal cluster that this process works for; it may change under a running worker. */
  cluster: string
  /** For a queue of tools: a result is ended here, and what follows from it is run where the session's own tools are. */
  toolActivities(profile: Profile): Pick<SessionActivities, 'executeTool'>
  close(): Promise<void>
}

export interface Parts extends ToolParts {
  activities(profile: Profile): SessionActivities
}

/** States are small, a few KB each. */
const CACHED_STATES = 10_000
/** A silent executor is one that has missed three beats. */
export const BEATS_PER_TTL = 4

/** Microseconds since 1970. */
export const now = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000)

export function createParts(
  pool: Pool,
  ttlMs: number,
  providers: ReadonlyMap<string, Provider>,
  prices: PriceList,
  keyring: Keyring | null,
  tools: ReadonlyMap<string, Tool>,
  warn: (what: string, error: unknown) => void,
): Parts {
  const vault = createVault(pool, keyring)
  const log = createExecutorLog(pool, { ttlMs, vault })
  const deltas = createDeltaWriter(pool, vault)
  const states = new Lru<CachedState>(CACHED_STATES)
  const running = new RunningSteps(log, ttlMs / BEATS_PER_TTL, warn)

  const stepsOf = (profile: Profile) => {
    const base = { log, running, randomToken: randomUUID, heartbeatMs: profile.heartbeatMs, tools, deltas, now }
    const { advance, finish } = createAdvance({
      log,
      states,
      profile,
      sha256: (text) => createHash('sha256').update(text).digest('hex'),
      owner: () => ({ cluster: parts.cluster, run: Context.current().info.workflowExecution?.runId ?? '' }),
      interrupt: (ref) => running.interrupt(ref),
      warn,
      now,
    })
    const step = { ...base, finish }
    const callModel = createCallModel({
      ...step,
      providers,
      buildView,
      buildSummaryView,
      newlyDropped,
      viewVersion: VIEW_VERSION,
      costUsdMicros: prices.costUsdMicros,
    })
    const executeTool = createExecuteTool({ ...step, states, runTool })
    return { advance, callModel, executeTool }
  }

  const parts: Parts = {
    cluster: '',
    activities(profile) {
      const { advance, callModel, executeTool } = stepsOf(profile)
      const after = { advance, executeTool, states, heartbeatMs: profile.heartbeatMs, warn }
      return {
        advance: (input) => advance(input),
        callModel: goingOn(after, callModel),
        executeTool: goingOn(after, executeTool),
      }
    },
    toolActivities(profile) {
      const { executeTool } = stepsOf(profile)
      return { executeTool: async (input) => (await executeTool(input))?.look ?? null }
    },
    async close() {
      running.close()
      await deltas.close()
      await log.end()
    },
  }
  return parts
}
