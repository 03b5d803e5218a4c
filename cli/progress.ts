/** What takes over a second, as lines on stderr: a line for each part, rewritten in place on a terminal; elsewhere one every ten seconds. */
import type { Paint } from './paint'
import { oneLine } from './safe-text'

/** As in dev/progress.ts. */
interface Progress {
  what: string
  state: 'start' | 'progress' | 'done'
  detail: string
}

const NAME = 10
/** Without a terminal a line stays, and a build of minutes is told every second. */
const QUIET_MS = 10_000

export function createProgress(
  stream: { write(text: string): boolean; isTTY?: boolean; columns?: number },
  paint: Paint,
  now: () => number = Date.now,
): (p: Progress) => void {
  const room = Math.max(20, (stream.columns || 120) - NAME - 6)
  let open = false
  /** By part: when its last line was written. */
  const told = new Map<string, number>()
  return ({ what, state, detail }) => {
    if (!stream.isTTY) {
      if (state === 'progress' && now() - (told.get(what) ?? -Infinity) < QUIET_MS) return
      told.set(what, now())
    }
    if (open && stream.isTTY) stream.write('\r\u001b[K')
    const mark = state === 'done' ? paint('green', '✓') : paint('dim', '·')
    const text = `  ${mark} ${what.padEnd(NAME)} ${paint(state === 'done' ? 'bold' : 'dim', oneLine(detail, room))}`
    open = state !== 'done' && Boolean(stream.isTTY)
    stream.write(open ? text : `${text}\n`)
  }
}
