/** Imported transcripts go on: through real workers, on each provider's own wire, against the server that checks what it is sent. */
import { createWorld, until, type World } from '../support/world'
import { fixture, FIXTURES } from './support'

jest.setTimeout(180_000)

let world: World
beforeAll(async () => {
  world = await createWorld({ script: { name: 'go-on', rules: [{ say: { text: 'It goes on.' } }] } })
  await world.startWorker()
})
afterAll(() => world.close())

const MODELS = {
  anthropic: 'claude-test',
  'openai-chat': 'gpt-test',
  'openai-responses': 'gpt-test',
} as const

describe.each(Object.entries(MODELS))('on %s', (provider, name) => {
  it.each([
    'claude-code/compaction-summary-orphan.jsonl',
    'claude-code/pasted-image-queue-branches.jsonl',
    'claude-code/with-subagent.jsonl',
    'codex/rollout-2026-05-11T11-26-55.jsonl',
    'pi/before-compaction.head.jsonl',
  ])('%s', async (file) => {
    const session = `${provider}-${file.replace(/[^a-z0-9]+/gi, '-').toLowerCase()}`.slice(0, 60)
    const others = (FIXTURES.find((one) => one.file === file)?.others ?? []).map(fixture)
    const { head } = await world.client.importTranscript(fixture(file), { session, others })
    const definition = await world.client.definition((await world.client.info(session)).definition)
    await world.client.changeDefinition(session, {
      ...definition,
      model: { provider: provider as keyof typeof MODELS, name },
    })
    const paid = world.model.requests.length
    const answer = await world.client.ask(session, 'And now?')
    expect(answer).toMatchObject({ reason: 'done', text: 'It goes on.' })
    expect(world.model.requests.length).toBe(paid + 1)
    const types = await world.sound(session)
    expect(types.slice(head)).toEqual(['definition_changed', 'message_received', 'model_answered', 'turn_finished'])
  })
})

it('an import makes no model call of its own accord, also where the transcript ends in the middle of a turn', async () => {
  const paid = world.model.requests.length
  const { session } = await world.client.importTranscript(fixture('pi/before-compaction.head.jsonl'), {
    session: 'quiet',
  })
  await until('the adopted session to rest', async () => (await world.client.info(session)).state === 'idle')
  expect(world.model.requests.length).toBe(paid)
})
