/**
 * What goes wrong inside a tool. A ToolFailure carries the code of the result and a sentence for the model that says what would be right;
 * everything else that is thrown gets its code by kind.
 */
import { errorCode } from '../contract/errors'

export class ToolFailure extends Error {
  override readonly name = 'ToolFailure'

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

const BY_ERRNO: Readonly<Record<string, readonly [code: string, what: string]>> = {
  ENOENT: ['not_found', 'there is no such file or folder'],
  EACCES: ['no_permission', 'permission denied'],
  EPERM: ['no_permission', 'not permitted'],
  EROFS: ['no_permission', 'the file system is read-only'],
  EISDIR: ['is_folder', 'this is a folder, not a file'],
  ENOTDIR: ['not_a_folder', 'a part of the path is a file, not a folder'],
  ENAMETOOLONG: ['name_too_long', 'the name is too long'],
  ENOSPC: ['no_space', 'no space is left on the device'],
  EDQUOT: ['no_space', 'the disk quota is used up'],
  EMFILE: ['busy', 'too many files are open in this worker; try again'],
}

/** The errno of a system error; undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined
}

/** Code and text of what was thrown. System errors are worded without their paths, which are the host's, not the model's. */
export function describeThrown(error: unknown): { code: string; text: string } {
  // By its name: a user's tool may have another copy of this package.
  if (error instanceof Error && error.name === 'ToolFailure')
    return { code: (error as ToolFailure).code, text: error.message }
  const ours = errorCode(error)
  if (ours) return { code: ours, text: (error as Error).message }
  const errno = errnoOf(error)
  const known = errno === undefined ? undefined : BY_ERRNO[errno]
  if (known) return { code: known[0], text: `${known[1]} (${errno})` }
  if (errno !== undefined) return { code: 'failed', text: `the operation failed (${errno})` }
  const message = typeof error === 'object' && error !== null ? (error as { message?: unknown }).message : error
  return {
    code: 'failed',
    text: typeof message === 'string' && message !== '' ? message : 'the tool failed without saying why',
  }
}
