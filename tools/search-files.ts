/**
 * search_files: lines that match a pattern, as `path:line: text`. Bounded in hits, bytes and time: it says what it did not look at.
 */
import { z } from 'zod'
import { ToolFailure } from './failure'
import { compileGlob } from './glob'
import { startMatcher, type Batch, type Hit } from './search-thread'
import { defineTool } from './tool'
import { IGNORED_FOLDERS, walk, type Found } from './walk'
import { inParent, locate, openFile, type Folder, type Place } from './work-folder'

const MAX_HITS = 200
const MAX_FILE_BYTES = 4 * 1024 * 1024
const BATCH_BYTES = 1024 * 1024
/** For all of it: this runs in process, beside other sessions. */
const DEADLINE_MS = 900
/** A batch that was read just before the deadline is still matched. */
const LEAST_MS = 100

const regexProblem = (pattern: string): string | null => {
  try {
    new RegExp(pattern)
    return null
  } catch (error) {
    return `${(error as Error).message}; it is a JavaScript regular expression without flags (use ignoreCase)`
  }
}

export const searchFiles = defineTool({
  name: 'search_files',
  description:
    'Searches the text files of the work folder for a JavaScript regular expression, line by line. Gives back "path:line: text", ' +
    `at most ${MAX_HITS}. Leaves out ${IGNORED_FOLDERS.join(' and ')}, binary files and files over 4 MB. Stops after ${DEADLINE_MS / 1000} s and says so.`,
  input: z.object({
    pattern: z
      .string()
      .min(1)
      .max(1_000)
      .superRefine((pattern, check) => {
        const problem = regexProblem(pattern)
        if (problem !== null) check.addIssue({ code: 'custom', message: problem })
      })
      .describe('JavaScript regular expression'),
    path: z.string().default('.').describe('Folder or file to search, relative to the work folder'),
    glob: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('Only files whose path below "path" matches, for example "*.ts" or "src/**/*.{js,ts}"'),
    ignoreCase: z.boolean().default(false),
  }),
  readOnly: true,
  idempotent: true,
  approval: 'allow',
  timeoutMs: 10_000,
  local: true,
  async run({ pattern, path, glob, ignoreCase }, { workFolder, signal }) {
    const wanted = glob === undefined ? () => true : compileGlob(glob)
    if (typeof wanted === 'string') throw new ToolFailure('invalid_arguments', `glob: ${wanted}`)
    const place = await locate(workFolder, path)
    const endsAt = performance.now() + DEADLINE_MS
    const left = (): number => Math.max(0, endsAt - performance.now())
    const walking = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)])
    const matcher = startMatcher(pattern, ignoreCase)
    const hits: Hit[] = []
    const seen: Seen = { files: 0, binary: 0, large: 0, unreadable: 0 }
    let stopped = ''
    try {
      for await (const batch of batches(place, wanted, seen, walking)) {
        const found = await matcher.match(batch, MAX_HITS - hits.length, Math.max(left(), LEAST_MS))
        if (found === null)
          stopped = `the pattern took too long (first in ${batch.files[0]?.path}): use a simpler one, or narrow path or glob`
        hits.push(...(found ?? []))
        if (!stopped && hits.length >= MAX_HITS)
          stopped = `stopped at ${MAX_HITS} matches: narrow the pattern, path or glob`
        if (stopped) break
      }
      if (!stopped && left() === 0) stopped = `stopped after ${DEADLINE_MS / 1000} s: narrow path or glob`
    } finally {
      await matcher.close()
    }
    signal.throwIfAborted()
    return [...hits.map((hit) => `${hit.path}:${hit.line}: ${hit.text}`), summary(hits.length, seen, stopped)].join(
      '\n',
    )
  },
})

interface Seen {
  files: number
  binary: number
  large: number
  unreadable: number
}

/** The texts to search, in name order, about a megabyte at a time. Paths are relative to the work folder. */
async function* batches(
  place: Place,
  wanted: (path: string) => boolean,
  seen: Seen,
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  let files: Batch['files'] = []
  let bytes = 0
  for await (const { path, text } of texts(place, wanted, seen, signal)) {
    files.push({ path, text })
    bytes += text.length
    // A batch also ends by count, so that the deadline is looked at between many small files.
    if (bytes < BATCH_BYTES && files.length < 200) continue
    yield { files }
    files = []
    bytes = 0
  }
  if (files.length > 0) yield { files }
}

async function* texts(
  place: Place,
  wanted: (path: string) => boolean,
  seen: Seen,
  signal: AbortSignal,
): AsyncGenerator<{ path: string; text: string }> {
  const prefix = place.parts.join('/')
  const alone = await loneFile(place, seen)
  if (alone !== undefined) {
    if (alone !== null) yield { path: prefix, text: alone }
    return
  }
  for await (const entry of walk(place, { depth: 50, signal })) {
    if (entry.kind !== 'file' || !wanted(entry.path)) continue
    const text = await readIn(entry, seen)
    if (text !== null) yield { path: prefix ? `${prefix}/${entry.path}` : entry.path, text }
  }
}

/** The text of a place that is a file, null where that can't be searched; undefined where the place is a folder. */
async function loneFile(place: Place, seen: Seen): Promise<string | null | undefined> {
  if (place.parts.length === 0) return undefined
  return inParent(place, {}, async (folder, name) => {
    try {
      return await readText(folder, name, seen)
    } catch (error) {
      if (error instanceof ToolFailure && error.code === 'is_folder') return undefined
      throw error
    }
  })
}

async function readIn(entry: Found, seen: Seen): Promise<string | null> {
  try {
    return await readText(entry.folder, entry.name, seen)
  } catch {
    // Gone, closed to us, or swapped for a link since it was listed: counted, and said at the end.
    seen.unreadable++
    return null
  }
}

async function readText(folder: Folder, name: string, seen: Seen): Promise<string | null> {
  const handle = await openFile(folder, name)
  try {
    if ((await handle.stat()).size > MAX_FILE_BYTES) {
      seen.large++
      return null
    }
    const bytes = await handle.readFile()
    if (bytes.subarray(0, 8_192).includes(0)) {
      seen.binary++
      return null
    }
    seen.files++
    return bytes.toString('utf8')
  } finally {
    await handle.close()
  }
}

function summary(hits: number, seen: Seen, stopped: string): string {
  const passed = [
    [seen.binary, 'binary'],
    [seen.large, 'over 4 MB'],
    [seen.unreadable, 'unreadable'],
  ].flatMap(([count, what]) => (count ? [`${count} ${what}`] : []))
  const parts = [
    `${hits} ${hits === 1 ? 'match' : 'matches'} in ${seen.files} files`,
    ...(passed.length > 0 ? [`not searched: ${passed.join(', ')}`] : []),
  ]
  return `[${[...parts, ...(stopped ? [stopped] : [])].join('; ')}]`
}
