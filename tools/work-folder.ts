/**
 * File access that cannot leave the session's work folder. Every file tool goes through here.
 *
 * A path is relative to the work folder. Symbolic links are followed only while they lead to something inside it; then the path without links
 * is walked again, folder by folder, each opened with O_NOFOLLOW relative to the one before (by /proc/self/fd, Node has no openat): what is
 * swapped for a link between check and use is refused by the kernel. Where there is no /proc (macOS), the same walk goes by path, and a swap
 * in the few microseconds between two calls is not seen. Hard links are files like any other. Only regular files and folders are touched:
 * a FIFO or a device would hang or harm the worker.
 */
import { constants, existsSync } from 'node:fs'
import { lstat, mkdir, open, realpath, stat, type FileHandle } from 'node:fs/promises'
import { basename, isAbsolute, join, relative, sep } from 'node:path'
import { SavefileError } from '../contract/errors'
import { errnoOf, ToolFailure } from './failure'

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants
/** Of the development stack, where the work folder is the project's: no model reads what is in it. */
export const STACK_FOLDER = '.savefile'
const HAS_PROC = existsSync('/proc/self/fd')

/** A folder that is held open: `path` names it for as long as it is, wherever the tree has moved meanwhile. */
export interface Folder {
  readonly path: string
  close(): Promise<void>
}

/** A place inside the work folder: folder names without links, from the work folder down. */
export interface Place {
  root: string
  parts: string[]
}

/**
 * The work folder, without links in its path.
 * @throws SavefileError `work_folder_missing` where the session has none, or it does not exist, or is not a folder.
 */
export async function workFolderRoot(workFolder: string | null): Promise<string> {
  const help =
    'A person can set one that exists on the host of this tool: when the session is created, or on a fork. Nothing was done.'
  if (workFolder === null || workFolder === '')
    throw new SavefileError('work_folder_missing', `This session has no work folder. ${help}`)
  try {
    const root = await realpath(workFolder)
    if ((await stat(root)).isDirectory()) return root
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes(errnoOf(error) ?? '')) throw error
  }
  throw new SavefileError(
    'work_folder_missing',
    `The work folder of this session does not exist, or is not a folder that this worker can read. ${help}`,
  )
}

/**
 * Where a path leads. The path itself need not exist; what exists of it must lie inside.
 * @throws SavefileError `outside_work_folder`, `work_folder_missing`
 */
export async function locate(workFolder: string | null, path: string): Promise<Place> {
  const root = await workFolderRoot(workFolder)
  if (path.includes('\0'))
    throw new ToolFailure('invalid_arguments', 'path: holds a NUL character, which no file name can')
  if (isAbsolute(path)) throw outside(path, 'it is absolute')
  const parts = join('.', path)
    .split(sep)
    .filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw outside(path, 'it leads out by ".."')
  let existing = parts.length
  for (;;) {
    const at = join(root, ...parts.slice(0, existing))
    try {
      const real = await realpath(at)
      const inside = relative(root, real)
      if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside))
        throw outside(path, 'a symbolic link on it leads out')
      const found = [...inside.split(sep).filter(Boolean), ...parts.slice(existing)]
      if (found.includes(STACK_FOLDER))
        throw outside(path, `${STACK_FOLDER} holds this project's own addresses and passwords`)
      return { root, parts: found }
    } catch (error) {
      if (errnoOf(error) === 'ELOOP') throw outside(path, 'its symbolic links form a circle')
      if (errnoOf(error) !== 'ENOENT' || existing === 0) throw error
      if (await isLink(at)) throw outside(path, 'a symbolic link on it leads to nothing')
      existing--
    }
  }
}

/** Opens the folder at a place. `create`: makes the folders that are missing, open to whoever may use the one above. */
export async function openFolder({ root, parts }: Place, options: { create?: boolean } = {}): Promise<Folder> {
  let folder = await hold(root)
  for (const part of parts) {
    const above = folder
    try {
      folder = await openChild(above, part, options.create ?? false, parts)
    } finally {
      await above.close()
    }
  }
  return folder
}

/** Opens the folder above a place for the time of `use`, which names its file relative to that. */
export async function inParent<T>(
  place: Place,
  options: { create?: boolean },
  use: (folder: Folder, name: string) => Promise<T>,
): Promise<T> {
  const name = place.parts.at(-1)
  if (name === undefined) throw new ToolFailure('is_folder', 'path: this is the work folder itself, not a file in it')
  const folder = await openFolder({ root: place.root, parts: place.parts.slice(0, -1) }, options)
  try {
    return await use(folder, name)
  } finally {
    await folder.close()
  }
}

/** A sub-folder of an open folder; a link in its place is refused. */
export async function openChild(
  above: Folder,
  name: string,
  create = false,
  shown: string[] = [name],
): Promise<Folder> {
  const path = join(above.path, name)
  try {
    return await hold(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && create) {
      await mkdir(path).catch((clash: unknown) => {
        if (errnoOf(clash) !== 'EEXIST') throw clash
      })
      await ownLike(path, above.path)
      return await hold(path)
    }
    throw await linkOr(path, shown, error)
  }
}

/**
 * Opens a regular file of an open folder for reading.
 * @throws ToolFailure `is_folder`, `not_a_file`; SavefileError `outside_work_folder` where it became a link meanwhile
 */
export async function openFile(folder: Folder, name: string): Promise<FileHandle> {
  const path = join(folder.path, name)
  requireFile(await lstat(path), name)
  let handle: FileHandle
  try {
    // O_NONBLOCK: should it have become a FIFO since, the open does not wait for a writer.
    handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    throw await linkOr(path, [name], error)
  }
  try {
    requireFile(await handle.stat(), name)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Refuses everything that is not a regular file. */
export function requireFile(
  found: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean },
  name: string,
): void {
  if (found.isFile()) return
  if (found.isSymbolicLink()) throw outside(name, 'it was made a symbolic link meanwhile')
  if (found.isDirectory()) throw new ToolFailure('is_folder', `${name} is a folder, not a file`)
  throw new ToolFailure('not_a_file', `${name} is a device, a socket or a FIFO: only regular files can be used`)
}

/** As root, what is made belongs to whom the folder above belongs to: run_command may run as that user. Elsewhere nothing happens. */
export async function ownLike(path: string, above: string): Promise<void> {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = await stat(above)
  const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    await handle.chown(uid, gid)
  } finally {
    await handle.close()
  }
}

async function hold(path: string): Promise<Folder> {
  const handle = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  return { path: HAS_PROC ? `/proc/self/fd/${handle.fd}` : path, close: () => handle.close() }
}

/** O_NOFOLLOW answers ELOOP or ENOTDIR for a link: then it is one that came after the check. */
async function linkOr(path: string, parts: string[], error: unknown): Promise<unknown> {
  if (!['ELOOP', 'ENOTDIR', 'EMLINK'].includes(errnoOf(error) ?? '')) return error
  return (await isLink(path)) ? outside(parts.join('/'), `${basename(path)} was made a symbolic link meanwhile`) : error
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false
    throw error
  }
}

function outside(path: string, why: string): SavefileError {
  const shown = JSON.stringify(path.slice(0, 300))
  return new SavefileError(
    'outside_work_folder',
    `${shown} is refused: ${why}. Paths are relative to the work folder and stay inside it, for example "src/main.ts"; "." is the work folder itself.`,
  )
}
