/**
 * Names that follow from the log (PROTOCOL.md rules 5 to 8). Everything here is safe to show to Temporal: ids and numbers, never content.
 */

/** Which session, in whose space. */
export interface SessionRef {
  space: string
  session: string
}

export const DEFAULT_SPACE = 'default'

/** Lowercase letters and digits, and `_` or `-` inside; at most 64 characters. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/

/** Says what is wrong with a session id or a space name, or null where nothing is. */
export function nameProblem(what: 'session id' | 'space', name: string): string | null {
  if (NAME.test(name)) return null
  return `${what} ${JSON.stringify(name.slice(0, 80))} must be 1 to 64 of a-z, 0-9, "_" and "-", and begin with a letter or a digit`
}

/** A session id from 16 random bytes: 25 characters of a-z and 0-9, so that a short prefix tells sessions apart. */
export function sessionIdFrom(random: Uint8Array): string {
  let n = 0n
  for (const byte of random) n = (n << 8n) | BigInt(byte)
  return n.toString(36).padStart(25, '0').slice(-25)
}

/** One open run a session is kept by Temporal itself, because the workflow id is the session's. */
export function workflowId({ space, session }: SessionRef): string {
  return space === DEFAULT_SPACE ? session : `${space}/${session}`
}

/** `model@T`: T is the seq of the event that made the call due. */
export function modelStep(due: number): string {
  return `model@${due}`
}

/** Call ids name the session that appended the answer, the answer's step and an index: `<session>:<T>.<index>`. */
export function callId(session: string, due: number, index: number): string {
  return `${session}:${due}.${index}`
}

/** `checkpoint@T`: the summary that is made before `model@T`. */
export function checkpointStep(due: number): string {
  return `checkpoint@${due}`
}

/** `tool@<call id>`. */
export function toolStep(call: string): string {
  return `tool@${call}`
}

/** What a step key names. */
export function parseStep(
  step: string,
): { kind: 'model' | 'checkpoint'; due: number } | { kind: 'tool'; call: string } {
  if (step.startsWith('model@')) return { kind: 'model', due: Number(step.slice(6)) }
  if (step.startsWith('checkpoint@')) return { kind: 'checkpoint', due: Number(step.slice(11)) }
  if (step.startsWith('tool@')) return { kind: 'tool', call: step.slice(5) }
  throw new Error(`not a step key: ${step}`)
}
