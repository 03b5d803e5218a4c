/** list_files: what stands in a folder of the work folder, one path a line. */
import { z } from 'zod'
import { defineTool } from './tool'
import { IGNORED_FOLDERS, walk } from './walk'
import { locate } from './work-folder'

const MAX_ENTRIES = 2_000

export const listFiles = defineTool({
  name: 'list_files',
  description:
    'Lists the files and folders of the work folder, one path a line, relative to the work folder; folders end with "/", symbolic links with "@". ' +
    `${IGNORED_FOLDERS.join(' and ')} are left out unless "path" names them.`,
  input: z.object({
    path: z.string().default('.').describe('Folder to list, relative to the work folder'),
    depth: z.int().min(1).max(20).default(2).describe('How many levels: 1 is the folder itself'),
  }),
  readOnly: true,
  idempotent: true,
  approval: 'allow',
  timeoutMs: 10_000,
  local: true,
  async run({ path, depth }, { workFolder, signal }) {
    const place = await locate(workFolder, path)
    const prefix = place.parts.map((part) => `${part}/`).join('')
    const lines: string[] = []
    for await (const { kind, path: inner } of walk(place, { depth, signal })) {
      if (lines.length === MAX_ENTRIES) {
        lines.push(`[stopped at ${MAX_ENTRIES} entries: list a folder below, or less deep]`)
        break
      }
      lines.push(prefix + inner + (kind === 'folder' ? '/' : kind === 'link' ? '@' : ''))
    }
    signal.throwIfAborted()
    const note = `[depth ${depth}; ${IGNORED_FOLDERS.join(' and ')} are not listed]`
    return lines.length > 0 ? [...lines, note].join('\n') : `[the folder is empty]\n${note}`
  },
})
