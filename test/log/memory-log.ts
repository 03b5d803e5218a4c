/**
 * The rules of the log as plainly as they can be said: lists and maps, one thing at a time. What forks, people's appends and readers may
 * expect of any log; test/log/model.test.ts runs the same on this and on Postgres.
 */
export interface ModelEvent {
  seq: number
  /** Whose own event it is. */
  session: string
  type: string
  key: string
  text: string
}

type Said =
  | { status: 'appended' | 'duplicate'; seq: number }
  | { status: 'idempotency_conflict' | 'closed' | 'session_not_found' }
type Made = 'created' | 'session_exists' | 'session_not_found' | 'no_such_event'

/** What both logs can do. */
export interface SmallLog {
  create(id: string, definition: string): Promise<Made>
  say(id: string, key: string, text: string): Promise<Said>
  /** To another definition. */
  change(id: string, key: string, definition: string): Promise<Said>
  close(id: string): Promise<Said>
  fork(parent: string, seq: number, child: string): Promise<Made>
  read(id: string, from: number, to: number): Promise<ModelEvent[]>
  head(id: string): Promise<number | null>
  definitionAt(id: string, seq: number): Promise<string | null>
}

interface Session {
  events: ModelEvent[]
  /** Of each seq. */
  definitions: string[]
  inherited: number
  closed: boolean
}

export function createMemoryLog(): SmallLog {
  const sessions = new Map<string, Session>()

  function append(id: string, type: string, key: string, text: string, definition?: string): Said {
    const s = sessions.get(id)
    if (!s) return { status: 'session_not_found' }
    // Keys count in a session's own events: a fork may say again what its parent said.
    const same = s.events.slice(s.inherited).find((event) => event.key === key)
    if (same) {
      if (type === 'session_closed') return { status: 'duplicate', seq: same.seq }
      return same.type === type && same.text === text
        ? { status: 'duplicate', seq: same.seq }
        : { status: 'idempotency_conflict' }
    }
    if (s.closed) return { status: 'closed' }
    const seq = s.events.length + 1
    s.events.push({ seq, session: id, type, key, text })
    s.definitions.push(definition ?? s.definitions.at(-1) ?? '')
    s.closed = type === 'session_closed'
    return { status: 'appended', seq }
  }

  return {
    create: (id, definition) => {
      if (sessions.has(id)) return Promise.resolve('session_exists')
      const first = { seq: 1, session: id, type: 'session_created', key: 'x:created', text: '' }
      sessions.set(id, { events: [first], definitions: [definition], inherited: 0, closed: false })
      return Promise.resolve('created')
    },
    say: (id, key, text) => Promise.resolve(append(id, 'message_received', `p:${key}`, text)),
    change: (id, key, definition) =>
      Promise.resolve(append(id, 'definition_changed', `p:${key}`, definition, definition)),
    close: (id) => Promise.resolve(append(id, 'session_closed', 'x:closed', '')),
    fork: (parent, seq, child) => {
      const s = sessions.get(parent)
      if (!s) return Promise.resolve('session_not_found')
      if (seq < 1 || seq > s.events.length) return Promise.resolve('no_such_event')
      if (sessions.has(child)) return Promise.resolve('session_exists')
      const definition = s.definitions[seq - 1] ?? ''
      sessions.set(child, {
        events: [
          ...s.events.slice(0, seq),
          { seq: seq + 1, session: child, type: 'forked', key: 'x:forked', text: '' },
        ],
        definitions: [...s.definitions.slice(0, seq), definition],
        inherited: seq,
        closed: false,
      })
      return Promise.resolve('created')
    },
    read: (id, from, to) => Promise.resolve((sessions.get(id)?.events ?? []).slice(Math.max(0, from - 1), to)),
    head: (id) => Promise.resolve(sessions.get(id)?.events.length ?? null),
    definitionAt: (id, seq) => Promise.resolve(sessions.get(id)?.definitions[seq - 1] ?? null),
  }
}
