/**
 * Summaries by hand: `compact` (a new log that begins with one) and `checkpoint` (an event of the same log). A summary is made by a fork of
 * its own, which asks the model once, with the tools shown as ever and none allowed, and is closed: so it costs what a model call costs, is
 * as durable as one, and how it came about can be looked up. The log that is summarised is not touched before there is a summary.
 */
import { randomBytes } from 'node:crypto'
import { textBlock } from '../contract/blocks'
import { SUMMARY_REQUEST } from '../contract/compaction'
import { SavefileError } from '../contract/errors'
import type { Payload } from '../contract/events'
import { sessionIdFrom, type SessionRef } from '../contract/ids'
import type { ClientLog, Principal, SessionInfo } from '../contract/client-port'
import type { LogEvent } from './log-events'
import type { Accepted, Answer, CheckpointRequest, ForkRequest, WaitOptions } from './types'

/** What it needs of the client that it is a part of. */
export interface CompactionParts {
  log: ClientLog
  by: Principal
  info(session: string): Promise<SessionInfo>
  read(session: string, range: { from: number; to: number; limit?: number }): Promise<LogEvent[]>
  fork(parent: SessionRef, child: SessionRef, at: number, request: ForkRequest): Promise<void>
  ask(session: string, text: string, options: WaitOptions): Promise<Answer>
  close(session: string, reason: string): Promise<Accepted>
}

const PAGE = 500
/** A call of a tool is answered with "denied"; then the summary is asked for again. */
const STEPS = 3

/** The checkpoint that would stand for the session's events up to the end of its last turn, or of the last one before `at`. */
export async function summarised(
  parts: CompactionParts,
  ref: SessionRef,
  request: CheckpointRequest,
): Promise<Payload<'checkpoint_made'>> {
  const { head } = await parts.info(ref.session)
  const hi = await lastTurnEnd(parts, ref.session, request.at ?? head)
  if (hi === null)
    throw new SavefileError(
      'invalid_input',
      `No turn of session ${ref.session} has ended ${request.at === undefined ? 'yet' : `by event ${request.at}`}: there is nothing to summarise.`,
      { session: ref.session },
    )
  if (request.summary === undefined) return made(parts, ref, hi, request)
  if (request.summary.trim() === '') throw failed(ref.session, 'the one that was given is empty')
  return { lo: 1, hi, blocks: [textBlock(request.summary)], method: 'given' }
}

async function lastTurnEnd(parts: CompactionParts, session: string, at: number): Promise<number | null> {
  for (let to = at; to > 0; to -= PAGE) {
    const page = await parts.read(session, { from: Math.max(1, to - PAGE + 1), to, limit: PAGE })
    const end = page.findLast((event) => event.type === 'turn_finished')
    if (end) return end.seq
  }
  return null
}

async function made(
  parts: CompactionParts,
  ref: SessionRef,
  hi: number,
  { model, instructions, signal, timeoutMs }: CheckpointRequest,
): Promise<Payload<'checkpoint_made'>> {
  const place = await parts.log.placeAt(ref, hi)
  const { compaction: _, ...definition } = await parts.log.definition(ref.space, place?.definition ?? '')
  // A summary is text, whatever answers have to be.
  const { output: _output, toolChoice: _choice, ...own } = definition.model
  const helper = sessionIdFrom(randomBytes(16))
  await parts.fork(ref, { space: ref.space, session: helper }, hi, {
    definition: {
      ...definition,
      model: { ...own, ...model },
      tools: definition.tools.map((tool) => ({ ...tool, approval: 'deny' as const })),
      limits: { ...definition.limits, steps: STEPS },
    },
    title: `summary of ${ref.session}@${hi}`,
    labels: { 'savefile.summary': ref.session },
    folder: 'share',
    quiet: true,
  })
  try {
    const answer = await parts.ask(helper, instructions ?? SUMMARY_REQUEST, { signal, timeoutMs })
    const [event] =
      answer.answerSeq === null ? [] : await parts.read(helper, { from: answer.answerSeq, to: answer.answerSeq })
    if (answer.reason !== 'done')
      throw failed(
        ref.session,
        `its turn ended as ${answer.reason}${answer.failure ? `, ${answer.failure.class}` : ''}`,
        helper,
      )
    if (event?.type !== 'model_answered' || event.unknown || event.payload.stop === 'max_tokens')
      throw failed(ref.session, 'it was cut off', helper)
    if (answer.text.trim() === '') throw failed(ref.session, 'the model said nothing', helper)
    const { provider, model: name, usage, costUsdMicros } = event.payload
    return {
      lo: 1,
      hi,
      blocks: [textBlock(answer.text.trim())],
      method: 'model',
      provider,
      model: name,
      usage,
      ...(costUsdMicros === undefined ? {} : { costUsdMicros }),
    }
  } finally {
    await parts.close(helper, 'it was made for a summary')
  }
}

function failed(session: string, why: string, helper?: string): SavefileError {
  const look = helper === undefined ? '' : ` \`savefile show ${helper.slice(0, 10)}\` has what happened.`
  const message = `There is no summary of session ${session}: ${why}. Nothing was changed.${look}`
  return new SavefileError('summary_failed', message, { session, ...(helper === undefined ? {} : { summary: helper }) })
}
