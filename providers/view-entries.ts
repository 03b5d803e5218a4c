/**
 * The entries of a view: what an event shows of itself. An entry depends on nothing that comes after its events, and never changes: whoever
 * has encoded one may keep what it became for as long as the object lives.
 */
import type { Block, ContentBlock } from '../contract/blocks'
import { OUTCOME_SAID, type KnownEvent, type Outcome } from '../contract/events'
import type { ViewEntry } from '../contract/provider-port'

export type Of<T extends KnownEvent['type']> = Extract<KnownEvent, { type: T }>
export type Entry<R extends ViewEntry['role']> = Extract<ViewEntry, { role: R }>

export function answerEntry({ seq, payload }: Of<'model_answered'>): Entry<'assistant'> {
  const { blocks, replay, stop } = payload
  return {
    role: 'assistant',
    seq,
    blocks,
    ...(replay ? { replay } : {}),
    ...(stop === 'pause' ? { paused: true as const } : {}),
  }
}

export function entriesOf(event: KnownEvent, speakers: Set<string>): ViewEntry[] {
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

export function summary({ seq, payload }: Of<'checkpoint_made'>): ViewEntry {
  const text = '[What came before was cut short to make room. This summary takes its place; the whole record is kept.]'
  return { role: 'user', seq, actor: 'system', blocks: [{ type: 'text', text }, ...sent(payload.blocks)] }
}

/**
 * What a fork's model has to know: said only where tools with effects ran before the fork, or its folder is another. By what came before,
 * so that it never changes. `effects`: tools with effects ran before it.
 */
export function forkNote(event: Of<'forked'>, effects: boolean): ViewEntry[] {
  const { folder, workFolder, brought = [] } = event.payload
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

/**
 * The results of an answer's calls in the order of the calls; one that is missing is said to be unknown, for no provider takes less.
 * `edits`, by seq of a result: the arguments with which an approval had it run.
 */
export function resultsOf(
  answer: Of<'model_answered'>,
  named: readonly KnownEvent[],
  edits: ReadonlyMap<number, string>,
): Entry<'results'>[] {
  const finished = new Map(
    named.flatMap((event) => (event.type === 'tool_finished' ? [[event.payload.call, event]] : [])),
  )
  const results = answer.payload.blocks.flatMap((block): Entry<'results'>['results'] => {
    if (block.type !== 'tool_call') return []
    const event = finished.get(block.call)
    const { call, name } = block
    if (!event) return [{ seq: answer.seq, call, name, outcome: 'unknown', blocks: saying('unknown', [], undefined) }]
    const { outcome, blocks } = event.payload
    return [{ seq: event.seq, call, name, outcome, blocks: saying(outcome, sent(blocks), edits.get(event.seq)) }]
  })
  return results.length > 0 ? [{ role: 'results', seq: results[0]?.seq ?? answer.seq, results }] : []
}

function saying(outcome: Outcome, blocks: ContentBlock[], edited: string | undefined): ContentBlock[] {
  const notes = [
    OUTCOME_SAID[outcome],
    edited === undefined ? null : `[Run with other arguments, as edited at the approval: ${edited}]`,
  ]
  return [...notes.flatMap((text): ContentBlock[] => (text === null ? [] : [{ type: 'text', text }])), ...blocks]
}

function textOnly(blocks: readonly Block[]): Block[] {
  return blocks.filter((block) => block.type === 'text' && (block.blob !== undefined || block.text.trim() !== ''))
}

/** Without what is in the log for people only. */
function sent(blocks: readonly ContentBlock[]): ContentBlock[] {
  return blocks.filter((block) => !(block.type === 'file' && block.kept))
}
