/** A transcript that comes again: the same, longer, or another than what is here. */
import { errorCode, SavefileError } from '../../contract/errors'
import type { TranscriptFile } from '../../client/transcripts'
import { rowCounts } from '../bundle/support'
import { bring, clientOver, eventsOf, fixture, openDesk, type Desk } from './support'

jest.setTimeout(120_000)

let desk: Desk
beforeAll(async () => void (desk = await openDesk()))
afterAll(() => desk.close())

const WITH_SUBAGENT = 'claude-code/with-subagent.jsonl'
const WHOLE = fixture('claude-code/blank-text-tool-errors-branches.jsonl')
const SESSION = '03a1382e-ecd5-42c4-b3d4-5c659e165904'

/** Its first lines. */
function head(file: TranscriptFile, lines: number): TranscriptFile {
  const text = file.bytes.toString('utf8').split('\n').slice(0, lines).join('\n')
  return { ...file, bytes: Buffer.from(`${text}\n`) }
}

const refused = async (promise: Promise<unknown>): Promise<SavefileError> => {
  try {
    await promise
  } catch (error) {
    if (errorCode(error)) return error as SavefileError
    throw error
  }
  throw new Error('it was taken')
}
const rows = () => rowCounts(desk.log.db.adminUrl)

it('the same file again is no news, whoever brings it', async () => {
  const first = await bring(desk, WITH_SUBAGENT)
  const before = await rows()
  expect(await bring(desk, WITH_SUBAGENT)).toMatchObject({
    status: 'present',
    session: first.session,
    head: first.head,
    events: 0,
  })
  const bob = { ...desk, client: clientOver(desk.log, 'bob') }
  expect(await bring(bob, WITH_SUBAGENT)).toMatchObject({ status: 'present', events: 0 })
  // Nor after the session went on here.
  await desk.client.send(first.session, 'and now?')
  expect(await bring(desk, WITH_SUBAGENT)).toMatchObject({ status: 'present', events: 0 })
  expect(await rows()).toEqual({ ...before, events: (before.events ?? 0) + 1 })
})

it('a longer version moves the session on, and what was here stays to the byte', async () => {
  // Line 49 ends the first turn.
  const first = await desk.client.importTranscript(head(WHOLE, 49))
  expect(first).toMatchObject({ session: SESSION, status: 'imported' })
  const before = await eventsOf(desk, SESSION)
  const bob = clientOver(desk.log, 'bob')
  const second = await bob.importTranscript(WHOLE)
  expect(second).toMatchObject({ session: SESSION, status: 'fast_forwarded', custody: 'live' })
  const after = await eventsOf(desk, SESSION)
  expect(after.slice(0, before.length)).toEqual(before)
  expect(after.filter(({ type }) => type === 'custody_taken').map(({ actor }) => actor)).toEqual([
    'user:ann',
    'user:bob',
  ])
  expect(new Set(after.filter(({ type }) => type === 'message_received').map(({ actor }) => actor))).toEqual(
    new Set(['user:ann']),
  )
  expect(after.filter(({ type }) => type === 'message_received')).toHaveLength(7)
  expect(await desk.client.verify(SESSION, { deep: true })).toMatchObject({ ok: true })
  expect(await desk.client.importTranscript(WHOLE)).toMatchObject({ status: 'present', events: 0 })
})

it('an older version of what is here is no news, and changes nothing', async () => {
  const before = await eventsOf(desk, SESSION)
  expect(await desk.client.importTranscript(head(WHOLE, 62))).toMatchObject({ status: 'present', events: 0 })
  expect(await eventsOf(desk, SESSION)).toEqual(before)
})

it('a longer version of one that went on here is refused, and says from where on they differ', async () => {
  const session = 'went-on'
  const { head: at } = await desk.client.importTranscript(head(WHOLE, 49), { session })
  await desk.client.send(session, 'something else')
  const before = await rows()
  const error = await refused(desk.client.importTranscript(WHOLE, { session }))
  expect(error).toMatchObject({ code: 'diverged', data: { session, seq: at + 1 } })
  expect(error.message).toContain('--as-id')
  expect(await rows()).toEqual(before)
})

it('a longer version of one that was imported in the middle of a turn is refused', async () => {
  const session = 'in-the-middle'
  await desk.client.importTranscript(head(WHOLE, 12), { session })
  const before = await rows()
  expect(await refused(desk.client.importTranscript(WHOLE, { session }))).toMatchObject({
    code: 'diverged',
    data: { session },
  })
  expect(await rows()).toEqual(before)
})

it('another transcript, and a session of another kind, under the same id are refused', async () => {
  const other = fixture('claude-code/orphan-tool-result-branches.jsonl')
  expect(await refused(desk.client.importTranscript(other, { session: SESSION }))).toMatchObject({ code: 'diverged' })
  const definition = { model: { provider: 'anthropic' as const, name: 'm' } }
  await desk.client.create({ session: 'native', definition })
  await desk.client.send('native', 'hello')
  expect(await refused(desk.client.importTranscript(other, { session: 'native' }))).toMatchObject({ code: 'diverged' })
})

it('two who bring the same file at once: one imports, the other finds it', async () => {
  const file = fixture('claude-code/two-models-signatures-bad-line.jsonl')
  const both = await Promise.allSettled([
    desk.client.importTranscript(file),
    clientOver(desk.log, 'ann').importTranscript(file),
  ])
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
  const session = '86cc3044-7515-43f1-9c25-1444738c64c9'
  const custody = (await eventsOf(desk, session)).filter(({ type }) => type === 'custody_taken')
  expect(custody).toHaveLength(1)
})
