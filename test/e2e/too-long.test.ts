/** A request that the provider refuses as too long: a checkpoint, and the same model again; once. Over the real loop. */
import type { DefinitionInput } from '../../contract/definition'
import { holdStep } from '../faults/support/gate'
import { createWorld, ofType, readAll, type World } from '../support/world'

jest.setTimeout(120_000)

const SUMMARY = 'Write the summary that takes its place'
/** In Anthropic's words. */
const tooLong = {
  kind: 'status' as const,
  status: 400,
  times: 1000,
  body: {
    type: 'error',
    error: { type: 'invalid_request_error', message: 'prompt is too long: 208310 tokens > 200000 maximum' },
  },
}
const OTHER = { provider: 'openai-chat', name: 'roomy' } as const

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'too-long',
      rules: [
        { when: { text: SUMMARY, model: 'mute' }, say: { text: '' } },
        { when: { text: SUMMARY }, say: { text: 'SUMMARY: pomegranates.' } },
        // Two answers stand before it: none is summarised yet.
        { when: { text: 'ONCE', call: 2 }, say: { fault: tooLong } },
        { when: { text: 'ALWAYS', provider: 'anthropic' }, say: { fault: tooLong } },
        { when: { text: 'a tool', step: 0 }, say: { calls: [{ tool: 'list_files', args: { path: '.' } }] } },
        { when: { text: 'breaks off' }, say: { text: 'half an answ', stop: 'context_exceeded' } },
        { when: { provider: 'openai-chat' }, say: { text: 'there is room here' } },
        { say: { text: 'fine' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

const requestsOf = (text: string) => world.model.requests.filter((r) => JSON.stringify(r.body).includes(text))
/** Two turns, and what is then said. */
async function third(text: string, change: Partial<DefinitionInput> = {}) {
  const workFolder = await world.workFolder()
  const { session } = await world.client.create({ definition: world.definition(change), workFolder })
  for (const words of [`first words of ${text.toLowerCase()}`, 'second words']) await world.client.ask(session, words)
  const answer = await world.client.ask(session, text, { timeoutMs: 90_000 })
  const types = (await world.sound(session)).slice(7)
  return { session, answer, types, events: await readAll(world.client, session) }
}

test('a checkpoint is made of what did fit, the same model is asked again, and answers; no compaction is defined', async () => {
  const { answer, types, events } = await third('ONCE')
  expect(answer).toMatchObject({ reason: 'done', text: 'fine' })
  expect(types).toEqual(['message_received', 'model_failed', 'checkpoint_made', 'model_answered', 'turn_finished'])
  const [failed] = ofType(events, 'model_failed')
  expect(failed?.payload).toMatchObject({
    class: 'context_exceeded',
    next: { kind: 'checkpoint' },
    attempts: [{ n: 1 }],
  })
  const [made] = ofType(events, 'checkpoint_made')
  // Of the first turn: its answer is event 3.
  expect(made?.payload).toMatchObject({ step: `checkpoint@${failed?.seq}`, lo: 1, hi: 3 })
  const answered = ofType(events, 'model_answered').at(-1)
  expect(answered?.payload).toMatchObject({ step: `model@${failed?.seq}`, manifest: { saw: [8, made?.seq] } })
  const last = JSON.stringify(requestsOf('SUMMARY: pomegranates.').at(-1)?.body)
  expect(last).toContain('second words')
  expect(last).not.toContain('first words of once')
})

test('one that stays too long fails after one summary: nothing goes round', async () => {
  const { answer, types } = await third('ALWAYS')
  expect(answer).toMatchObject({ reason: 'failed', failure: { class: 'context_exceeded' } })
  expect(types).toEqual(['message_received', 'model_failed', 'checkpoint_made', 'model_failed', 'turn_finished'])
  expect(requestsOf('"ALWAYS"').filter((r) => !JSON.stringify(r.body).includes(SUMMARY))).toHaveLength(2)
})

test('or goes to a fallback, after the summary and not before', async () => {
  const { answer, events } = await third('ALWAYS', { fallbacks: { models: [OTHER] } })
  expect(answer).toMatchObject({ reason: 'done', text: 'there is room here' })
  expect(ofType(events, 'model_failed').map((e) => e.payload.next?.kind)).toEqual(['checkpoint', 'fallback'])
})

test('where no summary comes of it the turn fails and says so; a fallback goes on with the whole', async () => {
  const compaction = { atTokens: 10_000_000, model: { name: 'mute' } }
  const { answer, types } = await third('ONCE', { compaction })
  expect(answer).toMatchObject({ reason: 'failed', failure: { class: 'context_exceeded' } })
  expect(answer.failure?.message).toContain('no summary could be made')
  expect(types).toEqual(['message_received', 'model_failed', 'model_failed', 'turn_finished'])
  const other = await third('ALWAYS', { compaction, fallbacks: { models: [OTHER] } })
  expect(other.answer).toMatchObject({ reason: 'done', text: 'there is room here' })
  expect(other.types).not.toContain('checkpoint_made')
})

test('a first message that is too long by itself fails at once: there is nothing to summarise', async () => {
  const { session } = await world.client.create({ definition: world.definition() })
  expect(await world.client.ask(session, 'ALWAYS')).toMatchObject({ reason: 'failed' })
  expect((await world.sound(session)).slice(2)).toEqual(['model_failed', 'turn_finished'])
})

test('a worker that is killed before the summary: another makes it, once, and goes on', async () => {
  const { session } = await world.client.create({ definition: world.definition() })
  for (const words of ['first words of a kill', 'second words']) await world.client.ask(session, words)
  const gate = await holdStep(world.db.adminUrl, session, 'checkpoint@9')
  const { seq } = await world.client.send(session, 'ONCE')
  await gate.standsAt('claim_draft(')
  for (const worker of world.workers) await worker.kill('SIGKILL')
  await gate.cutOff('claim_draft(')
  await gate.open()
  await world.startWorker()
  expect(await world.client.awaitTurn(session, seq, { timeoutMs: 90_000 })).toMatchObject({ reason: 'done' })
  expect((await world.sound(session)).slice(7)).toEqual([
    ...['message_received', 'model_failed', 'checkpoint_made', 'model_answered', 'turn_finished'],
  ])
  const asked = requestsOf('first words of a kill').map((r) => JSON.stringify(r.body).includes(SUMMARY))
  // Two turns; the third message, refused; the summary. The last request has only the summary left of it.
  expect(asked).toEqual([false, false, false, true])
})

test('an answer that breaks off because nothing more fits keeps its text, and the session goes on', async () => {
  const { session } = await world.client.create({ definition: world.definition() })
  expect(await world.client.ask(session, 'breaks off')).toMatchObject({ reason: 'done', text: 'half an answ' })
  expect(await world.client.ask(session, 'go on')).toMatchObject({ reason: 'done', text: 'fine' })
  await world.sound(session)
})
