/**
 * When a session makes a checkpoint of itself, and of what. A checkpoint stands for the steps up to `hi`, results included, never for a
 * message that no model has seen; it shortens what the model is sent, never the log (L9).
 */
import type { Definition } from './definition'
import type { State } from './state'

/** Steps between two checkpoints at least: where even a summary is too long, not every step is to pay for another. */
const STEPS_BETWEEN = 3
/** How many step boundaries the state keeps: more than may be left out of a range. */
export const BOUNDARIES_KEPT = 5

/** What the summarising model is asked, behind all that it is to summarise. */
export const SUMMARY_REQUEST = [
  'This conversation is about to be cut short to make room. Write the summary that takes its place: whoever goes on will see nothing else of it.',
  'Keep what was asked and decided, by whom, what was done and what came of it, what is still open and what was to happen next, and every name, path, number and identifier that will be needed, word for word.',
  'Do not go on with the work, and call no tools. Answer with the summary only.',
].join('\n')

/** The end of the range that the checkpoint due now stands for; null where none is due. Pure: from the log and the definition alone. */
export function checkpointDue(s: State, { compaction }: Pick<Definition, 'compaction'>): number | null {
  if (s.due && s.turn?.recovery === 'due') return recoveryRange(s)
  if (!compaction || !s.due || s.context < compaction.atTokens) return null
  if (s.checkpoint && s.stepsSince < STEPS_BETWEEN) return null
  const hi = s.boundaries.at(-1 - compaction.keepSteps)
  return hi !== undefined && hi > s.checkpoint ? hi : null
}

/**
 * What a checkpoint may stand for once a request was too long: the steps before the last one, whose own request did fit; or, where there is
 * but one, that one. Not the results of the last answer: what would be asked to summarise them is as long as what was refused.
 */
export function recoveryRange(s: State): number | null {
  const within = s.boundaries.filter((seq) => seq > s.checkpoint && seq <= s.lastAnswer)
  return within.filter((seq) => seq < s.lastAnswer).at(-1) ?? within.at(-1) ?? null
}
