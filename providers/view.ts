/**
 * buildView: what a model is shown, from the log alone (DESIGN.md section 7, PROTOCOL.md rule 9). Pure.
 *
 * View order is not log order. Every answer's manifest names the answer that it goes on from (`prev`) and the events that its request
 * named for the first time (`saw`): a view is, along that chain, each request's `saw` and then its answer. What no manifest names is not
 * shown. An entry depends on nothing that comes after it, so a longer log only adds entries (L10).
 */
import type { Block, ContentBlock } from '../contract/blocks'
import type { Definition } from '../contract/definition'
import type { KnownEvent, Manifest, Outcome } from '../contract/events'
import type { View, ViewEntry } from '../contract/ports'

/**
 * Raised with every change of what a view shows or of how an adapter encodes it; goes into each manifest. Version 2 shows forks and
 * begins at checkpoints, which no request of version 1 named: whatever was sent under it is still sent as it was.
 */
export const VIEW_VERSION = 2

type Of<T extends KnownEvent['type']> = Extract<KnownEvent, { type: T }>
type Answer = Of<'model_answered'>
type Results = Extract<ViewEntry, { role: 'results' }>

/**
 * The view of a session: from the last checkpoint that a request named, or that this one will; else from the first event.
 * @param events the log in order, from its first event.
 * @param saw the seqs that the request about to be made names for the first time, in view order (`unseenByModel`). Absent: only what was
 *   already answered.
 * @param options `raw`: as if no checkpoint had been made.
 */
export function buildView(
  events: readonly KnownEvent[],
  definition: Definition,
  saw?: readonly number[],
  options: { raw?: boolean } = {},
): View {
  const parts = partsOf(events, definition, saw)
  const checkpoint = options.raw ? undefined : parts.flatMap((part) => part.checkpoint ?? []).at(-1)
  return viewOf(definition, entriesFrom(parts, checkpoint, events, parts.length))
}

/**
 * What is sent for a summary of the steps up to `hi`: the view as far as that, with the results that end it and nothing after them, and
 * then what is asked. So it begins as the requests before it did, and costs as little as their cache allows.
 */
export function buildSummaryView(
  events: readonly KnownEvent[],
  definition: Definition,
  saw: readonly number[],
  hi: number,
  ask: string,
): View {
  const parts = partsOf(events, definition, saw)
  const checkpoint = parts.flatMap((part) => part.checkpoint ?? []).at(-1)
  const entries = entriesFrom(parts, checkpoint, events, coveredBy(parts, hi))
  return viewOf(definition, [
    ...entries,
    { role: 'user', seq: hi, actor: 'system', blocks: [{ type: 'text', text: ask }] },
  ])
}

function viewOf({ system, tools }: Definition, entries: ViewEntry[]): View {
  return {
    system,
    tools: tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })),
    entries,
  }
}

/** One request and its answer, which the last one may lack. */
interface Part {
  /** Of the answer before. */
  results: Results[]
  named: ViewEntry[]
  answer?: Extract<ViewEntry, { role: 'assistant' }>
  /** The last one that this request names. */
  checkpoint?: Of<'checkpoint_made'>
}

function partsOf(events: readonly KnownEvent[], definition: Definition, saw?: readonly number[]): Part[] {
  const bySeq = new Map(events.map((event) => [event.seq, event]))
  const edits = editedArgs(events)
  const speakers = new Set<string>()
  const part = (before: Answer | undefined, seqs: readonly number[]): Part => {
    const named = seqs.flatMap((seq) => bySeq.get(seq) ?? [])
    const checkpoint = named.findLast((event) => event.type === 'checkpoint_made')
    return {
      results: before ? resultsOf(before, named, edits) : [],
      named: named.flatMap((event) =>
        event.type === 'forked' ? forkNote(event, events, definition) : entriesOf(event, speakers),
      ),
      ...(checkpoint ? { checkpoint } : {}),
    }
  }
  const parts: Part[] = []
  let before: Answer | undefined
  for (const answer of answersInOrder(events, bySeq)) {
    const { blocks, replay, manifest, stop } = answer.payload
    const entry = {
      role: 'assistant' as const,
      seq: answer.seq,
      blocks,
      ...(replay ? { replay } : {}),
      ...(stop === 'pause' ? { paused: true as const } : {}),
    }
    parts.push({ ...part(before, manifest.saw), answer: entry })
    before = answer
  }
  if (saw) parts.push(part(before, saw))
  return parts
}

