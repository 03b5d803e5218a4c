/**
 * Every failure that Savefile itself raises has a code from this list: match codes, not classes (errors cross realms).
 * docs/errors.md says of each what it means and what to do.
 */
export const ERROR_CODES = [
  'session_not_found',
  'session_exists',
  'session_closed',
  'ambiguous_id',
  'invalid_definition',
  'definition_not_found',
  'invalid_input',
  'too_large',
  'idempotency_conflict',
  'call_not_found',
  'not_requested',
  'already_resolved',
  'fork_refused',
  'summary_failed',
  'work_folder_missing',
  'outside_work_folder',
  'blob_not_found',
  'forbidden',
  'grant_not_found',
  'token_not_found',
  'key_missing',
  'key_destroyed',
  'keyring_failed',
  'not_encrypted',
  'corrupt_log',
  'newer_worker_needed',
  'session_inert',
  'session_stub',
  'session_busy',
  'diverged',
  'invalid_bundle',
  'newer_bundle',
  'invalid_transcript',
  'invalid_anchor',
  'database_unreachable',
  'database_not_ours',
  'database_newer',
  'database_older',
  'temporal_unreachable',
  'timeout',
  'setup_failed',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

/** A failure with a code, a sentence for people that says what would be right, and typed data for programs. */
export class SavefileError extends Error {
  override readonly name = 'SavefileError'

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly data: Readonly<Record<string, unknown>> = {},
    options?: { cause?: unknown },
  ) {
    super(message, options)
  }
}

/** The code of a SavefileError, also one from another realm; undefined for anything else. */
export function errorCode(error: unknown): ErrorCode | undefined {
  if (typeof error !== 'object' || error === null || (error as { name?: unknown }).name !== 'SavefileError')
    return undefined
  const code = (error as { code?: unknown }).code
  return ERROR_CODES.find((known) => known === code)
}
