/** What a bench says to its model, in a person's message, and how the model reads it back out of a request's body. */

/** Where no real server is. */
export const BENCH_MODEL_URL = 'http://bench-model.invalid'

export interface TurnWords {
  /** Answers with calls; one more without ends the turn. */
  steps: number
  tool: string
  /** Calls at once. */
  calls: number
  /** Of an answer's text. */
  bytes: number
  /** How long an answer takes. */
  ms: number
  deltaChars: number
}

export const STEP: TurnWords = { steps: 25, tool: 'read_file', calls: 1, bytes: 1000, ms: 0, deltaChars: 250 }

export function sayTurn(change: Partial<TurnWords> = {}): string {
  const { steps, tool, calls, bytes, ms, deltaChars } = { ...STEP, ...change }
  return `bench:${steps}:${tool}:${calls}:${bytes}:${ms}:${deltaChars}:`
}

/** The newest such message of a request, and where it ends. Searched from the end: nothing else in a bench says "bench:". */
export function parseTurn(body: string): { words: TurnWords; end: number } {
  const at = body.lastIndexOf('"bench:')
  if (at < 0) throw new Error('no bench message in the request')
  const end = body.indexOf('"', at + 1)
  const [, steps, tool, calls, bytes, ms, deltaChars] = body.slice(at + 1, end).split(':')
  return {
    words: {
      steps: Number(steps),
      tool: tool ?? '',
      calls: Number(calls),
      bytes: Number(bytes),
      ms: Number(ms),
      deltaChars: Number(deltaChars),
    },
    end,
  }
}