/** How many whole steps, from the first, lie at or before `hi`: an answer never without its results. */
function coveredBy(parts: readonly Part[], hi: number): number {
  const open = parts.findIndex(({ answer }, i) => {
    if (!answer || answer.seq > hi) return true
    if (!answer.blocks.some((block) => block.type === 'tool_call')) return false
    return parts[i + 1]?.results.every((group) => group.results.every(({ seq }) => seq <= hi)) !== true
  })
  return open < 0 ? parts.length : open
}

/** The entries of the parts before `end`, and the results that their last answer has: behind a checkpoint, what it does not stand for. */
function entriesFrom(
  parts: readonly Part[],
  checkpoint: Of<'checkpoint_made'> | undefined,
  events: readonly KnownEvent[],
  end: number,
): ViewEntry[] {
  const from = checkpoint && !isOfAnother(checkpoint, events) ? coveredBy(parts, checkpoint.payload.hi) : 0
  const entries: ViewEntry[] = checkpoint ? [summary(checkpoint)] : []
  for (const [i, { results, named, answer }] of parts.entries()) {
    if (i < from || i > end) continue
    if (i > from) entries.push(...results)
    if (i < end) entries.push(...named, ...(answer ? [answer] : []))
  }
  return entries
}

/** A compaction begins with the summary of another log: of its own events that stands for none. */
function isOfAnother({ seq }: Of<'checkpoint_made'>, events: readonly KnownEvent[]): boolean {
  const first = events[0]
  return seq === 2 && first?.type === 'session_created' && first.payload.origin.kind === 'compaction'
}

function summary({ seq, payload }: Of<'checkpoint_made'>): ViewEntry {
  const text = '[What came before was cut short to make room. This summary takes its place; the whole record is kept.]'
  return { role: 'user', seq, actor: 'system', blocks: [{ type: 'text', text }, ...sent(payload.blocks)] }
}

/**
 * Of what a request dropped or altered, what no earlier manifest says: all of it in the first answer under a definition and view version,
 * later only what concerns the events named since. Keeps manifests from growing with the log (L12).
 */
export function newlyDropped(
  dropped: Manifest['dropped'],
  last: Manifest | undefined,
  next: { definition: string; prev: number; saw: readonly number[] },
): Manifest['dropped'] {
  if (!last || last.definition !== next.definition || last.view !== VIEW_VERSION) return dropped
  const fresh = new Set([...next.saw, next.prev])
  return dropped.filter(({ seq }) => fresh.has(seq))
}

/** Along `prev` from the last answer. In a log without checkpoints these are all the answers. */
function answersInOrder(events: readonly KnownEvent[], bySeq: ReadonlyMap<number, KnownEvent>): Answer[] {
  const chain: Answer[] = []
  let at: KnownEvent | undefined = events.findLast((event) => event.type === 'model_answered')
  while (at?.type === 'model_answered') {
    chain.push(at)
    const prev: number = at.payload.manifest.prev
    at = prev > 0 && prev < at.seq ? bySeq.get(prev) : undefined
  }
  return chain.reverse()
}

function entriesOf(event: KnownEvent, speakers: Set<string>): ViewEntry[] {
  switch (event.type) {
    case 'message_received':
      return [{ role: 'user', seq: event.seq, actor: event.actor, blocks: spoken(event, speakers) }]
    case 'interrupted': {
      const text = event.payload.partial.flatMap(({ blocks }) => textOnly(blocks))
      const note: ContentBlock = { type: 'text', text: '[The user interrupted here.]' }
      const partial: ViewEntry[] = text.length > 0 ? [{ role: 'assistant', seq: event.seq, blocks: text }] : []
      return [...partial, { role: 'user', seq: event.seq, actor: 'system', blocks: [note] }]
    }
    default:
      return []
  }
}

/**
 * What a fork's model has to know: said only where tools with effects ran before the fork, or its folder is another. By what came before,
 * so that it never changes.
 */
