/** client.fork: what the fork runs under and where it works, put together before the one write that makes it. */
import { parseDefinition, type Definition } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import type { SessionRef } from '../contract/ids'
import type { ClientLog, ForkOptions, Place, Principal } from '../contract/client-port'
import type { Tool } from '../contract/ports'
import { addWorktree, copyFolder, type OwnFolder } from './fork-folder'
import { definitionNotFound, sessionExists, sessionNotFound } from './refusals'
import type { ForkRequest } from './types'
import { existingFolder } from './work-folder'

export interface ForkParts {
  log: ClientLog
  by: Principal
  /** Of this program: those with a world outside the log bring it along. */
  tools: readonly Tool[]
}

/** The fork, made; the caller nudges it. */
export async function forkSession(
  { log, by, tools }: ForkParts,
  parent: SessionRef,
  child: SessionRef,
  at: number,
  request: ForkRequest,
): Promise<void> {
  if (await log.info(child)) throw sessionExists(child.session)
  const place = await log.placeAt(parent, at)
  if (!place) throw (await log.info(parent)) ? noSuchEvent(parent, at) : sessionNotFound(parent.session, parent.space)
  const definition = await definitionOf(log, parent, place, request)
  const folder = await folderOf(place, child, request)
  const { title, labels, open, quiet, encrypted } = request
  try {
    const used = definition ?? (await log.definition(parent.space, place.definition))
    const to = folder?.workFolder ?? place.workFolder
    const brought = await bring(tools, used, parent, child, { seq: at, workFolder: { from: place.workFolder, to } })
    const options: ForkOptions = {
      ...(definition ? { definition: await log.putDefinition(parent.space, definition) } : {}),
      ...(title === undefined ? {} : { title }),
      ...(labels === undefined ? {} : { labels }),
      ...(folder ? { workFolder: folder.workFolder } : {}),
      ...(folder?.folder ? { folder: folder.folder } : {}),
      ...(open === undefined ? {} : { open }),
      ...(encrypted === undefined ? {} : { encrypted }),
      ...(quiet ? { quiet } : {}),
      brought,
    }
    const { status } = await log.fork(parent, at, child.session, by, options)
    if (status === 'session_exists') throw sessionExists(child.session)
    if (status === 'session_not_found') throw sessionNotFound(parent.session, parent.space)
    if (status === 'definition_not_found') throw definitionNotFound(options.definition ?? '')
    if (status === 'no_such_event') throw noSuchEvent(parent, at)
  } catch (error) {
    await folder?.undo?.()
    throw error
  }
}

/** The one that is given, or that of the event with what is to be different; undefined: just that of the event. */
async function definitionOf(
  log: ClientLog,
  { space }: SessionRef,
  place: Place,
  { definition, model, tools, queue }: ForkRequest,
): Promise<Definition | undefined> {
  const changes = model !== undefined || tools !== undefined || queue !== undefined
  if (definition !== undefined && changes)
    throw new SavefileError(
      'invalid_input',
      'A definition names its model and tools: leave model, tools and queue out.',
    )
  if (typeof definition === 'string') return log.definition(space, definition)
  if (definition !== undefined) return parseDefinition(definition)
  if (!changes) return undefined
  const before = await log.definition(space, place.definition)
  const changed = {
    ...before,
    model: { ...before.model, ...model },
    tools: (tools ?? before.tools).map((tool) => {
      if (queue === undefined || tool.deferred) return tool
      if (queue === tool.queue) return tool
      // Its key is that of the host of the queue that it had.
      const { queue: _, queueKey: __, ...here } = tool
      return queue === null ? here : { ...here, queue, local: false }
    }),
  }
  return parseDefinition(changed)
}

type Folder = Pick<OwnFolder, 'workFolder'> & Partial<OwnFolder>

/** Null: that of the parent, shared, or none. */
async function folderOf(place: Place, child: SessionRef, request: ForkRequest): Promise<Folder | null> {
  const { workFolder, folder = 'copy', onCopy } = request
  if (workFolder !== undefined) return { workFolder: await existingFolder(workFolder) }
  if (folder === 'share' || place.workFolder === null) return null
  const from = await existingFolder(place.workFolder).catch((cause: unknown) => {
    throw new SavefileError(
      'work_folder_missing',
      `The work folder ${place.workFolder ?? ''} is not on this host, so it can't be copied from here. Fork where it is, share it, or name a folder that is on the hosts of the fork's tools.`,
      { workFolder: place.workFolder },
      { cause },
    )
  })
  return folder === 'worktree' ? addWorktree(from, child.session) : copyFolder(from, child.session, onCopy)
}

async function bring(
  tools: readonly Tool[],
  { tools: used }: Definition,
  parent: SessionRef,
  child: SessionRef,
  context: Parameters<NonNullable<Tool['fork']>>[2],
): Promise<{ tool: string; note: string }[]> {
  const brought: { tool: string; note: string }[] = []
  for (const tool of tools.filter(({ name }) => used.some((spec) => spec.name === name))) {
    const said = await tool.fork?.(parent, child, context).catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause)
      const message = `The tool ${tool.name} could not bring its world along, so nothing was forked: ${why}`
      throw new SavefileError('fork_refused', message, { tool: tool.name }, { cause })
    })
    if (said) brought.push({ tool: tool.name, note: said.note })
  }
  return brought
}

function noSuchEvent({ session }: SessionRef, seq: number): SavefileError {
  return new SavefileError('invalid_input', `Session ${session} has no event ${seq} to fork at.`, { session, seq })
}
