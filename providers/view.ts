/**
 * buildView: what a model is shown, from the log alone (DESIGN.md section 7, PROTOCOL.md rule 9). The same events give the same view; events
 * that were shown before give the same entries, the objects themselves, which is what encoders keep their work by.
 *
 * View order is not log order. Every answer's manifest names the answer that it goes on from (`prev`) and the events that its request
 * named for the first time (`saw`): a view is, along that chain, each request's `saw` and then its answer. What no manifest names is not
 * shown. An entry depends on nothing that comes after it, so a longer log only adds entries (L10).
 */
import type { Definition } from '../contract/definition'
import { VIEW_VERSION, type KnownEvent, type Manifest } from '../contract/events'
import type { View, ViewEntry } from '../contract/provider-port'
import type { Of } from './view-entries'
import { partsOf, type Part, type Parts } from './view-parts'

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
  const made = partsOf(events, definition, saw)
  const checkpoint = options.raw ? undefined : lastCheckpoint(made)
  return viewOf(definition, made, entriesFrom(made.parts, checkpoint, events, made.parts.length))
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
  const made = partsOf(events, definition, saw)
  const entries = entriesFrom(made.parts, lastCheckpoint(made), events, coveredBy(made.parts, hi))
  return viewOf(definition, made, [
    ...entries,
    { role: 'user', seq: hi, actor: 'system', blocks: [{ type: 'text', text: ask }] },
  ])
}

function viewOf({ system, tools, model }: Definition, { cuts }: Parts, entries: ViewEntry[]): View {
  const replayCut = cuts.get(model.provider) ?? 0
  return {
    system,
    tools: tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })),
    entries,
    ...(replayCut > 0 ? { replayCut } : {}),
  }
}

function lastCheckpoint({ parts }: Parts): Part['checkpoint'] {
  return parts.findLast((part) => part.checkpoint)?.checkpoint
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
  checkpoint: Part['checkpoint'],
  events: readonly KnownEvent[],
  end: number,
): ViewEntry[] {
  const from = checkpoint && !isOfAnother(checkpoint.event, events) ? coveredBy(parts, checkpoint.event.payload.hi) : 0
  const entries: ViewEntry[] = checkpoint ? [checkpoint.summary] : []
  const named = checkpoint ? parts.findIndex((part) => part.checkpoint === checkpoint) : 0
  for (const [i, { results, named: shown, answer, moved }] of parts.entries()) {
    if (i < from || i > end) continue
    if (i > from) entries.push(...results)
    if (i < end) entries.push(...shown, ...oneOf(i < named ? moved : answer))
  }
  return entries
}

function oneOf(answer: ViewEntry | undefined): ViewEntry[] {
  return answer ? [answer] : []
}

/** A compaction begins with the summary of another log: of its own events that stands for none. */
function isOfAnother({ seq }: Of<'checkpoint_made'>, events: readonly KnownEvent[]): boolean {
  const first = events[0]
  return seq === 2 && first?.type === 'session_created' && first.payload.origin.kind === 'compaction'
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
