/**
 * The audit of a session: who did what when, what was allowed by whom, and what the model saw at each call. A fold over the events, one
 * entry each; memory holds the calls that are open, so it does not grow with the log.
 */
import { textOf, type Block } from '../contract/blocks'
import type { Manifest, Outcome, Usage } from '../contract/events'
import type { LogEvent } from './log-events'

export interface AuditEntry {
  seq: number
  /** Microseconds since 1970. */
  at: number
  /** Whose own row it is: an ancestor's, in a stretch that was inherited. */
  session: string
  actor: string
  type: string
  hash: string
  /** One sentence for people; content in it is not made safe for a terminal. */
  what: string
  /** The text that was said, whole, where there was one. */
  text?: string
  /** The tool call that this is about. `args`: JSON text, as they ran. */
  call?: { id: string; tool: string; args: string; outcome?: Outcome }
  approval?: { decision: 'allow' | 'deny'; by: string; scope: 'once' | 'session'; note?: string; argsEdited: boolean }
  /** Of an answer, or of a failed call: what was sent. The request is that of the answer `prev`, that answer, its results, then `saw`. */
  model?: {
    provider?: string
    name?: string
    manifest?: Manifest
    usage?: Usage
    costUsdMicros?: number
    attempts: number
  }
}

/** One entry for each event. */
export async function* auditOf(events: AsyncIterable<LogEvent>): AsyncGenerator<AuditEntry> {
  const calls = new Map<string, { tool: string; args: string }>()
  for await (const event of events) yield entryOf(event, calls)
}

