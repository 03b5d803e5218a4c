/**
 * edit_file: replaces a piece of a text file. Not idempotent, and declared so: where `new` contains `old` a second run would edit again. After a
 * lost answer the outcome is `unknown`, and a second call can tell: `old` is gone and `new` stands there.
 */
import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { ToolFailure } from './failure'
import { binary } from './read-file'
import { defineTool } from './tool'
import { inParent, locate, openFile } from './work-folder'
import { replaceFile } from './write-file'

const MAX_BYTES = 10 * 1024 * 1024

export const editFile = defineTool({
  name: 'edit_file',
  description:
    'Replaces text in a file of the work folder. "old" must occur exactly once (give more of its surroundings where it does not), unless "all" is true. ' +
    'It is matched exactly, white space included, without the line numbers that read_file shows.',
  input: z.object({
    path: z.string().min(1).describe('File, relative to the work folder'),
    old: z.string().min(1).describe('The text to replace, exactly as it stands in the file'),
    new: z.string().describe('What is to stand there instead'),
    all: z.boolean().default(false).describe('Replace every occurrence'),
  }),
  readOnly: false,
  idempotent: false,
  approval: 'allow',
  timeoutMs: 10_000,
  local: true,
  async run({ path, old, new: wanted, all }, { workFolder, signal }) {
    if (old === wanted)
      throw new ToolFailure('invalid_arguments', 'old and new are the same: there is nothing to replace')
    const place = await locate(workFolder, path)
    return inParent(place, {}, async (folder, name) => {
      const handle = await openFile(folder, name)
      let text: string
      try {
        if ((await handle.stat()).size > MAX_BYTES)
          throw new ToolFailure('too_large', `${path} is larger than ${MAX_BYTES} bytes: use run_command`)
        text = decode(await handle.readFile(), path)
      } finally {
        await handle.close()
      }
      const crlf = countOf(text, old) === 0 && text.includes('\r\n')
      const from = crlf ? withCrlf(old) : old
      const to = crlf ? withCrlf(wanted) : wanted
      const count = countOf(text, from)
      if (count === 0) throw notFound(path, to !== '' && text.includes(to))
      if (count > 1 && !all) {
        throw new ToolFailure(
          'not_unique',
          `old occurs ${count} times in ${path}: give more of what surrounds it so that it is unique, or set all to true`,
        )
      }
      await replaceFile(folder, name, Buffer.from(text.split(from).join(to)), signal)
      return `replaced ${count} ${count === 1 ? 'occurrence' : 'occurrences'} in ${path}`
    })
  },
})

/** The text of the file, its byte order mark kept. Bytes that are not UTF-8 would not survive being written back. */
function decode(bytes: Buffer, path: string): string {
  if (bytes.includes(0)) throw binary(path)
  if (!isUtf8(bytes)) throw new ToolFailure('binary_file', `${path} is not UTF-8 text: editing would destroy it`)
  return bytes.toString('utf8')
}

function notFound(path: string, newIsThere: boolean): ToolFailure {
  return newIsThere
    ? new ToolFailure(
        'already_there',
        `old does not occur in ${path}, and new does: the edit seems to have been made before. Nothing was changed.`,
      )
    : new ToolFailure(
        'not_found',
        `old does not occur in ${path} (0 times): read the file and give the text exactly as it stands there`,
      )
}

function countOf(text: string, piece: string): number {
  return text.split(piece).length - 1
}

function withCrlf(text: string): string {
  return text.replace(/\r?\n/g, '\r\n')
}
