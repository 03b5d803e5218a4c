/** Budgets of a session, over the real loop: the call that would break one is not begun, and people are told what to do. */
import type { DefinitionInput } from '../../contract/definition'
import { createWorld, ofType, readAll, type World } from '../support/world'

jest.setTimeout(120_000)

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'budgets',
      rules: [
        { when: { model: 'shut' }, say: { fault: { kind: 'status', status: 401, times: 1000 } } },
        { say: { text: 'fine', usage: { input: 900, output: 100 } } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

const requestsOf = (text: string) => world.model.requests.filter((r) => JSON.stringify(r.body).includes(text))
const begin = async (sessionLimits: DefinitionInput['sessionLimits'], more: Partial<DefinitionInput> = {}) =>
  (await world.client.create({ definition: world.definition({ sessionLimits, ...more }) })).session

test('a message to a session whose budget is used up is accepted, not sent, and shown once more is allowed', async () => {
  const { client } = world
  const session = await begin({ steps: 1 })
  expect(await client.ask(session, 'the first of steps')).toMatchObject({ reason: 'done' })
  expect(await client.ask(session, 'the second of steps')).toMatchObject({ reason: 'limit', limit: 'session_steps' })
  expect(requestsOf('the second of steps')).toEqual([])
  await client.changeDefinition(session, world.definition({ sessionLimits: { steps: 5 } }), { why: 'more' })
  expect(await client.ask(session, 'the third of steps')).toMatchObject({ reason: 'done' })
  const last = JSON.stringify(requestsOf('the third of steps').at(-1)?.body)
  expect(last).toContain('the second of steps')
  await world.sound(session)
})

test('tokens count before the call: one whose request alone would go beyond them is not made', async () => {
  const session = await begin({ tokens: 2500 })
  for (const text of ['one of tokens', 'two of tokens'])
    expect(await world.client.ask(session, text)).toMatchObject({ reason: 'done' })
  expect(await world.client.ask(session, 'three of tokens')).toMatchObject({ reason: 'limit', limit: 'session_tokens' })
  expect(requestsOf('three of tokens')).toEqual([])
  await world.sound(session)
})

test('a fork has its own budget, and the parent keeps what it spent', async () => {
  const session = await begin({ steps: 1 })
  await world.client.ask(session, 'hello')
  const fork = await world.client.fork(session)
  expect(await world.client.ask(fork.session, 'in the fork')).toMatchObject({ reason: 'done' })
  expect(await world.client.ask(fork.session, 'again')).toMatchObject({ reason: 'limit', limit: 'session_steps' })
  expect(await world.client.ask(session, 'in the parent')).toMatchObject({ reason: 'limit', limit: 'session_steps' })
  await world.sound(fork.session)
})

test('failed calls count, so a chain of fallbacks is bound too', async () => {
  const model = { provider: 'openai-chat', name: 'shut' } as const
  const session = await begin({ steps: 2 }, { model, fallbacks: { models: [model, model, model] } })
  expect(await world.client.ask(session, 'hello')).toMatchObject({ reason: 'limit', limit: 'session_steps' })
  expect(ofType(await readAll(world.client, session), 'model_failed')).toHaveLength(2)
  await world.sound(session)
})
