/**
 * One streaming pass over a session's chain, its inherited stretches included: seqs without a hole, every hash recomputed here (not by the
 * database), every event bound to the one before and not older. `deep` also: payloads say what their type says, each event is a legal next
 * one. That costs some four times as much, and only a writer of ours can break it: hashes show what was changed since.
 */
import type { Pool } from 'pg'
import { SavefileError } from '../contract/errors'
import type { SessionRef } from '../contract/ids'
import type { Verified, VerifyOptions } from '../contract/client-port'
import { createAnchorCheck } from './anchors'
import { createLegality } from './legality'
import { extentOf } from './family'
import { rawEvents, type RowReader } from './raw-events'

/** @throws SavefileError `session_not_found` */
export async function verify(
  pool: Pool,
  ref: SessionRef,
  { deep = false, anchors = [], onProgress }: VerifyOptions = {},
): Promise<Verified> {
  // What is appended from here on is not looked at: the log may grow meanwhile, and is none the worse.
  const end = await extentOf(pool, ref)
  if (!end)
    throw new SavefileError('session_not_found', `There is no session ${ref.session} in space ${ref.space}.`, {
      ...ref,
    })
  const legality = deep ? createLegality() : null
  const anchored = createAnchorCheck(anchors)
  let src = ''
  let seq = 0
  let hash = ''
  let at = 0
  let bad: { seq: number; why: string } | null = null
  const check = (row: RowReader): void => {
    if (bad) return
    const event = row.summary()
    const why =
      event.seq !== seq + 1
        ? 'the event is missing'
        : event.prevHash !== hash
          ? 'it is not chained to the event before it'
          : event.computed !== event.hash
            ? 'its content does not give its hash'
            : event.at < at
              ? 'it is older than the event before it'
              : (legality?.(rowOf(row, event)) ?? anchored.event(src, event.seq, () => row.hex('hash')))
    if (why !== null) return void (bad = { seq: seq + 1, why })
    seq = event.seq
    hash = event.hash
    at = event.at
  }
  for (const stretch of end.stretches) {
    src = stretch.session
    for await (const _batch of rawEvents(pool, ref, stretch, check)) {
      if (bad) return { ok: false, events: seq, ...(bad as { seq: number; why: string }) }
      onProgress?.(seq)
    }
    if (bad) return { ok: false, events: seq, ...(bad as { seq: number; why: string }) }
    if (seq !== stretch.hi) return { ok: false, events: seq, seq: seq + 1, why: 'the event is missing' }
  }
  if (seq !== end.head) return { ok: false, events: seq, seq: seq + 1, why: 'the event is missing' }
  if (Buffer.from(hash, 'latin1').toString('hex') !== end.hash)
    return { ok: false, events: seq, seq, why: "its hash is not the one that the session's row has for its head" }
  const cut = anchored.end(ref.session, seq)
  if (cut) return { ok: false, events: seq, ...cut }
  return { ok: true, events: seq, head: seq, headHash: end.hash, anchors: anchored.held() }
}

function rowOf(row: RowReader, { seq, at, type }: { seq: number; at: number; type: string }) {
  return {
    seq,
    at,
    type,
    v: Number(row.latin1('v')),
    actor: row.text('actor'),
    kid: row.text('kid'),
    payload: row.bytes('payload'),
  }
}
