/**
 * Sessions that were made up elsewhere (a transcript's), as a bundle would bring them: hashed and chained here, and imported the same way, all
 * of them or none. Memory: one session.
 */
import type { Arriving, ArrivingSession, BundleProgress } from '../../contract/bundle-port'
import { sha256Name } from '../hash'
import { hashOf, type BundleEvent } from './event-line'
import { SETS_DEFINITION, blobsIn, type SessionLine } from './format'
import type { BundleItem } from './read'

export function* assemble(
  arriving: Arriving,
  onProgress?: (progress: BundleProgress) => void,
): Generator<BundleItem[]> {
  yield arriving.definitions.map((body) => ({ kind: 'definition', hash: sha256Name(body), body }))
  const chain = new Map<string, Map<number, string>>()
  const uses = new Map<string, Set<string>>()
  let line = 0
  let bytes = 0
  for (const session of arriving.sessions) {
    const { events, part, named } = chained(session, chain)
    for (const hash of named) uses.set(hash, (uses.get(hash) ?? new Set()).add(session.session))
    // A fork of a fork goes on from rows that may be any ancestor's: the hashes of all stay, the events do not.
    chain.set(session.session, new Map(events.map(({ seq, hash }) => [seq, hash])))
    if (session.session === arriving.session) {
      const { to: head, hash } = part
      yield [{ kind: 'header', header: { k: 'savefile-bundle', version: 1, session: session.session, head, hash } }]
    }
    bytes += events.reduce((sum, { payload }) => sum + payload.length, 0)
    onProgress?.({ events: line + events.length, bytes })
    const { title, labels } = said(events[0])
    yield [
      { kind: 'session', part, title, labels, line },
      ...events.map((event) => ({ kind: 'event' as const, event, line: ++line })),
    ]
  }
  for (const [hash, sessions] of uses) {
    const blob = arriving.blob(hash)
    if (!blob) continue
    yield [
      {
        kind: 'blob',
        hash,
        mediaType: blob.mediaType,
        sessions: [...sessions],
        content: Buffer.from(blob.bytes),
        line,
      },
    ]
  }
  for (const { bytes, mediaType } of arriving.kept)
    yield [
      {
        kind: 'blob',
        hash: sha256Name(bytes),
        mediaType,
        sessions: [arriving.session],
        content: Buffer.from(bytes),
        line,
      },
    ]
}

function chained(
  { session, base, parent, events }: ArrivingSession,
  chain: ReadonlyMap<string, ReadonlyMap<number, string>>,
): { events: BundleEvent[]; part: SessionLine; named: Set<string> } {
  const from = (base?.seq ?? 0) + 1
  const before = base ? chain.get(base.session)?.get(base.seq) : ''
  if (before === undefined)
    throw new Error(`session ${session} goes on from ${base?.session}@${base?.seq}, which did not come`)
  const named = new Set<string>()
  let prev = before
  const made = events.map(({ type, v, at, actor, key, payload: text }, i): BundleEvent => {
    const payload = Buffer.from(type === 'forked' ? withHash(text, before) : text, 'utf8')
    for (const hash of blobsIn(payload)) named.add(hash)
    const definition = SETS_DEFINITION.has(type) ? (JSON.parse(text) as { definition: string }).definition : undefined
    const event: BundleEvent = {
      k: 'event',
      seq: from + i,
      type,
      v,
      at,
      actor,
      key,
      definition,
      prev,
      hash: '',
      session,
      payload,
    }
    event.hash = hashOf(session, event, payload)
    prev = event.hash
    return event
  })
  const to = from + events.length - 1
  return {
    events: made,
    part: { k: 'session', session, base, parent, from, to, hash: prev, whole: true, marks: [] },
    named,
  }
}

/** What whoever made the event could not know. */
function withHash(forked: string, hash: string): string {
  return JSON.stringify({ ...(JSON.parse(forked) as object), hash })
}

function said(first: BundleEvent | undefined): { title: string | null; labels: string } {
  const { title, labels } = JSON.parse(first?.payload.toString('utf8') ?? '{}') as { title?: string; labels?: unknown }
  return { title: title ?? null, labels: JSON.stringify(labels ?? {}) }
}
