/** SIGKILL of the worker before, during and after a model call, and between its draft and the mirror (L5). */
import { createWorld, ofType, readAll, until, type World } from '../support/world'
import { ask, draftState, holdSession, holdStep } from './support/gate'
import { together } from './support/together'

const STEP = 'model@2'
const LOG = ['session_created', 'message_received', 'model_answered', 'turn_finished']

async function inWorld(
  say: { firstByteMs?: number; fault?: { kind: 'hang'; afterDeltas: number } },
  run: (world: World, session: string) => Promise<void>,
): Promise<void> {
  const world = await createWorld({ script: { name: 'kill', rules: [{ say: { text: 'four words of answer', ...say } }] } })
  try {
    const { session } = await world.client.create({ definition: world.definition() })
    await run(world, session)
  } finally {
    await world.close()
  }
}

/** The turn that the first message opened ends well, with one answer; gives that answer's attempts. */
async function endsWell(world: World, session: string): Promise<string[]> {
  const end = await world.client.awaitTurn(session, 2, { timeoutMs: 90_000 })
  expect(end.reason).toBe('done')
  expect(await world.sound(session)).toEqual(LOG)
  const [answered] = ofType(await readAll(world.client, session), 'model_answered')
  return answered?.payload.attempts.map((attempt) => attempt.outcome) ?? []
}

together({
  'killed before the call was claimed: called once': () =>
    inWorld({}, async (world, session) => {
      const gate = await holdStep(world.db.adminUrl, session, STEP)
      const worker = await world.startWorker()
      await world.client.send(session, 'hello')
      await gate.standsAt('claim_draft')
      await worker.kill('SIGKILL')
      await gate.cutOff('claim_draft')
      await gate.open()
      await world.startWorker()
      expect(await endsWell(world, session)).toEqual(['answered'])
      expect(world.model.requests).toHaveLength(1)
    }),

  'killed during the call: called again, answered once, the lost attempt is told': () =>
    inWorld({ fault: { kind: 'hang', afterDeltas: 2 } }, async (world, session) => {
      const worker = await world.startWorker()
      await world.client.send(session, 'hello')
      await until('the call to be under way', () => world.model.requests.length === 1)
      await worker.kill('SIGKILL')
      await world.startWorker()
      expect(await endsWell(world, session)).toEqual(['vanished', 'answered'])
      expect(world.model.requests.map((request) => request.whole)).toEqual([false, true])
    }),

  'killed between draft and mirror, whose append never happened: the answer is not paid for again': () =>
    inWorld({ firstByteMs: 1_500 }, async (world, session) => {
      const worker = await world.startWorker()
      await world.client.send(session, 'hello')
      await until('the call to be claimed', () => world.model.requests.length === 1)
      const gate = await holdSession(world.db.adminUrl, session)
      await until('the draft to be finished', async () => (await draftState(world.db.adminUrl, session, STEP)) === 'finished')
      await gate.standsAt('append')
      await worker.kill('SIGKILL')
      await gate.cutOff('append')
      await gate.open()
      expect(await ask(world.db.adminUrl, 'select head from savefile.sessions where session_id = $1', [session])).toBe('2')
      await world.startWorker()
      expect(await endsWell(world, session)).toEqual(['answered'])
      expect(world.model.requests).toHaveLength(1)
    }),

  'killed in the mirror, whose append came through after its death: nothing is appended twice': () =>
    inWorld({ firstByteMs: 1_500 }, async (world, session) => {
      const worker = await world.startWorker()
      await world.client.send(session, 'hello')
      await until('the call to be claimed', () => world.model.requests.length === 1)
      const gate = await holdSession(world.db.adminUrl, session)
      await gate.standsAt('append')
      await worker.kill('SIGKILL')
      await gate.open()
      await until(
        'the dead worker’s append',
        async () => (await ask(world.db.adminUrl, 'select head from savefile.sessions where session_id = $1', [session])) === '4',
      )
      await world.startWorker()
      expect(await endsWell(world, session)).toEqual(['answered'])
      // The dead run's outcome is not known to Temporal: the next input must find a way all the same.
      await world.client.ask(session, 'again', { timeoutMs: 90_000 })
      await world.sound(session)
      expect(world.model.requests).toHaveLength(2)
    }),
})
