/** A tool that belongs to a host of its own: that host's worker runs its calls, and nothing else; another advances the session. */
import path from 'node:path'
import { endAll, envOf, startCli } from '../cli/run-cli'
import { createWorld, ofType, readAll, type World } from '../support/world'
import { kettle } from './kitchen-tools'

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'kitchen',
      rules: [
        { when: { step: 0 }, say: { calls: [{ tool: 'kettle', args: { litres: 2 } }] } },
        { when: { step: 1 }, say: { text: 'Tea.' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(async () => {
  endAll()
  await world.close()
})

test('a call runs on the queue of its tool, by `savefile worker --tool-queue`', async () => {
  const queue = `${world.taskQueue}-kitchen`
  const tools = path.join(__dirname, 'kitchen-tools.ts')
  const kitchen = startCli(['worker', '--tools', tools, '--tool-queue', queue], { env: envOf(world) })
  const { session } = await world.client.create({
    definition: world.definition({ tools: [{ ...kettle.spec, queue }] }),
  })
  const answer = await world.client.ask(session, 'tea please')
  expect(answer).toMatchObject({ reason: 'done', text: 'Tea.' })
  const events = await readAll(world.client, session)
  expect(ofType(events, 'tool_started')[0]?.payload.queue).toBe(queue)
  expect(ofType(events, 'tool_finished')[0]?.payload).toMatchObject({
    outcome: 'ok',
    blocks: [{ type: 'text', text: `2 l boil in process ${kitchen.child.pid}` }],
  })
  kitchen.child.kill('SIGTERM')
  expect(await kitchen.done).toMatchObject({ code: 0, stderr: expect.stringContaining(queue) as string })
})
