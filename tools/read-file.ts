/** read_file: lines of a text file, numbered. A large file is read in windows that fit what a model is sent. */
import { z } from 'zod'
import { TOOL_OUTPUT_CHARS } from '../contract/limits'
import { cutText } from '../contract/text'
import { ToolFailure } from './failure'
import { defineTool } from './tool'
import { inParent, locate, openFile } from './work-folder'

const MAX_LINE_CHARS = 2_000
/** Left for the closing note. */
const ROOM_CHARS = TOOL_OUTPUT_CHARS - 200
/** A NUL this early says binary, as git and grep have it. */
const BINARY_PROBE_BYTES = 8_192
/** The lines of a longer file are not counted to their end. */
const MAX_COUNT_BYTES = 16 * 1024 * 1024

export const readFile = defineTool({
  name: 'read_file',
  description:
    'Reads a text file of the work folder. Gives back its lines with their numbers and a tab before each ("   1\\ttext"), and says where to go on if there are more. ' +
    `Lines over ${MAX_LINE_CHARS} characters are cut. Binary files are refused.`,
  input: z.object({
    path: z.string().min(1).describe('File, relative to the work folder'),
    offset: z.int().min(1).max(100_000_000).default(1).describe('Number of the first line'),
    limit: z.int().min(1).max(10_000).default(2_000).describe('How many lines at most'),
  }),
  readOnly: true,
  idempotent: true,
  approval: 'allow',
  timeoutMs: 10_000,
  local: true,
  async run({ path, offset, limit }, { workFolder, signal }) {
    const place = await locate(workFolder, path)
    return inParent(place, {}, async (folder, name) => {
      const handle = await openFile(folder, name)
      try {
        const window = new LineWindow(offset, limit)
        const decoder = new TextDecoder()
        let bytes = 0
        for await (const chunk of handle.createReadStream({
          autoClose: false,
          highWaterMark: 256 * 1024,
        }) as AsyncIterable<Buffer>) {
          signal.throwIfAborted()
          if (bytes < BINARY_PROBE_BYTES && chunk.subarray(0, BINARY_PROBE_BYTES - bytes).includes(0))
            throw binary(path)
          bytes += chunk.byteLength
          window.push(decoder.decode(chunk, { stream: true }))
          if (window.full && bytes > MAX_COUNT_BYTES) return window.text(false)
        }
        window.push(decoder.decode())
        return window.text(true)
      } finally {
        await handle.close()
      }
    })
  },
})

export function binary(path: string): ToolFailure {
  return new ToolFailure('binary_file', `${path} is a binary file: only text can be used here`)
}

/** Collects lines `offset`.. of a text that comes in pieces; memory is bounded by what is shown. */
class LineWindow {
  private readonly shown: string[] = []
  private chars = 0
  private line = 1
  private pending = ''
  private pendingChars = 0
  /** Line at which the room was used up. */
  private stoppedAt = 0

  constructor(
    private readonly offset: number,
    private readonly limit: number,
  ) {}

  get full(): boolean {
    return this.stoppedAt > 0 || this.shown.length >= this.limit
  }

  push(text: string): void {
    let from = 0
    for (;;) {
      const end = text.indexOf('\n', from)
      this.grow(end < 0 ? text.slice(from) : text.slice(from, end))
      if (end < 0) return
      this.endLine()
      from = end + 1
    }
  }

  text(complete: boolean): string {
    if (this.pendingChars > 0) this.endLine()
    const lines = this.line - 1
    const total = complete ? `${lines} lines` : `more than ${lines} lines`
    if (lines === 0) return '[the file is empty]'
    if (this.offset > lines) return `[the file has ${total}: there is no line ${this.offset}]`
    const last = this.offset + this.shown.length - 1
    if (last >= lines && complete && this.offset === 1) return this.shown.join('\n')
    const more = last < lines || !complete ? `; go on with offset ${last + 1}` : ''
    return [...this.shown, `[lines ${this.offset} to ${last} of ${total}${more}]`].join('\n')
  }

  private grow(piece: string): void {
    this.pendingChars += piece.length
    if (this.pending.length < MAX_LINE_CHARS) this.pending += piece.slice(0, MAX_LINE_CHARS - this.pending.length)
  }

  private endLine(): void {
    if (this.line >= this.offset && !this.full) {
      const text = this.pending.endsWith('\r') ? this.pending.slice(0, -1) : this.pending
      const cut =
        this.pendingChars > MAX_LINE_CHARS
          ? `${cutText(text, text.length)} [... the line has ${this.pendingChars} characters]`
          : text
      const numbered = `${String(this.line).padStart(4)}\t${cut}`
      if (this.shown.length > 0 && this.chars + numbered.length + 1 > ROOM_CHARS) this.stoppedAt = this.line
      else {
        this.shown.push(numbered)
        this.chars += numbered.length + 1
      }
    }
    this.line++
    this.pending = ''
    this.pendingChars = 0
  }
}
