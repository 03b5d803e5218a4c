/**
 * One streaming pass over a session's chain, its inherited stretches included: seqs without a hole, every hash recomputed here (not by the
 * database), every event bound to the one before, payloads that say what their type says, each a legal next state. Memory does not grow.
 */
import type { Pool } from 'pg'
import { errorCode, SavefileError } from '../contract/errors'
import { parseEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { Verified } from '../contract/ports'
import { checkInvariants } from '../contract/invariants'
import { reduce, reduceUnknown } from '../contract/reduce'
import { emptyState, type State } from '../contract/state'
import { eventHash } from './hash'
import { query } from './pool'

const PAGE_EVENTS = 500
const PAGE_BYTES = 8 * 1024 * 1024

/** As stored: whoever changed a byte may have left what is no text. */
interface RawEvent {
  seq: number
  session: string
  type: string
  v: number
  at: number
  actor: string
  key: string
  kid: string | null
  payload: Buffer
  prev_hash: Buffer
  hash: Buffer
}

/** @throws SavefileError `session_not_found` */
export async function verify(pool: Pool, ref: SessionRef, onProgress?: (events: number) => void): Promise<Verified> {
  const rows = await query<{ head: number; head_hash: Buffer }>(
    pool,
    'select head, head_hash from savefile.sessions where space_id = $1 and session_id = $2',
    [ref.space, ref.session],
  )
  const end = rows[0]
  if (!end)
    throw new SavefileError('session_not_found', `There is no session ${ref.session} in space ${ref.space}.`, {
      ...ref,
    })
  let events = 0
  let state: State = emptyState
  let last: { seq: number; hash: Buffer; at: number } = { seq: 0, hash: Buffer.alloc(0), at: 0 }
  while (last.seq < end.head) {
    const page = await readRaw(pool, ref, last.seq + 1, end.head)
    if (page.length === 0) return { ok: false, events, seq: last.seq + 1, why: 'the event is missing' }
    for (const event of page) {
      if (event.seq !== last.seq + 1) return { ok: false, events, seq: last.seq + 1, why: 'the event is missing' }
      const checked = check(event, last, state)
      if ('why' in checked) return { ok: false, events, seq: event.seq, why: checked.why }
      state = checked.state
      last = event
      events++
    }
    onProgress?.(events)
  }
  if (!last.hash.equals(end.head_hash))
    return { ok: false, events, seq: last.seq, why: "its hash is not the one that the session's row has for its head" }
  return { ok: true, events, head: last.seq, headHash: last.hash.toString('hex') }
}

function readRaw(pool: Pool, ref: SessionRef, from: number, head: number): Promise<RawEvent[]> {
  return query<RawEvent & Record<string, unknown>>(
    pool,
    `select q.seq, q.session_id as session, q.type, q.v, q.at, q.actor, q.key, q.kid, q.payload, q.prev_hash, q.hash
     from (
       select e.*, sum(octet_length(e.payload)) over (order by e.seq) - octet_length(e.payload) as before
       from savefile.lineage l
       join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.seq between greatest(l.lo, $3) and least(l.hi, $4)
       where l.space_id = $1 and l.session_id = $2 and l.lo <= $4 and l.hi >= $3) q
     where q.before < $5 order by q.seq`,
    [ref.space, ref.session, from, Math.min(head, from + PAGE_EVENTS - 1), PAGE_BYTES],
  )
}

function check(
  event: RawEvent,
  before: { hash: Buffer; at: number },
  state: State,
): { state: State } | { why: string } {
  if (!event.prev_hash.equals(before.hash)) return { why: 'it is not chained to the event before it' }
  if (!eventHash({ ...event, prevHash: event.prev_hash }).equals(event.hash))
    return { why: 'its content does not give its hash' }
  if (event.at < before.at) return { why: 'it is older than the event before it' }
  try {
    const known = parseEvent({ ...event, payload: event.payload.toString('utf8') })
    if (!known) return { state: reduceUnknown(state, event) }
    const reduced = reduce(state, known)
    if (!reduced.ok) return { why: `a ${event.type} cannot follow here: ${reduced.refusal}` }
    const broken = checkInvariants(state, known, reduced.state)
    return broken.length === 0 ? { state: reduced.state } : { why: broken.join('; ') }
  } catch (error) {
    if (errorCode(error) === 'corrupt_log') return { why: (error as Error).message }
    throw error
  }
}
