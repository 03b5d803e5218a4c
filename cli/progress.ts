/** What takes over a second, as lines on stderr: a line for each part, rewritten in place on a terminal. */
import type { Paint } from './paint'
import { oneLine } from './safe-text'

/** As in dev/progress.ts. */
interface Progress {
  what: string
  state: 'start' | 'progress' | 'done'
  detail: string
}

const NAME = 10

export function createProgress(
  stream: { write(text: string): boolean; isTTY?: boolean; columns?: number },
  paint: Paint,
): (p: Progress) => void {
  const room = Math.max(20, (stream.columns || 120) - NAME - 6)
  let open = false
  return ({ what, state, detail }) => {
    if (open && stream.isTTY) stream.write('\r\u001b[K')
    const mark = state === 'done' ? paint('green', '✓') : paint('dim', '·')
    const text = `  ${mark} ${what.padEnd(NAME)} ${paint(state === 'done' ? 'bold' : 'dim', oneLine(detail, room))}`
    open = state !== 'done' && Boolean(stream.isTTY)
    stream.write(open ? text : `${text}\n`)
  }
}
