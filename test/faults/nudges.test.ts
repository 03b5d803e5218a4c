/**
 * 2,000 inputs, each with its one nudge, timed to meet the end of their session's run: some are signals to a run that is about to
 * complete, some start another. None is lost, without any help from the reconciler (PROTOCOL.md rule 19).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createWorld, until, type World } from '../support/world'
import { ask } from './support/gate'
import { runOf } from './support/temporal'

const SESSIONS = 40
const ROUNDS = 50
const LINGER_MS = 20
/** Two thousand runs may keep a busy machine's Temporal for minutes. */
const BUSY_MS = 150_000

let world: World
let sessions: string[]

beforeAll(async () => {
  world = await createWorld({ script: { name: 'nudges', rules: [] } })
  const definition = world.definition()
  sessions = await Promise.all(
    Array.from({ length: SESSIONS }, async () => (await world.client.create({ definition })).session),
  )
  await world.startWorker({
    SAVEFILE_PROFILE_JSON: JSON.stringify({ lingerMs: LINGER_MS }),
    SAVEFILE_RECONCILE_MS: '3600000',
  })
}, 60_000)
afterAll(() => world.close())

/** Inputs that no run has looked at yet. A stop without a turn is the cheapest there is: due until a run finds that there is nothing to do. */
const unhandled = async (): Promise<number> =>
  Number(await ask(world.db.adminUrl, 'select count(*) from savefile.sessions where due_at is not null'))

test('none of 2,000 is lost', async () => {
  let inputs = 0
  await Promise.all(
    sessions.map(async (session, i) => {
      for (let round = 0; round < ROUNDS; round++) {
        // A busy Temporal may refuse a nudge: that is said, and whoever was told so comes again. What was taken must be handled.
        for (let nudged = false; !nudged; inputs++) nudged = (await world.client.interrupt(session)).nudged
        // Spread over what a run takes from its nudge to its end, different in every session and round.
        await sleep((LINGER_MS * 4 * ((i * 7 + round * 13) % 32)) / 32)
      }
    }),
  )
  await until('every input to be handled', async () => (await unhandled()) === 0, BUSY_MS)
  const heads = await ask<string>(world.db.adminUrl, 'select sum(head) from savefile.sessions')
  expect(inputs).toBeGreaterThanOrEqual(SESSIONS * ROUNDS)
  expect(Number(heads)).toBe(SESSIONS + inputs)
  for (const session of sessions) await world.sound(session)
  await until(
    'the last run to end',
    async () => (await runOf(world, sessions[0] ?? '')).status === 'COMPLETED',
    BUSY_MS,
  )
}, 420_000)
