/**
 * A log as a chain of requests and answers, kept from one view to the next, so that a longer log costs its new events only. What is kept
 * belongs to the event objects: whoever reads a log again as other objects begins anew, and what nobody holds any more goes by itself (L9).
 */
import type { Definition } from '../contract/definition'
import type { KnownEvent } from '../contract/events'
import type { ViewEntry } from '../contract/provider-port'
import { answerEntry, entriesOf, forkNote, resultsOf, summary, type Entry, type Of } from './view-entries'

/** One request and its answer, which the last one may lack. */
export interface Part {
  /** Of the answer before. */
  results: Entry<'results'>[]
  named: ViewEntry[]
  answer?: Entry<'assistant'>
  /** The same behind a checkpoint that came later. */
  moved?: Entry<'assistant'>
  /** The last one that this request names, and what it shows. */
  checkpoint?: { event: Of<'checkpoint_made'>; summary: ViewEntry }
}

export interface Parts {
  parts: Part[]
  /** By provider: up to which answer it refused its own replay. */
  cuts: ReadonlyMap<string, number>
}

type Answer = Of<'model_answered'>

/** A request that has no answer yet. */
interface Open {
  saw: readonly number[]
  part: Part
  speakers: Set<string>
}

interface Kept {
  /** Names of the tools without effects: all that parts depend on besides the events. */
  readOnly: string
  events: KnownEvent[]
  bySeq: Map<number, KnownEvent>
  /** By call, by seq of the result: the arguments that an approval put in place of the model's, before that result. */
  editedCalls: Map<string, string>
  edits: Map<number, string>
  /** Seq of the first call of a tool with effects. */
  effects: number
  last: Answer | undefined
  whole: Part[]
  speakers: Set<string>
  cuts: Map<string, number>
  open: Open | undefined
}

const kept = new WeakMap<KnownEvent, Kept>()

/**
 * @param saw what the request about to be made names for the first time; undefined: there is none.
 */
export function partsOf(
  events: readonly KnownEvent[],
  { tools }: Pick<Definition, 'tools'>,
  saw?: readonly number[],
): Parts {
  const readOnly = tools.flatMap((tool) => (tool.readOnly ? [tool.name] : [])).join('\n')
  const state = extended(events, readOnly)
  if (!saw) return { parts: [...state.whole], cuts: state.cuts }
  const last = state.open && same(state.open.saw, saw) ? state.open : open(state, saw)
  state.open = last
  return { parts: [...state.whole, last.part], cuts: state.cuts }
}

function extended(events: readonly KnownEvent[], readOnly: string): Kept {
  const [first] = events
  const had = first && kept.get(first)
  const goesOn = had && had.readOnly === readOnly && had.events.every((event, i) => event === events[i])
  let state = goesOn ? had : begun(readOnly)
  if (state.events.length < events.length && !add(state, events)) {
    // Its answers do not go on from the chain that is known: what they name is found from the end.
    state = begun(readOnly)
    add(state, events)
  }
  if (first) kept.set(first, state)
  return state
}

function begun(readOnly: string): Kept {
  return {
    ...{ readOnly, events: [], bySeq: new Map(), editedCalls: new Map(), edits: new Map(), effects: Infinity },
    ...{ last: undefined, whole: [], speakers: new Set(), cuts: new Map(), open: undefined },
  }
}

/** False where the new answers do not follow the last one. */
function add(state: Kept, events: readonly KnownEvent[]): boolean {
  const fresh = events.slice(state.events.length)
  const readOnly = new Set(state.readOnly.split('\n'))
  for (const event of fresh) {
    const { seq, type, payload } = event
    state.bySeq.set(seq, event)
    if (type === 'approval_resolved' && payload.decision === 'allow' && payload.args !== undefined)
      state.editedCalls.set(payload.call, payload.args)
    const args = type === 'tool_finished' ? state.editedCalls.get(payload.call) : undefined
    if (args !== undefined) state.edits.set(seq, args)
    if (type === 'tool_started' && !readOnly.has(payload.tool)) state.effects = Math.min(state.effects, seq)
  }
  state.events.push(...fresh)
  const answers = chain(state)
  if (!answers) return false
  for (const answer of answers) {
    const { saw, replayCut = 0 } = answer.payload.manifest
    const asked = state.open && same(state.open.saw, saw) ? state.open : open(state, saw)
    const entry = answerEntry(answer)
    state.whole.push({ ...asked.part, answer: entry, moved: { ...entry, moved: true } })
    state.speakers = asked.speakers
    state.open = undefined
    state.last = answer
    const { provider } = answer.payload
    state.cuts.set(provider, Math.max(replayCut, state.cuts.get(provider) ?? 0))
  }
  return true
}

/** The answers since the last one that is known, along `prev` from the last of the log; null where they do not lead there. */
function chain({ events, bySeq, last }: Kept): Answer[] | null {
  const answers: Answer[] = []
  let at: KnownEvent | undefined = events.findLast((event) => event.type === 'model_answered')
  while (at?.type === 'model_answered' && at !== last) {
    answers.push(at)
    const prev: number = at.payload.manifest.prev
    at = prev > 0 && prev < at.seq ? bySeq.get(prev) : undefined
  }
  return last && at !== last ? null : answers.reverse()
}

function open({ bySeq, edits, effects, last, speakers: before }: Kept, saw: readonly number[]): Open {
  const speakers = new Set(before)
  const named = saw.flatMap((seq) => bySeq.get(seq) ?? [])
  const checkpoint = named.findLast((event) => event.type === 'checkpoint_made')
  const part: Part = {
    results: last ? resultsOf(last, named, edits) : [],
    named: named.flatMap((event) =>
      event.type === 'forked' ? forkNote(event, effects < event.seq) : entriesOf(event, speakers),
    ),
    ...(checkpoint ? { checkpoint: { event: checkpoint, summary: summary(checkpoint) } } : {}),
  }
  return { saw, part, speakers }
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((seq, i) => seq === b[i])
}
