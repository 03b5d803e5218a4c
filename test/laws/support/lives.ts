/**
 * Executors in this process over a real Postgres: the real `advance`, real claims and finishes, and a model and tools that are counted. They
 * race, crash and freeze as a plan says; time to live is short, so what stands still is taken over.
 */
import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAdvance } from '../../../activities/advance'
import type { StepDeps } from '../../../activities/claim-step'
import { fold, Lru } from '../../../activities/session-cache'
import type { StepInput } from '../../../contract/activities'
import { parseDefinition, toolNamed } from '../../../contract/definition'
import { parseEvent, type Payload, type StoredEvent } from '../../../contract/events'
import { parseStep, type SessionRef } from '../../../contract/ids'
import type { StepResult } from '../../../contract/next-step'
import { emptyState, unseenByModel, type State } from '../../../contract/state'
import { PROFILES } from '../../../contract/timing'
import { createExecutorLog } from '../../../log/executor-log'
import { answer, type TestLog } from '../../log/support'

export const TTL_MS = 40

const schema = '{"type":"object"}'
export const DEFINITION = parseDefinition({
  model: { provider: 'anthropic', name: 'scripted' },
  tools: [
    { name: 'pay', description: '', inputSchema: schema, approval: 'allow' },
    { name: 'look', description: '', inputSchema: schema, approval: 'allow', readOnly: true },
    { name: 'asked', description: '', inputSchema: schema, approval: 'ask' },
  ],
})

/** What happens to a step: in the middle of which its executor may die, or sleep longer than its claim lives. */
export type Fate = 'well' | 'dies claimed' | 'dies done' | 'sleeps claimed' | 'sleeps done' | 'does it twice'

/** What a test counts. `committed`: steps whose result was taken, so that nobody may pay or act again. */
export interface Counts {
  done: Map<string, number>
  committed: Set<string>
  /** Rules that were broken, at the moment when they were. */
  broken: string[]
  /** How long a sleeper sleeps. */
  sleep(): Promise<void>
}

export const counts = (): Counts => ({
  done: new Map(),
  committed: new Set(),
  broken: [],
  sleep: () => sleep(TTL_MS * 2),
})

/** The results of calls that a log holds. */
export function resultsOf(events: readonly StoredEvent[]): Payload<'tool_finished'>[] {
  return events.flatMap((stored) => {
    const event = parseEvent(stored)
    return event?.type === 'tool_finished' ? [event.payload] : []
  })
}

class Death extends Error {}

export async function stateOf(log: TestLog, ref: SessionRef): Promise<State> {
  return fold(emptyState, await log.read(ref)).state
}

/** One run of a session on `cluster`, until it is over, has nothing to do, or dies. `fates`: of its steps, in order; then all go well. */
export async function live(
  log: TestLog,
  ref: SessionRef,
  count: Counts,
  fates: Fate[] = [],
  cluster = 'c1',
): Promise<void> {
  const executor = createExecutorLog(log.pool, { ttlMs: TTL_MS })
  const run = randomUUID()
  const { advance, finish } = createAdvance({
    log: executor,
    states: new Lru(100),
    profile: PROFILES.fast,
    sha256: (text) => createHash('sha256').update(text).digest('hex'),
    owner: () => ({ cluster, run }),
    interrupt: () => undefined,
    warn: (what, error) => void count.broken.push(`${what}: ${String(error)}`),
    now: () => Date.now() * 1000,
  })
  const died = new AbortController()
  let epoch: number | null = null
  try {
    for (let looks = 0; looks < 100; looks++) {
      const look = await advance({ ref, epoch, grace: false })
      if (look.status === 'owned_elsewhere') {
        await sleep(look.retryMs)
        continue
      }
      if (look.status !== 'ok' || look.run.length === 0) return
      const mine = (epoch = look.epoch)
      const steps = look.run.map(({ step }) =>
        execute({ log, executor, finish, died }, { ref, epoch: mine, step }, count, fates.shift() ?? 'well'),
      )
      // All of them: what outlived its own executor would go on beside the test.
      const ends = await Promise.allSettled(steps)
      for (const end of ends) if (end.status === 'rejected') throw end.reason
    }
    count.broken.push('a run did not come to an end')
  } catch (error) {
    if (!(error instanceof Death)) throw error
  } finally {
    await executor.end()
  }
}

interface Hands {
  log: TestLog
  executor: ReturnType<typeof createExecutorLog>
  finish: StepDeps['finish']
  /** A death is that of all the steps of its process: each ends at its next breath. */
  died: AbortController
}

async function execute(hands: Hands, input: StepInput, count: Counts, fate: Fate): Promise<void> {
  const { log, executor, finish, died } = hands
  const { ref, epoch, step } = input
  const die = (): never => {
    died.abort(new Death())
    throw new Death()
  }
  const parsed = parseStep(step)
  const state = await stateOf(log, ref)
  const call = parsed.kind === 'tool' ? state.calls.find(({ id }) => id === parsed.call) : undefined
  const safe = parsed.kind === 'model' || (toolNamed(DEFINITION, call?.name ?? '')?.readOnly ?? false)
  const token = randomUUID()
  const claim = () => executor.claimDraft(ref, epoch, step, { safe, token })
  died.signal.throwIfAborted()
  let claimed = await claim()
  for (; claimed.status === 'busy'; claimed = await claim()) {
    await sleep(Math.min(claimed.retryMs, 10))
    died.signal.throwIfAborted()
  }
  if (claimed.status !== 'claimed') return
  if (fate === 'dies claimed') die()
  died.signal.throwIfAborted()
  if (fate === 'sleeps claimed') await count.sleep()
  if (count.committed.has(step) && fate !== 'sleeps claimed')
    count.broken.push(`${step} was done after its result was taken`)
  const times = (count.done.get(step) ?? 0) + 1
  count.done.set(step, times)
  if (fate === 'dies done') die()
  if (fate === 'sleeps done') await count.sleep()
  died.signal.throwIfAborted()
  const result = resultOf(ref, state, step, times)
  const once = () => finish(input, token, result)
  const [taken] = await Promise.all(fate === 'does it twice' ? [once(), once()] : [once()])
  if (taken) count.committed.add(step)
}

/** Two calls at the first step of a turn, none at the next. */
function resultOf(ref: SessionRef, state: State, step: string, times: number): StepResult {
  const parsed = parseStep(step)
  if (parsed.kind === 'tool') {
    const tool = state.calls.find(({ id }) => id === parsed.call)?.name ?? ''
    const blocks = [{ type: 'text' as const, text: `time ${times}` }]
    return { type: 'tool_finished', payload: { call: parsed.call, tool, outcome: 'ok', blocks } }
  }
  const manifest = {
    ...{ view: 1, definition: state.definition, prev: state.lastAnswer, saw: unseenByModel(state) },
    ...{ dropped: [], requestHash: '' },
  }
  return answer(ref, parsed.due, (state.turn?.steps ?? 0) === 0 ? ['pay', 'look'] : [], { manifest })
}
