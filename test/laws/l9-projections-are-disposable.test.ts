/**
 * L9: snapshots, live text and what a process remembers are computed from the log, and may go at any time: the state, the view and the
 * timeline are the same without them. Temporal's run, and drafts: l1.
 */
import { fold } from '../../activities/session-cache'
import { parseDefinition } from '../../contract/definition'
import { parseEvent, type KnownEvent } from '../../contract/events'
import type { View } from '../../contract/provider-port'
import { emptyState, REDUCER_VERSION, type State } from '../../contract/state'
import { plain } from '../../cli/paint'
import { createTimeline } from '../../cli/timeline'
import { toLogEvent } from '../../client/log-events'
import type { SessionRef } from '../../contract/ids'
import { buildView } from '../../providers/view'
import { ANN, openLog, say, type TestLog } from '../log/support'
import { toAnthropic, toChat, toResponses, type Encoded } from '../providers/support/calls'
import { counts, DEFINITION, live, stateOf } from './support/lives'

let log: TestLog
let ref: SessionRef
beforeAll(async () => {
  log = await openLog()
  const definition = await log.client.putDefinition('default', DEFINITION)
  ref = { space: 'default', session: 'projected' }
  await log.client.create(ref, ANN, { definition })
  for (const turn of ['one', 'two', 'three']) {
    await log.client.input(ref, ANN, turn, say(turn))
    await live(log, ref, counts())
  }
})
afterAll(() => log.close())

/** The state as an executor finds it that remembers nothing. */
async function found(): Promise<{ state: State; read: number; from: number }> {
  const epoch = (await log.client.info(ref))?.epoch ?? 0
  const look = await log.executor.look(ref, epoch, null)
  if (look.status !== 'ok') throw new Error(look.status)
  const { state } = fold(look.snapshot?.state ?? emptyState, look.events)
  return { state, read: look.events.length, from: look.snapshot?.seq ?? 0 }
}

test('a snapshot saves reading and changes nothing; without it, or with one of another reducer, all is read', async () => {
  const events = await log.read(ref)
  const whole = await stateOf(log, ref)
  const at = events.length - 3
  expect(await found()).toEqual({ state: whole, read: events.length, from: 0 })
  await log.executor.saveSnapshot(ref, at, fold(emptyState, events.slice(0, at)).state)
  expect(await found()).toEqual({ state: whole, read: 3, from: at })
  await log.admin('update savefile.snapshots set reducer_version = $1', [REDUCER_VERSION + 1])
  expect((await found()).from).toBe(0)
  await log.admin('truncate savefile.snapshots, savefile.draft_deltas')
  expect(await found()).toEqual({ state: whole, read: events.length, from: 0 })
})

test('with every disposable row gone the next turn goes as it would have', async () => {
  await log.admin('truncate savefile.snapshots, savefile.draft_deltas, savefile.drafts')
  await log.client.input(ref, ANN, 'four', say('four'))
  const count = counts()
  await live(log, ref, count)
  expect(count.broken).toEqual([])
  const types = (await log.read(ref)).map(({ type }) => type)
  const turns = types
    .join(' ')
    .split('turn_finished')
    .map((turn) => turn.trim())
  expect(turns[3]).toBe(turns[2])
  expect(await log.client.verify(ref)).toMatchObject({ ok: true })
})

test.each<[string, (v: View) => Promise<Encoded>]>([
  ['anthropic', (v) => toAnthropic(v)],
  ['openai-responses', (v) => toResponses(v)],
  ['openai-chat', (v) => toChat(v)],
])(
  '%s: what it is sent follows from the events alone, and a checkpoint shortens that and not the log',
  async (_name, encode) => {
    const known = async (): Promise<KnownEvent[]> => (await log.read(ref)).flatMap((event) => parseEvent(event) ?? [])
    const sent = async (events: readonly KnownEvent[], saw: number[] = []): Promise<string> =>
      JSON.stringify((await encode(buildView(events, parseDefinition(DEFINITION), saw))).body)
    const events = await known()
    const before = await sent(events)
    await log.admin('truncate savefile.snapshots, savefile.draft_deltas, savefile.drafts')
    // From another reading: nothing that was kept beside the first one's events is there.
    expect(await sent(await known())).toBe(before)
    const end = events.findLast((event) => event.type === 'turn_finished')
    const checkpoint = {
      lo: 1,
      hi: end?.seq ?? 1,
      blocks: [{ type: 'text' as const, text: 'short' }],
      method: 'given' as const,
    }
    const made = {
      seq: events.length + 1,
      at: 0,
      actor: 'system',
      type: 'checkpoint_made',
      payload: checkpoint,
    } as KnownEvent
    const shortened = await sent([...events, made], [made.seq])
    expect(shortened.length).toBeLessThan(before.length)
    expect(shortened).toContain('short')
    const view = buildView([...events, made], parseDefinition(DEFINITION), [made.seq], { raw: true })
    expect(JSON.stringify((await encode(view)).body)).toBe(before)
  },
)

test('a view and a timeline are functions of the events: the same from another reading, and the log is not touched by them', async () => {
  const project = async (): Promise<unknown> => {
    const stored = await log.read(ref)
    const known = stored.flatMap((event) => parseEvent(event) ?? [])
    const timeline = createTimeline({ paint: plain, width: 100, sessionName: 's', clock: () => 'now' })
    return {
      view: buildView(known, parseDefinition(DEFINITION)),
      lines: stored.flatMap((event) => timeline.lines(toLogEvent(event))),
      head: (await log.client.info(ref))?.headHash,
    }
  }
  const before = await project()
  await log.admin('truncate savefile.snapshots, savefile.draft_deltas, savefile.drafts')
  expect(await project()).toEqual(before)
})
