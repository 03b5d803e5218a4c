/** Files that commands read and write as streams. What is written appears under its name only once it is whole. */
import { once } from 'node:events'
import { createReadStream, rmSync } from 'node:fs'
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { addAbortSignal } from 'node:stream'
import { SavefileError } from '../contract/errors'

/**
 * A file's bytes, or those of stdin for "-". Aborted, it throws, also where it waits for whoever writes to stdin.
 * @throws SavefileError `invalid_input` where it can't be read
 */
export async function* readFileOrStdin(file: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const stream = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 256 * 1024 })
  try {
    for await (const chunk of signal ? addAbortSignal(signal, stream) : stream) yield chunk as Uint8Array
  } catch (error) {
    throw notThere(file, error)
  }
}

/** What is thrown instead, where a file is not to be had. */
export function notThere(file: string, error: unknown): unknown {
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
      // Whoever reads may have stopped reading: Ctrl-C ends that too.
      if (!process.stdout.write(chunk)) await once(process.stdout, 'drain', { signal })
    }
    return written
  }
  const temporary = `${file}.${process.pid}.part`
  // A second Ctrl-C ends the process at once.
  const removeAtExit = (): void => rmSync(temporary, { force: true })
  process.once('exit', removeAtExit)
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
  } finally {
    process.off('exit', removeAtExit)
  }
}

/** @throws SavefileError `invalid_input` where it can't be read */
export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw notThere(file, error)
  }
}

/** A file that is not there yet. */
export async function writeNew(file: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx', mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw notThere(file, error)
    throw new SavefileError(
      'invalid_input',
      `The file ${JSON.stringify(file)} is there already; it is not written over.`,
      { file },
      { cause: error },
    )
  }
}

export async function* linesOfFile(file: string): AsyncGenerator<string> {
  const stream = createReadStream(file)
  try {
    yield* createInterface({ input: stream, crlfDelay: Infinity })
  } catch (error) {
    throw notThere(file, error)
  } finally {
    stream.destroy()
  }
}

/** Each value as JSON in a line of its own, behind what the file has; without a file, on stdout. Gives back how many. */
export async function appendLines(file: string | undefined, values: AsyncIterable<unknown>): Promise<number> {
  const handle =
    file === undefined
      ? null
      : await open(file, 'a').catch((error: unknown) => {
          throw notThere(file, error)
        })
  let n = 0
  try {
    for await (const value of values) {
      n++
      const line = `${JSON.stringify(value)}\n`
      if (handle) await handle.appendFile(line)
      else process.stdout.write(line)
    }
    await handle?.sync()
  } finally {
    await handle?.close()
  }
  return n
}
