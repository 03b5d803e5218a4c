/**
 * One request to a provider; and where it was the replay in it that was refused (expired, re-keyed, tampered with), at once another one
 * without. The manifest says so, and later views stay below that cut: what was refused once is not offered again.
 */
import type { ModelSpec } from '../contract/definition'
import type { Manifest } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { ExecutorLog } from '../contract/ports'
import type { ModelContext, ModelResult, Provider, View } from '../contract/provider-port'

export interface AskDeps {
  log: Pick<ExecutorLog, 'readBlob'>
  providers: ReadonlyMap<string, Provider>
}

export interface Asked {
  result: ModelResult
  /** A first request was refused for its replay; `result` is that of the second. */
  refusedFirst: boolean
  /** For the manifest: of the request that `result` is the answer to. */
  cut: Pick<Manifest, 'replayCut'>
}

export async function askProvider(
  deps: AskDeps,
  ref: SessionRef,
  model: ModelSpec,
  view: View,
  context: ModelContext,
): Promise<Asked> {
  const provider = deps.providers.get(model.provider)
  if (!provider) {
    const message = `This worker has no provider ${model.provider}: set its API key, or its base URL, where the worker runs.`
    const result: ModelResult = { ok: false, class: 'auth', retryable: false, message, requestHash: '', dropped: [] }
    return { result, refusedFirst: false, cut: {} }
  }
  const ask = async (view: View): Promise<Pick<Asked, 'result' | 'cut'>> => ({
    result: await provider.call({ model, view, blob: (hash) => deps.log.readBlob(ref, hash) }, context),
    cut: view.replayCut ? { replayCut: view.replayCut } : {},
  })
  const first = await ask(view)
  const last = view.entries.findLast((entry) => entry.role === 'assistant' && entry.replay !== undefined)?.seq ?? 0
  const replayRefused = !first.result.ok && first.result.replayRefused === true
  if (!replayRefused || last <= (view.replayCut ?? 0) || context.signal.aborted)
    return { ...first, refusedFirst: false }
  return { ...(await ask({ ...view, replayCut: last })), refusedFirst: true }
}
