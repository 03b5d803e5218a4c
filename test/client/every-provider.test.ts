/** Every provider over the real loop, streamed and in one piece, against the server that refuses what its vendor would refuse. */
import type { ProviderName } from '../../contract/definition'
import { createWorld, ofType, readAll, type World } from '../support/world'

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'every provider',
      rules: [
        {
          when: { text: 'look', step: 0 },
          say: { reasoning: 'I think of it.', text: 'I look.', calls: [{ tool: 'list_files', args: { path: '.' } }] },
        },
        { say: { reasoning: 'So.', text: 'that is all' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world?.close())

test.each<[ProviderName, string]>([
  ['anthropic', 'claude-opus-4-8'],
  ['openai-responses', 'gpt-5.5'],
  ['openai-chat', 'qwen3'],
])('%s: turns with tools, what was thought sent back, streamed or not', async (provider, name) => {
  for (const stream of [true, false]) {
    const model = { provider, name, stream, reasoning: { effort: 'low' as const }, totalMs: 60_000 }
    const { session } = await world.client.create({
      definition: world.definition({ model }),
      workFolder: await world.workFolder(),
    })
    for (const text of ['look', 'look again'])
      expect(await world.client.ask(session, text)).toMatchObject({ reason: 'done', text: 'that is all' })
    const answers = ofType(await readAll(world.client, session), 'model_answered')
    expect(answers).toHaveLength(4)
    for (const { payload } of answers) {
      expect(payload).toMatchObject({ provider, stop: expect.stringMatching(/end|tool_calls/) as string })
      expect(payload.replay).toBeDefined()
      expect(payload.manifest.replayCut).toBeUndefined()
    }
    await world.sound(session)
  }
})
