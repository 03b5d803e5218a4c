/** Bytes to lines, in batches of what arrived together; a line ends with \n and nothing else does. */
import type { BundleLimits } from '../../contract/bundle-port'
import { invalid } from './refusals'

const NEWLINE = 10
const OPEN = new Set([0x5b, 0x7b])
const CLOSE = new Set([0x5d, 0x7d])
const QUOTE = 0x22
const BACKSLASH = 0x5c

export interface Lines {
  /** Of the first of `lines`, from 1. */
  number: number
  lines: Buffer[]
  /** The same bytes, the ends of the lines included. */
  raw: Buffer[]
}

/** @throws SavefileError `invalid_bundle`: a line is too long, there are too many, the last one has no end. */
export async function* splitLines(bytes: AsyncIterable<Buffer>, limits: BundleLimits): AsyncGenerator<Lines> {
  let number = 1
  let rest: Buffer[] = []
  let restBytes = 0
  for await (const chunk of bytes) {
    const cut = chunk.lastIndexOf(NEWLINE) + 1
    if (cut > 0) {
      const raw = [...rest, chunk.subarray(0, cut)]
      const lines: Buffer[] = []
      for (let from = 0; from < cut;) {
        const end = chunk.indexOf(NEWLINE, from)
        const piece = chunk.subarray(from, end)
        const line = lines.length === 0 && restBytes > 0 ? Buffer.concat([...rest, piece]) : piece
        if (line.length > limits.lineBytes) throw tooLong(number + lines.length, limits)
        lines.push(line)
        from = end + 1
      }
      if (number + lines.length - 1 > limits.lines)
        throw invalid(limits.lines + 1, `it has more than ${limits.lines} lines`)
      yield { number, lines, raw }
      number += lines.length
      rest = []
      restBytes = 0
    }
    if (cut < chunk.length) {
      rest.push(chunk.subarray(cut))
      restBytes += chunk.length - cut
      if (restBytes > limits.lineBytes) throw tooLong(number, limits)
    }
  }
  if (restBytes > 0) throw invalid(number, 'it ends in the middle of a line: it was cut')
}

function tooLong(line: number, limits: BundleLimits): Error {
  return invalid(line, `the line is longer than ${limits.lineBytes} bytes`)
}

/** Whether the JSON in these bytes is nested deeper than `depth`. */
export function isDeeper(json: Buffer, depth: number): boolean {
  // Most have fewer brackets than that at all.
  let brackets = 0
  for (const open of OPEN)
    for (let at = json.indexOf(open); at >= 0 && brackets <= depth; at = json.indexOf(open, at + 1)) brackets++
  if (brackets <= depth) return false
  let level = 0
  let inText = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i] as number
    if (inText) {
      if (byte === BACKSLASH) i++
      else if (byte === QUOTE) inText = false
    } else if (byte === QUOTE) inText = true
    else if (OPEN.has(byte) && ++level > depth) return true
    else if (CLOSE.has(byte)) level--
  }
  return false
}
