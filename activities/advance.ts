/**
 * advance: plan and mirror in one short, idempotent local activity. Reads the log's tail and the draft rows, decides with the pure
 * nextStep, promotes and appends what is due in one fenced transaction, and gives back references to the steps to run.
 */
import type { AdvanceInput, Advanced, Profile, StepInput } from '../contract/activities'
import type { Definition } from '../contract/definition'
import { SavefileError, errorCode } from '../contract/errors'
import { PAYLOADS } from '../contract/events'
import { modelStep, toolStep, type SessionRef } from '../contract/ids'
import { nextStep, type Decision, type DraftView, type StepResult } from '../contract/next-step'
import type { Append, Appended, DraftRow, ExecutorLog, Look, Outlook, Owner } from '../contract/ports'
import { emptyState, openCalls, phaseOf, type State } from '../contract/state'
import { normaliseText } from '../contract/text'
import { OVERDUE_MS, SNAPSHOT_EVERY } from '../contract/timing'
import type { FinishedStep, StepDeps } from './claim-step'
import { handOver } from './hand-over'
import { fold, type CachedState, type Lru } from './session-cache'

export interface AdvanceDeps {
  log: ExecutorLog
  /** Shared with executeTool, which finds its call there without asking Postgres. */
  states: Lru<CachedState>
  profile: Profile
  sha256(text: string): string
  /** This cluster and the run that asks. */
  owner(): Owner
  /** Stops at once what this process runs of the session. */
  interrupt(ref: SessionRef): void
  warn(what: string, error: unknown): void
  /** This process's clock, microseconds since 1970: only how far it has gone since the last look counts. */
  now(): number
}

/** `finished`: what need not be read, because this process has just written it. */
export type Advance = (input: AdvanceInput, finished?: readonly FinishedStep[]) => Promise<Advanced>

/** An append that needs no look, and the decision behind it. */
interface Planned extends Omit<Append, 'epoch'> {
  decision: Decision
  events: Decision['events']
  now: number
}

const LOCKED = {
  key_missing: 'it is encrypted, and this worker does not have its owner key: set SAVEFILE_KEY_FILE',
  key_destroyed: 'what it inherits was erased: it cannot go on',
} as const

/** Losing a race for the head is normal; losing this many in one look is not. */
const ROUNDS = 50

