/**
 * Event lines exactly as write.ts makes them: this order of fields, short fields in plain ASCII, a payload in text without \u. One walk over
 * the bytes instead of two JSON parsers and three copies. It says nothing of any other line: parseEventLine then has the word, and of what
 * is read here it would say the same (a test compares them).
 */
import { isUtf8 } from 'node:buffer'
import type { EventHead } from './event-line'

const [SEQ, TYPE, V, AT, ACTOR, KEY, KID, DEFINITION, PREV, HASH, PAYLOAD] = [
  '{"k":"event","seq":',
  ',"type":"',
  ',"v":',
  ',"at":',
  ',"actor":"',
  ',"key":"',
  ',"kid":"',
  ',"definition":"',
  ',"prev":"',
  ',"hash":"',
  ',"payload":"',
].map((text) => Buffer.from(text)) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
]
const HASH_DIGITS = 64
/** Of Number.MAX_SAFE_INTEGER. */
const MAX_DIGITS = 16
/** Above it the other reader counts. */
const MAX_HEAD_BYTES = 4096
const QUOTE = 0x22
const BRACE = 0x7d

/** What a byte of a JSON string is: itself, an opening bracket (itself, but counted), of a longer character, the beginning of an escape, or not allowed. */
const PLAIN = 0
const BRACKET = 1
const HIGH = 2
const ESCAPE = 3
const NEVER = 4
const KINDS = new Uint8Array(256).map((_, byte) =>
  byte < 0x20 || byte === QUOTE
    ? NEVER
    : byte >= 0x80
      ? HIGH
      : byte === 0x5c
        ? ESCAPE
        : byte === 0x5b || byte === 0x7b
          ? BRACKET
          : PLAIN,
)
/** By the byte behind the backslash; 0: another. */
const ESCAPED = new Uint8Array(256)
for (const [i, byte] of [...Buffer.from('"\\/bfnrt')].entries())
  ESCAPED[byte] = Buffer.from('"\\/\b\f\n\r\t')[i] as number

/** Payloads are slices of pieces of this size. */
const ROOM_BYTES = 256 * 1024

export interface PlainEvent {
  head: EventHead
  payload: Buffer
  /** That open, in the payload, those in its texts too: it is nested no deeper. */
  brackets: number
}

export class PlainEventLines {
  private line: Buffer = Buffer.alloc(0)
  private at = 0
  private room = Buffer.alloc(0)
  private used = 0
  private brackets = 0

  /** Null: the line is another. */
  read(line: Buffer): PlainEvent | null {
    this.line = line
    this.at = 0
    const seq = this.skip(SEQ) ? this.count() : -1
    const type = seq >= 0 && this.skip(TYPE) ? this.text() : ''
    const v = type !== '' && this.skip(V) ? this.count() : -1
    const at = v >= 0 && this.skip(AT) ? this.count() : -1
    const actor = at >= 0 && this.skip(ACTOR) ? this.text() : ''
    const key = actor !== '' && this.skip(KEY) ? this.text() : ''
    if (key === '') return null
    let kid: string | undefined
    let definition: string | undefined
    if (this.skip(KID) && (kid = this.text()) === '') return null
    if (this.skip(DEFINITION) && (definition = this.text()) === '') return null
    const prev = this.skip(PREV) ? this.digits() : null
    const hash = prev !== null && this.skip(HASH) ? this.digits() : null
    if (prev === null || hash === null || hash === '' || this.at > MAX_HEAD_BYTES || !this.skip(PAYLOAD)) return null
    const payload = this.payload()
    if (!payload) return null
    return {
      head: { k: 'event', seq, type, v, at, actor, key, kid, definition, prev, hash },
      payload,
      brackets: this.brackets,
    }
  }

  private skip(bytes: Buffer): boolean {
    const { line, at } = this
    for (let i = 0; i < bytes.length; i++) if (line[at + i] !== bytes[i]) return false
    this.at = at + bytes.length
    return true
  }

  /** -1: no whole number that JSON and JavaScript can hold. */
  private count(): number {
    const { line, at } = this
    let value = 0
    let end = at
    for (; end <= at + MAX_DIGITS; end++) {
      const digit = (line[end] as number) - 0x30
      if (!(digit >= 0 && digit <= 9)) break
      value = value * 10 + digit
    }
    if (end === at || (end > at + 1 && line[at] === 0x30) || !Number.isSafeInteger(value)) return -1
    this.at = end
    return value
  }

  /** Up to the quote, which is taken too; empty: none, or one with more than plain ASCII. */
  private text(): string {
    const { line, at } = this
    let end = at
    for (; line[end] !== QUOTE; end++) {
      const kind = end < line.length ? KINDS[line[end] as number] : NEVER
      if (kind !== PLAIN && kind !== BRACKET) return ''
    }
    this.at = end + 1
    return line.toString('latin1', at, end)
  }

  /** As many hex digits as a hash has, or the empty text; null: neither. */
  private digits(): string | null {
    const { line, at } = this
    const end = line[at] === QUOTE ? at : at + HASH_DIGITS
    if (line[end] !== QUOTE) return null
    for (let i = at; i < end; i++) {
      const byte = line[i] as number
      if (!((byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66))) return null
    }
    this.at = end + 1
    return line.toString('latin1', at, end)
  }

  /** Up to the end of the line. */
  private payload(): Buffer | null {
    const { line } = this
    const end = line.length - 2
    if (end < this.at || line[end] !== QUOTE || line[end + 1] !== BRACE) return null
    if (this.room.length - this.used < end - this.at) {
      this.room = Buffer.allocUnsafeSlow(Math.max(ROOM_BYTES, end - this.at))
      this.used = 0
    }
    const { room, used } = this
    const kinds = KINDS
    let to = used
    let brackets = 0
    let high = false
    for (let i = this.at; i < end; i++) {
      let byte = line[i] as number
      const kind = kinds[byte] as number
      if (kind !== PLAIN) {
        if (kind === ESCAPE) {
          byte = ++i < end ? (ESCAPED[line[i] as number] as number) : 0
          if (byte === 0) return null
        } else if (kind === BRACKET) brackets++
        else if (kind === HIGH) high = true
        else return null
      }
      room[to++] = byte
    }
    const payload = room.subarray(used, to)
    if (high && !isUtf8(payload)) return null
    this.used = to
    this.brackets = brackets
    return payload
  }
}
