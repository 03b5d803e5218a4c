/**
 * The rules of the log as plainly as they can be said: lists and maps, one thing at a time. What forks, people's appends, grants, erasures,
 * moves and readers may expect of any log; test/log/model.test.ts runs the same on this and on Postgres.
 */
export interface ModelEvent {
  seq: number
  /** Whose own event it is. */
  session: string
  type: string
  key: string
  /** LOCKED where it is sealed, and its key is not here. */
  text: string
}

export const LOCKED = '(locked)'

type Custody = 'live' | 'inert' | 'stub'
type Refused =
  'idempotency_conflict' | 'closed' | 'session_not_found' | 'inert' | 'stub' | 'locked' | 'grant_not_found' | 'live'
export type Said = { status: 'appended' | 'duplicate'; seq: number } | { status: Refused }
export type Made = 'created' | 'session_exists' | 'session_not_found' | 'no_such_event' | 'locked'
export type Erased = { status: 'erased'; seq: number | null } | { status: 'session_not_found' | 'not_encrypted' }
export interface Part {
  session: string
  status: 'imported' | 'fast_forwarded' | 'present'
  custody: Custody
  head: number
}
export type Taken = { status: 'taken'; events: number; sessions: Part[] } | { status: 'diverged' }
export type Given<B> = { status: 'given'; bundle: B } | { status: 'session_not_found' | 'session_stub' }

/** What both logs can do. */
export interface SmallLog<B = unknown> {
  create(id: string, definition: string, encrypted?: boolean): Promise<Made>
  say(id: string, key: string, text: string): Promise<Said>
  /** To another definition. */
  change(id: string, key: string, definition: string): Promise<Said>
  close(id: string): Promise<Said>
  /** `encrypted`: as its parent where absent. */
  fork(parent: string, seq: number, child: string, encrypted?: boolean): Promise<Made>
  /** A new log that begins with a summary of another's events up to `hi`. */
  compact(of: string, hi: number, id: string, definition: string, summary: string, encrypted?: boolean): Promise<Made>
  grant(id: string, grant: string, forks: boolean): Promise<Said>
  revoke(id: string, grant: string): Promise<Said>
  erase(id: string): Promise<Erased>
  /** As it is now, to be taken by another log at any time. */
  give(id: string): Promise<Given<B>>
  take(bundle: B): Promise<Taken>
  adopt(id: string): Promise<Said>
  read(id: string, from: number, to: number): Promise<ModelEvent[]>
  head(id: string): Promise<number | null>
  definitionAt(id: string, seq: number): Promise<string | null>
}

/** It is the same event elsewhere only if it is the same object: that is all that the model needs of hashes. */
interface Kept extends ModelEvent {
  sealed: boolean
}

interface Session {
  events: Kept[]
  /** Of each seq. */
  definitions: string[]
  parent: string | null
  encrypted: boolean
  custody: Custody
}

/** Full histories, ancestors first; of an ancestor as far as it is shared. */
export type ModelBundle = (Omit<Session, 'custody'> & { session: string; whole: boolean })[]

