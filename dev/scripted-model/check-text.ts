/** Text that no vendor takes: NUL, and surrogates without their other half (PITFALLS, Text). */
import { normaliseText } from '../../contract/text'
import { isRecord } from './json'

/** Only such escapes can make it: where the raw body has none, nothing needs to be walked. */
const SUSPECT = /\\u(?:d[89a-f]|0000)/i

/** True where a string in the body holds such a character. `raw` is the body as it came. */
export function hasBadText(raw: string, value: unknown): boolean {
  return SUSPECT.test(raw) && walk(value)
}

function walk(value: unknown): boolean {
  if (typeof value === 'string') return normaliseText(value).normalised > 0
  if (Array.isArray(value)) return value.some(walk)
  return isRecord(value) && (Object.keys(value).some(walk) || Object.values(value).some(walk))
}
