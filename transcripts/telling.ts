/**
 * A log told for people: each event as an entry of plain parts, each turn around its entries. What Markdown and the page have in common; how
 * it looks and what has to be escaped is theirs. Nothing that an event says to people is left out; what is for machines (replay, request
 * hashes, idempotency keys) is.
 */
import type { BlobRef, Block, ContentBlock } from '../contract/blocks'
import type { KnownEvent, Manifest, Outcome, Payload } from '../contract/events'
import type { ExportSource } from './exporting'
import { bytesText, countText, durationText, timeText, usdText } from './numbers'
import { createTurns, readAll, reasonText, whoOf, type Read, type Turn } from './turns'

export type Part =
  /** What was said: prose. */
  | { kind: 'said'; text: string }
  | { kind: 'reasoning'; text: string }
  | { kind: 'call'; call: string; name: string; args: string }
  /** To be shown as it is: results, JSON, payloads. */
  | { kind: 'output'; text: string; json?: true }
  | { kind: 'image'; blob: BlobRef }
  | { kind: 'file'; blob: BlobRef; name?: string; kept: boolean }
  /** What there is to know about it. May hold what others wrote. */
  | { kind: 'note'; text: string }

export type Tone = 'plain' | 'good' | 'warn' | 'bad'

export interface Entry {
  seq: number
  at: number
  who: string
  role: 'person' | 'agent' | 'tool' | 'system'
  tone: Tone
  title: string
  details: string[]
  parts: Part[]
}

export type Told =
  /** `waited`: its message came during the turn before, and stands there. */
  | { kind: 'turn'; turn: Turn; waited: boolean }
  | { kind: 'entry'; entry: Entry; read: Read }
  | { kind: 'turn_end'; turn: Turn }

type Of<T extends KnownEvent['type']> = Extract<KnownEvent, { type: T }>

export async function* tell(source: ExportSource): AsyncGenerator<Told> {
  const turns = createTurns()
  for await (const read of readAll(source.events())) {
    const { began, ended } = turns.push(read)
    if (began) yield { kind: 'turn', turn: began, waited: false }
    yield { kind: 'entry', entry: await entryOf(read, source), read }
    if (!ended) continue
    yield { kind: 'turn_end', turn: ended }
    const next = turns.current()
    if (next) yield { kind: 'turn', turn: next, waited: true }
  }
}

export function totalsOf(turn: Turn): string[] {
  return [
    ...(turn.endedAt === null ? ['open'] : [reasonText(turn), durationText((turn.endedAt - turn.openedAt) / 1000)]),
    countText(turn.modelCalls, 'model call'),
    ...(turn.tools > 0 ? [countText(turn.tools, 'tool')] : []),
    `${turn.input} tokens in, ${turn.output} out`,
    ...(turn.usdMicros === null || turn.usdMicros === 0 ? [] : [usdText(turn.usdMicros)]),
  ]
}

/** `12.0` of the call `<session>:12.0`. */
const shortCall = (call: string): string => call.slice(call.lastIndexOf(':') + 1)
const note = (text: string): Part => ({ kind: 'note', text })
const notes = (of: Record<string, string | undefined>): Part[] =>
  Object.entries(of).flatMap(([name, text]) => (text === undefined || text === '' ? [] : [note(`${name}: ${text}`)]))

const OUTCOME_TONE: Readonly<Record<Outcome, Tone>> = {
  ok: 'good',
  error: 'bad',
  denied: 'warn',
  cancelled: 'warn',
  unknown: 'warn',
}

const LOCKED = {
  key_missing: 'Its content is encrypted, and the key is not here.',
  key_destroyed: 'Its content was erased: the key is destroyed.',
}

async function entryOf(read: Read, source: ExportSource): Promise<Entry> {
  const { stored, event } = read
  const base: Entry = {
    seq: stored.seq,
    at: stored.at,
    who: whoOf(stored.actor),
    role: stored.actor.startsWith('user:') ? 'person' : stored.actor === 'agent' ? 'agent' : 'system',
    tone: 'plain',
    title: stored.type.replaceAll('_', ' '),
    details: [],
    parts: [],
  }
  if (!event && stored.locked) return { ...base, tone: 'warn', parts: [note(LOCKED[stored.locked])] }
  if (!event) {
    const title = `${stored.type}, version ${stored.v}: not known to this version of Savefile`
    return { ...base, tone: 'warn', title, parts: [{ kind: 'output', text: stored.payload }] }
  }
  return { ...base, ...(await told(event, source)) }
}

