/**
 * OTLP's JSON of a span: ids in hex, times in nanoseconds as strings, enums as numbers, names in lowerCamelCase. Ids follow from the log, so
 * that an export made again, or of a longer log, names the same spans.
 */
import { createHash } from 'node:crypto'

type AnyValue =
  | { stringValue: string }
  | { boolValue: boolean }
  | { intValue: string }
  | { doubleValue: number }
  | { arrayValue: { values: AnyValue[] } }

export interface KeyValue {
  key: string
  value: AnyValue
}

export interface SpanEvent {
  timeUnixNano: string
  name: string
  attributes: KeyValue[]
}

export interface SpanIds {
  traceId: string
  spanId: string
}

export interface SpanLink extends SpanIds {
  attributes: KeyValue[]
}

export interface Span extends SpanIds {
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: KeyValue[]
  events?: SpanEvent[]
  links?: SpanLink[]
  status?: { code: number; message?: string }
}

export const KIND = { internal: 1, client: 3 } as const
const STATUS_ERROR = 2

/** A whole number of these is an int; `usd` and seconds are not. */
export type Value = string | boolean | number | readonly string[] | { double: number } | undefined

export type Named = Readonly<Record<string, Value>>

/** What is undefined is left out. */
export function attributes(of: Named): KeyValue[] {
  return Object.entries(of).flatMap(([key, value]) => (value === undefined ? [] : [{ key, value: anyValue(value) }]))
}

function anyValue(value: Exclude<Value, undefined>): AnyValue {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'number') return { intValue: String(value) }
  if ('double' in value) return { doubleValue: value.double }
  return { arrayValue: { values: value.map((text) => ({ stringValue: text })) } }
}

export function nanos(micros: number): string {
  return (BigInt(micros) * 1000n).toString()
}

/** A span of a session's event: in the trace that the event begins, or in another. */
export function idsOf(trace: string | null, session: string, seq: number): SpanIds {
  return {
    traceId: trace ?? digest('trace', session, seq, 32),
    spanId: digest('span', session, seq, 16),
  }
}

/** No id is all zeroes: sha256 of something that is known gives none. */
function digest(kind: string, session: string, seq: number, hexDigits: number): string {
  return createHash('sha256').update(`savefile/otel/1\0${kind}\0${session}\0${seq}`).digest('hex').slice(0, hexDigits)
}

export interface SpanParts {
  ids: SpanIds & { parentSpanId?: string }
  name: string
  kind: number
  /** Microseconds; a span never ends before it starts, whatever clocks said. */
  start: number
  end: number
  named: Named
  /** A word; undefined: it ended well. */
  error?: string | undefined
  message?: string
  events?: SpanEvent[]
  links?: SpanLink[]
}

export function spanOf({
  ids,
  name,
  kind,
  start,
  end,
  named,
  error,
  message,
  events = [],
  links = [],
}: SpanParts): Span {
  return {
    ...ids,
    name,
    kind,
    startTimeUnixNano: nanos(start),
    endTimeUnixNano: nanos(Math.max(start, end)),
    attributes: attributes({ ...named, 'error.type': error }),
    ...(events.length > 0 ? { events } : {}),
    ...(links.length > 0 ? { links } : {}),
    ...(error === undefined ? {} : { status: { code: STATUS_ERROR, ...(message === undefined ? {} : { message }) } }),
  }
}
