/** Reading JSON that came from outside, without trusting its shape. */
export type Json = Record<string, unknown>

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

export function records(value: unknown): Json[] {
  return list(value).filter(isRecord)
}

export function str(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** What a JSON type is called in error messages. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
