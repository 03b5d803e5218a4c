/**
 * Lines put together as bytes: rows come as bytes and go as bytes, and a text in between would cost more than all the rest of an export.
 * What is written here is what JSON.stringify gives, byte for byte (a test compares them).
 */
import { isUtf8 } from 'node:buffer'

/** Lines are slices of pieces of this size. */
const ROOM_BYTES = 512 * 1024
const QUOTE = 0x22
const BACKSLASH = 0x5c
const HEX = Buffer.from('0123456789abcdef')

/** By byte: itself, the letter behind its backslash, or one of these. */
const ITSELF = 0
const HIGH = 1
const LONG = 2
const ESCAPES = new Uint8Array(256)
ESCAPES.fill(LONG, 0, 0x20).fill(HIGH, 0x80)
for (const [i, byte] of [...Buffer.from('"\\\b\f\n\r\t')].entries())
  ESCAPES[byte] = Buffer.from('"\\bfnrt')[i] as number

export class LineBytes {
  /** Whether a text of the line begins with `"sh`, as the name of a blob does. */
  named = false
  private room = Buffer.alloc(0)
  private from = 0
  private to = 0

  /** A line that has `bytes` of texts, each of which may become two, and `more` beside. */
  begin(bytes: number, more: number): void {
    const need = 2 * bytes + more
    if (this.room.length - this.to < need) {
      this.room = Buffer.allocUnsafeSlow(Math.max(ROOM_BYTES, need))
      this.to = 0
    }
    this.from = this.to
    this.named = false
  }

  /** The line so far, which the next one leaves alone. */
  end(): Buffer {
    return this.room.subarray(this.from, this.to)
  }

  raw(bytes: Uint8Array, from = 0, to = bytes.length): void {
    const { room } = this
    let at = this.to
    for (let i = from; i < to; i++) room[at++] = bytes[i] as number
    this.to = at
  }

  hex(bytes: Uint8Array, from: number, to: number): void {
    const { room } = this
    let at = this.to
    for (let i = from; i < to; i++) {
      const byte = bytes[i] as number
      room[at++] = HEX[byte >> 4] as number
      room[at++] = HEX[byte & 15] as number
    }
    this.to = at
  }

  /** What stands in a JSON string for these bytes. False, and nothing is written: they are no text, or have characters that only \u can say. */
  escaped(bytes: Uint8Array, from: number, to: number): boolean {
    const { room } = this
    let at = this.to
    let high = false
    for (let i = from; i < to; i++) {
      const byte = bytes[i] as number
      const escape = ESCAPES[byte] as number
      if (escape !== ITSELF) {
        if (escape === HIGH) high = true
        else if (escape === LONG) return false
        else {
          if (byte === QUOTE && bytes[i + 1] === 0x73 && bytes[i + 2] === 0x68) this.named = true
          room[at++] = BACKSLASH
          room[at++] = escape
          continue
        }
      }
      room[at++] = byte
    }
    if (high && !isUtf8(bytes.subarray(from, to))) return false
    this.to = at
    return true
  }
}
