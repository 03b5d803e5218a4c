/** Bad input and bad answers, through the whole loop: each has its own clear end, and nothing is lost. */
import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import type { LogEvent } from '../../client/log-events'
import type { DefinitionInput } from '../../contract/definition'
import { startScriptedModel } from '../../dev/scripted-model/server'
import { createWorld, ofType, readAll, type World } from '../support/world'

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'bad-input',
      rules: [
        {
          when: { text: 'call badly', step: 0 },
          say: { calls: [{ tool: 'write_file', args: '{"path": "x", "content"' }] },
        },
        { when: { text: 'wrong fields', step: 0 }, say: { calls: [{ tool: 'write_file', args: { path: 7 } }] } },
        { when: { text: 'no such tool', step: 0 }, say: { calls: [{ tool: 'fly_away', args: {} }] } },
        {
          when: { text: 'cut short', step: 0 },
          say: { calls: [{ tool: 'write_file', args: { path: 'x', content: 'y' } }], stop: 'max_tokens' },
        },
        { when: { text: 'read', step: 0 }, say: { calls: [{ tool: 'read_file', args: { path: 'x' } }] } },
        { when: { text: 'go on' }, say: { text: 'fine' } },
        { when: { text: 'wrong key' }, say: { text: 'fine', fault: { kind: 'status', status: 401 } } },
        { when: {}, say: { text: 'fine' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

async function ask(
  text: string,
  definition: DefinitionInput = world.definition(),
  folder?: string,
): Promise<{ events: LogEvent[]; reason: string; types: string[] }> {
  const workFolder = folder ?? (await world.workFolder())
  const { session } = await world.client.create({ definition, workFolder })
  if (folder) await rm(folder, { recursive: true })
  // The scripted server counts faults by conversation: each begins with words of its own.
  const { reason } = await world.client.ask(session, `${text} ${randomUUID()}`)
  return { reason, types: await world.sound(session), events: await readAll(world.client, session) }
}

test.each([
  ['call badly', /not JSON|not valid JSON|JSON/i],
  ['wrong fields', /path/],
  ['no such tool', /no tool named fly_away/],
])(
  'a call that must not run (%s) is answered with what is wrong, started by nobody, and the turn goes on',
  async (text, says) => {
    const { events, reason, types } = await ask(text)
    expect(reason).toBe('done')
    expect(types).not.toContain('tool_started')
    const [finished] = ofType(events, 'tool_finished')
    expect(finished?.payload).toMatchObject({ outcome: 'error', code: 'invalid_call' })
    expect(JSON.stringify(finished?.payload.blocks)).toMatch(says)
  },
)

test('a work folder that is gone by now is said to the model', async () => {
  const { events, reason } = await ask('read', world.definition(), await world.workFolder())
  expect(reason).toBe('done')
  expect(ofType(events, 'tool_finished')[0]?.payload).toMatchObject({ outcome: 'error', code: 'work_folder_missing' })
})

test('a wrong key fails the turn at once, with the provider’s own words, and the session stays usable', async () => {
  const { events, reason } = await ask('wrong key')
  expect(reason).toBe('failed')
  const [failed] = ofType(events, 'model_failed')
  expect(failed?.payload).toMatchObject({ class: 'auth', retryable: false })
  expect(failed?.payload.attempts).toHaveLength(1)
  const { session } = events[0] ?? { session: '' }
  expect((await world.client.ask(session, 'go on')).reason).toBe('done')
  await world.sound(session)
})

test('a provider that is not there is tried again, then said', async () => {
  const gone = await startScriptedModel({ script: { name: 'gone', rules: [] } })
  await gone.close()
  const other = await createWorld({ script: { name: 'unused', rules: [] } })
  try {
    await other.startWorker({ ANTHROPIC_BASE_URL: gone.url })
    const { session } = await other.client.create({ definition: other.definition() })
    const answer = await other.client.ask(session, 'anybody there?')
    expect(answer.reason).toBe('failed')
    const [failed] = ofType(await readAll(other.client, session), 'model_failed')
    expect(failed?.payload).toMatchObject({ class: 'unreachable', retryable: true })
    expect(failed?.payload.attempts.map((a) => a.outcome)).toEqual(Array(5).fill('unreachable'))
    await other.sound(session)
  } finally {
    await other.close()
  }
})

test('NUL and lone surrogates are replaced once, at the boundary, and that is recorded', async () => {
  const { session } = await world.client.create({ definition: world.definition() })
  expect((await world.client.ask(session, 'a\0b \ud800 c')).reason).toBe('done')
  const [message] = ofType(await readAll(world.client, session), 'message_received')
  expect(message?.payload.blocks).toEqual([{ type: 'text', text: 'a\uFFFDb \uFFFD c', normalised: 2 }])
})

test('a huge message is accepted as a blob, reaches the model whole, and one beyond the limit is refused with both sizes', async () => {
  const { session } = await world.client.create({ definition: world.definition() })
  const text = `${'x'.repeat(2_000_000)} end of it`
  expect((await world.client.ask(session, text)).reason).toBe('done')
  const [message] = ofType(await readAll(world.client, session), 'message_received')
  expect(message?.payload.blocks[0]).toMatchObject({ type: 'text', text: '', blob: { bytes: text.length } })
  expect(world.model.requests.some((r) => JSON.stringify(r.body).includes('x end of it'))).toBe(true)
  await expect(world.client.send(session, 'x'.repeat(65 * 1024 * 1024))).rejects.toMatchObject({ code: 'too_large' })
  expect((await world.client.info(session)).head).toBe(4)
})

test('what does not exist, or does not validate, is refused before anything is written', async () => {
  await expect(world.client.send('nosuchsession', 'hello')).rejects.toMatchObject({ code: 'session_not_found' })
  const wrong = { model: { provider: 'anthropic', name: '' }, tools: [], limits: { steps: 0 } } as DefinitionInput
  await expect(world.client.create({ definition: wrong })).rejects.toMatchObject({
    code: 'invalid_definition',
    message: expect.stringMatching(/model\.name[\s\S]*limits\.steps/) as string,
  })
  const workFolder = path.join(await world.workFolder(), 'missing')
  await expect(world.client.create({ definition: world.definition(), workFolder })).rejects.toMatchObject({
    code: 'work_folder_missing',
  })
})
