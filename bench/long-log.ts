/**
 * A session of a million events, made in about a minute: turns of a message, answers with three calls each and their results, a kilobyte an
 * event. Every event goes through the database's own functions for keys and hashes and through the real reduce, so the log verifies and goes
 * on; only the checks of an append are left out, and the commits between. Snapshots stand where a worker would have saved them.
 */
import type { Pool, PoolClient } from 'pg'
import { parseEvent, type KnownEvent, type NewEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { ClientLog } from '../contract/client-port'
import { reduce } from '../contract/reduce'
import { emptyState, REDUCER_VERSION, type State } from '../contract/state'
import { SNAPSHOT_EVERY } from '../contract/timing'
import { answer, BENCH_DEFINITION, message, step, type Place } from './log-events'

const BATCH = 2000
/** Steps of a turn: it then has some two hundred events. */
const STEPS = 50

/** As append makes it: keys and hashes by the functions of the log, one INSERT. Gives back the last hash. */
const FUNCTION = `
  create or replace function public.bench_extend(
    p_space text, p_session text, p_head bigint, p_hash bytea, p_at bigint, p_types text[], p_subjects text[], p_payloads text[]
  ) returns bytea language plpgsql as $$
  declare
    h bytea := p_hash; k text; a text; keys text[] := '{}'; actors text[] := '{}'; prevs bytea[] := '{}'; hashes bytea[] := '{}';
  begin
    for i in 1 .. array_length(p_types, 1) loop
      k := case p_types[i] when 'message_received' then 'p:' || p_subjects[i] else savefile.structural_key(p_types[i], p_subjects[i]) end;
      a := case p_types[i] when 'message_received' then 'user:bench' when 'model_answered' then 'agent'
        when 'tool_finished' then 'tool:read_file' else 'system' end;
      keys := keys || k;
      actors := actors || a;
      prevs := prevs || h;
      h := savefile.event_hash(h, p_session, p_head + i, p_types[i], 1, p_at, a, k, null, convert_to(p_payloads[i], 'UTF8'));
      hashes := hashes || h;
    end loop;
    insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
    select p_space, p_session, p_head + u.i, u.type, 1, p_at, u.actor, u.key, null, convert_to(u.payload, 'UTF8'), u.prev, u.hash
    from unnest(p_types, actors, keys, p_payloads, prevs, hashes) with ordinality u (type, actor, key, payload, prev, hash, i);
    return h;
  end $$`

/** A new session of at least so many events, idle at its end. */
export async function makeLong(
  admin: Pool,
  client: ClientLog,
  ref: SessionRef,
  events: number,
  onProgress: (events: number) => void = () => undefined,
): Promise<{ head: number; state: State }> {
  const definition = await client.putDefinition(ref.space, BENCH_DEFINITION)
  await client.create(ref, { actor: 'user:bench' }, { definition })
  const [first] = await client.read(ref)
  const known = first && parseEvent(first)
  if (!known) throw new Error(`${ref.session} was not made`)
  const reduced = reduce(emptyState, known)
  const connection = await admin.connect()
  try {
    await connection.query('set synchronous_commit = off')
    await connection.query(FUNCTION)
    const filler: Filler = {
      connection,
      ref,
      at: first.at,
      hash: Buffer.from(first.hash, 'hex'),
      head: 1,
      state: reduced.ok ? reduced.state : emptyState,
      waiting: [],
    }
    let prev = 0
    while (filler.head + filler.waiting.length < events) {
      prev = turn(filler.waiting, ref.session, definition, filler.head + filler.waiting.length, prev)
      while (filler.waiting.length >= BATCH) await flush(filler)
      onProgress(filler.head)
    }
    while (filler.waiting.length > 0) await flush(filler)
    await connection.query('analyze')
    return { head: filler.head, state: filler.state }
  } finally {
    connection.release()
  }
}

interface Filler {
  connection: PoolClient
  ref: SessionRef
  at: number
  hash: Buffer
  head: number
  state: State
  waiting: NewEvent[]
}

/** A whole turn behind `head`. Gives back the seq of its last answer. */
function turn(into: NewEvent[], session: string, definition: string, head: number, prev: number): number {
  const opener = head + 1
  into.push({ ...message(opener), payload: { ...message(opener).payload, delivery: 'queue' } })
  let place: Place = { head: opener, due: opener, prev, saw: [opener] }
  for (let i = 0; i < STEPS; i++) {
    const made = step(session, definition, place)
    into.push(...made.events)
    place = made.then
  }
  into.push(answer(session, definition, place, 0))
  into.push({ type: 'turn_finished', payload: { turn: opener, reason: 'done' } })
  return place.head + 1
}

function subjectOf({ type, payload }: NewEvent, seq: number): string {
  if (type === 'model_answered') return payload.step
  if (type === 'tool_finished') return payload.call
  return type === 'turn_finished' ? String(payload.turn) : `m${seq}`
}

/** The next batch of what waits: reduced, inserted, the session's row moved on, as one transaction. */
async function flush(filler: Filler): Promise<void> {
  const { connection, ref } = filler
  const batch = filler.waiting.splice(0, BATCH)
  const snapshots: State[] = []
  for (const [i, event] of batch.entries()) {
    const seq = filler.head + 1 + i
    const known = { ...event, seq, at: filler.at, actor: 'system' } as KnownEvent
    const reduced = reduce(filler.state, known)
    if (!reduced.ok) throw new Error(`event ${seq} (${event.type}) cannot follow: ${reduced.refusal}`)
    filler.state = reduced.state
    if (seq % SNAPSHOT_EVERY === 0) snapshots.push(reduced.state)
  }
  await connection.query('begin')
  const { rows } = await connection.query<{ hash: Buffer }>(
    'select public.bench_extend($1, $2, $3, $4, $5, $6, $7, $8) as hash',
    [
      ref.space,
      ref.session,
      filler.head,
      filler.hash,
      filler.at,
      batch.map(({ type }) => type),
      batch.map((event, i) => subjectOf(event, filler.head + 1 + i)),
      batch.map(({ payload }) => JSON.stringify(payload)),
    ],
  )
  filler.hash = rows[0]?.hash ?? filler.hash
  filler.head += batch.length
  await connection.query(
    `update savefile.sessions set head = $3, head_hash = $4, head_at = $5, finished_seq = $6, answer_seq = $7 where space_id = $1 and session_id = $2`,
    [
      ref.space,
      ref.session,
      filler.head,
      filler.hash,
      filler.at,
      filler.state.turn ? 0 : filler.state.seq,
      filler.state.lastAnswer,
    ],
  )
  await connection.query(
    `insert into savefile.snapshots (space_id, session_id, reducer_version, seq, state)
     select $1, $2, $3, u.seq, u.state from unnest($4::bigint[], $5::text[]) u (seq, state)`,
    [
      ref.space,
      ref.session,
      REDUCER_VERSION,
      snapshots.map(({ seq }) => seq),
      snapshots.map((state) => JSON.stringify(state)),
    ],
  )
  await connection.query('commit')
}
