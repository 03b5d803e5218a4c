/**
 * A worker frozen (SIGSTOP) in two model calls and an unsafe tool, whose steps are taken over, and who is then woken (SIGCONT): its late
 * answers are refused, its tool's late result is evidence, never a second result (L4, L5, L8).
 */
import { access, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { nudge } from '../../client/nudge'
import { DEFAULT_SPACE } from '../../contract/ids'
import { createWorld, ofType, readAll, until, type World } from '../support/world'
import { ask, closeGate } from './support/gate'
import { withTemporal } from './support/temporal'

/** Goes on while its worker is frozen, and ends when it is let go. */
const COMMAND =
  'echo x >> effects.txt; while [ ! -f go ]; do sleep 0.1; done; echo "the late words"; echo y > ended.txt'
const slow = { kind: 'slow' as const, firstByteMs: 3_000 }
const rules = [
  { when: { text: 'SLOW same run' }, say: { text: 'Answered.', fault: slow } },
  { when: { text: 'SLOW next run' }, say: { text: 'Answered.', fault: slow } },
  { when: { text: 'tool', step: 0 }, say: { calls: [{ tool: 'run_command', args: { command: COMMAND } }] } },
  { say: { text: 'Done.' } },
]

let world: World
let folder: string
let sameRun: string
let nextRun: string
let tool: string
/** What each log held before the sleeper woke. */
const before = new Map<string, number>()

const requestsOf = (text: string) => world.model.requests.filter((r) => JSON.stringify(r.body).includes(text))
const there = (file: string): Promise<boolean> =>
  access(path.join(folder, file)).then(
    () => true,
    () => false,
  )

beforeAll(async () => {
  world = await createWorld({ script: { name: 'frozen', rules } })
  const { adminUrl } = world.db
  folder = await world.workFolder()
  const begin = async (text: string): Promise<string> => {
    const base = world.definition()
    const tools = (base.tools ?? []).map((spec) => ({ ...spec, approval: 'allow' as const }))
    const { session } = await world.client.create({ definition: { ...base, tools }, workFolder: folder })
    await world.client.send(session, text)
    return session
  }
  const sleeper = await world.startWorker()
  tool = await begin('tool')
  await until('the tool to have begun', () => there('effects.txt'))
  ;[sameRun, nextRun] = await Promise.all([begin('SLOW same run'), begin('SLOW next run')])
  await until('both calls', () => requestsOf('SLOW').length === 2)
  sleeper.signal('SIGSTOP')
  await withTemporal(world, async (client) => {
    await client.workflow.getHandle(nextRun).terminate('test')
    await world.startWorker()
    await nudge(client, { space: DEFAULT_SPACE, session: nextRun }, { taskQueue: world.taskQueue })
  })
  for (const session of [sameRun, nextRun, tool]) {
    expect((await world.client.awaitTurn(session, 2, { timeoutMs: 90_000 })).reason).toBe('done')
    before.set(session, (await readAll(world.client, session)).length)
  }
  await until('the late answers to lie in its sockets', () =>
    requestsOf('SLOW').every((request) => request.whole === true),
  )
  await writeFile(path.join(folder, 'go'), '')
  await until('the frozen worker’s command to end by itself', () => there('ended.txt'))
  // What the sleeper says first when it wakes is that its steps are finished: seen at a lock, then let go.
  const gate = await closeGate(adminUrl, 'lock table savefile.drafts in share mode')
  sleeper.signal('SIGCONT')
  await gate.standsAt('finish_', 3)
  await gate.open()
  await until('the evidence in the log', async () => (await world.sound(tool)).includes('result_arrived_late'))
}, 180_000)
afterAll(() => world.close())

test.each([
  ['taken over by the next attempt of the same run', () => sameRun, 'SLOW same run'],
  ['taken over by the next run, under a new lease', () => nextRun, 'SLOW next run'],
])('a model call %s: one answer, that of who took over', async (_how, session, text) => {
  expect(await world.sound(session())).toEqual([
    'session_created',
    'message_received',
    'model_answered',
    'turn_finished',
  ])
  const [answered] = ofType(await readAll(world.client, session()), 'model_answered')
  expect(answered?.payload.attempts.map((attempt) => attempt.outcome)).toEqual(['vanished', 'answered'])
  expect(requestsOf(text)).toHaveLength(2)
})

test('the old lease is gone: its epoch is not the session’s', async () => {
  expect(
    Number(await ask(world.db.adminUrl, 'select epoch from savefile.sessions where session_id = $1', [nextRun])),
  ).toBe(2)
  expect(
    Number(await ask(world.db.adminUrl, 'select epoch from savefile.sessions where session_id = $1', [sameRun])),
  ).toBe(1)
})

test('an unsafe tool: unknown once, never run again, and what it said late is kept as evidence', async () => {
  const events = await readAll(world.client, tool)
  expect(ofType(events, 'tool_finished').map((event) => event.payload.outcome)).toEqual(['unknown'])
  const late = ofType(events, 'result_arrived_late')
  expect(late).toHaveLength(1)
  // On waking it hears of its lost claim and of its command's end at once: either word is evidence.
  expect(['ok', 'cancelled']).toContain(late[0]?.payload.outcome)
  expect(JSON.stringify(late[0]?.payload.blocks)).toContain('the late words')
  expect(late[0]?.seq).toBe((before.get(tool) ?? 0) + 1)
  expect((await readFile(path.join(folder, 'effects.txt'), 'utf8')).trim()).toBe('x')
})
