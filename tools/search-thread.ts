/**
 * Matches a pattern in a thread of its own: a RegExp of a model may take exponential time, and a thread can be ended in the middle of one
 * while the worker goes on. A linear-time engine would be a native dependency with another syntax than the model knows; V8's own is
 * experimental. The thread's code is a string so that it is the same from source, under the tests and in the package.
 */
import { Worker } from 'node:worker_threads'

export interface Batch {
  /** Path and text. */
  files: { path: string; text: string }[]
}

export interface Hit {
  path: string
  line: number
  text: string
}

export interface Matcher {
  /** The hits of a batch, in order, at most `room`. Null where the thread did not answer in `ms`: it is ended. */
  match(batch: Batch, room: number, ms: number): Promise<Hit[] | null>
  close(): Promise<void>
}

const MAX_LINE_CHARS = 300

const CODE = `
const { parentPort, workerData } = require('node:worker_threads')
const { pattern, flags, maxLineChars } = workerData
const wanted = new RegExp(pattern, flags)
parentPort.on('message', ({ files, room }) => {
  const hits = []
  for (const { path, text } of files) {
    const lines = text.split('\\n')
    for (let i = 0; i < lines.length && hits.length < room; i++) {
      const line = lines[i].endsWith('\\r') ? lines[i].slice(0, -1) : lines[i]
      const found = wanted.exec(line)
      if (!found) continue
      const from = Math.max(0, Math.min(found.index - 100, line.length - maxLineChars))
      const shown = line.slice(from, from + maxLineChars)
      hits.push({ path, line: i + 1, text: (from > 0 ? '...' : '') + shown + (from + shown.length < line.length ? '...' : '') })
    }
  }
  parentPort.postMessage(hits)
})
`

/** A thread that knows one pattern. Its environment is empty. */
export function startMatcher(pattern: string, ignoreCase: boolean): Matcher {
  const thread = new Worker(CODE, {
    eval: true,
    env: {},
    workerData: { pattern, flags: ignoreCase ? 'i' : '', maxLineChars: MAX_LINE_CHARS },
    resourceLimits: { maxOldGenerationSizeMb: 128 },
  })
  let failed: Error | null = null
  let tell: (answer: Hit[] | null) => void = () => undefined
  thread.on('message', (hits: Hit[]) => tell(hits))
  thread.on('error', (error) => {
    failed = error
    tell(null)
  })
  return {
    async match(batch, room, ms) {
      const answer = await new Promise<Hit[] | null>((resolve) => {
        const timer = setTimeout(() => tell(null), ms)
        tell = (hits) => {
          clearTimeout(timer)
          resolve(hits)
        }
        if (failed) tell(null)
        else thread.postMessage({ ...batch, room })
      })
      if (answer === null) await thread.terminate()
      return answer
    },
    async close() {
      await thread.terminate()
    },
  }
}
