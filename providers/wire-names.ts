/**
 * Names and arguments on the wire, for every vendor's pattern at once. Deterministic, so that a request can be built again byte for byte.
 */
import { createHash } from 'node:crypto'
import { cutText, normaliseText } from '../contract/text'

/** What a call that cannot be sent as it was shows of the model's own text, in characters. */
const INVALID_CHARS = 2000

/** The wire id of a call: 37 characters of `^[a-zA-Z0-9_-]+$` (Anthropic's pattern, within Chat's 40 and Responses' 64). */
export function wireCallId(call: string): string {
  return `call_${createHash('sha256').update(call).digest('hex').slice(0, 32)}`
}

/** A tool's name within `^[a-zA-Z0-9_-]{1,64}$`: models invent others, and refuse to read them back. */
export function wireToolName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed'
}

/** Says what is wrong with a call's arguments, or null where they are the JSON text of an object. */
export function argsProblem(args: string): string | null {
  let value: unknown
  try {
    value = JSON.parse(args)
  } catch (error) {
    if (error instanceof SyntaxError) return 'the arguments are not JSON'
    throw error
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? null
    : 'the arguments are not a JSON object'
}

/**
 * The JSON text of an object for a call's arguments: the model's own spelling (key order and big numbers survive), or, where that is no
 * JSON object, `{"_invalid": <its text>}`. One that is not an object poisons every later request.
 */
export function wireArgs(args: string): string {
  if (argsProblem(args) !== null) return JSON.stringify({ _invalid: cutText(normaliseText(args).text, INVALID_CHARS) })
  // Escapes of what no vendor takes: only then is the text spelt anew.
  if (!/\\u(?:d[89a-f]|0000)/i.test(args)) return args
  return JSON.stringify(JSON.parse(args), (_key, value: unknown) =>
    typeof value === 'string' ? normaliseText(value).text : value,
  )
}
