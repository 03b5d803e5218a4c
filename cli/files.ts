/** Files that commands read and write as streams. What is written appears under its name only once it is whole. */
import { createReadStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { SavefileError } from '../contract/errors'

/** A file's bytes, or those of stdin for "-". @throws SavefileError `invalid_input` where it can't be read */
export async function* readFileOrStdin(file: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 256 * 1024 }))
      yield chunk as Uint8Array
  } catch (error) {
    throw notThere(file, error)
  }
}

function notThere(file: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOENT' && code !== 'EACCES' && code !== 'EISDIR' && code !== 'ENOTDIR') return error
  return new SavefileError(
    'invalid_input',
    `The file ${JSON.stringify(file)} can't be read or written (${code}).`,
    { file },
    { cause: error },
  )
}

/**
 * Writes all of it under a temporary name beside the file, then renames: stopped or failed, nothing of it is left. Without a file, stdout.
 * Gives back how many bytes were written.
 */
export async function writeWhole(
  file: string | undefined,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<number> {
  let written = 0
  if (file === undefined || file === '-') {
    for await (const chunk of bytes) {
      signal.throwIfAborted()
      written += chunk.length
      if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve))
    }
    return written
  }
  const temporary = `${file}.${process.pid}.part`
  try {
    const handle = await open(temporary, 'wx')
    try {
      for await (const chunk of bytes) {
        signal.throwIfAborted()
        await handle.writeFile(chunk)
        written += chunk.length
      }
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
    return written
  } catch (error) {
    await rm(temporary, { force: true })
    throw notThere(file, error)
  }
}
