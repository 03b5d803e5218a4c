/** The audit says of each event who did what, of each call who allowed it, and of each answer what the model saw. */
import { auditLines } from '../../cli/audit-lines'
import { auditOf, type AuditEntry } from '../../client/audit'
import { toLogEvent } from '../../client/log-events'
import {
  answer,
  finished,
  openLog,
  requested,
  started,
  turnFinished,
  ANN,
  BOB,
  IDLE,
  RUNNING,
  type TestLog,
} from '../log/support'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

it('names who allowed what, with which arguments, and what each answer saw', async () => {
  const ref = await log.begin()
  const call = `${ref.session}:2.0`
  const manifest = {
    view: 1,
    definition: log.definition,
    prev: 0,
    saw: [2],
    dropped: [{ seq: 2, what: 'image', why: 'the model takes none' }],
    requestHash: 'ab'.repeat(32),
  }
  await log.executor.append(ref, 1, 2, [answer(ref, 2, ['pay'], { manifest }), requested(call)], RUNNING)
  await log.client.input(ref, BOB, 'a', {
    type: 'approval_resolved',
    payload: { call, decision: 'allow', scope: 'once', note: 'fine\u001b[31m', args: '{"sum":5}' },
  })
  await log.executor.append(ref, 1, 5, [started(call), finished(call)], RUNNING)
  const second = answer(ref, 7, [], { manifest: { ...manifest, prev: 3, saw: [7], dropped: [] } })
  await log.executor.append(ref, 1, 7, [second, turnFinished(2)], IDLE)

  const events = (await log.read(ref)).map(toLogEvent)
  const entries: AuditEntry[] = []
  for await (const entry of auditOf(
    (async function* () {
      yield* events
    })(),
  ))
    entries.push(entry)
  expect(entries.map((e) => [e.seq, e.actor, e.type])).toEqual(events.map((e) => [e.seq, e.actor, e.type]))
  expect(entries[2]?.model).toMatchObject({ provider: 'anthropic', manifest, usage: { input: 1 } })
  expect(entries[4]).toMatchObject({
    call: { id: call, tool: 'pay', args: '{"sum":5}' },
    approval: { decision: 'allow', by: 'user:bob', scope: 'once', argsEdited: true },
  })
  expect(entries[6]?.call).toMatchObject({ tool: 'pay', args: '{"sum":5}', outcome: 'ok' })
  const text = entries.flatMap(auditLines).join('\n')
  expect(text).toContain('allowed by: user:bob, once, arguments edited, fine')
  expect(text).toContain('saw: events 2; view 1')
  expect(text).toContain('saw: the request of answer 3, that answer, events 7; view 1')
  expect(text).toContain('dropped: of event 2: image (the model takes none)')
  expect(text).toContain(`request: sha256 ${'ab'.repeat(32)}`)
  expect(text).not.toContain('\u001b')
  expect(ANN.actor).toBe(entries[1]?.actor)
})
