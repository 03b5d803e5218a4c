/**
 * The log as the host of a queue of tools has it: by a login of savefile_executor, which may claim a call of its own queue, read what that
 * call takes and write that call's draft, and sees nothing else (log/sql/000014.sql). What it writes the database checks.
 */
import type { Pool } from 'pg'
import { SavefileError } from '../contract/errors'
import { parseStep, type SessionRef } from '../contract/ids'
import type { Delta, DeltaSink, DraftClaim, QueueLog } from '../contract/ports'
import { externalise, prepare, type WriteBlob } from './content'
import { claimOf, type ClaimRow } from './drafts'
import { query, queryRow } from './pool'

const FLUSH_MS = 100

interface QueuedRow extends ClaimRow<DraftClaim['status'] | 'call_not_found'> {
  tool: string
  args: string
  idempotency_key: string | null
  timeout_ms: number
  work_folder: string | null
  safe: boolean
}

/** Whether the login of this pool is a queue's, and not one that may do more. */
export async function isQueueLogin(pool: Pool): Promise<boolean> {
  const { only } = await queryRow<{ only: boolean }>(
    pool,
    `select pg_has_role(session_user, 'savefile_executor', 'member') and not pg_has_role(session_user, 'savefile_writer', 'member') as only`,
    [],
  )
  return only
}

export function createQueueLog(pool: Pool, ttlMs: number): QueueLog {
  const put = async (ref: SessionRef, step: string, token: string, bytes: Uint8Array, mediaType: string) => {
    const { hash } = await queryRow<{ hash: string | null }>(
      pool,
      'select savefile.executor_put_blob($1, $2, $3, $4, $5, $6) as hash',
      [ref.space, ref.session, callOf(step), token, mediaType, Buffer.from(bytes)],
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
        'select * from savefile.executor_claim($1, $2, $3, $4, $5, $6)',
        [ref.space, ref.session, epoch, callOf(step), token, ttlMs * 1000],
      )
      const claim = claimOf(row, token)
      if (claim.status !== 'claimed') return { claim }
      const { tool, args, idempotency_key, timeout_ms, work_folder, safe } = row
      return {
        claim,
        call: { tool, args, idempotencyKey: idempotency_key, timeoutMs: timeout_ms, workFolder: work_folder, safe },
      }
    },
    async finishDraft(ref, step, token, event) {
      const write: WriteBlob = (bytes, mediaType) => put(ref, step, token, bytes, mediaType)
      const { v, payload } = prepare(await externalise(event, write), null)
      const { status } = await queryRow<{ status: 'finished' | 'refused' | 'call_not_found' }>(
        pool,
        'select savefile.executor_finish($1, $2, $3, $4, $5, $6) as status',
        [ref.space, ref.session, callOf(step), token, v, payload],
      )
      return status === 'finished' ? status : 'refused'
    },
    async releaseDraft(ref, step, token, why) {
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
export function createQueueOutput(pool: Pool): DeltaSink & { close(): Promise<void> } {
  let waiting = new Map<string, Delta>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<unknown> = Promise.resolve()

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const deltas = [...waiting.values()]
    waiting = new Map()
    writing = writing.then(() =>
      Promise.all(
        deltas.map(({ ref, step, token, n, body }) =>
          pool
            .query(`select savefile.executor_output($1, $2, $3, $4, $5, $6), pg_notify('savefile_live', '')`, [
              ref.space,
              ref.session,
              callOf(step),
              token,
              n,
              body.replaceAll('\0', '\uFFFD'),
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
