/**
 * executeTool: one tool call. Its draft row is claimed before the effect; its result goes into the row, and promoting it is `advance`'s.
 */
import type { StepInput } from '../contract/activities'
import { isSafe, toolNamed, type ToolSpec } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import { parseStep, type SessionRef } from '../contract/ids'
import type { StepResult } from '../contract/next-step'
import type { DeltaSink, ExecutorLog, Tool, ToolContext, ToolResult } from '../contract/ports'
import { TOOL_ATTEMPTS_IN_ALL } from '../contract/timing'
import { emptyState, type CallState, type State } from '../contract/state'
import { tryAgain, withStep, type FinishedStep, type HeldStep, type StepDeps } from './claim-step'
import { fold, type CachedState, type Lru } from './session-cache'

/** What it takes to run a call that is claimed. */
export interface RunDeps {
  log: Pick<ExecutorLog, 'releaseDraft'>
  tools: ReadonlyMap<string, Tool>
  deltas: DeltaSink
  /** Runs a tool under its timeout; never throws for what is the tool's fault. */
  runTool(tool: Tool, spec: Pick<ToolSpec, 'timeoutMs'>, args: string, context: ToolContext): Promise<ToolResult>
  /** Microseconds since 1970. */
  now(): number
}

/** Until a worker that has the owner's key comes by. */
const LOCKED_MS = 10_000

export interface ExecuteToolDeps extends StepDeps, Omit<RunDeps, 'log'> {
  /** Shared with `advance`. */
  states: Lru<CachedState>
}

export interface Found {
  call: Pick<CallState, 'id' | 'args' | 'idempotencyKey'>
  spec: Pick<ToolSpec, 'name' | 'timeoutMs' | 'readOnly' | 'idempotent'>
  workFolder: string | null
}

/** `own` false: run on the spot, within another step's activity. */
export type ExecuteTool = (input: StepInput, options?: { own: boolean }) => Promise<FinishedStep | null>

export function createExecuteTool(deps: ExecuteToolDeps): ExecuteTool {
  /** The call, from the log: arguments never pass through Temporal. Null where it is no longer open. */
  async function find({ ref, epoch }: StepInput, id: string): Promise<Found | null> {
    const here = await foundIn(deps.states.get(ref)?.state, ref, id)
    if (here) return here
    const had = deps.states.get(ref)
    const look = await deps.log.look(ref, epoch, had?.state.seq ?? null)
    // Nothing came of it, and the run would hand it out again at once.
    if (look.status === 'locked') throw tryAgain(look.why, LOCKED_MS)
    if (look.status !== 'ok') return null
    const { state } = fold(had?.state ?? look.snapshot?.state ?? emptyState, look.events)
    deps.states.set(ref, { state, snapshot: had?.snapshot ?? look.snapshot?.seq ?? 0 })
    return foundIn(state, ref, id)
  }

  async function foundIn(state: State | undefined, ref: SessionRef, id: string): Promise<Found | null> {
    const call = state?.calls.find((c) => c.id === id && c.started && !c.finished)
    if (!state || !call) return null
    const spec = toolNamed(await deps.log.definition(ref.space, call.definition), call.name)
    return spec ? { call, spec, workFolder: state.workFolder } : null
  }

  return async (input, { own } = { own: true }) => {
    const step = parseStep(input.step)
    if (step.kind !== 'tool') throw new SavefileError('invalid_input', `${input.step} is not a tool step.`)
    const found = await find(input, step.call)
    if (!found) return null
    const write: ToolContext['writeBlob'] = (bytes, mediaType) => deps.log.writeBlob(input.ref, bytes, mediaType)
    return withStep(deps, input, { safe: isSafe(found.spec), own }, (held) => runHeld(deps, input, held, found, write))
  }
}

/** Runs a claimed call, and leaves its result in its draft. */
export async function runHeld(
  deps: RunDeps,
  input: StepInput,
  held: HeldStep,
  found: Found,
  writeBlob: ToolContext['writeBlob'],
): Promise<FinishedStep | null> {
  if (held.claim.attempts.length >= TOOL_ATTEMPTS_IN_ALL) {
    const text = 'Given up: each time it was run, its process ended before it did.'
    return held.finish(finished(found, { outcome: 'error', code: 'gave_up', blocks: [{ type: 'text', text }] }, 0))
  }
  const startedAt = deps.now()
  const result = await run(deps, input, held, found, writeBlob)
  if (held.why() !== null) await deps.deltas.flush()
  if (held.why() === 'shutdown' && isSafe(found.spec) && result.outcome === 'cancelled') {
    await deps.log.releaseDraft(input.ref, input.step, held.token, 'cut_off')
    throw tryAgain('shutdown')
  }
  const ms = Math.max(0, Math.round((deps.now() - startedAt) / 1000))
  return held.finish(finished(found, result, ms))
}

function run(
  deps: RunDeps,
  { ref, step }: StepInput,
  { token, signal }: HeldStep,
  { call, spec, workFolder }: Found,
  writeBlob: ToolContext['writeBlob'],
): Promise<ToolResult> {
  const tool = deps.tools.get(spec.name)
  if (!tool) {
    const text = `Not run: this worker does not have the tool ${spec.name}.`
    return Promise.resolve({ outcome: 'error', code: 'tool_not_here', blocks: [{ type: 'text', text }] })
  }
  let n = 0
  return deps.runTool(tool, spec, call.args, {
    ref,
    call: call.id,
    idempotencyKey: call.idempotencyKey ?? '',
    signal,
    workFolder,
    onOutput: (body) => deps.deltas.add({ ref, step, token, n: n++, kind: 'output', body }),
    writeBlob,
  })
}

function finished({ call, spec }: Found, { outcome, blocks, code }: ToolResult, ms: number): StepResult {
  return {
    type: 'tool_finished',
    payload: { call: call.id, tool: spec.name, outcome, blocks, ...(code === undefined ? {} : { code }), ms },
  }
}
