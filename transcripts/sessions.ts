/**
 * A thread as sessions: one for the line that ends in its last entry, a fork for each branch that leaves it, a child for each sub-agent.
 * Parents come before who goes on from them. No recursion: a line may be as long as a log.
 */
import { createHash } from 'node:crypto'
import type { Payload, StoredEvent } from '../contract/events'
import { nameProblem } from '../contract/ids'
import type { Blobs, Entry, Item, Thread, TranscriptFormat } from './items'
import type { ArrivingEvent } from '../contract/bundle-port'
import { LogWriter, type Place } from './log-writer'
import type { Report } from './report'

export interface WrittenSession {
  session: string
  /** The event that its own go on from, and whose row that is; null where the log begins of itself. */
  base: { session: string; seq: number } | null
  /** Whose fork it is. */
  parent: string | null
  /** Of a sub-agent: whose. */
  startedBy: string | null
  events: ArrivingEvent[]
}

export interface WriteOptions {
  session: string
  format: TranscriptFormat
  definition: string
  actor: string
  report(thread: Thread): Report
  blobs: Blobs
  /** The rows that a session has here already; none where it is new. */
  existing(session: string): Promise<ReadonlyMap<number, StoredEvent>>
}

interface Branch {
  place: Place
  entry: Entry
}

export async function* writeThread(
  thread: Thread,
  options: WriteOptions,
  startedBy: string | null = null,
): AsyncGenerator<WrittenSession> {
  const { session, blobs, actor } = options
  const report = options.report(thread)
  const { children, ends } = treeOf(thread.entries)
  const names = new Set([session])
  const childSessions = new Map<Thread, string>()
  const childOf = (item: Extract<Item, { kind: 'result' }>): string | null => {
    if (!item.child) return null
    const name = nameWithin(session, item.child.id, names)
    childSessions.set(item.child, name)
    return name
  }
  const writerOf = async (name: string, place: Place | null): Promise<LogWriter> =>
    new LogWriter({ session: name, actor, report, blobs, childOf, existing: await options.existing(name) }, place)

  const branches: Branch[] = []
  /** Up to its end; what leaves it is left for later. */
  const walk = (writer: LogWriter, first: readonly Entry[]): void => {
    for (let open = first; open.length > 0;) {
      // Who ends last goes on.
      const next = open.reduce((a, b) => ((ends.get(b) ?? 0) > (ends.get(a) ?? 0) ? b : a))
      if (open.length > 1) {
        const place = writer.place()
        for (const entry of open) if (entry !== next) branches.push({ place, entry })
      }
      writer.write(next)
      open = children.get(next) ?? []
    }
    if (!writer.isSilent) writer.end()
  }

  const main = await writerOf(session, null)
  main.create(created(thread, options), firstTime(thread.entries))
  walk(main, children.get(null) ?? [])
  yield { session, base: null, parent: null, startedBy, events: main.events }
  for (let branch = branches.shift(); branch; branch = branches.shift()) {
    const { place, entry } = branch
    const name = nameWithin(session, entry.id.slice(0, 8), names)
    const writer = await writerOf(name, place)
    walk(writer, [entry])
    const base = { session: place.session, seq: place.state.seq }
    if (writer.events.length > 0)
      yield { session: name, base, parent: place.parent, startedBy: null, events: writer.events }
  }
  for (const [child, name] of childSessions) yield* writeThread(child, { ...options, session: name }, session)
}

function created(thread: Thread, { definition, format }: WriteOptions): Payload<'session_created'> {
  const { title, labels } = thread
  return {
    definition,
    ...(title === undefined || title === '' ? {} : { title }),
    ...(Object.keys(labels).length > 0 ? { labels } : {}),
    origin: { kind: 'import', format },
  }
}

function firstTime(entries: readonly Entry[]): number {
  return entries.reduce((first, { at }) => (at > 0 && (first === 0 || at < first) ? at : first), 0)
}

/** Of each entry what goes on from it, and where in the transcript the last of that stands. */
function treeOf(entries: readonly Entry[]): { children: Map<Entry | null, Entry[]>; ends: Map<Entry, number> } {
  const children = new Map<Entry | null, Entry[]>()
  for (const entry of entries) {
    const siblings = children.get(entry.parent)
    if (siblings) siblings.push(entry)
    else children.set(entry.parent, [entry])
  }
  const order: Entry[] = [...(children.get(null) ?? [])]
  for (let i = 0; i < order.length; i++) order.push(...(children.get(order[i] as Entry) ?? []))
  const places = new Map(entries.map((entry, i) => [entry, i + 1]))
  const ends = new Map<Entry, number>()
  for (const entry of order.reverse()) {
    const end = Math.max(ends.get(entry) ?? 0, places.get(entry) ?? 0)
    ends.set(entry, end)
    if (entry.parent) ends.set(entry.parent, Math.max(ends.get(entry.parent) ?? 0, end))
  }
  return { children, ends }
}

/** A session id of its own. The whole's stands behind, so that a beginning of it names only the whole. */
function nameWithin(session: string, part: string, taken: Set<string>): string {
  const clean = sessionName(part)
  for (let n = 0; ; n++) {
    const name = shortEnough(`${clean}${n === 0 ? '' : `-${n}`}-${session}`)
    if (taken.has(name)) continue
    taken.add(name)
    return name
  }
}

/** What of a client's own id a session id can hold. */
export function sessionName(id: string): string {
  const clean = id
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .replace(/^[-_]+/, '')
  return nameProblem('session id', clean) === null ? clean : shortEnough(clean === '' ? 'x' : clean)
}

const ID_CHARS = 64
const HASH_CHARS = 16

function shortEnough(name: string): string {
  if (name.length <= ID_CHARS) return name
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_CHARS)
  return `${name.slice(0, ID_CHARS - HASH_CHARS - 1)}-${hash}`
}