export function createAdvance(deps: AdvanceDeps): { advance: Advance; finish: StepDeps['finish'] } {
  const { log, states } = deps
  /** The database's clock less ours, as of the last look. */
  let clock: number | null = null

  function keep(ref: SessionRef, state: State, had: number): void {
    let snapshot = had
    // Not of what this code does not know: a newer worker is to read the event itself.
    if (state.seq - snapshot >= SNAPSHOT_EVERY && !state.unsupported) {
      snapshot = state.seq
      // A snapshot only makes a cold start cheaper: without it the next one reads more.
      log.saveSnapshot(ref, state.seq, state).catch((error: unknown) => deps.warn('snapshot', error))
    }
    states.set(ref, { state, snapshot })
  }

  async function read(
    ref: SessionRef,
    epoch: number,
  ): Promise<{ look: Extract<Look, { status: 'ok' }>; state: State } | null> {
    const cached = states.get(ref)
    const look = await log.look(ref, epoch, cached?.state.seq ?? null)
    if (look.status === 'locked') await leaveLocked(ref, epoch, look)
    if (look.status !== 'ok') return null
    const from = cached?.state ?? look.snapshot?.state ?? emptyState
    const { state } = fold(from, look.events)
    if (cached && state.seq !== look.head) {
      // The log is shorter than what is remembered of it: a failover lost commits. The log is right.
      states.forget(ref)
      return read(ref, epoch)
    }
    clock = look.now - deps.now()
    keep(ref, state, cached?.snapshot ?? look.snapshot?.seq ?? 0)
    return { look, state }
  }

  /**
   * What cannot be read is not decided on: the run ends, rather than fail for ever. A worker that has the key may come by; a key that is
   * destroyed never comes back.
   */
  async function leaveLocked(ref: SessionRef, epoch: number, look: Extract<Look, { status: 'locked' }>): Promise<void> {
    const dueAt = look.why === 'key_missing' ? look.now + OVERDUE_MS * 10_000 : null
    deps.warn(`session ${ref.session}`, new SavefileError(look.why, LOCKED[look.why]))
    await log.setOutlook(ref, epoch, { state: 'locked', dueAt }, look.head)
  }

  /**
   * What was just appended need not be read again. Only the database's clock is not known here, which the state keeps of nothing but the
   * opening of a turn: then the events are read.
   */
  function remember(ref: SessionRef, { events, state }: Decision, head: number): void {
    const cached = states.get(ref)
    if (!cached || state.seq !== head || events.some((event) => event.type === 'turn_finished')) return
    keep(ref, state, cached.snapshot)
  }

  /** What follows from rows that this process has just finished, or is about to, where its own state is enough to say so. */
  async function plan(ref: SessionRef, finished: readonly FinishedStep[]): Promise<Planned | null> {
    const state = states.get(ref)?.state
    if (!state || clock === null || !finished.every(isKeptAsIs)) return null
    const now = deps.now() + clock
    const row = { state: 'finished', token: '', fresh: true, outcome: null } as const
    const drafts = new Map(finished.map(({ step, event }) => [step, { ...row, step, result: event }]))
    const decision = await decide(deps, ref, state, drafts, now, true)
    if (
      decision.again ||
      decision.events.length === 0 ||
      !(decision.waiting === 'steps' || decision.waiting === 'nothing')
    )
      return null
    return { decision, now, head: state.seq, events: decision.events, outlook: outlookOf(decision, now) }
  }

  /**
   * The usual case without a look. Whatever this process does not know of (a message, an interrupt, another executor) has moved the head or
   * the epoch, and then the append is refused. Null: look.
   */
  async function settled(
    ref: SessionRef,
    epoch: number,
    { decision, now }: Planned,
    appended: Appended,
  ): Promise<Advanced | null> {
    if (appended.status === 'head_moved') return null
    if (appended.status !== 'appended') return { status: 'over' }
    remember(ref, decision, appended.head)
    await handOver(log, ref, epoch, decision)
    return advanced(epoch, decision, now)
  }

  async function finish(
    { ref, epoch, step }: StepInput,
    token: string,
    event: StepResult,
  ): Promise<FinishedStep | null> {
    const finished = { step, event, look: null }
    // Of calls that run side by side each would promote its own: what comes together is better taken together.
    const state = states.get(ref)?.state
    const alone = !state || openCalls(state).length <= 1
    const planned = !alone
      ? null
      : await plan(ref, [finished]).catch((error: unknown) => {
          // Whatever is wrong with what comes next: what was received is kept first.
          deps.warn('planning', error)
          return null
        })
    const onlyFinish = async (): Promise<FinishedStep | null> =>
      (await log.finishDraft(ref, step, token, event)) === 'finished' ? finished : null
    if (!planned) return onlyFinish()
    const appended = await log
      .finishAndAppend(ref, { step, token, event }, { epoch, ...planned })
      .catch((error: unknown) => {
        // Postgres is away: the same again. Anything else may be the append's fault, and must not cost what was received.
        if (errorCode(error) === 'database_unreachable') throw error
        deps.warn('going on', error)
        return null
      })
    if (!appended) return onlyFinish()
    return appended.status === 'refused' ? null : { ...finished, look: await settled(ref, epoch, planned, appended) }
  }

  const advance: Advance = async ({ ref, epoch: known, grace, neverBegan = [] }, finished = []) => {
    const planned = finished.length > 0 && known !== null ? await plan(ref, finished) : null
    if (planned && known !== null) {
      const { head, events, outlook } = planned
      const promoted = await settled(ref, known, planned, await log.append(ref, known, head, events, outlook))
      if (promoted) return promoted
    }
    let epoch = known
    if (epoch === null) {
      const claimed = await log.claim(ref, deps.owner())
      if (claimed.status === 'owned_elsewhere') return claimed
      if (claimed.status !== 'claimed') return { status: 'over' }
      epoch = claimed.epoch
    }
    if (neverBegan.length > 0) {
      const closes = neverBegan.map((step) => ({ step, token: null, outcome: 'cancelled' as const }))
      if ((await log.close(ref, epoch, closes)) === 'stale_epoch') return { status: 'over' }
    }
    for (let round = 0; round < ROUNDS; round++) {
      const seen = await read(ref, epoch)
      if (!seen) return { status: 'over' }
      const drafts = new Map(seen.look.drafts.map((row) => [row.step, viewOf(row)]))
      await addPartials(log, ref, seen.state, drafts)
      const decision = await decide(deps, ref, seen.state, drafts, seen.look.now, grace)
      if (decision.waiting === 'settling') deps.interrupt(ref)
      if (decision.closes.length > 0) {
        if ((await log.close(ref, epoch, decision.closes)) === 'stale_epoch') return { status: 'over' }
        continue
      }
      const outlook = outlookOf(decision, seen.look.now)
      if (decision.events.length > 0 || seen.look.evidence.length > 0) {
        const appended = await log.append(ref, epoch, seen.look.head, decision.events, outlook, seen.look.evidence)
        if (appended.status === 'head_moved') continue
        if (appended.status !== 'appended') return { status: 'over' }
        remember(ref, decision, appended.head)
        if (decision.again) continue
      } else if (differs(seen.look.outlook, outlook, seen.look.now)) {
        await log.setOutlook(ref, epoch, outlook, seen.look.head)
      }
      if (decision.waiting === 'closed') {
        deps.interrupt(ref)
        return { status: 'over' }
      }
      await handOver(log, ref, epoch, decision)
      const result = advanced(epoch, decision, seen.look.now)
      return known === null ? { ...result, profile: deps.profile } : result
    }
    throw new SavefileError('timeout', `The head of session ${ref.session} moved ${ROUNDS} times during one look.`)
  }

  return { advance, finish }
}

