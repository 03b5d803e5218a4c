/** client.context: exactly what a model was or would be sent, from the log alone; and of what was sent, whether it is that byte for byte. */
import { createHash } from 'node:crypto'
import type { Definition, ModelSpec, ProviderName } from '../contract/definition'
import type { RequestEncoder } from '../contract/encoder'
import { SavefileError } from '../contract/errors'
import type { KnownEvent, Manifest } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { ClientLog, SessionInfo } from '../contract/client-port'
import type { View } from '../contract/provider-port'
import { modelOf, requestAt, viewAt, type RequestAt } from './request-at'
import { partsOfView, type ContextPart } from './token-estimates'

export interface ContextOptions {
  /** Of an answer, or of a call that failed: the request that was made. Of any other event: the one that would be made behind it. */
  at?: number
  /** As another provider, or another model, would be sent it. */
  as?: { provider?: ProviderName; model?: string }
  /** The host that it goes to, where nothing else says which. */
  platform?: string
  /** The one that would be made behind the event, whatever that is. */
  next?: boolean
  /** As if no checkpoint had been made: the whole log. */
  raw?: boolean
}

export interface Context {
  session: string
  /** Behind which event. */
  seq: number
  /** The event that the request led to; null: it was not made. */
  made: number | null
  provider: ProviderName
  model: string
  platform: string
  /** The body, byte for byte. */
  body: string
  /** sha256 of it, hex. */
  hash: string
  /** Whether that is what was sent, by the hash in its manifest; null: it was not made, or not as this. */
  same: boolean | null
  /** Why it is not, where that is known. */
  why: string | null
  /** Estimates. */
  parts: ContextPart[]
  tokens: number
  /** As the provider counted. */
  counted: number | null
  dropped: Manifest['dropped']
}

export interface ContextDeps {
  log: ClientLog
  encoder: RequestEncoder
  space: string
  info(session: string): Promise<SessionInfo>
}

export async function contextOf(deps: ContextDeps, session: string, options: ContextOptions = {}): Promise<Context> {
  const { log, encoder, space } = deps
  const ref: SessionRef = { space, session }
  const { head } = await deps.info(session)
  const { at = head, as } = options
  if (at > head)
    throw new SavefileError('invalid_input', `Session ${session} has no event ${at}: its head is ${head}.`, {
      session,
      head,
    })
  const request = await requestAt(log, ref, at, options.next)
  const definition = await log.definition(space, request.definition)
  const asked = modelOf(definition, request)
  const model = otherModel(asked, as, request.events, session)
  const view = viewAt(encoder, request, { ...definition, model }, options.raw)
  const { platform, body, dropped } = await encoded(deps, ref, request, model, view, options.platform)
  const hash = sha256(body)
  const parts = partsOfView(view, dropped)
  const asSent = model.provider === asked.provider && model.name === asked.name && !options.raw
  const same = request.made && asSent ? hash === request.made.manifest.requestHash : null
  return {
    session,
    seq: at,
    made: request.made?.event.seq ?? null,
    provider: model.provider,
    model: model.name,
    platform,
    body,
    hash,
    same,
    why: same === false ? whyNot(request, encoder.viewVersion) : null,
    parts,
    tokens: parts.reduce((sum, part) => sum + part.tokens, 0),
    counted: asSent && request.made?.event.type === 'model_answered' ? request.made.event.payload.usage.input : null,
    dropped,
  }
}

/** What would be dropped or altered if the session went on under this definition. Nothing is written. */
export async function wouldDrop(
  deps: ContextDeps,
  ref: SessionRef,
  request: RequestAt,
  definition: Definition,
  platform?: string,
): Promise<{ dropped: Manifest['dropped']; tokens: number; platform: string }> {
  const view = deps.encoder.buildView(request.events, definition, request.saw)
  const made = await encoded(deps, ref, { ...request, made: null }, definition.model, view, platform)
  const tokens = partsOfView(view, made.dropped).reduce((sum, part) => sum + part.tokens, 0)
  return { dropped: made.dropped, tokens, platform: made.platform }
}

/** As it goes to the host that is named, else to the one that it went to; where nothing says which that was, whichever gives the hash. */
async function encoded(
  { log, encoder }: ContextDeps,
  ref: SessionRef,
  { made, events }: RequestAt,
  model: ModelSpec,
  view: View,
  named: string | undefined,
): Promise<{ platform: string; body: string; dropped: Manifest['dropped'] }> {
  const known = platformsOf(events, model.provider)
  const candidates =
    named === undefined
      ? [
          ...new Set([
            ...(made?.manifest.platform ? [made.manifest.platform] : known),
            encoder.platformOf(model.provider),
          ]),
        ]
      : [named]
  const blob = (hash: string): Promise<Uint8Array> => log.readBlob(ref, hash)
  const all = candidates.map(async (platform) => ({
    platform,
    ...(await encoder.encode({ model, view, blob }, platform)),
  }))
  for (const one of made ? all : []) {
    const tried = await one
    if (sha256(tried.body) === made?.manifest.requestHash) return tried
  }
  const [first] = all
  if (!first) throw new Error('there is always a platform')
  return first
}

/** The hosts that a provider's answers came from, the last first. */
function platformsOf(events: readonly KnownEvent[], provider: ProviderName): string[] {
  const hosts = events.flatMap((event) => {
    if (event.type !== 'model_answered' || event.payload.provider !== provider) return []
    return event.payload.manifest.platform ?? event.payload.replay?.platform ?? []
  })
  return [...new Set(hosts.reverse())]
}

function otherModel(
  asked: ModelSpec,
  as: ContextOptions['as'],
  events: readonly KnownEvent[],
  session: string,
): ModelSpec {
  const provider = as?.provider ?? asked.provider
  if (provider === asked.provider) return as?.model === undefined ? asked : { ...asked, name: as.model }
  const last = events.findLast((event) => event.type === 'model_answered' && event.payload.provider === provider)
  const before = last?.type === 'model_answered' ? (last.payload.replay?.model ?? last.payload.model) : undefined
  const name = as?.model ?? before
  if (name === undefined)
    throw new SavefileError(
      'invalid_input',
      `Session ${session} never ran on ${provider}: say which of its models too, as in ${provider}/<model>.`,
      { session },
    )
  return withModel(asked, { provider, name })
}

/** Another model in place of this one. What is one vendor's alone is not taken to another. */
export function withModel(model: ModelSpec, change: Partial<ModelSpec>): ModelSpec {
  if (change.provider === undefined || change.provider === model.provider) return { ...model, ...change }
  const { compat: _compat, serverTools: _tools, ...rest } = model
  return { ...rest, ...change }
}

function whyNot({ made }: RequestAt, viewVersion: number): string | null {
  if (!made) return null
  if (made.manifest.requestHash === '') return 'nothing was sent'
  if (made.manifest.view !== viewVersion)
    return `it was made by view version ${made.manifest.view}, and this is ${viewVersion}: the body here is what would be sent now; for that of then, ask a Savefile of then (docs/views.md)`
  return 'another version of Savefile encoded it, or it went to another host: try --platform'
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
