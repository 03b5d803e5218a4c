/**
 * Failures without content (L6): messages, stack traces, details and causes' texts never reach Temporal; a type does where it is an enum
 * word. Loaded by path, into the worker and into the workflow sandbox: no Node modules here.
 */
import { DefaultFailureConverter, type PayloadConverter, type ProtoFailure } from '@temporalio/common'

const WORD = /^[A-Za-z][A-Za-z0-9_]{0,40}$/
/** Words of ours and of the SDK's; any other error name could come from anywhere. */
const KNOWN = new Set(
  (
    'rate_limited overloaded refused_request context_exceeded cut_off timeout unreachable auth budget internal shutdown ' +
    'session_not_found session_closed definition_not_found blob_not_found corrupt_log newer_worker_needed database_unreachable ' +
    'database_not_ours database_newer database_older temporal_unreachable work_folder_missing ' +
    'Error TypeError RangeError SyntaxError ReferenceError DeterminismViolationError WorkflowExecutionAlreadyStarted'
  ).split(' '),
)

class ContentFreeFailureConverter extends DefaultFailureConverter {
  override errorToFailure(error: unknown, payloadConverter: PayloadConverter): ProtoFailure {
    return bare(super.errorToFailure(withCode(error), payloadConverter))
  }
}

/** A SavefileError is told by its code. */
function withCode(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'SavefileError') return error
  const named = new Error('')
  named.name = String((error as { code?: unknown }).code)
  return named
}

function bare(failure: ProtoFailure): ProtoFailure {
  failure.message = ''
  failure.stackTrace = ''
  failure.encodedAttributes = null
  const info = failure.applicationFailureInfo
  if (info) {
    info.details = null
    if (!(info.type && WORD.test(info.type) && KNOWN.has(info.type))) info.type = 'internal'
  }
  if (failure.canceledFailureInfo) failure.canceledFailureInfo.details = null
  if (failure.timeoutFailureInfo) failure.timeoutFailureInfo.lastHeartbeatDetails = null
  if (failure.cause) bare(failure.cause)
  return failure
}

export const failureConverter = new ContentFreeFailureConverter()
