/**
 * A work folder of its own for a fork, on this host: a copy beside the other one, or a git worktree. Made before the fork exists, and taken
 * away again where the fork is refused. A copy is what the folder holds now: which may be later than the event that is forked.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { chmod, copyFile, lchown, lstat, mkdir, opendir, readlink, rm, symlink, utimes } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { SavefileError } from '../contract/errors'

export interface OwnFolder {
  workFolder: string
  folder: 'copy' | 'worktree'
  /** Takes it away again. */
  undo(): Promise<void>
}

export interface FolderSize {
  files: number
  bytes: number
}

/** Of the development stack: its addresses and passwords, no part of the work. */
const STACK_FOLDER = '.savefile'
/** Beyond this nobody wants a copy by accident. */
export const COPY_LIMIT: FolderSize = { files: 200_000, bytes: 4 * 1024 ** 3 }
const GIT_MS = 120_000
const git = promisify(execFile)

interface Entry {
  path: string
  kind: 'folder' | 'file' | 'link'
}

/** A folder beside `from` that is named after the fork; it must not be there yet. */
async function beside(from: string, session: string): Promise<string> {
  const to = join(dirname(from), `${basename(from)}-${session.slice(0, 12)}`)
  const there = await lstat(to).catch(ignore('ENOENT'))
  if (!there) return to
  throw new SavefileError('invalid_input', `${to} is there already. Name another work folder for the fork.`, {
    workFolder: to,
  })
}

/**
 * Copies the folder; where the file system can, blocks are shared until one side writes.
 * @throws SavefileError `too_large`, with what to do instead; `invalid_input` where the place is taken
 */
export async function copyFolder(
  from: string,
  session: string,
  onSize: (size: FolderSize, to: string) => void = () => {},
  limit: FolderSize = COPY_LIMIT,
): Promise<OwnFolder> {
  const to = await beside(from, session)
  const { entries, size } = await measure(from, limit)
  onSize(size, to)
  await mkdir(to)
  const undo = (): Promise<void> => rm(to, { recursive: true, force: true })
  try {
    for (const entry of entries) await copyEntry(entry, join(from, entry.path), join(to, entry.path))
    // Last: what is put into a folder changes its times, and may need a right that it does not give.
    for (const { path, kind } of [{ path: '', kind: 'folder' }, ...entries].reverse())
      if (kind === 'folder') await likeOf(join(from, path), join(to, path))
  } catch (error) {
    await undo()
    throw error
  }
  return { workFolder: to, folder: 'copy', undo }
}

/** Everything in the folder that a file tool could reach, folders before what is in them. */
async function measure(root: string, limit: FolderSize): Promise<{ entries: Entry[]; size: FolderSize }> {
  const entries: Entry[] = []
  const size = { files: 0, bytes: 0 }
  const walk = async (inside: string): Promise<void> => {
    for await (const found of await opendir(join(root, inside))) {
      if (found.name === STACK_FOLDER) continue
      const path = join(inside, found.name)
      if (found.isDirectory()) {
        entries.push({ path, kind: 'folder' })
        await walk(path)
      } else if (found.isFile() || found.isSymbolicLink()) {
        entries.push({ path, kind: found.isFile() ? 'file' : 'link' })
        size.files++
        size.bytes += (await lstat(join(root, path)).catch(ignore('ENOENT')))?.size ?? 0
      }
      if (size.files > limit.files || size.bytes > limit.bytes) throw tooLarge(root, limit)
    }
  }
  await walk('')
  return { entries, size }
}

function tooLarge(root: string, limit: FolderSize): SavefileError {
  const most = `${limit.files.toLocaleString('en-US')} files or ${Math.round(limit.bytes / 1024 ** 2).toLocaleString('en-US')} MB`
  return new SavefileError(
    'too_large',
    `The work folder ${root} holds more than ${most}: too much to be copied without a word. Take a git worktree, share the folder, or copy what is needed yourself and name that folder.`,
    { workFolder: root, limit },
  )
}

async function copyEntry({ kind }: Entry, from: string, to: string): Promise<void> {
  try {
    if (kind === 'folder') await mkdir(to)
    else if (kind === 'link') await symlink(await readlink(from), to)
    else {
      await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
      await likeOf(from, to)
    }
  } catch (error) {
    // Somebody works in there meanwhile.
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error
  }
}

async function likeOf(from: string, to: string): Promise<void> {
  const is = await lstat(from).catch(ignore('ENOENT'))
  if (!is) return
  if (process.getuid?.() === 0) await lchown(to, is.uid, is.gid)
  await chmod(to, is.mode & 0o7777)
  await utimes(to, is.atime, is.mtime)
}

/**
 * A git worktree on a branch of its own, at the commit that is checked out: what is not committed stays behind.
 * @throws SavefileError `invalid_input` where the folder is in no git repository, or git refuses
 */
export async function addWorktree(from: string, session: string): Promise<OwnFolder> {
  const top = await run(from, ['rev-parse', '--show-toplevel'])
  const tree = await beside(top, session)
  const branch = `savefile/${session}`
  await run(from, ['worktree', 'add', '--quiet', '-b', branch, tree, 'HEAD'])
  const undo = async (): Promise<void> => {
    await run(from, ['worktree', 'remove', '--force', tree])
    await run(from, ['branch', '--quiet', '-D', branch])
  }
  const workFolder = join(tree, relative(top, from))
  if ((await lstat(workFolder).catch(ignore('ENOENT')))?.isDirectory()) return { workFolder, folder: 'worktree', undo }
  await undo()
  throw new SavefileError(
    'invalid_input',
    `${from} is not committed in ${top}, so a worktree does not have it. Copy it.`,
  )
}

/** Nothing of our environment, and no hook: what stands in the folder may be a model's. */
async function run(cwd: string, args: string[]): Promise<string> {
  const safe = ['-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false']
  const env = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0' }
  try {
    return (await git('git', [...safe, '-C', cwd, ...args], { env, timeout: GIT_MS })).stdout.trim()
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string }
    const why = code === 'ENOENT' ? 'git is not installed here' : (stderr ?? '').trim().split('\n').at(-1)
    throw new SavefileError(
      'invalid_input',
      `No git worktree of ${cwd} can be made (${why}). Copy the folder, or share it.`,
      {
        workFolder: cwd,
      },
    )
  }
}

function ignore(code: string): (error: NodeJS.ErrnoException) => null {
  return (error) => {
    if (error.code === code) return null
    throw error
  }
}
