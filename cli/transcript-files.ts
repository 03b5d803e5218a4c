/** Transcripts where other agents' clients keep them: a file with those of its sub-agents beside it, or a folder of them. */
import { open, readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { formatOf, type TranscriptFile } from '../client/transcripts'
import { SavefileError } from '../contract/errors'
import { notThere } from './files'

/** What tells a transcript from a bundle stands in the first lines. */
const HEAD_BYTES = 1024 * 1024
const AGENT = /(?:^|[./\\])agent-[^/\\]*\.jsonl$/

const ROLLOUT = /(?:^|[./\\])rollout-[^/\\]*\.jsonl$/

export interface TranscriptWithOthers {
  file: TranscriptFile
  others: TranscriptFile[]
}

/** Whether a path is a folder, or a file that begins as a transcript does. */
export async function isTranscript(target: string): Promise<boolean> {
  const found = await stat(target).catch(() => null)
  if (!found) return false
  return found.isDirectory() || formatOf(await headOf(target)) !== null
}

async function headOf(file: string): Promise<Buffer> {
  const handle = await open(file)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

/** One file, or those of a folder and of the folders in it, in the order of their names. @throws SavefileError `invalid_input` */
export async function* transcriptsAt(target: string): AsyncGenerator<TranscriptWithOthers> {
  const found = await stat(target).catch((error: unknown) => {
    throw notThere(target, error)
  })
  const folder = found.isDirectory()
  const files = folder ? await filesUnder(target) : [target]
  const rollouts = await rolloutsIn(folder ? files : await besides(target))
  const ids = new Set(rollouts.map(({ id }) => id))
  const startedHere = new Set(rollouts.flatMap(({ file, parent }) => (ids.has(parent) ? [file] : [])))
  // A sub-agent's file comes with the session that started it; alone it is a session of its own.
  const isMain = (file: string): boolean => !AGENT.test(file) && !startedHere.has(file)
  const mains = folder && files.some(isMain) ? files.filter(isMain) : files
  if (mains.length === 0)
    throw new SavefileError('invalid_input', `There is no .jsonl file in ${JSON.stringify(target)}.`, {
      folder: target,
    })
  const root = folder ? target : path.dirname(target)
  const named = async (file: string): Promise<TranscriptFile> => ({
    name: path.relative(root, file),
    bytes: await readFile(file),
  })
  for (const file of mains) {
    const others = AGENT.test(file) ? [] : [...(await agentsOf(file)), ...startedBy(file, rollouts)]
    yield { file: await named(file), others: await Promise.all(others.map(named)) }
  }
}

interface Rollout {
  file: string
  id: string
  /** Of a sub-agent: the session that started it; else empty. */
  parent: string
}

/** Codex keeps those of sub-agents among the others; the first line of each says whose it is. */
async function rolloutsIn(files: readonly string[]): Promise<Rollout[]> {
  const found: Rollout[] = []
  for (const file of files) {
    if (!ROLLOUT.test(file)) continue
    const [first = ''] = (await headOf(file)).toString('utf8').split('\n', 1)
    const id = /"id":\s?"([^"]+)"/.exec(first)?.[1]
    const parent = /"parent_thread_id":\s?"([^"]+)"/.exec(first)?.[1] ?? ''
    if (id !== undefined) found.push({ file, id, parent })
  }
  return found
}

/** What may be sub-agents of one rollout: those in its folder. */
async function besides(target: string): Promise<string[]> {
  if (!ROLLOUT.test(target)) return []
  const folder = path.dirname(target)
  return (await readdir(folder)).sort().map((name) => path.join(folder, name))
}

/** With those that its sub-agents started in turn. */
function startedBy(file: string, rollouts: readonly Rollout[]): string[] {
  const found: Rollout[] = rollouts.filter((one) => one.file === file)
  for (const { id } of found) found.push(...rollouts.filter((one) => one.parent === id && !found.includes(one)))
  return found.slice(1).map((one) => one.file)
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.jsonl'))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
}

/** Beside the session's file, or in its own folder: those whose first line names the same session. */
async function agentsOf(file: string): Promise<string[]> {
  const own = path.join(path.dirname(file), path.basename(file, '.jsonl'))
  const found: string[] = []
  for (const folder of [path.dirname(file), path.join(own, 'subagents'), own]) {
    const names = await readdir(folder).catch(() => [])
    found.push(...names.filter((name) => AGENT.test(name)).map((name) => path.join(folder, name)))
  }
  const session = await sessionOf(file)
  const sessions = await Promise.all(found.map(sessionOf))
  return found.filter((_, i) => session !== null && sessions[i] === session)
}

async function sessionOf(file: string): Promise<string | null> {
  return /"sessionId":\s?"([^"]+)"/.exec((await headOf(file)).toString('utf8'))?.[1] ?? null
}
