/**
 * Exact moments, made with real locks of a real Postgres: a transaction of the test's own holds a row, so that whoever needs it stands
 * there, is seen standing there, and can be killed, frozen or let go.
 */
import { Client } from 'pg'
import { until } from '../../support/world'

export interface Gate {
  /** Waits until so many statements that call a function of ours whose name begins so stand at it. */
  standsAt(name: string, count?: number): Promise<void>
  /** Ends the connections that stand at it because of this gate: what they asked for never happens. */
  cutOff(name: string): Promise<void>
  /** Lets go. */
  open(): Promise<void>
}

/** Holds what `sql` locks until `open`. */
export async function closeGate(adminUrl: string, sql: string, values: unknown[] = []): Promise<Gate> {
  const client = new Client({ connectionString: adminUrl })
  client.on('error', () => undefined)
  await client.connect()
  await client.query('begin')
  await client.query(sql, values)
  const { rows: own } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const holder = own[0]?.pid ?? 0
  const watcher = new Client({ connectionString: adminUrl })
  watcher.on('error', () => undefined)
  await watcher.connect()
  const waiting = async (name: string): Promise<number[]> => {
    const { rows } = await watcher.query<{ pid: number }>(
      `select pid from pg_stat_activity where $2 = any (pg_blocking_pids(pid)) and query like $1`,
      [`%savefile.${name}%`, holder],
    )
    return rows.map(({ pid }) => pid)
  }
  return {
    standsAt: (name, count = 1) =>
      until(`${count} ${name} to stand at a lock`, async () => (await waiting(name)).length >= count),
    async cutOff(name) {
      for (const pid of await waiting(name)) await watcher.query('select pg_terminate_backend($1)', [pid])
    },
    async open() {
      await client.query('rollback')
      await Promise.all([client.end(), watcher.end()])
    },
  }
}

/** Nobody can append to this session, nor claim a step of it. */
export function holdSession(adminUrl: string, session: string): Promise<Gate> {
  return closeGate(adminUrl, 'select from savefile.sessions where session_id = $1 for update', [session])
}

/** Nobody can append to this session: the event that would have this seq is being inserted. Drafts can be claimed and finished. */
export function holdSeq(adminUrl: string, session: string, seq: number): Promise<Gate> {
  return closeGate(
    adminUrl,
    `insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, payload, prev_hash, hash)
     values ('default', $1, $2, 'turn_finished', 1, 0, 'system', 'x:gate', '', '', '')`,
    [session, seq],
  )
}

/** Nobody can claim this step: the row that they would insert is being inserted. */
export function holdStep(adminUrl: string, session: string, step: string): Promise<Gate> {
  return closeGate(
    adminUrl,
    `insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state)
     values ('default', $1, $2, 1, 1, 1, 'gate', 0, 'running')`,
    [session, step],
  )
}

/** One value of one row, as superuser. */
export async function ask<T>(adminUrl: string, sql: string, values: unknown[] = []): Promise<T | undefined> {
  const client = new Client({ connectionString: adminUrl })
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, T>>(sql, values)
    return rows[0] && Object.values(rows[0])[0]
  } finally {
    await client.end()
  }
}

export function draftState(adminUrl: string, session: string, step: string): Promise<string | undefined> {
  return ask(adminUrl, 'select state from savefile.drafts where session_id = $1 and step = $2', [session, step])
}

export async function headOf(adminUrl: string, session: string): Promise<number> {
  return Number(await ask(adminUrl, 'select head from savefile.sessions where session_id = $1', [session]))
}

/** As if the time had passed after which a session that stands still counts as overdue. */
export async function makeDue(adminUrl: string, sessions: string[]): Promise<void> {
  await ask(adminUrl, 'update savefile.sessions set due_at = 0 where session_id = any ($1) and due_at is not null', [
    sessions,
  ])
}

/** A message that is committed and that no run is told of, so that the head has moved on when a step ends: its end is then kept first, and mirrored after. */
export async function sayUnheard(adminUrl: string, session: string, text: string): Promise<void> {
  const payload = JSON.stringify({ blocks: [{ type: 'text', text }], delivery: 'queue' })
  const sql = `select status from savefile.input('default', $1, 'user:tester', 'unheard', 'message_received', 1, null, $2, null)`
  const status = await ask(adminUrl, sql, [session, payload])
  if (status !== 'appended') throw new Error(`the message was not taken: ${String(status)}`)
}
