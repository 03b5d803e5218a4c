/**
 * Calls of an encrypted session that run on the host of a queue, as the session's worker has them: what a call takes goes out sealed for that
 * host, and what comes back is sealed with the key of that call. The host is believed about its own call, and about nothing else.
 */
import type { Pool } from 'pg'
import { PAYLOADS } from '../contract/events'
import { errorCode } from '../contract/errors'
import type { SessionRef } from '../contract/ids'
import type { ExecutorLog } from '../contract/ports'
import { fromText, sealedWith } from './envelope'
import { query, queryRow } from './pool'
import { sealCall } from './queue-key'
import { eventSlot, type Vault } from './vault'

/** Calls that this process has handed over: each look at a session comes by again while they run. */
const REMEMBERED = 10_000

export function createHandOver(pool: Pool, vault: Vault): ExecutorLog['handOver'] {
  const done = new Set<string>()
  return async (ref, epoch, call, to) => {
    const key = await vault.callKey(ref, call.id)
    const name = `${ref.space}/${ref.session}/${call.id}/${epoch}`
    if (!key || done.has(name)) return
    const body = sealCall(to.key, { session: ref.session, call: call.id }, call, key)
    const { status } = await queryRow<{ status: 'handed_over' | 'stale_epoch' }>(
      pool,
      'select savefile.hand_over_call($1, $2, $3, $4, $5, $6, $7, $8, $9) as status',
      [ref.space, ref.session, epoch, call.id, to.queue, call.tool, call.safe, to.key, body],
    )
    if (status === 'stale_epoch') return // the run learns it with its next look
    if (done.size >= REMEMBERED) done.clear()
    done.add(name)
  }
}

/** Whether a text was sealed by the host of a queue, and not by whoever holds the session's key. */
export function isHostSealed(text: string): boolean {
  const envelope = fromText(text)
  return envelope !== null && sealedWith(envelope)?.call !== undefined
}

const SAID_BY_HOSTS = ['ok', 'error', 'cancelled']

/**
 * The result that a host has left, as JSON text. The database could not look into it: where it does not open, does not validate, is of
 * another call, or names a file that the session has not, nobody knows what the call did, and that is its result.
 */
export async function resultOfHost(
  pool: Pool,
  vault: Vault,
  ref: SessionRef,
  call: string,
  text: string,
): Promise<string> {
  const [handed] = await query<{ tool: string }>(
    pool,
    'select tool from savefile.queue_calls where space_id = $1 and session_id = $2 and call = $3',
    [ref.space, ref.session, call],
  )
  const tool = handed?.tool ?? 'unknown'
  try {
    const plain = await vault.openText(ref.space, eventSlot('tool_finished'), text)
    const { success, data } = PAYLOADS.tool_finished.safeParse(JSON.parse(plain))
    const own = success && data.call === call && data.tool === tool && SAID_BY_HOSTS.includes(data.outcome)
    if (own && (await hasBlobs(pool, ref, plain))) return plain
  } catch (error) {
    if (!(error instanceof SyntaxError) && errorCode(error) !== 'corrupt_log') throw error
  }
  const said =
    'It was run, and what its host said of it cannot be read: whether it took effect is not known. Look before you try again.'
  return JSON.stringify({ call, tool, outcome: 'unknown', blocks: [{ type: 'text', text: said }] })
}

async function hasBlobs(pool: Pool, ref: SessionRef, plain: string): Promise<boolean> {
  const hashes = [...new Set(Array.from(plain.matchAll(/"hash":"(sha256:[0-9a-f]{64})"/g), ([, hash]) => hash))]
  if (hashes.length === 0) return true
  const { missing } = await queryRow<{ missing: string[] }>(
    pool,
    'select savefile.touch_blobs($1, $2, $3) as missing',
    [ref.space, ref.session, hashes],
  )
  return missing.length === 0
}
