/** What the exit code of `savefile` says. Printed by `--help` and in docs/cli.md from this table. */
import { errorCode, type ErrorCode } from '../contract/errors'

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  unreachable: 5,
  notDone: 6,
  interrupted: 130,
} as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export const EXIT_MEANING: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'failed: something broke, or a log does not verify',
  2: 'usage: the command or its input was not right',
  3: 'not found: no such session, call, definition or folder',
  4: 'refused: it conflicts with what the log says',
  5: 'unreachable: Postgres or Temporal is away, or not as expected',
  6: 'the turn did not end as done: failed, interrupted, a limit, or it waits for an approval',
  130: 'stopped by Ctrl-C',
}

const BY_ERROR: Readonly<Record<ErrorCode, ExitCode>> = {
  session_not_found: EXIT.notFound,
  session_exists: EXIT.refused,
  session_closed: EXIT.refused,
  ambiguous_id: EXIT.usage,
  invalid_definition: EXIT.usage,
  definition_not_found: EXIT.notFound,
  invalid_input: EXIT.usage,
  too_large: EXIT.usage,
  idempotency_conflict: EXIT.refused,
  call_not_found: EXIT.notFound,
  not_requested: EXIT.refused,
  already_resolved: EXIT.refused,
  fork_refused: EXIT.refused,
  summary_failed: EXIT.failed,
  work_folder_missing: EXIT.notFound,
  outside_work_folder: EXIT.refused,
  blob_not_found: EXIT.notFound,
  forbidden: EXIT.refused,
  grant_not_found: EXIT.notFound,
  token_not_found: EXIT.notFound,
  key_missing: EXIT.refused,
  key_destroyed: EXIT.refused,
  keyring_failed: EXIT.unreachable,
  not_encrypted: EXIT.refused,
  corrupt_log: EXIT.failed,
  newer_worker_needed: EXIT.failed,
  session_inert: EXIT.refused,
  session_stub: EXIT.refused,
  session_busy: EXIT.refused,
  diverged: EXIT.refused,
  invalid_bundle: EXIT.failed,
  newer_bundle: EXIT.failed,
  invalid_transcript: EXIT.failed,
  invalid_anchor: EXIT.failed,
  database_unreachable: EXIT.unreachable,
  database_not_ours: EXIT.unreachable,
  database_newer: EXIT.unreachable,
  database_older: EXIT.unreachable,
  temporal_unreachable: EXIT.unreachable,
  timeout: EXIT.notDone,
  setup_failed: EXIT.failed,
}

export function exitCodeOf(error: unknown): ExitCode {
  const code = errorCode(error)
  return code === undefined ? EXIT.failed : BY_ERROR[code]
}

export function exitCodeHelp(): string {
  const rows = Object.entries(EXIT_MEANING).map(([code, meaning]) => `  ${code.padEnd(4)} ${meaning}`)
  return ['Exit codes:', ...rows].join('\n')
}
