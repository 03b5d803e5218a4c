/**
 * Which calls wait for a person now. Found from the end of the log backwards: only calls of the last answer can be open, so this costs
 * the same in a long log as in a short one.
 */
import type { LogEvent } from './log-events'

export interface PendingApproval {
  /** The call's full id, `<session>:<turn step>.<index>`. */
  call: string
  /** What people type: the part after the colon. */
  short: string
  tool: string
  /** JSON text, as the model wrote it. */
  args: string
  /** The rule that asked. */
  rule: string
  /** Microseconds since 1970; null: it waits for ever. */
  expiresAt: number | null
  /** Seq of the request. */
  seq: number
}

/** Reads events `from`..`to`, both included. */
export type ReadRange = (from: number, to: number) => Promise<LogEvent[]>

const PAGE = 100

/** The part of a call id that people type. */
export function shortCall(call: string): string {
  return call.slice(call.indexOf(':') + 1)
}

/** The calls that wait, by the events from the last answer (or earlier) up to the head. Pure. */
export function pendingIn(events: readonly LogEvent[]): PendingApproval[] {
  const args = new Map<string, string>()
  const asked = new Map<string, PendingApproval>()
  const resolved = new Set<string>()
  for (const event of events) {
    if (event.unknown) continue
    switch (event.type) {
      case 'model_answered':
        for (const block of event.payload.blocks) if (block.type === 'tool_call') args.set(block.call, block.args)
        break
      case 'approval_requested': {
        const { call, tool, rule, expiresAt } = event.payload
        const known = {
          call,
          short: shortCall(call),
          tool,
          args: args.get(call) ?? '',
          rule,
          expiresAt: expiresAt ?? null,
          seq: event.seq,
        }
        asked.set(call, known)
        break
      }
      case 'approval_resolved':
        resolved.add(event.payload.call)
        break
      case 'forked': // what was answered in the parent is asked again in the fork, and so where custody was taken
      case 'custody_taken':
        resolved.clear()
        break
      case 'tool_started':
      case 'tool_finished':
        asked.delete(event.payload.call)
        break
      case 'turn_finished':
      case 'session_closed':
        asked.clear()
        break
      default:
    }
  }
  return [...asked.values()].filter((pending) => !resolved.has(pending.call))
}

/** The calls of the log with that head that wait for a person. */
export async function pendingApprovals(head: number, read: ReadRange): Promise<PendingApproval[]> {
  let events: LogEvent[] = []
  for (let to = head; to > 0;) {
    const from = Math.max(1, to - PAGE + 1)
    const page = await read(from, to)
    events = [...page, ...events]
    if (page.some((e) => e.type === 'model_answered' || e.type === 'turn_finished')) break
    to = from - 1
  }
  return pendingIn(events)
}

/** The name of the tool that a call names, looked for from the end; null where no answer made such a call. */
export async function toolOfCall(call: string, head: number, read: ReadRange): Promise<string | null> {
  for (let to = head; to > 0; to -= PAGE) {
    for (const event of await read(Math.max(1, to - PAGE + 1), to)) {
      if (event.unknown || event.type !== 'model_answered') continue
      for (const block of event.payload.blocks) if (block.type === 'tool_call' && block.call === call) return block.name
    }
  }
  return null
}
