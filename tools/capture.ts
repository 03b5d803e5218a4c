/** What a command wrote: all of it up to 10 MB, of more its head and its tail; how much there was is always known. Memory is bounded by that. */

export const MAX_KEPT_BYTES = 10 * 1024 * 1024
const TAIL_BYTES = 256 * 1024
const HEAD_BYTES = MAX_KEPT_BYTES - TAIL_BYTES

export class Capture {
  total = 0
  private readonly head: Buffer[] = []
  private headBytes = 0
  private tail: Buffer[] = []
  private tailBytes = 0

  push(chunk: Buffer): void {
    this.total += chunk.byteLength
    const first = chunk.subarray(0, HEAD_BYTES - this.headBytes)
    if (first.byteLength > 0) {
      this.head.push(first)
      this.headBytes += first.byteLength
    }
    const rest = chunk.subarray(first.byteLength)
    if (rest.byteLength === 0) return
    this.tail.push(rest)
    this.tailBytes += rest.byteLength
    // Whole chunks are let go, so between one and two tails are held.
    if (this.tailBytes > 2 * TAIL_BYTES) this.trim()
  }

  /** Bytes that were let go, of the middle. */
  get lost(): number {
    return Math.max(0, this.total - MAX_KEPT_BYTES)
  }

  bytes(): Buffer {
    if (this.lost === 0) return Buffer.concat([...this.head, ...this.tail])
    this.trim()
    const note = Buffer.from(`\n[... ${this.lost} of ${this.total} bytes were not kept ...]\n`)
    return Buffer.concat([...this.head, note, ...this.tail])
  }

  private trim(): void {
    const all = Buffer.concat(this.tail)
    const last = Buffer.from(all.subarray(Math.max(0, all.byteLength - TAIL_BYTES)))
    this.tail = [last]
    this.tailBytes = last.byteLength
  }
}
