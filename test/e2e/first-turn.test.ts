import { createWorld, ofType, readAll, type World } from '../support/world'

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'first-turn',
      rules: [
        {
          when: { step: 0 },
          say: {
            text: 'I write it down.',
            calls: [{ tool: 'write_file', args: { path: 'note.txt', content: 'hello' } }],
          },
        },
        { when: { step: 1 }, say: { text: 'Done.' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

test('a message is answered, with a tool in between, and the log says all of it', async () => {
  const workFolder = await world.workFolder()
  const { session } = await world.client.create({ definition: world.definition(), workFolder })
  const answer = await world.client.ask(session, 'write a note')
  expect(answer.reason).toBe('done')
  expect(await world.sound(session)).toEqual([
    'session_created',
    'message_received',
    'model_answered',
    'tool_started',
    'tool_finished',
    'model_answered',
    'turn_finished',
  ])
  const [finished] = ofType(await readAll(world.client, session), 'tool_finished')
  expect(finished?.payload).toMatchObject({ outcome: 'ok', tool: 'write_file' })
})
