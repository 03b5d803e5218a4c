/**
 * A fold of events into spans. Only of what the session itself appended: what a fork inherits is in its parent's trace, and linked. A span is
 * given out when what it is of has ended, so children come before their turn.
 * Over 400 lines: a rule for each type of event.
 */
import type { Definition } from '../contract/definition'
import type { Attempt, KnownEvent, Usage } from '../contract/events'
import type { ExportSource } from './exporting'
import { createContent } from './otel-content'
import { finishReason, modelAsked, providerName, requestNames, responseNames, usageNames, usd } from './otel-names'
import {
  KIND,
  attributes,
  idsOf,
  nanos,
  spanOf,
  type Named,
  type Span,
  type SpanEvent,
  type SpanIds,
  type SpanLink,
} from './otel-span'
import { createTurns, whoOf, type Read, type Turn } from './turns'

type Of<T extends KnownEvent['type']> = Extract<KnownEvent, { type: T }>

/** The turn that is open. */
interface Root {
  ids: SpanIds
  /** False: its events are all inherited. */
  own: boolean
  turn: Turn
  start: number
  events: SpanEvent[]
  links: SpanLink[]
  usage: Usage
  usdMicros: number
  finish: string | undefined
  failed: string | undefined
  said: Named
}

export interface Tracer {
  take(read: Read): Promise<Span[]>
  /** What is open when the log ends. */
  end(): Promise<Span[]>
}

const NOTHING: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 }

