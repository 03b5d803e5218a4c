/**
 * Temporal is killed and its data deleted in mid-turn; the log has all that counts (L1, L5, L7). On the empty Temporal, `reconcile` by hand
 * or the workers' own schedule goes on, and nothing that was received is paid for again.
 */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { reconcileOnce } from '../../activities/reconcile'
import { nudge } from '../../client/nudge'
import { createDueLog } from '../../log/due'
import { createPool } from '../../log/pool'
import { terminateStuck } from '../../workers/control'
import { createWorld, ofType, readAll, RECONCILE_OFTEN, until, type WorkerProcess, type World } from '../support/world'
import { draftState, holdSeq, makeDue, sayUnheard } from './support/gate'
import { ownTemporal, type OwnTemporal } from './support/servers'
import { withTemporal } from './support/temporal'

const PLAIN = ['session_created', 'message_received', 'model_answered', 'turn_finished']
const COMMAND = 'echo x >> effects.txt; while [ ! -f go ]; do sleep 0.1; done'
const rules = [
  { when: { text: 'TOOL', step: 0 }, say: { calls: [{ tool: 'run_command', args: { command: COMMAND } }] } },
  { when: { text: 'SLOW' }, say: { text: 'Answered.', firstByteMs: 2_000 } },
  { say: { text: 'Done.' } },
]
const requestsOf = (world: World, text: string) =>
  world.model.requests.filter((r) => JSON.stringify(r.body).includes(text))

/** `savefile reconcile`. */
async function reconcileByHand(world: World): Promise<{ nudged: number }> {
  const pool = createPool(world.db.writerUrl, { max: 1 })
  try {
    return await withTemporal(world, (client) =>
      reconcileOnce({
        log: createDueLog(pool, { ttlMs: 2_500 }),
        nudge: async (ref) => (await nudge(client, ref, { taskQueue: world.taskQueue })).nudged,
        terminateStuck: (ref) => terminateStuck(client, ref),
      }),
    )
  } finally {
    await pool.end()
  }
}

const BY_HAND = { SAVEFILE_RECONCILE_MS: '3600000' }

let temporal: OwnTemporal
let second: WorkerProcess
let world: World
let folder: string
let answered: string
let tool: string
let downSession: string
let sent: { nudged: boolean; seq: number }

beforeAll(async () => {
  temporal = await ownTemporal()
  world = await createWorld({ script: { name: 'lost', rules }, temporalAddress: temporal.address })
  folder = await world.workFolder()
  const { adminUrl } = world.db
  const begin = async (): Promise<string> => {
    const base = world.definition()
    const tools = (base.tools ?? []).map((spec) => ({ ...spec, approval: 'allow' as const }))
    return (await world.client.create({ definition: { ...base, tools }, workFolder: folder })).session
  }
  ;[answered, tool, downSession] = await Promise.all([begin(), begin(), begin()])
  // The schedule would do it by itself: here it is to be done by hand.
  const worker = await world.startWorker(BY_HAND)
  await world.client.send(tool, 'TOOL')
  await until(
    'the tool to run',
    async () => (await readFile(path.join(folder, 'effects.txt'), 'utf8').catch(() => '')) !== '',
  )
  await world.client.send(answered, 'SLOW')
  await until('the model to be asked', () => requestsOf(world, 'SLOW').length === 1)
  await sayUnheard(adminUrl, answered, 'more')
  const gate = await holdSeq(adminUrl, answered, 4)
  await until('its answer in the draft', async () => (await draftState(adminUrl, answered, 'model@2')) === 'finished')
  await gate.standsAt('append')
  await temporal.kill()
  sent = await world.client.send(downSession, 'while Temporal is down')
  await worker.kill('SIGKILL')
  await gate.cutOff('append')
  await gate.open()
  await temporal.startAgain('empty')
  second = await world.startWorker(BY_HAND)
}, 120_000)
afterAll(async () => {
  await world.close()
  await temporal.close()
})

test('an input is accepted while Temporal is down, and said not to be told', () => {
  expect(sent).toMatchObject({ nudged: false, seq: 2 })
})

test('reconcile by hand on the empty Temporal: the turns end, the received answer is not paid for again', async () => {
  await makeDue(world.db.adminUrl, [answered, tool, downSession])
  let nudged = 0
  await until('all three to be nudged', async () => (nudged += (await reconcileByHand(world)).nudged) >= 3, 90_000)
  for (const session of [answered, tool, downSession])
    expect((await world.client.awaitTurn(session, 2, { timeoutMs: 90_000 })).reason).toBe('done')
  expect((await world.client.awaitTurn(answered, 3, { timeoutMs: 90_000 })).reason).toBe('done')
  expect((await world.sound(answered)).filter((type) => type === 'model_answered')).toHaveLength(2)
  expect(await world.sound(downSession)).toEqual(PLAIN)
  // One call a message.
  expect(requestsOf(world, 'SLOW')).toHaveLength(2)
  expect(requestsOf(world, 'while Temporal is down')).toHaveLength(1)
}, 180_000)

test('the unsafe tool that ran when Temporal died: unknown, not run again', async () => {
  await world.sound(tool)
  expect(ofType(await readAll(world.client, tool), 'tool_finished').map((e) => e.payload.outcome)).toEqual(['unknown'])
  expect((await readFile(path.join(folder, 'effects.txt'), 'utf8')).trim()).toBe('x')
})

test('Temporal is lost under a living worker: its tool goes on, its result counts, the schedule is made again and finishes the turn', async () => {
  await writeFile(path.join(folder, 'effects.txt'), '')
  await second.kill('SIGTERM')
  await world.startWorker(RECONCILE_OFTEN)
  const at = (await world.client.send(tool, 'TOOL again')).seq
  await until('the tool to run', async () => (await readFile(path.join(folder, 'effects.txt'), 'utf8')) !== '')
  await temporal.kill()
  await temporal.startAgain('empty')
  await writeFile(path.join(folder, 'go'), '')
  expect((await world.client.awaitTurn(tool, at, { timeoutMs: 120_000 })).reason).toBe('done')
  await world.sound(tool)
  expect(ofType(await readAll(world.client, tool), 'tool_finished').map((e) => e.payload.outcome)).toEqual([
    'unknown',
    'ok',
  ])
  expect((await readFile(path.join(folder, 'effects.txt'), 'utf8')).trim()).toBe('x')
}, 180_000)
