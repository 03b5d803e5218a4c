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
 * Raised with every change of what a view shows or of how an adapter encodes it; goes into each manifest. Version 2 shows forks, which no
 * request of version 1 named: whatever was sent under it is still sent as it was.
 */
export const VIEW_VERSION = 2

type Of<T extends KnownEvent['type']> = Extract<KnownEvent, { type: T }>
type Answer = Of<'model_answered'>
type Results = Extract<ViewEntry, { role: 'results' }>

/**
 * The view of a session.
 * @param events the log in order, from its first event.
 * @param saw the seqs that the request about to be made names for the first time, in view order (`unseenByModel`). Absent: only what was
 *   already answered.
 */
export function buildView(events: readonly KnownEvent[], definition: Definition, saw?: readonly number[]): View {
  const bySeq = new Map(events.map((event) => [event.seq, event]))
  const edits = editedArgs(events)
  const chain = answersInOrder(events, bySeq)
  const entries: ViewEntry[] = []
  const speakers = new Set<string>()
  const request = (before: Answer | undefined, seqs: readonly number[]): void => {
    const named = seqs.flatMap((seq) => bySeq.get(seq) ?? [])
    if (before) entries.push(...resultsOf(before, named, edits))
    for (const event of named)
      entries.push(...(event.type === 'forked' ? forkNote(event, events, definition) : entriesOf(event, speakers)))
  }
  let before: Answer | undefined
  for (const answer of chain) {
    request(before, answer.payload.manifest.saw)
    const { blocks, replay } = answer.payload
    entries.push({ role: 'assistant', seq: answer.seq, blocks, ...(replay ? { replay } : {}) })
    before = answer
  }
  if (saw) request(before, saw)
  return {
    system: definition.system,
    tools: definition.tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })),
    entries,
  }
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
