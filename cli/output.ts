/**
 * Where things go: data on stdout (for people, or with --json as JSON), everything else on stderr. So `savefile ... | jq` and
 * `savefile ... > file` hold what was asked for and nothing else.
 */
import { errorCode } from '../contract/errors'
import { plain, paintFor, type Paint } from './paint'
import { safeText } from './safe-text'

export interface Stream {
  write(text: string): boolean
  isTTY?: boolean
  columns?: number
}

export interface Output {
  readonly json: boolean
  /** For stdout, for stderr. */
  readonly paint: Paint
  readonly notePaint: Paint
  readonly width: number
  readonly isTerminal: boolean
  /** A JSON value in a line of its own on stdout. Only with --json. */
  value(value: unknown): void
  /** A line for people on stdout. Not with --json. */
  print(line?: string): void
  /** A line for people on stderr. */
  note(line: string): void
  /** Raw text for people on stderr. */
  noteRaw(text: string): void
  error(error: unknown): void
}

const DEFAULT_WIDTH = 100

export function createOutput(
  streams: { stdout: Stream; stderr: Stream },
  env: Readonly<Record<string, string | undefined>>,
  json: boolean,
): Output {
  const { stdout, stderr } = streams
  const note = (line: string): void => void stderr.write(`${line}\n`)
  const notePaint = paintFor(stderr, env)
  return {
    json,
    paint: json ? plain : paintFor(stdout, env),
    notePaint,
    width: stdout.columns || stderr.columns || DEFAULT_WIDTH,
    isTerminal: Boolean(stdout.isTTY),
    value: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
    print: (line = '') => void stdout.write(`${line}\n`),
    note,
    noteRaw: (text) => void stderr.write(text),
    error(error) {
      const code = errorCode(error)
      const message = error instanceof Error ? error.message : String(error)
      const data = (error as { data?: unknown } | null)?.data ?? {}
      if (json) note(JSON.stringify({ error: { code: code ?? 'internal', message, data: code ? data : {} } }))
      else note(`${notePaint('red', code ?? 'error')}: ${safeText(message)}`)
    },
  }
}
