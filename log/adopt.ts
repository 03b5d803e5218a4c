/** Taking custody: an imported session goes on here. What was open before is inherited, as in a fork (PROTOCOL.md rule 21). */
import type { Pool } from 'pg'
import type { SessionRef } from '../contract/ids'
import type { Payload } from '../contract/events'
import type { Adopted } from '../contract/bundle-port'
import type { Principal } from '../contract/client-port'
import { prepare } from './content'
import { queryRow } from './pool'
import { sessionInfo } from './sessions'
import type { Vault } from './vault'

const ROUNDS = 5

interface Row extends Record<string, unknown> {
  status: Adopted['status'] | 'head_moved'
  seq: number | null
}

export async function adopt(
  pool: Pool,
  vault: Vault,
  ref: SessionRef,
  by: Principal,
  why: string | undefined,
  original: Payload<'custody_taken'>['original'],
): Promise<Adopted> {
  for (let round = 0; round < ROUNDS; round++) {
    const info = await sessionInfo(pool, vault, ref)
    if (!info) return { status: 'session_not_found' }
    const payload = {
      head: info.head,
      hash: info.headHash,
      ...(why === undefined ? {} : { why }),
      ...(original === undefined ? {} : { original }),
    }
    const prepared = prepare({ type: 'custody_taken', payload }, await vault.sealer(ref))
    const { status, seq } = await queryRow<Row>(pool, 'select * from savefile.adopt($1, $2, $3, $4, $5, $6)', [
      ref.space,
      ref.session,
      by.actor,
      info.head,
      prepared.v,
      prepared.payload,
    ])
    if (status === 'adopted' || status === 'live') return { status, seq: seq ?? 0 }
    if (status !== 'head_moved') return { status }
  }
  throw new Error(`the head of session ${ref.session} moved ${ROUNDS} times`) // an import cannot do that
}