async function decide(
  deps: AdvanceDeps,
  ref: SessionRef,
  state: State,
  drafts: ReadonlyMap<string, DraftView>,
  now: number,
  grace: boolean,
): Promise<Decision> {
  const definitions = new Map<string, Definition>()
  for (const hash of definitionsNamed(state, drafts)) definitions.set(hash, await deps.log.definition(ref.space, hash))
  return nextStep(state, {
    now,
    sha256: deps.sha256,
    drafts,
    grace,
    definition: (hash) => {
      const definition = definitions.get(hash)
      if (!definition)
        throw new SavefileError('definition_not_found', `Definition ${hash} is not in space ${ref.space}.`)
      return definition
    },
  })
}

function advanced(epoch: number, decision: Decision, now: number): Extract<Advanced, { status: 'ok' }> {
  const { run, waiting, wakeAt, state } = decision
  const wakeInMs = wakeAt === null ? null : Math.max(10, Math.ceil((wakeAt - now) / 1000))
  return { status: 'ok', epoch, run, waiting, wakeInMs, turn: state.turns }
}

/** Whether the log keeps all that the state is made of just as it is here: it replaces what no store can hold. */
function isKeptAsIs({ event }: FinishedStep): boolean {
  if (event.type !== 'model_answered') return true
  return event.payload.blocks.every(
    (block) =>
      block.type !== 'tool_call' ||
      [block.name, block.args, block.problem ?? ''].every((text) => normaliseText(text).normalised === 0),
  )
}

function viewOf(row: DraftRow): DraftView {
  const view = {
    step: row.step,
    state: row.state,
    token: row.token,
    fresh: row.fresh,
    outcome: row.outcome,
    result: null,
    ...(row.byHost ? { byHost: true } : {}),
  }
  if (row.state !== 'finished' || row.type === null || row.payload === null) return view
  const payload = PAYLOADS[row.type].parse(JSON.parse(row.payload))
  return { ...view, result: { type: row.type, payload } as DraftView['result'] }
}

/** What had been streamed by steps that were stopped: read only when it is about to be told. */
async function addPartials(
  log: ExecutorLog,
  ref: SessionRef,
  state: State,
  drafts: Map<string, DraftView>,
): Promise<void> {
  if (phaseOf(state) === 'idle') return
  const keys = [...(state.due ? [modelStep(state.due)] : []), ...openCalls(state).map((call) => toolStep(call.id))]
  const closed = keys.filter((key) => drafts.get(key)?.state === 'closed')
  if (closed.length === 0) return
  for (const [step, partial] of await log.partial(ref, closed)) {
    const view = drafts.get(step)
    if (view) drafts.set(step, { ...view, partial })
  }
}

function definitionsNamed(state: State, drafts: ReadonlyMap<string, DraftView>): Set<string> {
  const named = new Set(openCalls(state).map((call) => call.definition))
  if (state.definition) named.add(state.definition)
  for (const { result } of drafts.values())
    if (result?.type === 'model_answered') named.add(result.payload.manifest.definition)
  return named
}

function outlookOf(decision: Decision, now: number): Outlook {
  switch (decision.waiting) {
    case 'nothing':
    case 'closed':
      return { state: 'idle', dueAt: null }
    case 'approval':
      return { state: 'waiting_approval', dueAt: decision.wakeAt }
    case 'deferred':
      return { state: 'waiting_result', dueAt: decision.wakeAt }
    case 'newer_worker':
      // Looked at again now and then: the newer worker may be there by then.
      return { state: 'newer_worker', dueAt: now + OVERDUE_MS * 10_000 }
    case 'steps':
    case 'settling':
      return { state: 'running', dueAt: now + OVERDUE_MS * 1000 }
  }
}

/** A running step's draft beats, so that its session's `due_at` need not be pushed on at every look. */
function differs(is: Outlook, should: Outlook, now: number): boolean {
  if (is.state !== should.state) return true
  if (should.state === 'running') return is.dueAt === null || is.dueAt < now - 1e6 * 10
  return is.dueAt !== should.dueAt
}
