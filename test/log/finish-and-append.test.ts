/** A step's end and what it leads to, in one transaction: what was received is kept whatever the append is told (rules 3 and 12). */
import type { Append, Finish } from '../../contract/ports'
import type { SessionRef } from '../../contract/ids'
import { answer, ANN, finished, IDLE, openLog, RUN, RUNNING, say, turnFinished, type TestLog } from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

async function held(): Promise<{ ref: SessionRef; finish: Finish; append: Append }> {
  const ref = await log.begin()
  await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'a' })
  const event = answer(ref, 2)
  const events = [{ ...event, fromDraft: 'model@2' }, turnFinished(2)]
  return { ref, finish: { step: 'model@2', token: 'a', event }, append: { epoch: 1, head: 2, events, outlook: IDLE } }
}
const draft = async (ref: SessionRef): Promise<unknown> =>
  (await log.admin('select state from savefile.drafts where session_id = $1', [ref.session]))[0]?.['state']
const types = async (ref: SessionRef): Promise<string[]> => (await log.read(ref)).map(({ type }) => type)

test('finishes the draft and appends what it becomes, once however often it is sent', async () => {
  const { ref, finish, append } = await held()
  expect(await log.executor.finishAndAppend(ref, finish, append)).toEqual({ status: 'appended', head: 4, seqs: [3, 4] })
  // As after a lost connection: it was taken, so the head has moved.
  expect(await log.executor.finishAndAppend(ref, finish, append)).toEqual({ status: 'head_moved', head: 4 })
  expect(await types(ref)).toEqual(['session_created', 'message_received', 'model_answered', 'turn_finished'])
  expect((await log.read(ref))[2]?.payload).toBe(JSON.stringify(finish.event.payload))
  expect(await log.client.verify(ref)).toMatchObject({ ok: true })
})

test('keeps the result where somebody spoke meanwhile', async () => {
  const { ref, finish, append } = await held()
  await log.client.input(ref, ANN, 'second', say('wait', 'steer'))
  expect(await log.executor.finishAndAppend(ref, finish, append)).toEqual({ status: 'head_moved', head: 3 })
  expect(await draft(ref)).toBe('finished')
  expect(await types(ref)).not.toContain('model_answered')
})

test('keeps the result where another run has the lease', async () => {
  const { ref, finish, append } = await held()
  await log.executor.claim(ref, { ...RUN, run: 'r2' })
  expect(await log.executor.finishAndAppend(ref, finish, append)).toEqual({ status: 'stale_epoch' })
  expect(await draft(ref)).toBe('finished')
})

test('appends nothing where the row is not the token’s, and keeps a tool’s result as evidence', async () => {
  const { ref, finish, append } = await held()
  expect(await log.executor.finishAndAppend(ref, { ...finish, token: 'b' }, append)).toEqual({ status: 'refused' })
  expect(await types(ref)).toEqual(['session_created', 'message_received'])
  const call = `${ref.session}:2.0`
  const step = `tool@${call}`
  await log.executor.claimDraft(ref, 1, step, { safe: false, token: 't' })
  await log.executor.close(ref, 1, [{ step, token: 't', outcome: 'unknown' }])
  const event = finished(call)
  const late = { epoch: 1, head: 2, events: [{ ...event, fromDraft: step }], outlook: RUNNING }
  expect(await log.executor.finishAndAppend(ref, { step, token: 't', event }, late)).toEqual({ status: 'refused' })
  expect((await log.executor.look(ref, 1, null)) as { evidence?: unknown[] }).toMatchObject({ evidence: [{ call }] })
})

test('meets others who claim, close and append, without a deadlock', async () => {
  const { ref, finish, append } = await held()
  const others = Array.from({ length: 20 }, (_, i) => [
    log.impatient.claimDraft(ref, 1, 'model@2', { safe: true, token: `o${i}` }),
    log.executor.close(ref, 1, [{ step: `tool@x${i}`, token: null, outcome: 'cancelled' }]),
    log.executor.finishAndAppend(ref, finish, append),
  ])
  for (const result of await Promise.allSettled(others.flat())) expect(result.status).toBe('fulfilled')
})
