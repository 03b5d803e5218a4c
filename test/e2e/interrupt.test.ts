/** An interrupt: what runs is told to stop, says what it did, and what it had written is kept. */
import { toolNamed, parseDefinition } from '../../contract/definition'
import { createWorld, ofType, readAll, until, type World } from '../support/world'

const STUBBORN = "trap 'sleep 1; echo ended-well; exit 0' TERM; echo begun; sleep 60 & wait"

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'interrupt',
      rules: [
        { when: { text: 'command', step: 0 }, say: { calls: [{ tool: 'run_command', args: { command: STUBBORN } }] } },
        { when: { text: 'talk' }, say: { text: 'one two three four five six seven eight nine ten', deltaMs: 400 } },
        { when: {}, say: { text: 'fine' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

test('a command that takes its time to end is cancelled with its output, not unknown', async () => {
  const parsed = parseDefinition(world.definition())
  const command = toolNamed(parsed, 'run_command')
  if (!command) throw new Error('run_command is a built-in tool')
  const definition = world.definition({ tools: [{ ...command, approval: 'allow' }] })
  const { session } = await world.client.create({ definition, workFolder: await world.workFolder() })
  const turn = world.client.ask(session, 'command')
  const begun = new AbortController()
  for await (const delta of world.client.followLive(session, { signal: begun.signal }))
    if (delta.body.includes('begun')) break
  await world.client.interrupt(session)
  expect((await turn).reason).toBe('interrupted')
  await world.sound(session)
  const events = await readAll(world.client, session)
  const [finished] = ofType(events, 'tool_finished')
  expect(finished?.payload.outcome).toBe('cancelled')
  expect(JSON.stringify(finished?.payload.blocks)).toContain('ended-well')
  expect(ofType(events, 'result_arrived_late')).toEqual([])
})

test('what a model had said when it was interrupted is kept, and the session goes on', async () => {
  const { session } = await world.client.create({ definition: world.definition() })
  const turn = world.client.ask(session, 'talk')
  for await (const delta of world.client.followLive(session)) if (delta.body.includes('two')) break
  await world.client.interrupt(session)
  expect((await turn).reason).toBe('interrupted')
  const [interrupted] = ofType(await readAll(world.client, session), 'interrupted')
  expect(JSON.stringify(interrupted?.payload.partial)).toContain('one two')
  await until(
    'the run to take another message',
    async () => (await world.client.ask(session, 'go on')).reason === 'done',
  )
  await world.sound(session)
})
