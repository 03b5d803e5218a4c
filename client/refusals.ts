/** The log's statuses as errors for people: each says what was wrong and what would be right. */
import { SavefileError } from '../contract/errors'
import type { InputResult } from '../contract/client-port'

export function sessionNotFound(session: string, space: string): SavefileError {
  const message = `There is no session ${JSON.stringify(session)} in the space ${space}. \`savefile ls\` lists those there are.`
  return new SavefileError('session_not_found', message, { session, space })
}

export function definitionNotFound(hash: string): SavefileError {
  const message = `No definition ${hash} is stored. Give the definition itself, or the hash of one that a session of this space had.`
  return new SavefileError('definition_not_found', message, { definition: hash })
}

export function sessionExists(session: string): SavefileError {
  return new SavefileError(
    'session_exists',
    `There is a session ${session} already. Take another id, or leave it out.`,
    { session },
  )
}

export function sessionInert(session: string): SavefileError {
  const message = `Session ${session} came with a bundle and does not go on here yet. If it is to go on here, and nowhere else: savefile adopt ${session}`
  return new SavefileError('session_inert', message, { session })
}

export function sessionStub(session: string): SavefileError {
  const message = `Of session ${session} only a stretch is here, which came with a fork of it: it can be read and forked, not extended. Import a bundle of it, or go on with the fork.`
  return new SavefileError('session_stub', message, { session })
}

export function notEncrypted(session: string): SavefileError {
  return new SavefileError(
    'not_encrypted',
    `Session ${session} was not created encrypted, so there is no key to destroy: its events stay as they are. It can be closed; to have content erased one day, create sessions with --encrypted. What remains is to delete the whole database and its backups (docs/erase.md).`,
    { session },
  )
}

type Refused = Exclude<InputResult['status'], 'appended' | 'duplicate' | 'already_resolved' | 'arrived_late'>

/** Why an input was refused. */
export function refusal(
  status: Refused,
  at: { session: string; space: string; key: string; call?: string },
): SavefileError {
  const { session, key, call } = at
  switch (status) {
    case 'session_not_found':
      return sessionNotFound(session, at.space)
    case 'closed':
      return new SavefileError(
        'session_closed',
        `Session ${session} is closed. Fork it to go on from any of its events.`,
        { session },
      )
    case 'inert':
      return sessionInert(session)
    case 'stub':
      return sessionStub(session)
    case 'call_not_found':
      return new SavefileError(
        'call_not_found',
        `Session ${session} has no open call ${call ?? ''}. \`savefile show\` has its calls.`,
        { session, call },
      )
    case 'not_requested':
      return new SavefileError(
        'not_requested',
        `Nobody asked whether the call ${call ?? ''} may run, so there is nothing to answer.`,
        { session, call },
      )
    case 'idempotency_conflict':
      return new SavefileError(
        'idempotency_conflict',
        `The key ${JSON.stringify(key)} was used in session ${session} for another content. Take a new key for a new input.`,
        { session, key },
      )
  }
}