function entryOf(event: LogEvent, calls: Map<string, { tool: string; args: string }>): AuditEntry {
  const { seq, at, session, actor, type, hash } = event
  const base = { seq, at, session, actor, type, hash }
  const callOf = (id: string, tool = '') => ({ id, tool: calls.get(id)?.tool ?? tool, args: calls.get(id)?.args ?? '' })
  if (event.unknown) return { ...base, what: `a ${type} of version ${event.v}, which this Savefile can't read` }
  switch (event.type) {
    case 'session_created':
      return {
        ...base,
        what: `made the session${event.payload.title ? ` "${event.payload.title}"` : ''}, under ${event.payload.definition}`,
      }
    case 'forked':
      return {
        ...base,
        what: `forked ${event.payload.parent} behind event ${event.payload.seq}, under ${event.payload.definition}`,
      }
    case 'custody_taken':
      return {
        ...base,
        what: `took custody at event ${event.payload.head}${event.payload.why ? `: ${event.payload.why}` : ''}`,
      }
    case 'definition_changed': {
      const { definition, from, changed, why } = event.payload
      return {
        ...base,
        what: `changed the definition from ${from} to ${definition}: ${changed.join(', ')}${why ? ` (${why})` : ''}`,
      }
    }
    case 'message_received': {
      const { blocks, delivery } = event.payload
      if (blocks.length === 0) return { ...base, what: 'stopped the turn' }
      const how =
        delivery === 'queue' ? 'said' : delivery === 'steer' ? 'said, into the running turn' : 'interrupted with'
      return { ...base, what: how, text: textIn(blocks) }
    }
    case 'model_answered': {
      const p = event.payload
      for (const block of p.blocks)
        if (block.type === 'tool_call') calls.set(block.call, { tool: block.name, args: block.args })
      const asked = p.blocks.flatMap((b) => (b.type === 'tool_call' ? [b.name] : []))
      const model = {
        provider: p.provider,
        name: p.model,
        manifest: p.manifest,
        usage: p.usage,
        attempts: Math.max(1, p.attempts.length),
        ...(p.costUsdMicros === undefined ? {} : { costUsdMicros: p.costUsdMicros }),
      }
      return {
        ...base,
        what: `answered${asked.length > 0 ? `, and called ${asked.join(', ')}` : ''}`,
        text: textIn(p.blocks),
        model,
      }
    }
    case 'model_failed': {
      const { manifest, attempts, next } = event.payload
      const model = { attempts: Math.max(1, attempts.length), ...(manifest ? { manifest } : {}) }
      const onward =
        next?.kind === 'fallback'
          ? `; the turn goes on with fallback ${next.model}`
          : next
            ? '; called again behind a summary'
            : ''
      return { ...base, what: `no answer: ${event.payload.class}${onward}`, text: event.payload.message, model }
    }
    case 'approval_requested': {
      const { call, tool, rule } = event.payload
      return { ...base, what: `asked whether ${tool} may run (rule: ${rule})`, call: callOf(call, tool) }
    }
    case 'approval_resolved': {
      const { call, decision, scope, note, args } = event.payload
      const known = calls.get(call)
      if (known && args !== undefined) calls.set(call, { ...known, args })
      const approval = {
        decision,
        by: actor,
        scope,
        argsEdited: args !== undefined,
        ...(note === undefined ? {} : { note }),
      }
      const words = decision === 'allow' ? 'allowed' : 'denied'
      return {
        ...base,
        what: `${words} ${known?.tool ?? 'a call'}${scope === 'session' ? ' for the whole session' : ''}${args === undefined ? '' : ', with other arguments'}`,
        call: callOf(call),
        approval,
      }
    }
    case 'tool_started':
      return { ...base, what: `started ${event.payload.tool}`, call: callOf(event.payload.call, event.payload.tool) }
    case 'tool_finished': {
      const { call, tool, outcome, blocks } = event.payload
      const entry = {
        ...base,
        what: `${tool}: ${outcome}`,
        text: textIn(blocks),
        call: { ...callOf(call, tool), outcome },
      }
      calls.delete(call)
      return entry
    }
    case 'result_arrived_late':
      return {
        ...base,
        what: `${event.payload.tool} had ended after all: ${event.payload.outcome}; kept as evidence`,
        text: textIn(event.payload.blocks),
        call: callOf(event.payload.call, event.payload.tool),
      }
    case 'interrupted':
      return { ...base, what: `the turn ${event.payload.turn} was interrupted by event ${event.payload.by}` }
    case 'turn_finished':
      return {
        ...base,
        what: `the turn ${event.payload.turn} ended: ${event.payload.reason}${event.payload.limit ? ` (${event.payload.limit})` : ''}`,
      }
    case 'session_closed':
      return { ...base, what: `closed the session${event.payload.reason ? `: ${event.payload.reason}` : ''}` }
    case 'checkpoint_made':
      return {
        ...base,
        what: `a summary stands for events ${event.payload.lo} to ${event.payload.hi} in what the model is sent`,
        text: textIn(event.payload.blocks),
      }
    case 'child_started':
      return { ...base, what: `started the sub-agent ${event.payload.child}`, text: textIn(event.payload.task) }
    case 'child_finished':
      return {
        ...base,
        what: `the sub-agent ${event.payload.child} ended: ${event.payload.outcome}`,
        text: textIn(event.payload.blocks),
      }
    case 'granted':
      return {
        ...base,
        what: `granted ${event.payload.rights.join(', ')} to ${event.payload.principal ?? 'whoever has the link'}`,
      }
    case 'revoked':
      return { ...base, what: `revoked the grant ${event.payload.grant}` }
    case 'key_destroyed':
      return { ...base, what: `destroyed the key ${event.payload.kid}: what it opened is erased` }
  }
}

function textIn(blocks: readonly Block[]): string {
  const more = blocks.flatMap((block) => {
    const blob = 'blob' in block ? block.blob : undefined
    return blob
      ? [`(${block.type}, ${blob.bytes} bytes, ${blob.hash})`]
      : block.type === 'structured'
        ? [block.json]
        : []
  })
  return [textOf(blocks), ...more].filter((part) => part !== '').join('\n')
}
