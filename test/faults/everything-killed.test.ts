/**
 * At an approval prompt everything dies by SIGKILL: worker, Temporal with all it knew, Postgres. The prompt is there again, once, and
 * answering it goes on.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createWorld, ofType, readAll, until, type World } from '../support/world'
import { ownPostgres, ownTemporal, type OwnPostgres, type OwnTemporal } from './support/servers'

let world: World
let postgres: OwnPostgres
let temporal: OwnTemporal
let folder: string
let session: string

beforeAll(async () => {
  ;[postgres, temporal] = await Promise.all([ownPostgres(), ownTemporal()])
  const rules = [
    { when: { step: 0 }, say: { calls: [{ tool: 'run_command', args: { command: 'echo x >> effects.txt' } }] } },
    { say: { text: 'Done.' } },
  ]
  world = await createWorld({ script: { name: 'prompt', rules }, temporalAddress: temporal.address, db: postgres.db })
  folder = await world.workFolder()
  const worker = await world.startWorker()
  ;({ session } = await world.client.create({ definition: world.definition(), workFolder: folder }))
  await world.client.send(session, 'run it')
  await until('the prompt', async () => (await world.client.approvals(session)).length === 1)
  await Promise.all([worker.kill('SIGKILL'), temporal.kill(), postgres.crash()])
  await Promise.all([temporal.startAgain('empty'), postgres.startAgain()])
}, 120_000)
afterAll(async () => {
  await world.close()
  await temporal.close()
})

test('the prompt is there again, once, with no process of ours alive', async () => {
  const pending = await world.client.approvals(session)
  expect(pending).toHaveLength(1)
  expect(pending[0]).toMatchObject({ tool: 'run_command' })
})

test('a new worker on an empty Temporal asks nobody a second time', async () => {
  await world.startWorker()
  expect(await world.client.approvals(session)).toHaveLength(1)
})

test('answering it goes on: the tool runs once, the turn ends', async () => {
  await world.client.approve(session)
  expect((await world.client.awaitTurn(session, 2, { timeoutMs: 90_000 })).reason).toBe('done')
  expect(await world.sound(session)).toEqual([
    ...['session_created', 'message_received', 'model_answered', 'approval_requested', 'approval_resolved'],
    ...['tool_started', 'tool_finished', 'model_answered', 'turn_finished'],
  ])
  expect(ofType(await readAll(world.client, session), 'tool_finished')[0]?.payload.outcome).toBe('ok')
  expect((await readFile(path.join(folder, 'effects.txt'), 'utf8')).trim()).toBe('x')
  expect(world.model.requests).toHaveLength(2)
}, 120_000)
