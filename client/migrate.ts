/** client.migrate: a session goes on with another model, in place or on a fork; and what that would cost it, before anything is changed. */
import { parseDefinition, type Definition, type DefinitionInput, type ModelSpec } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import type { Manifest } from '../contract/events'
import { withModel, wouldDrop, type ContextDeps } from './context'
import { requestAt } from './request-at'
import type { ForkRequest } from './types'

export interface MigrateRequest {
  /** What is other than in the session's definition: provider, name, reasoning, ... */
  model?: Partial<ModelSpec>
  /** Or a definition of its own: written out, or the hash of one that is stored. */
  definition?: DefinitionInput | string
  why?: string
  /** Only say what would be. */
  dryRun?: boolean
  /** On a fork, and this session stays as it is. */
  fork?: Omit<ForkRequest, 'definition' | 'model' | 'tools' | 'queue'>
  /** The host that requests will go to, where nothing else says which. */
  platform?: string
  /** Makes it happen once. */
  key?: string
}

/** What is dropped or altered for the new model, by kind. */
export interface DroppedKind {
  what: string
  why: string
  seqs: number[]
}

export interface MigrationReport {
  from: { provider: string; model: string }
  to: { provider: string; model: string; platform: string }
  /** Of what the log holds by now; the manifest of the first answer says the same, and what came since. */
  dropped: DroppedKind[]
  /** Of the definition: what is only the other vendor's. */
  leftOut: string[]
  /** Of the next request, about. */
  tokens: number
}

export interface Migrated {
  /** The fork, or the session itself. */
  session: string
  /** Hash of the definition; null: nothing was changed. */
  definition: string | null
  /** Seq of `definition_changed`, or of `forked`; null: nothing was changed. */
  seq: number | null
  report: MigrationReport
}

export interface MigrateDeps extends ContextDeps {
  changeDefinition(
    session: string,
    definition: DefinitionInput,
    options: { why?: string; key?: string },
  ): Promise<{ definition: string; seq: number | null }>
  fork(parent: string, request: ForkRequest): Promise<{ session: string; definition: string; head: number }>
}

export async function migrate(deps: MigrateDeps, session: string, request: MigrateRequest): Promise<Migrated> {
  const { log, space } = deps
  const { model, definition: given, dryRun = false, fork, why, key, platform } = request
  if ((model === undefined) === (given === undefined))
    throw new SavefileError('invalid_input', 'Say to which model, or under which definition: one of the two.')
  const ref = { space, session }
  const { head } = await deps.info(session)
  const now = await requestAt(log, ref, fork?.at ?? head, true)
  const before = await log.definition(space, now.state.definition)
  const after = await target(deps, before, request)
  const { dropped, tokens, platform: host } = await wouldDrop(deps, ref, now, after, platform)
  const report: MigrationReport = {
    from: { provider: before.model.provider, model: before.model.name },
    to: { provider: after.model.provider, model: after.model.name, platform: host },
    dropped: kindsOf(dropped),
    leftOut: leftOut(before.model, after.model),
    tokens,
  }
  if (dryRun) return { session, definition: null, seq: null, report }
  if (fork) {
    const child = await deps.fork(session, { ...fork, definition: after })
    return { session: child.session, definition: child.definition, seq: child.head, report }
  }
  const options = { ...(why === undefined ? {} : { why }), ...(key === undefined ? {} : { key }) }
  const changed = await deps.changeDefinition(session, after, options)
  return { session, definition: changed.seq === null ? null : changed.definition, seq: changed.seq, report }
}

async function target(
  { log, space }: MigrateDeps,
  before: Definition,
  { model, definition }: MigrateRequest,
): Promise<Definition> {
  if (typeof definition === 'string') return log.definition(space, definition)
  if (definition !== undefined) return parseDefinition(definition)
  return parseDefinition({ ...before, model: withModel(before.model, model ?? {}) })
}

function kindsOf(dropped: Manifest['dropped']): DroppedKind[] {
  const kinds = new Map<string, DroppedKind>()
  for (const { seq, what, why } of dropped) {
    const kind = kinds.get(`${what}\n${why}`) ?? { what, why, seqs: [] }
    kind.seqs.push(seq)
    kinds.set(`${what}\n${why}`, kind)
  }
  return [...kinds.values()]
}

function leftOut(before: ModelSpec, after: ModelSpec): string[] {
  return (['compat', 'serverTools'] as const).filter(
    (name) => before[name] !== undefined && after[name] === undefined && before.provider !== after.provider,
  )
}
