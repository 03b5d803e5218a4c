/**
 * write_file: a whole file, at once: written beside its place, then renamed over it, so that nobody ever reads half of it.
 * Idempotent: a second run leaves the same file. (An attempt that was frozen just before its rename and wakes much later puts the old content
 * back: that is why it looks at its signal last.)
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, open, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { errnoOf } from './failure'
import { defineTool } from './tool'
import { inParent, locate, requireFile, type Folder } from './work-folder'

export const writeFile = defineTool({
  name: 'write_file',
  description:
    'Writes a whole file in the work folder: makes it, with the folders above it, or replaces what was there. To change a part of a file use edit_file.',
  input: z.object({
    path: z.string().min(1).describe('File, relative to the work folder'),
    content: z.string().describe('Everything the file is to hold'),
  }),
  readOnly: false,
  idempotent: true,
  approval: 'allow',
  timeoutMs: 10_000,
  local: true,
  async run({ path, content }, { workFolder, signal }) {
    const place = await locate(workFolder, path)
    const bytes = Buffer.from(content)
    await inParent(place, { create: true }, (folder, name) => replaceFile(folder, name, bytes, signal))
    return `wrote ${bytes.byteLength} bytes to ${path}`
  },
})

/** Puts a file in its place in one step; keeps the permissions of the one that was there. A link in its place is refused. */
export async function replaceFile(folder: Folder, name: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  const path = join(folder.path, name)
  const before = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  })
  if (before) requireFile(before, name)
  const temp = join(folder.path, `.savefile-${randomBytes(8).toString('hex')}.tmp`)
  const handle = await open(
    temp,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o666,
  )
  try {
    try {
      await handle.writeFile(bytes)
      if (before) await handle.chmod(before.mode & 0o7777)
      if (process.getuid?.() === 0) {
        const { uid, gid } = before ?? (await stat(folder.path))
        await handle.chown(uid, gid)
      }
      await handle.sync()
    } finally {
      await handle.close()
    }
    signal.throwIfAborted()
    await rename(temp, path)
  } catch (error) {
    await unlink(temp).catch((gone: unknown) => {
      if (errnoOf(gone) === undefined) throw gone
    })
    throw error
  }
}
