/** Who may do what, as the client offers it: grants, share links and tokens (docs/sharing.md). */
import { randomBytes } from 'node:crypto'
import { SavefileError } from '../contract/errors'
import { Right } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { Grant, SharingLog, TokenInfo } from '../contract/client-port'
import { newToken } from '../log/token-pool'
import { sessionInert, sessionNotFound, sessionStub } from './refusals'

export interface GrantOptions {
  /** To approve or to fork is to see; to own is all. */
  rights: Right[]
  /** Also the forks that are made from now on, and theirs; otherwise this session only. */
  forks?: boolean
  /** Microseconds since 1970; it does not end of itself where absent. */
  expiresAt?: number
  /** For people, in the log. */
  label?: string
  /** The grant's id: the same again is the same grant. Random where absent. */
  grant?: string
}

export interface Granted {
  grant: string
  /** Of its event in the session's log. */
  seq: number
}

export interface NewToken {
  id: string
  /** Shown here and nowhere else: the database keeps a hash. */
  token: string
  principal: string
}

export interface SharingClient {
  /**
   * Gives a principal rights in a session: an event of its log, effective at once.
   * @throws `session_not_found`, `forbidden` (it takes `own`), `invalid_input`, `idempotency_conflict` (that id is another grant)
   */
  grant(session: string, principal: string, options: GrantOptions): Promise<Granted>
  /** A share link: whoever has its token has the rights. @throws as `grant` does */
  shareLink(session: string, options: GrantOptions): Promise<Granted & { token: string }>
  /**
   * Ends a grant at once: everywhere at the session that it was given for, otherwise in this fork.
   * @throws `session_not_found`, `forbidden`, `grant_not_found`
   */
  revoke(session: string, grant: string): Promise<Granted>
  /** What reaches a session, ended grants included. @throws `session_not_found`, `forbidden` (it takes `own`) */
  grants(session: string): Promise<Grant[]>
  /**
   * A token of a principal of this space. `rights` over the whole space: `create` sessions, or `own` all of them; those it has stay where
   * absent.
   * @throws `forbidden` (by token it takes `own` of the space), `invalid_input`
   */
  createToken(
    principal: string,
    options?: { rights?: TokenInfo['rights']; expiresAt?: number; label?: string },
  ): Promise<NewToken>
  /** All of the space; by token one's own, unless it owns the space. */
  tokens(): Promise<TokenInfo[]>
  /** @throws `token_not_found` */
  revokeToken(id: string): Promise<void>
}

interface Parts {
  log: SharingLog
  space: string
  actor: string
  ref(session: string): SessionRef
  exists(session: string): Promise<unknown>
}

const PRINCIPAL = /^(?!link:)[\x21-\x7e]{1,200}$/
const GRANT = /^[a-z0-9]{1,64}$/

export function createSharing({ log, space, actor, ref, exists }: Parts): SharingClient {
  const by = { actor }

  async function grant(session: string, principal: string | null, options: GrantOptions, link?: string) {
    const { forks = false, grant = `g${randomBytes(6).toString('hex')}`, ...rest } = options
    check(options.rights.length > 0 && options.rights.every((right) => Right.options.includes(right)), RIGHTS)
    check(GRANT.test(grant), `The grant's id ${JSON.stringify(grant.slice(0, 80))} must be 1 to 64 of a-z and 0-9.`)
    checkTime(options.expiresAt)
    const { status, seq } = await log.grant(ref(session), by, {
      ...rest,
      ...{ grant, principal, forks },
      ...(link === undefined ? {} : { link }),
    })
    if (status === 'appended' || status === 'duplicate') return { grant, seq }
    if (status === 'idempotency_conflict')
      throw new SavefileError('idempotency_conflict', `There is another grant ${grant} already. Leave the id out.`, {
        session,
        grant,
      })
    throw notThere(status, session, space)
  }

  return {
    grant(session, principal, options) {
      check(PRINCIPAL.test(principal), WHO)
      return grant(session, principal, options)
    },

    async shareLink(session, options) {
      const token = newToken()
      return { ...(await grant(session, null, options, token)), token }
    },

    async revoke(session, id) {
      const { status, seq } = await log.revoke(ref(session), by, id)
      if (status === 'appended' || status === 'duplicate') return { grant: id, seq }
      if (status === 'grant_not_found')
        throw new SavefileError(
          'grant_not_found',
          `No grant ${JSON.stringify(id)} reaches session ${session}. \`savefile grants ${session}\` lists them.`,
          { session, grant: id },
        )
      throw notThere(status, session, space)
    },

    async grants(session) {
      await exists(session)
      return log.grants(ref(session))
    },

    async createToken(principal, options = {}) {
      check(PRINCIPAL.test(principal), WHO)
      checkTime(options.expiresAt)
      const token = newToken()
      return { id: await log.createToken(space, by, { ...options, principal, token }), token, principal }
    },

    tokens: () => log.tokens(space),

    async revokeToken(id) {
      if (await log.revokeToken(space, id)) return
      throw new SavefileError('token_not_found', `There is no token ${JSON.stringify(id)}, or it is not yours.`, { id })
    },
  }
}

const RIGHTS = `The rights must be some of ${Right.options.join(', ')}.`
const WHO =
  'The principal must be 1 to 200 printable ASCII characters without spaces, and not begin with "link:" (share links are called so).'

function check(right: boolean, otherwise: string): void {
  if (!right) throw new SavefileError('invalid_input', otherwise)
}

function checkTime(at: number | undefined): void {
  check(
    at === undefined || (Number.isSafeInteger(at) && at > Date.now() * 1000),
    'The expiry must lie in the future, in microseconds since 1970.',
  )
}

function notThere(status: 'session_not_found' | 'inert' | 'stub', session: string, space: string): SavefileError {
  if (status === 'inert') return sessionInert(session)
  return status === 'stub' ? sessionStub(session) : sessionNotFound(session, space)
}
