/**
 * Event lines, the bulk of a bundle. The payload stands last: what is before it is short, and parsed as JSON; the payload is parsed as what
 * it must be, a string. So neither can be nested, and no time is spent on looking. Lines as a writer of ours makes them are read by
 * plain-event-line.ts, in a third of the time.
 */
import { hash as digest } from 'node:crypto'
import type { EventLine } from './format'

export type EventHead = Omit<EventLine, 'payload' | 'bytes'>

/** An event whose hash holds. */
export interface BundleEvent extends EventHead {
  session: string
  payload: Buffer
}

const BEGIN = '{"k":"event",'
const TEXT = Buffer.from(',"payload":"')
const BYTES = Buffer.from(',"bytes":"')
const HEAD_BYTES = 8192
const FIELDS = new Set(['k', 'seq', 'type', 'v', 'at', 'actor', 'key', 'kid', 'definition', 'prev', 'hash'])
const HASH = /^[0-9a-f]{64}$/
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
/** `savefile/1`, framed. */
const PREFIX = Buffer.from('0000000a7361766566696c652f31', 'hex')

export function isEventLine(line: Buffer): boolean {
  return line.length > BEGIN.length && line.toString('latin1', 0, BEGIN.length) === BEGIN
}

/** The event in a line, or what is wrong with the line. */
export function parseEventLine(line: Buffer): { head: EventHead; payload: Buffer } | string {
  const text = line.subarray(0, HEAD_BYTES).indexOf(TEXT)
  const begin = text >= 0 ? text : line.subarray(0, HEAD_BYTES).indexOf(BYTES)
  if (begin < 0) return `an event without a payload, or with more than ${HEAD_BYTES} bytes before it`
  const needle = text >= 0 ? TEXT : BYTES
  let head: unknown
  let body: unknown
  try {
    head = JSON.parse(`${line.toString('utf8', 0, begin)}}`)
    // From the opening quote on: nothing but a string begins so.
    body =
      line[line.length - 1] === 0x7d
        ? JSON.parse(line.toString('utf8', begin + needle.length - 1, line.length - 1))
        : null
  } catch (error) {
    if (error instanceof SyntaxError) return 'it is not JSON'
    throw error
  }
  if (typeof body !== 'string') return 'it is not JSON'
  const problem = headProblem(head)
  if (problem !== null) return problem
  if (text >= 0) return { head: head as EventHead, payload: Buffer.from(body, 'utf8') }
  if (body.length % 4 !== 0 || !BASE64.test(body)) return 'its bytes are not base64'
  return { head: head as EventHead, payload: Buffer.from(body, 'base64') }
}

function headProblem(head: unknown): string | null {
  const e = head as Partial<Record<keyof EventHead, unknown>>
  for (const name in e) if (!FIELDS.has(name)) return `an event has no field ${JSON.stringify(name.slice(0, 40))}`
  if (!isCount(e.seq) || !isCount(e.v) || !isCount(e.at)) return 'seq, v and at must be whole numbers'
  if (!isText(e.type) || !isText(e.actor) || !isText(e.key)) return 'type, actor and key must be texts'
  if ((e.kid !== undefined && !isText(e.kid)) || (e.definition !== undefined && !isText(e.definition)))
    return 'kid and definition must be texts where they are there'
  if (
    typeof e.prev !== 'string' ||
    typeof e.hash !== 'string' ||
    !HASH.test(e.hash) ||
    !(e.prev === '' || HASH.test(e.prev))
  )
    return 'prev and hash must be 64 hex digits'
  return null
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

/** Room for a session id, a head of HEAD_BYTES and what frames them. */
const scratch = Buffer.alloc(4 * HEAD_BYTES)
PREFIX.copy(scratch)

/** What the content gives, hex. log/hash.ts does the same, one object at a time; a test compares them. */
export function hashOf(session: string, e: EventHead, payload: Buffer): string {
  let at = PREFIX.length
  at = scratch.writeInt32BE(e.prev.length / 2, at)
  at += scratch.write(e.prev, at, 'hex')
  at = field(session, at)
  at = field(String(e.seq), at)
  at = field(e.type, at)
  at = field(String(e.v), at)
  at = field(String(e.at), at)
  at = field(e.actor, at)
  at = field(e.key, at)
  at = field(e.kid ?? '', at)
  at = scratch.writeInt32BE(32, at)
  at += scratch.write(digest('sha256', payload, 'binary'), at, 'latin1')
  return digest('sha256', scratch.subarray(0, at), 'hex')
}

function field(text: string, at: number): number {
  const begin = at + 4
  let bytes = text.length
  // Most are short and ASCII: a call out of JavaScript for each costs more than they do.
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) {
      bytes = scratch.write(text, begin, 'utf8')
      break
    }
    scratch[begin + i] = code
  }
  scratch.writeInt32BE(bytes, at)
  return begin + bytes
}
