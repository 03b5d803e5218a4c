/** A provider that refuses its own replay: asked again at once without, and not offered it again. Over the real loop. */
import { createWorld, ofType, readAll, type World } from '../support/world'

jest.setTimeout(120_000)

const message = 'messages.1.content.0: Invalid `signature` in `thinking` block'
let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'replay-refused',
      rules: [
        {
          when: { text: 'refuse' },
          say: {
            ...{ reasoning: 'a second thought', text: 'here it is' },
            fault: {
              ...{ kind: 'status', status: 400, times: 1 },
              body: { type: 'error', error: { type: 'invalid_request_error', message } },
            },
          },
        },
        { say: { reasoning: 'a first thought', text: 'fine' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

const bodies = () => world.model.requests.map((request) => JSON.stringify(request.body))

test('the answer says both attempts, the cut, and what was left out; it stays away, what came since is sent', async () => {
  const { client } = world
  const model = { provider: 'anthropic', name: 'claude-sonnet-4-5', reasoning: { budgetTokens: 1024 } } as const
  const { session } = await client.create({ definition: { model } })
  await client.ask(session, 'think')
  expect(await client.ask(session, 'refuse it')).toMatchObject({ reason: 'done', text: 'here it is' })
  const answered = ofType(await readAll(client, session), 'model_answered').at(-1)
  expect(answered?.payload.attempts.map((attempt) => attempt.outcome)).toEqual(['refused_request', 'answered'])
  expect(answered?.payload.manifest.replayCut).toBe(3)
  expect(answered?.payload.manifest.dropped).toMatchObject([{ seq: 3, what: 'reasoning' }])
  const [, refused, again] = bodies()
  expect(refused).toContain('a first thought')
  expect(again).not.toContain('a first thought')
  await client.ask(session, 'go on')
  const last = bodies().at(-1)
  expect(last).not.toContain('a first thought')
  expect(last).toContain('a second thought')
  expect(ofType(await readAll(client, session), 'model_answered').at(-1)?.payload.manifest).toMatchObject({
    replayCut: 3,
    dropped: [],
  })
  await world.sound(session)
})