export function createTracer(source: ExportSource, withContent: boolean): Tracer {
  const { session, parent } = source.info
  const turns = createTurns()
  const content = createContent(source, withContent)
  const definitions = new Map<string, Promise<Definition | null>>()
  const started = new Map<string, number>()
  const children = new Map<string, number>()
  let runsUnder = ''
  let root: Root | null = null
  /** Of the last turn, and how the next one is linked to what was before the fork. */
  let last: SpanIds | null = null
  let links: SpanLink[] = []
  let compacted = false
  let locked: { seq: number; from: number; to: number; events: number; why: string } | null = null
  let now = 0

  const definition = (hash: string): Promise<Definition | null> => {
    const known = definitions.get(hash) ?? source.definition(hash)
    definitions.set(hash, known)
    return known
  }
  const below = (seq: number): SpanIds & { parentSpanId?: string } =>
    root ? { ...idsOf(root.ids.traceId, session, seq), parentSpanId: root.ids.spanId } : idsOf(null, session, seq)
  const conversation = { 'gen_ai.conversation.id': session }

  async function opened(
    turn: Turn,
    owner: string,
    start: number,
    seq: number,
    opener: KnownEvent | null,
  ): Promise<Root> {
    const own = owner === session
    const linked = own ? links : []
    if (own) links = []
    return {
      ids: idsOf(null, owner, seq),
      own,
      turn,
      start,
      events: [],
      links: linked,
      usage: { ...NOTHING },
      usdMicros: 0,
      finish: undefined,
      failed: undefined,
      said: own ? await content.opened(opener, await definition(runsUnder)) : {},
    }
  }

  /** `ended` null: it is still open. */
  async function closed(of: Root, ended: Turn | null, end: number): Promise<Span> {
    const under = await definition(runsUnder)
    const { reason = null, limit = null } = ended ?? {}
    const trouble =
      reason === 'failed' ? (of.failed ?? '_OTHER') : reason === 'limit' ? `limit_${limit ?? 'reached'}` : undefined
    const name = under?.name
    return spanOf({
      ids: of.ids,
      name: name ? `invoke_agent ${name}` : 'invoke_agent',
      kind: KIND.internal,
      start: of.start,
      end,
      named: {
        'gen_ai.operation.name': 'invoke_agent',
        'gen_ai.provider.name': under ? providerName(under.model.provider, under.model) : undefined,
        'gen_ai.agent.name': name,
        ...conversation,
        'gen_ai.request.model': under?.model.name,
        'gen_ai.response.finish_reasons': of.finish === undefined ? undefined : [of.finish],
        ...usageNames(of.usage),
        'savefile.cost_usd': of.usdMicros > 0 ? usd(of.usdMicros) : undefined,
        'savefile.turn': of.turn.n,
        'savefile.seq': of.turn.opener,
        'savefile.actor': of.turn.who,
        'savefile.turn.reason': reason ?? (ended ? undefined : 'open'),
        ...of.said,
      },
      error: trouble,
      events: of.events,
      links: of.links,
    })
  }

  function mark(event: { at: number; seq: number }, name: string, named: Named): void {
    root?.events.push({
      timeUnixNano: nanos(event.at),
      name: `savefile.${name}`,
      attributes: attributes({ 'savefile.seq': event.seq, ...named }),
    })
  }

  /** The first own event: a turn that was open goes on as one of this session's. */
  async function forked(read: Read): Promise<Span[]> {
    const { stored } = read
    const to = root?.ids ?? last
    const named = {
      'savefile.link': 'forked_from',
      'savefile.parent': parent?.session,
      'savefile.parent.seq': parent?.seq,
    }
    links = to ? [{ ...to, attributes: attributes(named) }] : []
    if (!root) return []
    const before = root
    root = await opened(before.turn, session, stored.at, stored.seq, null)
    return before.own ? [await closed(before, null, stored.at)] : []
  }

  async function model(event: Of<'model_answered'> | Of<'model_failed'>): Promise<Span> {
    const { manifest, attempts } = event.payload
    const under = await definition(manifest?.definition ?? runsUnder)
    const asked = modelAsked(under, manifest?.fallback)
    const answer = event.type === 'model_answered' ? event.payload : null
    const provider = answer?.provider ?? asked?.provider ?? 'unknown'
    const name = asked?.name ?? answer?.model ?? ''
    const total = (answer?.timings.totalMs ?? 0) * 1000
    const start = answer
      ? answer.timings.startedAt > 0
        ? answer.timings.startedAt
        : Math.max(0, event.at - total)
      : (attempts[0]?.at ?? event.at)
    const said = answer ? await content.asked(answer) : { named: {}, compacted: false }
    compacted ||= said.compacted
    if (root && answer) {
      add(root.usage, answer.usage)
      root.usdMicros += answer.costUsdMicros ?? 0
      root.finish = finishReason(answer.stop)
      root.said = { ...root.said, ...content.answered(said.named) }
    }
    if (root && event.type === 'model_failed') root.failed = event.payload.class
    return spanOf({
      ids: below(event.seq),
      name: `chat ${name}`.trim(),
      kind: KIND.client,
      start,
      end: answer ? start + total : event.at,
      named: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': providerName(provider, asked),
        ...conversation,
        'gen_ai.conversation.compacted': compacted || undefined,
        ...requestNames(asked),
        ...(answer ? responseNames(answer) : {}),
        'savefile.seq': event.seq,
        'savefile.request.hash': manifest?.requestHash || undefined,
        ...said.named,
      },
      error: event.type === 'model_failed' ? event.payload.class : undefined,
      ...(withContent && event.type === 'model_failed' ? { message: event.payload.message } : {}),
      events: (answer ? attempts.slice(0, -1) : attempts).map(attemptEvent),
    })
  }

  function summary({ seq, at, payload: p }: Of<'checkpoint_made'>): Span[] {
    if (p.method === 'given' || !p.usage) return []
    if (root) {
      add(root.usage, p.usage)
      root.usdMicros += p.costUsdMicros ?? 0
    }
    const named = {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': providerName(p.provider ?? 'unknown', null),
      ...conversation,
      'gen_ai.request.model': p.model,
      ...usageNames(p.usage),
      'savefile.cost_usd': usd(p.costUsdMicros),
      'savefile.seq': seq,
      'savefile.checkpoint': true,
    }
    const start = p.attempts?.[0]?.at ?? at
    return [spanOf({ ids: below(seq), name: `chat ${p.model ?? ''}`.trim(), kind: KIND.client, start, end: at, named })]
  }

  async function tool(event: Of<'tool_finished'>): Promise<Span> {
    const { call, tool: name, outcome, code, ms } = event.payload
    const start = started.get(call) ?? event.at - (ms ?? 0) * 1000
    started.delete(call)
    return spanOf({
      ids: below(event.seq),
      name: `execute_tool ${name}`,
      kind: KIND.internal,
      start: Math.max(0, start),
      end: event.at,
      named: {
        'gen_ai.operation.name': 'execute_tool',
        'gen_ai.tool.name': name,
        'gen_ai.tool.call.id': call,
        'gen_ai.tool.type': 'function',
        ...conversation,
        'savefile.outcome': outcome,
        'savefile.seq': event.seq,
        ...(await content.result(event.payload)),
      },
      error: outcome === 'ok' ? undefined : (code ?? outcome),
    })
  }

  async function child(event: Of<'child_finished'>): Promise<Span> {
    const { child: name, outcome } = event.payload
    const first = await firstTurnOf(name)
    const start = children.get(name) ?? event.at
    children.delete(name)
    return spanOf({
      ids: below(event.seq),
      name: 'invoke_agent',
      kind: KIND.internal,
      start,
      end: event.at,
      named: {
        'gen_ai.operation.name': 'invoke_agent',
        'gen_ai.conversation.id': name,
        'savefile.outcome': outcome,
        'savefile.seq': event.seq,
      },
      error: outcome === 'ok' ? undefined : outcome,
      links: first
        ? [{ ...first, attributes: attributes({ 'savefile.link': 'sub_agent', 'savefile.child': name }) }]
        : [],
    })
  }

  async function firstTurnOf(name: string): Promise<SpanIds | null> {
    const of = await source.child(name)
    if (!of) return null
    for await (const { type, session: owner, seq } of of.events())
      if (type === 'message_received') return idsOf(null, owner, seq)
    return null
  }

  /** What an event adds; `own`: also its spans. */
  async function see(event: KnownEvent, own: boolean): Promise<Span[]> {
    switch (event.type) {
      case 'session_created':
      case 'forked':
      case 'definition_changed':
        runsUnder = event.payload.definition
        if (event.type === 'definition_changed')
          mark(event, 'definition_changed', { 'savefile.changed': event.payload.changed })
        return []
      case 'message_received':
        await content.message(event)
        if (root && root.turn.opener !== event.seq)
          mark(event, 'message', { 'savefile.delivery': event.payload.delivery, 'savefile.actor': whoOf(event.actor) })
        return []
      case 'model_answered':
      case 'model_failed': {
        const span = await model(event)
        return own ? [span] : []
      }
      case 'approval_requested': {
        const { call, tool: name, rule } = event.payload
        mark(event, 'approval_requested', {
          'gen_ai.tool.name': name,
          'gen_ai.tool.call.id': call,
          'savefile.rule': rule,
        })
        return []
      }
      case 'approval_resolved': {
        const { call, decision, scope, args } = event.payload
        content.edited(call, args)
        const by = { 'savefile.actor': whoOf(event.actor), 'savefile.decision': decision, 'savefile.scope': scope }
        mark(event, 'approval_resolved', { 'gen_ai.tool.call.id': call, ...by })
        return []
      }
      case 'tool_started':
        started.set(event.payload.call, event.at)
        return []
      case 'tool_finished': {
        const span = await tool(event)
        await content.finished(event)
        return own ? [span] : []
      }
      case 'result_arrived_late':
        mark(event, 'result_arrived_late', {
          'gen_ai.tool.call.id': event.payload.call,
          'savefile.outcome': event.payload.outcome,
        })
        return []
      case 'interrupted':
        content.interrupted(event)
        mark(event, 'interrupted', { 'savefile.by': event.payload.by })
        return []
      case 'checkpoint_made': {
        await content.checkpoint(event)
        const spans = summary(event)
        if (spans.length === 0)
          mark(event, 'checkpoint_made', { 'savefile.lo': event.payload.lo, 'savefile.hi': event.payload.hi })
        return own ? spans : []
      }
      case 'child_started':
        children.set(event.payload.child, event.at)
        return []
      case 'child_finished': {
        const span = await child(event)
        return own ? [span] : []
      }
      default:
        return []
    }
  }

  function unlocked(): Span[] {
    if (!locked) return []
    const { seq, from, to, events, why } = locked
    locked = null
    const named = { ...conversation, 'savefile.seq': seq, 'savefile.locked': why, 'savefile.events': events }
    return [spanOf({ ids: below(seq), name: 'locked', kind: KIND.internal, start: from, end: to, named, error: why })]
  }

  async function take(read: Read): Promise<Span[]> {
    const { stored, event } = read
    const own = stored.session === session
    now = stored.at
    const spans: Span[] = []
    if (stored.type === 'forked' && own) spans.push(...(await forked(read)))
    if (!stored.locked) spans.push(...unlocked())
    else if (own) {
      locked ??= { seq: stored.seq, from: stored.at, to: stored.at, events: 0, why: stored.locked }
      locked.to = stored.at
      locked.events++
    }
    const { began, ended } = turns.push(read)
    if (began) root = await opened(began, stored.session, stored.at, began.opener, event)
    if (event) spans.push(...(await see(event, own)))
    if (!ended) return spans
    if (root?.own) spans.push(await closed(root, ended, stored.at))
    last = root?.ids ?? last
    const next = turns.current()
    root = next ? await opened(next, stored.session, stored.at, next.opener, null) : null
    return spans
  }

  return {
    take,
    async end() {
      const spans = unlocked()
      return root?.own ? [...spans, await closed(root, null, now)] : spans
    },
  }
}

function attemptEvent({ n, at, outcome }: Attempt): SpanEvent {
  return {
    timeUnixNano: nanos(at),
    name: 'savefile.attempt',
    attributes: attributes({ 'savefile.attempt': n, 'savefile.outcome': outcome }),
  }
}

function add(to: Usage, more: Usage): void {
  for (const key of Object.keys(to) as (keyof Usage)[]) to[key] += more[key]
}
