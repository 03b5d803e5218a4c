/** Draft rows (PROTOCOL.md rules 10 to 15): the SQL functions decide, by compare-and-set; here they get names and types. */
import type { Pool } from 'pg'
import { textBlock, type Block } from '../contract/blocks'
import { Attempt, type FailureClass, type NewEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { Close } from '../contract/next-step'
import type { Claimed, DraftClaim, Owner } from '../contract/ports'
import { errorCode } from '../contract/errors'
import { externalise, prepare, type WriteBlob } from './content'
import { isHostSealed } from './hand-over'
import { firstRow, query, queryRow } from './pool'
import { preparedQuery } from './prepared'
import { pageFrom, type EventRow } from './read'
import { deltaSlot, type Vault } from './vault'

const millis = (us: number | null): number => Math.max(1, Math.ceil((us ?? 0) / 1000))

export async function claimSession(
  pool: Pool,
  ttlMs: number,
  ref: SessionRef,
  owner: Owner,
  takeover: boolean,
): Promise<Claimed> {
  const row = await queryRow<{ status: Claimed['status']; epoch: number | null; retry_us: number | null }>(
    pool,
    'select * from savefile.claim_session($1, $2, $3, $4, $5, $6)',
    [ref.space, ref.session, owner.cluster, owner.run, takeover, ttlMs * 1000],
  )
  if (row.status === 'claimed') return { status: 'claimed', epoch: row.epoch ?? 0 }
  if (row.status === 'owned_elsewhere') return { status: row.status, retryMs: millis(row.retry_us) }
  return { status: row.status }
}

const UNIQUE_VIOLATION = '23505'

export interface ClaimRow<S extends string = DraftClaim['status']> {
  status: S
  attempt: number
  attempts: string
  retry_us: number | null
}

export async function claimDraft(
  pool: Pool,
  ttlMs: number,
  ref: SessionRef,
  epoch: number,
  step: string,
  { safe, token, from }: { safe: boolean; token: string; from?: number },
): Promise<{ claim: DraftClaim; page: EventRow[] }> {
  const ask = (): Promise<(ClaimRow & (EventRow | { seq: null }))[]> =>
    preparedQuery(
      pool,
      `select * from savefile.claim_draft($1, $2, $3, $4, $5, $6, $7) c
       left join lateral (
         select * from savefile.read_events($1, $2, $8, $9, $10) where $8::bigint is not null and c.status = 'claimed') e on true`,
      [ref.space, ref.session, epoch, step, token, safe, ttlMs * 1000, ...pageFrom(from ?? null)],
    )
  // Two first claims at once: the loser finds the winner's row.
  const rows = await ask().catch((error: unknown) => {
    if ((error as { code?: unknown }).code === UNIQUE_VIOLATION) return ask()
    throw error
  })
  return {
    claim: claimOf(firstRow(rows, 'claim_draft'), token),
    page: rows.filter((one): one is ClaimRow & EventRow => one.seq !== null),
  }
}

/** What a claiming function of the database answered. */
export function claimOf<S extends string>(
  { status, attempt, attempts, retry_us }: ClaimRow<S>,
  token: string,
): DraftClaim | { status: Exclude<S, 'claimed' | 'busy'> } {
  if (status === 'claimed')
    return { status: 'claimed', token, attempt, attempts: Attempt.array().parse(JSON.parse(attempts)), events: [] }
  if (status === 'busy') return { status: 'busy', retryMs: millis(retry_us) }
  return { status: status as Exclude<S, 'claimed' | 'busy'> }
}

export async function finishDraft(
  pool: Pool,
  vault: Vault,
  writeBlob: WriteBlob,
  ref: SessionRef,
  step: string,
  token: string,
  event: NewEvent,
): Promise<'finished' | 'refused'> {
  const { type, v, payload } = prepare(await externalise(event, writeBlob), await vault.sealer(ref))
  const row = await queryRow<{ status: 'finished' | 'refused' }>(
    pool,
    'select savefile.finish_draft($1, $2, $3, $4, $5, $6, $7) as status',
    [ref.space, ref.session, step, token, type, v, payload],
  )
  return row.status
}

export async function releaseDraft(
  pool: Pool,
  ref: SessionRef,
  step: string,
  token: string,
  why: FailureClass,
): Promise<void> {
  await query(pool, 'select savefile.release_draft($1, $2, $3, $4, $5)', [ref.space, ref.session, step, token, why])
}

export async function beat(
  pool: Pool,
  held: readonly { ref: SessionRef; step: string; token: string }[],
): Promise<string[]> {
  if (held.length === 0) return []
  const rows = await query<{ token: string }>(pool, 'select savefile.beat($1, $2, $3, $4) as token', [
    held.map(({ ref }) => ref.space),
    held.map(({ ref }) => ref.session),
    held.map(({ step }) => step),
    held.map(({ token }) => token),
  ])
  const inCharge = new Set(rows.map(({ token }) => token))
  return held.flatMap(({ token }) => (inCharge.has(token) ? [] : [token]))
}

export async function closeDrafts(
  pool: Pool,
  ref: SessionRef,
  epoch: number,
  closes: readonly Close[],
): Promise<'closed' | 'stale_epoch'> {
  const row = await queryRow<{ status: 'closed' | 'stale_epoch' }>(
    pool,
    'select savefile.close_drafts($1, $2, $3, $4, $5, $6) as status',
    [
      ref.space,
      ref.session,
      epoch,
      closes.map(({ step }) => step),
      closes.map(({ token }) => token),
      closes.map(({ outcome }) => outcome),
    ],
  )
  return row.status
}

/** What the present attempt of each step has streamed: text and reasoning in the order they came, a tool's output as text. */
export async function partial(
  pool: Pool,
  vault: Vault,
  ref: SessionRef,
  steps: readonly string[],
): Promise<Map<string, Block[]>> {
  const rows = await query<{ step: string; token: string; n: number; kind: string; body: string }>(
    pool,
    `select x.step, x.token, x.n, x.kind, x.body from savefile.drafts d
     join savefile.draft_deltas x on x.space_id = d.space_id and x.session_id = d.session_id and x.step = d.step and x.token = d.token
     where d.space_id = $1 and d.session_id = $2 and d.step = any ($3) order by x.step, x.n`,
    [ref.space, ref.session, steps],
  )
  const runs = new Map<string, { kind: string; bodies: string[] }[]>()
  for (const { kind, ...row } of rows) {
    const { step } = row
    const body = await vault.openOwn(ref, deltaSlot(row), row.body).catch((error: unknown) => {
      // What the host of a queue wrote is believed as far as it opens.
      if (errorCode(error) === 'corrupt_log' && isHostSealed(row.body)) return ''
      throw error
    })
    const parts = runs.get(step) ?? []
    runs.set(step, parts)
    const last = parts.at(-1)
    if (last?.kind === kind) last.bodies.push(body)
    else parts.push({ kind, bodies: [body] })
  }
  const toBlock = ({ kind, bodies }: { kind: string; bodies: string[] }): Block => {
    const block = textBlock(bodies.join(''))
    return kind === 'reasoning' ? { type: 'reasoning', text: block.text } : block
  }
  return new Map([...runs].map(([step, parts]) => [step, parts.map(toBlock)]))
}
