/** A chain of models: where one could not answer, the next goes on from the same place, over the real loop and two wires. */
import { randomBytes } from 'node:crypto'
import type { DefinitionInput } from '../../contract/definition'
import { holdStep } from '../faults/support/gate'
import { exportQueue, find } from '../laws/support/temporal-export'
import { createWorld, ofType, readAll, until, type World } from '../support/world'

jest.setTimeout(120_000)

/** In every error body: it is in the log, and nowhere in Temporal. */
const MARK = `zqfailure${randomBytes(4).toString('hex')}`
const broken = (status: number) => ({
  text: 'never said',
  fault: { kind: 'status' as const, status, retryAfter: 0.02, times: 1000, body: { error: { message: MARK } } },
})
const SECOND = { provider: 'openai-chat', name: 'second' } as const
const THIRD = { provider: 'openai-chat', name: 'third' } as const

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'fallback',
      rules: [
        { when: { provider: 'anthropic', text: 'BUSY' }, say: broken(529) },
        { when: { provider: 'anthropic', text: 'LOCKED' }, say: broken(401) },
        { when: { model: 'second', text: 'LOCKED' }, say: broken(401) },
        { when: { model: 'third', text: 'ALL' }, say: broken(401) },
        {
          when: { model: 'third', text: 'HANG' },
          say: { text: 'half of it', fault: { kind: 'hang', afterDeltas: 1 } },
        },
        {
          when: { provider: 'openai-chat', text: 'TOOL', step: 0 },
          say: { calls: [{ tool: 'list_files', args: { path: '.' } }] },
        },
        { when: { provider: 'openai-chat' }, say: { text: 'the other model speaks' } },
        { say: { text: 'the first model speaks' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

const definition = (models: NonNullable<DefinitionInput['fallbacks']>['models'], on?: string[]): DefinitionInput => ({
  ...world.definition(),
  fallbacks: { models, ...(on ? { on: on as 'auth'[] } : {}) },
})
async function ask(text: string, of: DefinitionInput) {
  const { session } = await world.client.create({ definition: of, workFolder: await world.workFolder() })
  const answer = await world.client.ask(session, text, { timeoutMs: 90_000 })
  return { session, answer, types: await world.sound(session), events: await readAll(world.client, session) }
}
const requestsOf = (text: string) => world.model.requests.filter((r) => JSON.stringify(r.body).includes(text))

test('a model whose attempts are used up is followed by the next, on another wire; the next turn begins with the first', async () => {
  const { session, answer, types, events } = await ask('BUSY 1', definition([SECOND]))
  expect(answer).toMatchObject({ reason: 'done', text: 'the other model speaks' })
  expect(answer).not.toHaveProperty('failure')
  expect(types.slice(1)).toEqual(['message_received', 'model_failed', 'model_answered', 'turn_finished'])
  const [failed] = ofType(events, 'model_failed')
  expect(failed?.payload).toMatchObject({ class: 'overloaded', retryable: true, next: { kind: 'fallback', model: 1 } })
  expect(failed?.payload.attempts.map((attempt) => attempt.outcome)).toEqual(Array(8).fill('overloaded'))
  expect(failed?.payload.manifest).not.toHaveProperty('fallback')
  const [answered] = ofType(events, 'model_answered')
  expect(answered?.payload).toMatchObject({
    step: `model@${failed?.seq}`,
    provider: 'openai-chat',
    attempts: [{ n: 1 }],
  })
  expect(answered?.payload.manifest).toMatchObject({ fallback: 1, saw: [2] })
  expect(requestsOf('BUSY 1').map((r) => r.api)).toEqual([...Array<string>(8).fill('anthropic'), 'openai-chat'])

  expect(await world.client.ask(session, 'and now?')).toMatchObject({ text: 'the first model speaks' })
  const last = ofType(await readAll(world.client, session), 'model_answered').at(-1)
  expect(last?.payload).toMatchObject({ provider: 'anthropic' })
  expect(last?.payload.manifest).not.toHaveProperty('fallback')
})

test('a chain goes on until one answers, and stays with it for the rest of the turn, tools and all', async () => {
  const { answer, events } = await ask('LOCKED TOOL', definition([SECOND, THIRD]))
  expect(answer).toMatchObject({ reason: 'done', text: 'the other model speaks' })
  const failed = ofType(events, 'model_failed')
  expect(failed.map((e) => [e.payload.class, e.payload.next])).toEqual([
    ['auth', { kind: 'fallback', model: 1 }],
    ['auth', { kind: 'fallback', model: 2 }],
  ])
  expect(failed[1]?.payload).toMatchObject({ step: `model@${failed[0]?.seq}`, manifest: { fallback: 1 } })
  expect(ofType(events, 'model_answered').map((e) => e.payload.manifest.fallback)).toEqual([2, 2])
  expect(ofType(events, 'tool_finished')[0]?.payload).toMatchObject({ outcome: 'ok' })
})

test('where none answers the turn has failed, with what the last one said, and each failure is in the log', async () => {
  const { answer, types } = await ask('LOCKED ALL', definition([SECOND, THIRD]))
  expect(answer).toMatchObject({ reason: 'failed', failure: { class: 'auth', message: expect.stringContaining(MARK) } })
  expect(types.filter((type) => type === 'model_failed')).toHaveLength(3)
})

test('failures that the definition does not name end the turn at once', async () => {
  const { answer, types } = await ask('LOCKED 2', definition([SECOND], ['overloaded']))
  expect(answer).toMatchObject({ reason: 'failed', failure: { class: 'auth' } })
  expect(types.filter((type) => type === 'model_failed')).toHaveLength(1)
})

test('a worker that is killed between the failure and the fallback: another goes on, and the first model is not asked again', async () => {
  const { session } = await world.client.create({ definition: definition([SECOND]) })
  const gate = await holdStep(world.db.adminUrl, session, 'model@3')
  const { seq } = await world.client.send(session, 'LOCKED KILL')
  await gate.standsAt('claim_draft(')
  for (const worker of world.workers) await worker.kill('SIGKILL')
  await gate.cutOff('claim_draft(')
  await gate.open()
  await world.startWorker()
  // `second` refuses what says LOCKED; its failure is the turn's.
  expect((await world.client.awaitTurn(session, seq, { timeoutMs: 90_000 })).reason).toBe('failed')
  expect(requestsOf('LOCKED KILL').map((r) => r.api)).toEqual(['anthropic', 'openai-chat'])
  expect((await world.sound(session)).filter((type) => type === 'model_failed')).toHaveLength(2)
})

test('an interrupt stops a fallback like any other call, and keeps what it had said', async () => {
  const { session } = await world.client.create({ definition: definition([THIRD, SECOND]) })
  const { seq } = await world.client.send(session, 'LOCKED HANG')
  for await (const delta of world.client.followLive(session)) if (delta.kind === 'text') break
  await world.client.interrupt(session)
  const turn = await world.client.awaitTurn(session, seq, { timeoutMs: 90_000 })
  expect(turn.reason).toBe('interrupted')
  expect(turn.text).toMatch(/^half/)
  expect((await world.sound(session)).slice(2)).toEqual([
    ...['model_failed', 'message_received', 'interrupted', 'turn_finished'],
  ])
})

test('nothing that the providers said is anywhere in Temporal (L6)', async () => {
  const sessions = (await world.client.list()).map(({ session }) => session)
  expect(JSON.stringify(await Promise.all(sessions.map((s) => readAll(world.client, s))))).toContain(MARK)
  await until('every run to be listed', async () => {
    const names = [...(await exportQueue(world)).keys()]
    return sessions.every((session) => names.some((name) => name.startsWith(`${session}/`)))
  })
  expect(find([MARK, 'never said', 'BUSY', 'LOCKED'], await exportQueue(world))).toEqual([])
})
