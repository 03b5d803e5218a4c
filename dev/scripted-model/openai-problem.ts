/** What OpenAI's APIs say of a request that they refuse: message, parameter and code, in the words of recorded exchanges and public reports. */
import { typeName } from './json'

export interface OpenAIProblem {
  message: string
  param: string | null
  code: string | number | null
  /** 400 where absent. */
  status?: number
  /** `invalid_request_error` where absent; compatible servers have others. */
  type?: string
}

export function problem(message: string, param: string | null = null, code: string | null = null): OpenAIProblem {
  return { message, param, code }
}

export function missing(param: string): OpenAIProblem {
  return problem(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter')
}

export function unknown(param: string): OpenAIProblem {
  return problem(`Unknown parameter: '${param}'.`, param, 'unknown_parameter')
}

export function emptyArray(param: string): OpenAIProblem {
  return problem(
    `Invalid '${param}': empty array. Expected an array with minimum length 1, but got an empty array instead.`,
    param,
    'empty_array',
  )
}

export function wrongType(param: string, expected: string, got: unknown): OpenAIProblem {
  return problem(
    `Invalid type for '${param}': expected ${expected}, but got ${typeName(got)} instead.`,
    param,
    'invalid_type',
  )
}

export function wrongValue(param: string, got: string, supported: readonly string[]): OpenAIProblem {
  const quoted = supported.map((value) => `'${value}'`)
  const last = quoted.pop() ?? ''
  const values = quoted.length > 1 ? `${quoted.join(', ')}, and ${last}` : [...quoted, last].join(' and ')
  return problem(`Invalid value: '${got}'. Supported values are: ${values}.`, param, 'invalid_value')
}

export function tooLong(param: string, text: string, chars: number): OpenAIProblem {
  const message = `Invalid '${param}': string too long. Expected a string with maximum length ${chars}, but got a string with length ${text.length} instead.`
  return problem(message, param, 'string_above_max_length')
}

/** A number out of its range, as recorded for `temperature: -1`. */
export function outOfRange(param: string, value: unknown, low: number, high?: number): OpenAIProblem | null {
  if (typeof value !== 'number') return null
  const kind = Number.isInteger(low) && param.endsWith('tokens') ? 'integer' : 'decimal'
  if (value < low)
    return problem(
      `Invalid '${param}': ${kind} below minimum value. Expected a value >= ${low}, but got ${value} instead.`,
      param,
      `${kind}_below_min_value`,
    )
  if (high !== undefined && value > high)
    return problem(
      `Invalid '${param}': ${kind} above maximum value. Expected a value <= ${high}, but got ${value} instead.`,
      param,
      `${kind}_above_max_value`,
    )
  return null
}

const NAME = /^[a-zA-Z0-9_-]+$/
const NAME_CHARS = 64

export function nameProblem(name: unknown, param: string): OpenAIProblem | null {
  if (name === undefined) return missing(param)
  if (typeof name !== 'string') return wrongType(param, 'a string', name)
  if (name.length > NAME_CHARS) return tooLong(param, name, NAME_CHARS)
  return NAME.test(name)
    ? null
    : problem(
        `Invalid '${param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`,
        param,
        'invalid_value',
      )
}
