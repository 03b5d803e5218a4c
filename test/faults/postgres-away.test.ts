/**
 * Postgres crashes under load and stays away for "ten minutes" (the pauses between looks a hundredth of the default). What was received
 * meanwhile is kept by who received it, inputs are refused with a clear error, no history grows without end, and all turns end (L5, L7).
 */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { errorCode } from '../../contract/errors'
import { PROFILES } from '../../contract/timing'
import { createWorld, ofType, readAll, RECONCILE_OFTEN, until, type World } from '../support/world'
import { holdSeq, sayUnheard } from './support/gate'
import { ownPostgres, type OwnPostgres } from './support/servers'
import { withTemporal } from './support/temporal'

const PLAIN = ['session_created', 'message_received', 'model_answered', 'turn_finished']
const WITNESS = 'echo x >> effects.txt; while [ ! -f go ]; do sleep 0.1; done; echo y > ended.txt'
const backoffMs = PROFILES.default.backoffMs.map((ms) => ms / 100)
const rules = [
  { when: { text: 'TOOL', step: 0 }, say: { calls: [{ tool: 'run_command', args: { command: WITNESS } }] } },
  { when: { text: 'SLOW' }, say: { text: 'Answered.', firstByteMs: 2_000 } },
  {
    when: { text: 'LOAD', step: 0 },
    say: { calls: [{ tool: 'run_command', args: { command: 'echo "$SAVEFILE_CALL" >> load.txt' } }] },
  },
  { say: { text: 'Done.' } },
]
const LOAD = 8

let postgres: OwnPostgres
let world: World
let folder: string
let slow: string
let tool: string
let long: string
let load: string[]
let refused: unknown
let during: number
const turns: Promise<unknown>[] = []

const file = (name: string): Promise<string> => readFile(path.join(folder, name), 'utf8').catch(() => '')
const requestsOf = (text: string) => world.model.requests.filter((r) => JSON.stringify(r.body).includes(text))
const history = (session: string) =>
  withTemporal(world, async (client) => (await client.workflow.getHandle(session).fetchHistory()).events ?? [])

/** As a person's program would: again, with the same key, until the log took it and the turn is over. */
async function ask(session: string, text: string): Promise<void> {
  for (;;) {
    try {
      await world.client.ask(session, text, { key: session })
      return
    } catch (error) {
      if (errorCode(error) !== 'database_unreachable') throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

beforeAll(async () => {
  postgres = await ownPostgres()
  world = await createWorld({ script: { name: 'away', rules }, db: postgres.db })
  const { adminUrl } = postgres.db
  folder = await world.workFolder()
  const begin = async (): Promise<string> => {
    const base = world.definition()
    const tools = (base.tools ?? []).map((spec) => ({ ...spec, approval: 'allow' as const }))
    return (await world.client.create({ definition: { ...base, tools }, workFolder: folder })).session
  }
  ;[slow, tool, long, ...load] = (await Promise.all(Array.from({ length: LOAD + 3 }, begin))) as [
    string,
    string,
    string,
  ]
  await world.startWorker({ ...RECONCILE_OFTEN, SAVEFILE_PROFILE_JSON: JSON.stringify({ backoffMs }) })

  await world.client.send(tool, 'TOOL')
  await until('the tool to run', async () => (await file('effects.txt')) !== '')
  await world.client.send(long, 'LONG')
  await until('its first turn', async () => (await world.sound(long)).includes('turn_finished'))
  // The run that is to look for Postgres again and again stands in its append when Postgres goes.
  await world.client.send(long, 'LONG, SLOW')
  await until('the model to be asked', () => requestsOf('LONG, SLOW').length === 1)
  await sayUnheard(adminUrl, long, 'more')
  const gate = await holdSeq(adminUrl, long, 7)
  await gate.standsAt('append')
  turns.push(...load.map((session) => ask(session, 'LOAD')))
  for (const turn of turns) turn.catch(() => undefined) // told by its test
  await until('the load', async () => (await file('load.txt')).split('\n').length > 1)
  await world.client.send(slow, 'SLOW')
  await until('the model to be asked', () => requestsOf('SLOW').length === 2)

  const before = (await history(long)).length
  await postgres.crash()
  await gate.open().catch(() => undefined) // its connection is gone with the server
  refused = await world.client.send(slow, 'while Postgres is down').catch((error: unknown) => error)
  await writeFile(path.join(folder, 'go'), '')
  await until('the tool to end', async () => (await file('ended.txt')) !== '')
  await until('the answer to be received', () => requestsOf('SLOW').every((request) => request.whole === true))
  const pauses = async (): Promise<number> =>
    (await history(long)).slice(before).filter((event) => event.timerStartedEventAttributes).length
  await until('ten minutes of looks', async () => (await pauses()) >= backoffMs.length, 60_000)
  during = (await history(long)).length - before
  await postgres.startAgain()
}, 180_000)
afterAll(() => world.close())

test('ten minutes without Postgres leave at most 50 events in a history', () => {
  expect(during).toBeLessThanOrEqual(50)
})

test('an input is refused with a clear error', () => {
  expect(errorCode(refused)).toBe('database_unreachable')
})

test('an answer that was received while Postgres was away is not paid for again', async () => {
  expect((await world.client.awaitTurn(slow, 2, { timeoutMs: 90_000 })).reason).toBe('done')
  expect(await world.sound(slow)).toEqual(PLAIN)
  expect(requestsOf('SLOW').filter((r) => !JSON.stringify(r.body).includes('LONG'))).toHaveLength(1)
}, 120_000)

test('the result of an unsafe tool that ended while Postgres was away counts', async () => {
  expect((await world.client.awaitTurn(tool, 2, { timeoutMs: 90_000 })).reason).toBe('done')
  await world.sound(tool)
  expect(ofType(await readAll(world.client, tool), 'tool_finished').map((e) => e.payload.outcome)).toEqual(['ok'])
  expect((await file('effects.txt')).trim()).toBe('x')
}, 120_000)

test('the run that looked in vain goes on', async () => {
  await until(
    'its turns',
    async () => (await world.sound(long)).filter((type) => type === 'turn_finished').length === 3,
  )
  // One for that message, one for the next.
  expect(requestsOf('LONG, SLOW')).toHaveLength(2)
}, 120_000)

test('under load: every turn ends, every effect at most once, every received answer is in its log', async () => {
  await Promise.all(turns)
  const effects = (await file('load.txt')).trim().split('\n')
  expect(new Set(effects).size).toBe(effects.length)
  let answered = 0
  for (const session of load) {
    const types = await world.sound(session)
    expect(types.filter((type) => type === 'turn_finished')).toHaveLength(1)
    answered += types.filter((type) => type === 'model_answered').length
    const [result] = ofType(await readAll(world.client, session), 'tool_finished')
    const times = effects.filter((call) => call === result?.payload.call).length
    if (result?.payload.outcome === 'ok') expect(times).toBe(1)
    else expect(result?.payload.outcome).toBe('unknown')
  }
  expect(requestsOf('LOAD').filter((request) => request.whole === true)).toHaveLength(answered)
}, 120_000)
