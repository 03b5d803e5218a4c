/**
 * An old Temporal that was taken for dead comes back beside a new one: two servers, each with a worker, on one log. While the old one's
 * step beats, the new one waits (owned_elsewhere); once it is silent the new one goes on, and the old one's run ends by its stale lease.
 */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { nudge } from '../../client/nudge'
import { DEFAULT_SPACE } from '../../contract/ids'
import { createWorld, ofType, readAll, until, type World } from '../support/world'
import { ask, holdSession } from './support/gate'
import { ownTemporal, type OwnTemporal } from './support/servers'
import { runOf, withTemporal } from './support/temporal'

const TURN = [
  ...['message_received', 'model_answered', 'tool_started', 'tool_finished'],
  ...['model_answered', 'turn_finished'],
]
const COMMAND = 'echo x >> effects.txt; while [ ! -f go ]; do sleep 0.1; done'
const rules = [
  { when: { text: 'TOOL', step: 0 }, say: { calls: [{ tool: 'run_command', args: { command: COMMAND } }] } },
  { say: { text: 'Done.' } },
]

let world: World
let old: OwnTemporal
let session: string
let folder: string
const effects = (): Promise<string> => readFile(path.join(folder, 'effects.txt'), 'utf8').catch(() => '')
const oldWorld = (): { temporalAddress: string } => ({ temporalAddress: old.address })
const of = <T>(column: string): Promise<T | undefined> =>
  ask<T>(world.db.adminUrl, `select ${column} from savefile.sessions where session_id = $1`, [session])

beforeAll(async () => {
  old = await ownTemporal()
  // The client, and all but the first worker, speak with the run's Temporal: the new one.
  world = await createWorld({ script: { name: 'two', rules } })
  folder = await world.workFolder()
  const base = world.definition()
  const tools = (base.tools ?? []).map((spec) => ({ ...spec, approval: 'allow' as const }))
  ;({ session } = await world.client.create({ definition: { ...base, tools }, workFolder: folder }))
}, 120_000)
afterAll(async () => {
  await world.close()
  await old.close()
})

/** How often the new one's run was told that the session is owned elsewhere, and waited. */
const waits = (): Promise<number> =>
  withTemporal(world, async (client) => {
    const { events } = await client.workflow.getHandle(session).fetchHistory()
    return (events ?? []).filter((event) => event.timerStartedEventAttributes).length
  })

test('while a step of the old one beats, the new one waits; then it goes on, nothing ran twice', async () => {
  await world.startWorker({ TEMPORAL_ADDRESS: old.address })
  await withTemporal(oldWorld(), async (client) => {
    await world.client.send(session, 'TOOL')
    await nudge(client, { space: DEFAULT_SPACE, session }, { taskQueue: world.taskQueue })
  })
  await until('the tool to run', async () => (await effects()) !== '')
  // Frozen, not dead: it will not say what it knows until it wakes.
  old.freeze()
  const owner = await of<string>('owner_cluster')
  await world.startWorker()
  await until('the new one’s run to wait', async () => (await waits()) > 1)
  expect(await of('owner_cluster')).toBe(owner)
  expect(Number(await of('epoch'))).toBe(1)
  await writeFile(path.join(folder, 'go'), '')
  expect((await world.client.awaitTurn(session, 2, { timeoutMs: 90_000 })).reason).toBe('done')
  expect(await world.sound(session)).toEqual(['session_created', ...TURN])
  expect(ofType(await readAll(world.client, session), 'tool_finished')[0]?.payload.outcome).toBe('ok')
  expect((await effects()).trim()).toBe('x')
  expect(world.model.requests).toHaveLength(2)
  expect(await of('owner_cluster')).not.toBe(owner)
  expect(Number(await of('epoch'))).toBe(2)
}, 180_000)

test('the old one wakes with its run still open: told that its lease is stale, the run ends, the log is as it was', async () => {
  old.thaw()
  await until('the old run to end', async () => (await runOf(oldWorld(), session)).status === 'COMPLETED', 90_000)
  expect(await world.sound(session)).toEqual(['session_created', ...TURN])
  expect(Number(await of('epoch'))).toBe(2)
}, 180_000)

test('both are told of the next message at once: one answer', async () => {
  const gate = await holdSession(world.db.adminUrl, session)
  const sent = world.client.send(session, 'to both')
  await gate.open()
  const { seq } = await sent
  await withTemporal(oldWorld(), async (client) => {
    await nudge(client, { space: DEFAULT_SPACE, session }, { taskQueue: world.taskQueue })
  })
  expect((await world.client.awaitTurn(session, seq, { timeoutMs: 90_000 })).reason).toBe('done')
  expect(await world.sound(session)).toEqual([
    'session_created',
    ...TURN,
    'message_received',
    'model_answered',
    'turn_finished',
  ])
  expect(world.model.requests).toHaveLength(3)
}, 180_000)
