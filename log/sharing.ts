/** Grants and tokens: rows that say what holds now. With a token (token-pool.ts) the same calls, as far as its holder may. */
import type { Pool } from 'pg'
import type { Grant, SharingLog, TokenInfo } from '../contract/client-port'
import { query, queryRow } from './pool'
import { tokenHash } from './token-pool'

type Changed<S extends string> = { status: S; seq: number | null } & Record<string, unknown>

interface GrantRow {
  grant_id: string
  session_id: string
  seq: number
  principal: string | null
  rights: Grant['rights']
  forks: boolean
  label: string | null
  granted_at: number
  granted_by: string
  expires_at: number | null
  revoked_at: number | null
}

interface TokenRow {
  token_id: string
  principal: string
  rights: TokenInfo['rights']
  label: string | null
  created_at: number
  created_by: string
  expires_at: number | null
  revoked_at: number | null
}

const toGrant = (row: GrantRow): Grant => ({
  grant: row.grant_id,
  session: row.session_id,
  seq: row.seq,
  principal: row.principal,
  rights: row.rights,
  forks: row.forks,
  label: row.label,
  grantedAt: row.granted_at,
  grantedBy: row.granted_by,
  expiresAt: row.expires_at,
  revokedAt: row.revoked_at,
})

const toToken = (row: TokenRow): TokenInfo => ({
  id: row.token_id,
  principal: row.principal,
  rights: row.rights,
  label: row.label,
  createdAt: row.created_at,
  createdBy: row.created_by,
  expiresAt: row.expires_at,
  revokedAt: row.revoked_at,
})

export function createSharingLog(pool: Pool): SharingLog {
  return {
    async grant(ref, by, { grant, principal, rights, forks, expiresAt, label, link }) {
      const row = await queryRow<
        Changed<'appended' | 'duplicate' | 'session_not_found' | 'inert' | 'stub' | 'idempotency_conflict'>
      >(pool, 'select * from savefile.grant_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)', [
        ref.space,
        ref.session,
        by.actor,
        grant,
        principal,
        rights,
        forks,
        expiresAt ?? null,
        label ?? null,
        link === undefined ? null : tokenHash(link),
      ])
      return { status: row.status, seq: row.seq ?? 0 }
    },

    async revoke(ref, by, grant) {
      const row = await queryRow<
        Changed<'appended' | 'duplicate' | 'session_not_found' | 'inert' | 'stub' | 'grant_not_found'>
      >(pool, 'select * from savefile.revoke_grant($1, $2, $3, $4)', [ref.space, ref.session, by.actor, grant])
      return { status: row.status, seq: row.seq ?? 0 }
    },

    async grants(ref) {
      const rows = await query<GrantRow & Record<string, unknown>>(pool, 'select * from savefile.list_grants($1, $2)', [
        ref.space,
        ref.session,
      ])
      return rows.map(toGrant)
    },

    async createToken(space, by, { principal, token, rights, expiresAt, label }) {
      const { id } = await queryRow<{ id: string }>(
        pool,
        'select savefile.create_token($1, $2, $3, $4, $5, $6, $7) as id',
        [space, by.actor, principal, rights ?? null, tokenHash(token), expiresAt ?? null, label ?? null],
      )
      return id
    },

    async tokens(space) {
      const rows = await query<TokenRow & Record<string, unknown>>(
        pool,
        'select * from savefile.list_tokens($1, null)',
        [space],
      )
      return rows.map(toToken)
    },

    async revokeToken(space, id) {
      const { status } = await queryRow<{ status: string }>(
        pool,
        'select savefile.revoke_token($1, null, $2) as status',
        [space, id],
      )
      return status === 'revoked'
    },
  }
}

/** Who a token speaks for; null where the login is not one that tokens count for. */
export interface Speaker {
  space: string
  principal: string
  rights: TokenInfo['rights']
}

/** `bound`: that the login can't do without its token. */
export async function whoSpeaks(pool: Pool): Promise<{ bound: boolean; speaker: Speaker | null }> {
  const login = await queryRow<{ bound: boolean }>(
    pool,
    `select pg_has_role('savefile_member', 'usage') and not pg_has_role('savefile_writer', 'usage')
       and row_security_active('savefile.events') as bound`,
    [],
  )
  if (!login.bound) return { bound: false, speaker: null }
  const row = await queryRow<{ space_id: string | null; principal: string; rights: Speaker['rights'] }>(
    pool,
    'select * from savefile.whoami()',
    [],
  )
  return {
    bound: true,
    speaker: row.space_id === null ? null : { space: row.space_id, principal: row.principal, rights: row.rights },
  }
}