export function createMemoryLog(): SmallLog<ModelBundle> {
  const sessions = new Map<string, Session>()
  /** Of sessions whose content can be read here. They never travel. */
  const keys = new Set<string>()
  const grants = new Map<string, { session: string; seq: number; forks: boolean; revoked: boolean }>()
  /** Which grants reach a session, and whether they ended there. */
  const reach = new Map<string, Map<string, boolean>>()

  const own = (id: string): Kept[] => sessions.get(id)?.events.filter(({ session }) => session === id) ?? []
  const isLocked = (id: string): boolean => sessions.get(id)?.encrypted === true && !keys.has(id)

  function begin(id: string, session: Session): void {
    sessions.set(id, session)
    const reached = [...(reach.get(session.parent ?? '') ?? [])].filter(([grant, ended]) => {
      const given = grants.get(grant)
      return given?.forks && !given.revoked && !ended
    })
    reach.set(id, new Map(reached))
  }

  function add(id: string, s: Session, type: string, key: string, text: string, sealed: boolean, definition?: string) {
    const seq = s.events.length + 1
    s.events.push({ seq, session: id, type, key, text, sealed })
    s.definitions.push(definition ?? s.definitions.at(-1) ?? '')
    return seq
  }

  function input(id: string, type: string, key: string, text: string, definition?: string): Said {
    const s = sessions.get(id)
    if (!s) return { status: 'session_not_found' }
    if (isLocked(id)) return { status: 'locked' }
    // Keys count in a session's own events: a fork may say again what its parent said.
    const same = own(id).find((event) => event.key === key)
    if (same && same.type === type && same.text === text) return { status: 'duplicate', seq: same.seq }
    if (same) return { status: 'idempotency_conflict' }
    if (own(id).some((event) => event.type === 'session_closed')) return { status: 'closed' }
    if (s.custody !== 'live') return { status: s.custody }
    return { status: 'appended', seq: add(id, s, type, key, text, s.encrypted, definition) }
  }

  function create(id: string, definition: string, encrypted = false, of = ''): Made {
    if (sessions.has(id)) return 'session_exists'
    const session: Session = { events: [], definitions: [], parent: null, encrypted, custody: 'live' }
    if (encrypted) keys.add(id)
    add(id, session, 'session_created', 'x:created', of, encrypted, definition)
    begin(id, session)
    return 'created'
  }

  function fork(parent: string, seq: number, child: string, encrypted?: boolean): Made {
    const s = sessions.get(parent)
    if (!s) return 'session_not_found'
    if (seq < 1 || seq > s.events.length) return 'no_such_event'
    const events = s.events.slice(0, seq)
    if (events.some(({ session }) => isLocked(session))) return 'locked'
    if (sessions.has(child)) return 'session_exists'
    const sealed = encrypted ?? s.encrypted
    const definitions = s.definitions.slice(0, seq)
    const session: Session = { events, definitions, parent, encrypted: sealed, custody: 'live' }
    if (sealed) keys.add(child)
    add(child, session, 'forked', 'x:forked', '', sealed)
    begin(child, session)
    return 'created'
  }

  function erase(id: string): Erased {
    const s = sessions.get(id)
    if (!s) return { status: 'session_not_found' }
    if (!s.encrypted) return { status: 'not_encrypted' }
    keys.delete(id)
    const destroyed = own(id).find(({ type }) => type === 'key_destroyed')
    if (destroyed) return { status: 'erased', seq: destroyed.seq }
    if (s.custody !== 'live') return { status: 'erased', seq: null }
    if (!own(id).some(({ type }) => type === 'session_closed')) add(id, s, 'session_closed', 'x:closed', '', false)
    return { status: 'erased', seq: add(id, s, 'key_destroyed', 'x:destroyed', '', false) }
  }

  function grant(id: string, name: string, forks: boolean): Said {
    const s = sessions.get(id)
    if (!s) return { status: 'session_not_found' }
    if (s.custody !== 'live') return { status: s.custody }
    const there = grants.get(name)
    if (there && there.session === id && there.forks === forks) return { status: 'duplicate', seq: there.seq }
    if (there) return { status: 'idempotency_conflict' }
    const seq = add(id, s, 'granted', `x:granted:${name}`, name, false)
    grants.set(name, { session: id, seq, forks, revoked: false })
    reach.get(id)?.set(name, false)
    return { status: 'appended', seq }
  }

  function revoke(id: string, name: string): Said {
    const s = sessions.get(id)
    if (!s) return { status: 'session_not_found' }
    if (s.custody !== 'live') return { status: s.custody }
    if (!reach.get(id)?.has(name)) return { status: 'grant_not_found' }
    const before = own(id).find(({ key }) => key === `x:revoked:${name}`)
    if (before) return { status: 'duplicate', seq: before.seq }
    reach.get(id)?.set(name, true)
    const given = grants.get(name)
    if (given?.session === id) given.revoked = true
    return { status: 'appended', seq: add(id, s, 'revoked', `x:revoked:${name}`, name, false) }
  }

  function give(id: string): Given<ModelBundle> {
    const s = sessions.get(id)
    if (!s) return { status: 'session_not_found' }
    if (s.custody === 'stub') return { status: 'session_stub' }
    const bundle = [...new Set(s.events.map(({ session }) => session))].map((session) => {
      const to = s.events.findLast((event) => event.session === session)?.seq ?? 0
      const { parent = null, encrypted = false } = sessions.get(session) ?? {}
      const [events, definitions] = [s.events.slice(0, to), s.definitions.slice(0, to)]
      return { session, whole: session === id, parent, encrypted, events, definitions }
    })
    return { status: 'given', bundle }
  }

  function take(bundle: ModelBundle): Taken {
    const heads = bundle.map((part) => ({ part, s: sessions.get(part.session), to: part.events.length }))
    // All or nothing, so this first: the shorter of the two must be how the longer one begins, and a live log is not moved on by a fork's.
    for (const { part, s, to } of heads) {
      const common = Math.min(s?.events.length ?? 0, to)
      if (s && s.events[common - 1] !== part.events[common - 1]) return { status: 'diverged' }
      if (s?.custody === 'live' && s.events.length < to && !part.whole) return { status: 'diverged' }
    }
    let added = 0
    const parts = heads.map(({ part: { session, whole, ...rest }, s, to }): Part => {
      if (s && s.events.length >= to) {
        if (s.custody === 'stub' && whole && s.events.length === to) s.custody = 'inert'
        return { session, status: 'present', custody: s.custody, head: s.events.length }
      }
      const custody = whole || s?.custody === 'inert' ? 'inert' : 'stub'
      added += rest.events.filter((event) => event.session === session && event.seq > (s?.events.length ?? 0)).length
      const arrived: Session = { ...rest, events: [...rest.events], definitions: [...rest.definitions], custody }
      if (s) Object.assign(s, arrived)
      else begin(session, arrived)
      return { session, status: s ? 'fast_forwarded' : 'imported', custody, head: to }
    })
    return { status: 'taken', events: added, sessions: parts }
  }

  function adopt(id: string): Said {
    const s = sessions.get(id)
    if (!s) return { status: 'session_not_found' }
    if (isLocked(id)) return { status: 'locked' }
    if (s.custody !== 'inert') return { status: s.custody }
    if (own(id).some((event) => event.type === 'session_closed')) return { status: 'closed' }
    const head = s.events.length
    s.custody = 'live'
    const seq = add(id, s, 'custody_taken', `x:custody:${head}`, String(head), s.encrypted)
    return { status: 'appended', seq }
  }

  const now = <T>(answer: T): Promise<T> => Promise.resolve(answer)
  return {
    create: (id, definition, encrypted) => now(create(id, definition, encrypted)),
    say: (id, key, text) => now(input(id, 'message_received', `p:${key}`, text)),
    change: (id, key, definition) => now(input(id, 'definition_changed', `p:${key}`, definition, definition)),
    close: (id) => now(input(id, 'session_closed', 'x:closed', '')),
    fork: (parent, seq, child, encrypted) => now(fork(parent, seq, child, encrypted)),
    compact: (of, hi, id, definition, summary, encrypted) => {
      if (!sessions.has(of)) return now('session_not_found')
      const made = create(id, definition, encrypted, `${of} 1..${hi}`)
      const s = sessions.get(id)
      if (s && made === 'created') add(id, s, 'checkpoint_made', 'p:compaction', summary, s.encrypted)
      return now(made)
    },
    grant: (id, name, forks) => now(grant(id, name, forks)),
    revoke: (id, name) => now(revoke(id, name)),
    erase: (id) => now(erase(id)),
    give: (id) => now(give(id)),
    take: (bundle) => now(take(bundle)),
    adopt: (id) => now(adopt(id)),
    read: (id, from, to) => {
      const events = (sessions.get(id)?.events ?? []).slice(Math.max(0, from - 1), to)
      return now(
        events.map(({ sealed, ...event }) =>
          sealed && isLocked(event.session) ? { ...event, text: LOCKED } : { ...event },
        ),
      )
    },
    head: (id) => now(sessions.get(id)?.events.length ?? null),
    definitionAt: (id, seq) => now(sessions.get(id)?.definitions[seq - 1] ?? null),
  }
}
