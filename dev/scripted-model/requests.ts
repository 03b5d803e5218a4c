/** What the server keeps of each request, and the journal in which a process writes it down for after its death. */
import { appendFileSync } from 'node:fs'
import type { Api } from './conversation'
import type { Fault } from './script'

export interface RecordedRequest {
  /** Counts from 1, in the order of arrival. */
  n: number
  /** ISO 8601, when the request had arrived. */
  at: string
  api: Api
  model: string
  stream: boolean
  /** sha256 of the body, hex: the same for a request that is sent again. */
  hash: string
  /** Names the conversation (conversation.ts). */
  conversation: string
  turn: number
  step: number
  call: number
  /** The rule that answered; null where the request was refused. */
  rule: string | null
  fault: Fault['kind'] | null
  /** HTTP status of the response; null while there is none. */
  status: number | null
  /** The scripted answer was handed to the socket whole: a vendor would have it paid. Null while it runs. */
  whole: boolean | null
  /** The body, parsed; undefined where bodies are not kept. */
  body?: unknown
}

/**
 * Appends one JSON line, without the body, once the response is over. Written at once, so that a kill right after loses nothing; a request
 * that is under way when the server is killed leaves no line.
 */
export function writeJournal(path: string, { body: _body, ...request }: RecordedRequest): void {
  appendFileSync(path, `${JSON.stringify(request)}\n`)
}
