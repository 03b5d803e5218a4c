/** Why a bundle is refused: the line and the reason. */
import { SavefileError } from '../../contract/errors'

/** `line`: from 1; null where it is no matter of one line. */
export function invalid(
  line: number | null,
  why: string,
  cause?: unknown,
  data: Record<string, unknown> = {},
): SavefileError {
  return new SavefileError(
    'invalid_bundle',
    `The bundle is refused${line === null ? '' : ` at line ${line}`}: ${why}. Nothing of it was taken.`,
    { ...(line === null ? {} : { line }), why, ...data },
    { cause },
  )
}