async function told(event: KnownEvent, source: ExportSource): Promise<Partial<Entry>> {
  const content = (blocks: readonly (Block | ContentBlock)[], as: 'said' | 'output' = 'said'): Promise<Part[]> =>
    partsOf(blocks, as, source)
  switch (event.type) {
    case 'session_created': {
      const { origin, title, labels, workFolder, definition } = event.payload
      const from =
        origin.kind === 'import'
          ? `imported from ${origin.format}`
          : origin.kind === 'compaction'
            ? `begins with a summary of events ${origin.lo} to ${origin.hi} of ${origin.session}`
            : undefined
      return { parts: notes({ title, labels: labelText(labels), 'work folder': workFolder, definition, origin: from }) }
    }
    case 'forked': {
      const { parent, seq, definition, title, labels, workFolder, folder, open, brought = [] } = event.payload
      const how = folder === undefined ? undefined : `${workFolder ?? ''} (${folder} of the one before)`
      return {
        title: `forked from ${parent} at event ${seq}`,
        details: open === 'rerun' ? ['calls that were open run again'] : [],
        parts: [
          ...notes({ title, labels: labelText(labels), 'work folder': how ?? workFolder, definition }),
          ...brought.map((b) => note(`brought along by ${b.tool}: ${b.note}`)),
        ],
      }
    }
    case 'definition_changed': {
      const { changed, why, definition } = event.payload
      return {
        title: `definition changed: ${changed.join(', ') || 'nothing that counts'}`,
        parts: notes({ why, definition }),
      }
    }
    case 'message_received':
      return said(event, await content(event.payload.blocks))
    case 'model_answered':
      return answered(event.payload, await content(event.payload.blocks))
    case 'model_failed':
      return failed(event.payload)
    case 'approval_requested': {
      const { call, tool, rule, expiresAt } = event.payload
      return {
        tone: 'warn',
        title: `may ${tool} run? (${shortCall(call)})`,
        details: [`rule: ${rule}`, ...(expiresAt === undefined ? [] : [`until ${timeText(expiresAt)}`])],
      }
    }
    case 'approval_resolved': {
      const { call, decision, scope, note: why, args } = event.payload
      return {
        tone: decision === 'allow' ? 'good' : 'warn',
        title: `${decision === 'allow' ? 'allowed' : 'denied'} ${shortCall(call)}`,
        details: scope === 'session' ? ['for the rest of this session'] : [],
        parts: [
          ...notes({ note: why }),
          ...(args === undefined ? [] : [note('with these arguments instead:'), jsonPart(args)]),
        ],
      }
    }
    case 'tool_started': {
      const { tool, call, queue } = event.payload
      return {
        role: 'tool',
        title: `${tool} started (${shortCall(call)})`,
        details: queue === null ? [] : [`on ${queue}`],
      }
    }
    case 'tool_finished': {
      const { tool, call, outcome, code, ms, blocks } = event.payload
      const took = ms === undefined ? [] : [durationText(ms)]
      return result(`${tool} (${shortCall(call)})`, outcome, await content(blocks, 'output'), [
        ...(code === undefined ? [] : [code]),
        ...took,
      ])
    }
    case 'result_arrived_late': {
      const { tool, call, outcome, blocks } = event.payload
      const title = `late result of ${tool} (${shortCall(call)}), kept as evidence`
      return result(title, outcome, await content(blocks, 'output'), [])
    }
    case 'interrupted': {
      const parts = await Promise.all(event.payload.partial.map(({ blocks }) => content(blocks)))
      const kept = parts.flat()
      return {
        tone: 'warn',
        title: `interrupted by event ${event.payload.by}`,
        parts: kept.length > 0 ? [note('what had been written:'), ...kept] : [],
      }
    }
    case 'checkpoint_made': {
      const { lo, hi, method, model, blocks, usage, costUsdMicros } = event.payload
      return {
        title: `checkpoint: stands for events ${lo} to ${hi}`,
        details: [
          method === 'given' ? 'given' : `by ${model ?? 'a model'}`,
          ...usageText(usage),
          ...moneyText(costUsdMicros),
        ],
        parts: await content(blocks),
      }
    }
    case 'child_started':
      return { title: `sub-agent ${event.payload.child} started`, parts: await content(event.payload.task) }
    case 'child_finished': {
      const { child, outcome, blocks } = event.payload
      return result(`sub-agent ${child}`, outcome, await content(blocks), [])
    }
    case 'turn_finished': {
      const { reason, limit = null } = event.payload
      const tone = reason === 'failed' ? 'bad' : reason === 'limit' || reason === 'interrupted' ? 'warn' : 'good'
      return {
        tone,
        title: `turn ${reason === 'limit' ? 'ended' : ''} ${reasonText({ reason, limit })}`.replace('  ', ' '),
      }
    }
    case 'custody_taken': {
      const { head, why, original = [] } = event.payload
      const files = original.map(({ name, blob }): Part => ({ kind: 'file', blob, name, kept: true }))
      return { title: `goes on here, from event ${head}`, parts: [...notes({ why }), ...files] }
    }
    case 'granted': {
      const { grant, principal, rights, forks, expiresAt, label } = event.payload
      return {
        title: `granted ${rights.join(', ')} to ${principal ?? 'whoever has the link'}`,
        details: [
          ...(forks ? ['forks too'] : []),
          ...(expiresAt === undefined ? [] : [`until ${timeText(expiresAt)}`]),
          `grant ${grant}`,
        ],
        parts: notes({ label }),
      }
    }
    case 'revoked':
      return { title: `revoked grant ${event.payload.grant}` }
    case 'session_closed':
      return { title: 'session closed', parts: notes({ reason: event.payload.reason }) }
    case 'key_destroyed':
      return {
        tone: 'warn',
        title: 'erased: the key of this content is destroyed',
        parts: notes({ why: event.payload.why }),
      }
  }
}

