/**
 * The log as the host of a queue of tools has it: by a login of savefile_executor, which may claim a call of its own queue, read what that
 * call takes and write that call's draft, and sees nothing else (log/sql/000014.sql). What it writes the database checks. Of an encrypted
 * session it opens that call with its own private key, and seals what it writes with the key of the call, which lies beside the arguments.
 */
import type { Pool } from 'pg'
import { SavefileError } from '../contract/errors'
import { parseStep, type SessionRef } from '../contract/ids'
import type { Delta, DeltaSink, DraftClaim, QueueLog } from '../contract/ports'
import { SEALED_TYPE } from './blobs'
import { externalise, prepare, type WriteBlob } from './content'
import { claimOf, type ClaimRow } from './drafts'
import { deriveKeys } from './envelope'
import { query, queryRow } from './pool'
import { openCall, type QueueKeys } from './queue-key'
import { BLOB_SLOT, deltaSlot, sealerWith, type Sealer } from './vault'

const FLUSH_MS = 100

interface QueuedRow extends ClaimRow<DraftClaim['status'] | 'call_not_found' | 'key_missing'> {
  tool: string
  args: string
  idempotency_key: string | null
  timeout_ms: number
  work_folder: string | null
  safe: boolean
  /** Of an encrypted session: which of our keys opens the call, and the call. */
  sealed_for: string | null
  body: Buffer | null
}

/** By the token of the claim: what this host seals a call's result with; none where the session is in clear. */
export type CallSealers = Map<string, Sealer>

/** Whether the login of this pool is a queue's, and not one that may do more. */
export async function isQueueLogin(pool: Pool): Promise<boolean> {
  const { only } = await queryRow<{ only: boolean }>(
    pool,
    `select pg_has_role(session_user, 'savefile_executor', 'member') and not pg_has_role(session_user, 'savefile_writer', 'member') as only`,
    [],
  )
  return only
}

export function createQueueLog(
  pool: Pool,
  ttlMs: number,
  { keys = new Map(), sealers = new Map() }: { keys?: QueueKeys; sealers?: CallSealers } = {},
): QueueLog {
  const put = async (ref: SessionRef, step: string, token: string, bytes: Uint8Array, mediaType: string) => {
    const sealer = sealers.get(token)
    const { hash } = await queryRow<{ hash: string | null }>(
      pool,
      'select savefile.executor_put_blob($1, $2, $3, $4, $5, $6) as hash',
      [
        ...[ref.space, ref.session, callOf(step), token],
        ...(sealer ? [SEALED_TYPE, sealer.bytes(BLOB_SLOT, bytes)] : [mediaType, Buffer.from(bytes)]),
      ],
    )
    if (hash !== null) return { hash, bytes: bytes.length, mediaType }
    throw new SavefileError('call_not_found', `The call of ${step} is not held by this worker any more.`, {
      ...ref,
      step,
    })
  }
  return {
    async claimCall(ref, epoch, step, token) {
      const row = await queryRow<QueuedRow & Record<string, unknown>>(
        pool,
        'select * from savefile.executor_claim($1, $2, $3, $4, $5, $6, $7)',
        [ref.space, ref.session, epoch, callOf(step), token, ttlMs * 1000, [...keys.keys()]],
      )
      const claim = claimOf(row, token)
      if (claim.status !== 'claimed') return { claim }
      const key = row.sealed_for === null ? undefined : keys.get(row.sealed_for)
      if (key && row.body) {
        const { session } = ref
        const call = callOf(step)
        const opened = openCall(key, { session, call }, row.body)
        const { kid } = opened.with
        sealers.set(token, sealerWith(deriveKeys(opened.with.key), session, { kid, call }))
        return { claim, call: opened.call }
      }
      const { tool, args, idempotency_key, timeout_ms, work_folder, safe } = row
      return {
        claim,
        call: { tool, args, idempotencyKey: idempotency_key, timeoutMs: timeout_ms, workFolder: work_folder, safe },
      }
    },
    async finishDraft(ref, step, token, event) {
      const write: WriteBlob = (bytes, mediaType) => put(ref, step, token, bytes, mediaType)
      const { v, payload } = prepare(await externalise(event, write), sealers.get(token) ?? null)
      const { status } = await queryRow<{ status: 'finished' | 'refused' | 'call_not_found' }>(
        pool,
        'select savefile.executor_finish($1, $2, $3, $4, $5, $6) as status',
        [ref.space, ref.session, callOf(step), token, v, payload],
      )
      sealers.delete(token)
      return status === 'finished' ? status : 'refused'
    },
    async releaseDraft(ref, step, token, why) {
      sealers.delete(token)
      const said = why === 'timeout' || why === 'internal' ? why : 'cut_off'
      await query(pool, 'select savefile.executor_release($1, $2, $3, $4, $5)', [
        ref.space,
        ref.session,
        callOf(step),
        token,
        said,
      ])
    },
    async beat(held) {
      const lives = await Promise.all(
        held.map(({ ref, step, token }) =>
          queryRow<{ lives: boolean }>(pool, 'select savefile.executor_beat($1, $2, $3, $4) as lives', [
            ref.space,
            ref.session,
            callOf(step),
            token,
          ]),
        ),
      )
      return held.flatMap(({ token }, i) => (lives[i]?.lives ? [] : [token]))
    },
    writeBlob: put,
  }
}

/** What tools say while they run, one write a call ten times a second; lost without harm. */
export function createQueueOutput(
  pool: Pool,
  sealers: CallSealers = new Map(),
): DeltaSink & { close(): Promise<void> } {
  let waiting = new Map<string, Delta>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<unknown> = Promise.resolve()

  const sealed = (delta: Delta): string => {
    const body = delta.body.replaceAll('\0', '\uFFFD')
    return sealers.get(delta.token)?.text(deltaSlot(delta), body) ?? body
  }

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const deltas = [...waiting.values()]
    waiting = new Map()
    writing = writing.then(() =>
      Promise.all(
        deltas.map((delta) =>
          pool
            .query(`select savefile.executor_output($1, $2, $3, $4, $5, $6), pg_notify('savefile_live', '')`, [
              delta.ref.space,
              delta.ref.session,
              callOf(delta.step),
              delta.token,
              delta.n,
              sealed(delta),
            ])
            .catch(() => undefined),
        ),
      ),
    )
    await writing
  }

  return {
    add(delta) {
      const had = waiting.get(delta.token)
      waiting.set(delta.token, had ? { ...had, body: had.body + delta.body } : delta)
      timer ??= setTimeout(() => void flush(), FLUSH_MS)
    },
    flush,
    close: flush,
  }
}

function callOf(step: string): string {
  const parsed = parseStep(step)
  if (parsed.kind === 'tool') return parsed.call
  throw new SavefileError('invalid_input', `${step} is not a tool step.`)
}
