/** Reading JSON that nobody checked: a value of another type is as good as absent. Lines end with \n and with nothing else. */
import { isUtf8 } from 'node:buffer'
import { SavefileError } from '../contract/errors'
import type { TranscriptFile } from './items'
import type { Report } from './report'

export type Json = Record<string, unknown>

export interface Line {
  n: number
  value: Json
}

export const MAX_TRANSCRIPT_BYTES = 512 * 1024 * 1024
/** A line's JSON is one string: V8 ends at 512 MiB, and a client's own lines hold no more than some images. */
const MAX_LINE_BYTES = 64 * 1024 * 1024
const NEWLINE = 10
const BOM = Buffer.from('efbbbf', 'hex')

/** @throws SavefileError `too_large` */
export function* linesOf({ name, bytes }: TranscriptFile, report: Report): Generator<Line> {
  if (bytes.length > MAX_TRANSCRIPT_BYTES) throw tooLarge(name, null, bytes.length, MAX_TRANSCRIPT_BYTES)
  let n = 0
  for (let from = bytes.subarray(0, 3).equals(BOM) ? 3 : 0; from < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, from)
    const end = newline < 0 ? bytes.length : newline
    n++
    const line = bytes.subarray(from, end)
    from = end + 1
    if (line.length > MAX_LINE_BYTES) throw tooLarge(name, n, line.length, MAX_LINE_BYTES)
    if (!isUtf8(line)) report.note('not_utf8', n)
    const text = line.toString('utf8')
    if (text.trim() === '') continue
    const value = parsed(text)
    if (value === undefined) report.note('not_json', n)
    else if (isObject(value)) yield { n, value }
    else report.note('not_an_object', n)
  }
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function tooLarge(name: string, line: number | null, bytes: number, limit: number): SavefileError {
  const what = line === null ? `The transcript ${name}` : `Line ${line} of the transcript ${name}`
  return new SavefileError('too_large', `${what} weighs ${bytes} bytes; ${limit} are taken. Nothing of it was taken.`, {
    name,
    ...(line === null ? {} : { line }),
    bytes,
    limit,
  })
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function object(value: unknown): Json {
  return isObject(value) ? value : {}
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

export function count(value: unknown): number {
  return typeof value === 'number' && value > 0 && value <= Number.MAX_SAFE_INTEGER ? Math.trunc(value) : 0
}

/** Microseconds since 1970, of an ISO time or of milliseconds; 0 where it is none. */
export function time(value: unknown): number {
  const ms = typeof value === 'number' ? value : typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isFinite(ms) && ms > 0 && ms < 8.64e15 ? Math.trunc(ms * 1000) : 0
}
