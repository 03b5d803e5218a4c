/** Goes through a tree of the work folder, in name order, never through a symbolic link, holding one open folder a level. */
import { readdir } from 'node:fs/promises'
import { errnoOf } from './failure'
import { STACK_FOLDER, openChild, openFolder, type Folder, type Place } from './work-folder'

/** Left out unless the walk begins inside one of them: not the user's work, and large. */
export const IGNORED_FOLDERS: readonly string[] = ['.git', 'node_modules']
/** What write_file writes before it renames; one is left where a worker died in between. */
export const TEMP_FILE = /^\.savefile-[0-9a-f]{16}\.tmp$/

export interface Found {
  kind: 'file' | 'folder' | 'link' | 'other'
  name: string
  /** Relative to where the walk began. */
  path: string
  /** 1 for what stands in the folder where the walk began. */
  depth: number
  /** The open folder that it stands in: valid until the next entry is asked for. */
  folder: Folder
}

export interface WalkOptions {
  /** Folders deeper than this are named, not entered. */
  depth: number
  signal: AbortSignal
}

/** Entries of the tree. Folders that can't be opened are named and passed over. */
export async function* walk(place: Place, options: WalkOptions): AsyncGenerator<Found> {
  const top = await openFolder(place)
  try {
    yield* within(top, '', 1, options)
  } finally {
    await top.close()
  }
}

async function* within(folder: Folder, above: string, depth: number, options: WalkOptions): AsyncGenerator<Found> {
  const entries = await readdir(folder.path, { withFileTypes: true })
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    if (options.signal.aborted) return
    const { name } = entry
    if (TEMP_FILE.test(name) || name === STACK_FOLDER || (entry.isDirectory() && IGNORED_FOLDERS.includes(name)))
      continue
    const kind = entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : entry.isSymbolicLink() ? 'link' : 'other'
    const path = above + name
    yield { kind, name, path, depth, folder }
    if (kind !== 'folder' || depth >= options.depth) continue
    const child = await openChild(folder, name).catch((error: unknown) => {
      // Gone, closed to us, or swapped since it was listed: the rest of the tree still counts.
      if (errnoOf(error) !== undefined || (error as Error).name === 'SavefileError') return null
      throw error
    })
    if (!child) continue
    try {
      yield* within(child, `${path}/`, depth + 1, options)
    } finally {
      await child.close()
    }
  }
}