function forkNote(event: Of<'forked'>, events: readonly KnownEvent[], { tools }: Definition): ViewEntry[] {
  const { folder, workFolder, brought = [] } = event.payload
  const readOnly = new Set(tools.flatMap((tool) => (tool.readOnly ? [tool.name] : [])))
  const effects = events.some((e) => e.seq < event.seq && e.type === 'tool_started' && !readOnly.has(e.payload.tool))
  if (!effects && workFolder === undefined && brought.length === 0) return []
  const text = [
    'This session was forked here from another one, which may go on by itself.',
    ...(effects ? ['What tools did before this point was done once and is not undone.'] : []),
    workFolder === undefined
      ? 'If there is a work folder, both use the same one: files may change under you.'
      : folder === 'copy'
        ? 'Your work folder is now a copy of the one before, as it was when the fork was made: files may be newer than what you saw of them.'
        : folder === 'worktree'
          ? 'Your work folder is now a git worktree of the one before, on a branch of its own: what was not committed is not in it.'
          : 'Your work folder is now another one: look at what is there.',
    ...brought.map(({ tool, note }) => `${tool}: ${note}`),
  ].join(' ')
  return [{ role: 'user', seq: event.seq, actor: 'system', blocks: [{ type: 'text', text: `[${text}]` }] }]
}

/** Who speaks is said from the second distinct speaker on: what the first one said before stays as it was. */
function spoken(event: Of<'message_received'>, speakers: Set<string>): ContentBlock[] {
  speakers.add(event.actor)
  const blocks = sent(event.payload.blocks)
  if (speakers.size < 2) return blocks
  const who =
    event.actor
      .replace(/^user:/, '')
      .replace(/[^\p{L}\p{N}._@+-]+/gu, ' ')
      .trim() || 'user'
  const [first, ...rest] = blocks
  if (first?.type === 'text' && !first.blob) return [{ ...first, text: `[${who}] ${first.text}` }, ...rest]
  return [{ type: 'text', text: `[${who}]` }, ...blocks]
}

/** The results of an answer's calls in the order of the calls; one that is missing is said to be unknown, for no provider takes less. */
function resultsOf(answer: Answer, named: readonly KnownEvent[], edits: ReadonlyMap<number, string>): Results[] {
  const finished = new Map(
    named.flatMap((event) => (event.type === 'tool_finished' ? [[event.payload.call, event]] : [])),
  )
  const results = answer.payload.blocks.flatMap((block): Results['results'] => {
    if (block.type !== 'tool_call') return []
    const event = finished.get(block.call)
    const { call, name } = block
    if (!event) return [{ seq: answer.seq, call, name, outcome: 'unknown', blocks: saying('unknown', [], undefined) }]
    const { outcome, blocks } = event.payload
    return [{ seq: event.seq, call, name, outcome, blocks: saying(outcome, sent(blocks), edits.get(event.seq)) }]
  })
  return results.length > 0 ? [{ role: 'results', seq: results[0]?.seq ?? answer.seq, results }] : []
}

const SAID: Readonly<Record<Outcome, string | null>> = {
  ok: null,
  error: null,
  denied: '[denied]',
  cancelled: '[cancelled]',
  unknown: '[unknown: it is not known whether this took effect]',
}

function saying(outcome: Outcome, blocks: ContentBlock[], edited: string | undefined): ContentBlock[] {
  const notes = [
    SAID[outcome],
    edited === undefined ? null : `[Run with other arguments, as edited at the approval: ${edited}]`,
  ]
  return [...notes.flatMap((text): ContentBlock[] => (text === null ? [] : [{ type: 'text', text }])), ...blocks]
}

/** By seq of the result: the arguments that an approval put in place of the model's, before that result. */
function editedArgs(events: readonly KnownEvent[]): Map<number, string> {
  const byCall = new Map<string, string>()
  const byResult = new Map<number, string>()
  for (const { seq, type, payload } of events) {
    if (type === 'approval_resolved' && payload.decision === 'allow' && payload.args !== undefined)
      byCall.set(payload.call, payload.args)
    const args = type === 'tool_finished' ? byCall.get(payload.call) : undefined
    if (args !== undefined) byResult.set(seq, args)
  }
  return byResult
}

function textOnly(blocks: readonly Block[]): Block[] {
  return blocks.filter((block) => block.type === 'text' && (block.blob !== undefined || block.text.trim() !== ''))
}

/** Without what is in the log for people only. */
function sent(blocks: readonly ContentBlock[]): ContentBlock[] {
  return blocks.filter((block) => !(block.type === 'file' && block.kept))
}
