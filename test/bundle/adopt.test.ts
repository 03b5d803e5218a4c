/**
 * Moving house in the middle of a turn: a call that was started and is not safe, and one that waits for a yes, go with the bundle. The first is
 * unknown where the session goes on, the second is asked again; then the turn ends. A real worker on each side.
 */
import { createWorld, ofType, readAll, until, type World } from '../support/world'
import { withTemporal } from '../faults/support/temporal'
import { collect, inPieces } from './support'

const ARGS = { command: 'true' }
const rules = [
  {
    when: { text: 'MOVE', step: 0 },
    say: {
      calls: [
        { tool: 'slow', args: {} },
        { tool: 'run_command', args: ARGS },
      ],
    },
  },
  { say: { text: 'Moved.' } },
]

jest.setTimeout(150_000)
let here: World
let there: World
beforeAll(async () => {
  here = await createWorld({ script: { name: 'here', rules } })
  there = await createWorld({ script: { name: 'there', rules } })
}, 120_000)
afterAll(async () => {
  await here.close()
  await there.close()
})

test('a session that is adopted elsewhere in mid-turn says what it does not know, asks again, and ends its turn', async () => {
  await here.startWorker()
  const base = here.definition()
  const own = (base.tools ?? [])
    .filter((tool) => tool.name === 'run_command')
    .map((tool) => ({ ...tool, approval: 'ask' as const }))
  // Nobody works on that queue: the call is handed out, and its end is never seen.
  const slow = {
    name: 'slow',
    description: '',
    inputSchema: '{"type":"object"}',
    approval: 'allow' as const,
    queue: `${here.taskQueue}-nobody`,
  }
  const folder = await here.workFolder()
  const { session } = await here.client.create({ definition: { ...base, tools: [...own, slow] }, workFolder: folder })
  await here.client.send(session, 'MOVE')
  await until('the call to be started and the other to wait', async () => {
    const types = (await readAll(here.client, session)).map((event) => event.type)
    return types.includes('tool_started') && types.includes('approval_requested')
  })
  await Promise.all(here.workers.map((worker) => worker.kill('SIGKILL')))
  // Both worlds share the run's Temporal, where a session has one run by its id: the old one's goes, as with its cluster.
  await withTemporal(here, (client) => client.workflow.getHandle(session).terminate())
  const bundle = await collect(here.client.exportBundle(session, { packing: 'gzip' }))

  await there.startWorker()
  expect(await there.client.importBundle(inPieces(bundle))).toMatchObject({
    session,
    status: 'imported',
    custody: 'inert',
  })
  await expect(there.client.send(session, 'hello')).rejects.toMatchObject({
    code: 'session_inert',
    message: expect.stringContaining('savefile adopt'),
  })
  const [pending] = await there.client.approvals(session)
  await expect(there.client.approve(session, pending?.call)).rejects.toMatchObject({ code: 'session_inert' })

  const { seq, adopted } = await there.client.adopt(session, { why: 'moved' })
  expect(adopted).toBe(true)
  await until('the started call to be unknown', async () =>
    ofType(await readAll(there.client, session), 'tool_finished').some(
      (e) => e.payload.outcome === 'unknown' && e.payload.tool === 'slow',
    ),
  )
  const [asked, ...more] = await there.client.approvals(session)
  expect([asked?.tool, more]).toEqual(['run_command', []])
  await there.client.approve(session, asked?.call)
  await until('the turn to end', async () => (await readAll(there.client, session)).at(-1)?.type === 'turn_finished')

  const types = await there.sound(session)
  expect(types[seq - 1]).toBe('custody_taken')
  expect(types.filter((type) => type === 'tool_finished')).toHaveLength(2)
  const [started, again] = ofType(await readAll(there.client, session), 'tool_started')
  expect(again?.payload.tool).toBe('run_command')
  expect(again?.payload.idempotencyKey).not.toBe(started?.payload.idempotencyKey)
  expect(there.model.requests.length).toBe(1)
})

test('what was allowed before and had not started is asked again, and the answer counts', async () => {
  await there.startWorker()
  const base = here.definition()
  const tools = (base.tools ?? [])
    .filter((tool) => tool.name === 'run_command')
    .map((tool) => ({ ...tool, approval: 'ask' as const }))
  const worker = await here.startWorker()
  const { session } = await here.client.create({
    definition: {
      ...base,
      tools: [...tools, { name: 'slow', description: '', inputSchema: '{"type":"object"}', approval: 'ask' as const }],
    },
    workFolder: await here.workFolder(),
  })
  await here.client.send(session, 'MOVE')
  await until('both to wait', async () => (await here.client.approvals(session)).length === 2)
  await worker.kill('SIGKILL')
  const [first, second] = await here.client.approvals(session)
  for (const call of [first, second]) await here.client.approve(session, call?.call)
  await withTemporal(here, (client) => client.workflow.getHandle(session).terminate())
  await there.client.importBundle(here.client.exportBundle(session))
  await there.client.adopt(session)
  const pending = await there.client.approvals(session)
  expect(pending.map((p) => p.call)).toEqual([first?.call, second?.call])
  for (const { call } of pending) await there.client.deny(session, call)
  await until('the turn to end', async () => (await readAll(there.client, session)).at(-1)?.type === 'turn_finished')
  const outcomes = ofType(await readAll(there.client, session), 'tool_finished').map((e) => e.payload.outcome)
  expect(outcomes).toEqual(['denied', 'denied'])
  await there.sound(session)
})