function said({ payload }: Of<'message_received'>, parts: Part[]): Partial<Entry> {
  const { delivery } = payload
  if (delivery === 'interrupt' && parts.length === 0) return { title: 'stop', tone: 'warn' }
  const title = { queue: '', steer: 'steering', interrupt: 'interrupting' }[delivery]
  return { title, parts: parts.length > 0 ? parts : [note('(nothing)')] }
}

const STOPS: Readonly<Partial<Record<Payload<'model_answered'>['stop'], string>>> = {
  max_tokens: 'cut off at the output limit',
  context_exceeded: 'cut off: the context is full',
  refusal: 'refused',
  pause: 'paused',
}

function answered(p: Payload<'model_answered'>, parts: Part[]): Partial<Entry> {
  const stop = STOPS[p.stop]
  return {
    role: 'agent',
    title: p.model,
    details: [
      p.provider,
      durationText(p.timings.totalMs),
      ...usageText(p.usage),
      ...moneyText(p.costUsdMicros),
      ...(stop === undefined ? [] : [stop]),
      ...attemptsText(p.attempts),
    ],
    parts: [...(parts.length > 0 ? parts : [note('(an empty answer)')]), ...droppedText(p.manifest)],
  }
}

function failed(p: Payload<'model_failed'>): Partial<Entry> {
  const next =
    p.next?.kind === 'fallback'
      ? [`fallback model ${p.next.model} goes on`]
      : p.next?.kind === 'checkpoint'
        ? ['goes on behind a checkpoint']
        : []
  return {
    role: 'agent',
    tone: 'bad',
    title: `model call failed: ${p.class.replaceAll('_', ' ')}`,
    details: [...(p.status === undefined ? [] : [`status ${p.status}`]), ...attemptsText(p.attempts), ...next],
    parts: [
      ...(p.message.trim() === '' ? [] : [{ kind: 'output' as const, text: p.message }]),
      ...(p.manifest ? droppedText(p.manifest) : []),
    ],
  }
}

function result(what: string, outcome: Outcome, parts: Part[], details: string[]): Partial<Entry> {
  return { role: 'tool', tone: OUTCOME_TONE[outcome], title: `${what}: ${outcome}`, details, parts }
}

function usageText(usage: Payload<'checkpoint_made'>['usage']): string[] {
  if (!usage) return []
  const cached = usage.cacheRead > 0 ? ` (${usage.cacheRead} from the cache)` : ''
  return [`${usage.input} tokens in${cached}, ${usage.output} out`]
}

function moneyText(micros: number | undefined): string[] {
  return micros === undefined ? [] : [usdText(micros)]
}

function attemptsText(attempts: Payload<'model_answered'>['attempts']): string[] {
  if (attempts.length < 2) return []
  return [`${attempts.length} attempts: ${attempts.map((a) => a.outcome.replaceAll('_', ' ')).join(', ')}`]
}

function droppedText({ dropped }: Manifest): Part[] {
  return dropped.map(({ seq, what, why }) => note(`left out of the request, of event ${seq}: ${what} (${why})`))
}

function labelText(labels: Record<string, string> | undefined): string | undefined {
  return (
    labels &&
    Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(', ')
  )
}

function jsonPart(text: string): Part {
  return { kind: 'output', text, json: true }
}

async function partsOf(
  blocks: readonly (Block | ContentBlock)[],
  as: 'said' | 'output',
  source: ExportSource,
): Promise<Part[]> {
  const parts: Part[] = []
  for (const block of blocks) parts.push(...(await blockParts(block, as, source)))
  return parts
}

async function blockParts(block: Block | ContentBlock, as: 'said' | 'output', source: ExportSource): Promise<Part[]> {
  switch (block.type) {
    case 'text': {
      const replaced =
        block.normalised === undefined
          ? []
          : [note(`${countText(block.normalised, 'character')} that no store can hold were replaced`)]
      if (!block.blob) return block.text === '' ? replaced : [{ kind: as, text: block.text }, ...replaced]
      const bytes = await source.blob(block.blob.hash)
      if (!bytes) return [note(`text of ${bytesText(block.blob.bytes)}, not to be read here: ${block.blob.hash}`)]
      return [{ kind: as, text: new TextDecoder().decode(bytes) }, ...replaced]
    }
    case 'refusal':
      return [note('refused:'), { kind: as, text: block.text }]
    case 'reasoning':
      return block.text === '' ? [] : [{ kind: 'reasoning', text: block.text }]
    case 'tool_call': {
      const call: Part = { kind: 'call', call: shortCall(block.call), name: block.name, args: block.args }
      return block.problem === undefined ? [call] : [call, note(`not run: ${block.problem}`)]
    }
    case 'structured':
      return [jsonPart(block.json)]
    case 'image':
      return [{ kind: 'image', blob: block.blob }]
    case 'file':
      return [
        {
          kind: 'file',
          blob: block.blob,
          kept: block.kept ?? false,
          ...(block.name === undefined ? {} : { name: block.name }),
        },
      ]
  }
}
