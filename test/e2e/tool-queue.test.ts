/** A tool that belongs to a host of its own: that host's worker runs its calls, and nothing else; another advances the session. */
import path from 'node:path'
import { newOwnerKey } from '../../log/keyring'
import { endAll, envOf, startCli } from '../cli/run-cli'
import { withClient } from '../../dev/database'
import { builtArgs } from '../support/built'
import { createWorld, ofType, readAll, type World } from '../support/world'
import { kettle } from './kitchen-tools'

const [tools = ''] = builtArgs('test/e2e/kitchen-tools')
const script = {
  name: 'kitchen',
  rules: [
    { when: { step: 0 }, say: { calls: [{ tool: 'kettle', args: { litres: 2 } }] } },
    { when: { step: 1 }, say: { text: 'Tea.' } },
  ],
}
let world: World
beforeAll(async () => {
  world = await createWorld({ script })
  await world.startWorker()
})
afterAll(async () => {
  endAll()
  await world.close()
})

test('a call runs on the queue of its tool, by `savefile worker --tool-queue`', async () => {
  const queue = `${world.taskQueue}-kitchen`
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

test('so it does with a login that sees the calls of its own queue and nothing else', async () => {
  const queue = `${world.taskQueue}-sandbox`
  await withClient(world.db.adminUrl, (admin) =>
    admin.query(`select savefile.set_queue_login('savefile_executor_login', 'default', $1)`, [queue]),
  )
  const env = { ...envOf(world), SAVEFILE_DATABASE_URL: world.db.executorUrl }
  const kitchen = startCli(['worker', '--tools', tools, '--tool-queue', queue], { env })
  const { session } = await world.client.create({
    definition: world.definition({ tools: [{ ...kettle.spec, queue }] }),
  })
  const answer = await world.client.ask(session, 'tea please')
  expect(answer).toMatchObject({ reason: 'done', text: 'Tea.' })
  expect(ofType(await readAll(world.client, session), 'tool_finished')[0]?.payload).toMatchObject({
    outcome: 'ok',
    blocks: [{ type: 'text', text: `2 l boil in process ${kitchen.child.pid}` }],
  })
  kitchen.child.kill('SIGTERM')
  expect((await kitchen.done).code).toBe(0)
})

test('a login of a queue advances no session: it is told what is missing', async () => {
  const env = { ...envOf(world), SAVEFILE_DATABASE_URL: world.db.executorUrl }
  const refused = await startCli(['worker'], { env }).done
  expect(refused).toMatchObject({
    code: expect.any(Number) as number,
    stderr: expect.stringMatching(/--tool-queue/) as string,
  })
  expect(refused.code).not.toBe(0)
})

test("in an encrypted session its host has a key for its own calls, and neither the session's nor its owner's", async () => {
  const sealed = await createWorld({ script, ownerKey: newOwnerKey() })
  try {
    await sealed.startWorker()
    const queue = `${sealed.taskQueue}-vault`
    await withClient(sealed.db.adminUrl, (admin) =>
      admin.query(`select savefile.set_queue_login('savefile_executor_login', 'default', $1)`, [queue]),
    )
    const keyFile = path.join(await sealed.workFolder(), 'queue.key')
    const made = await startCli(['queue-key', 'new', keyFile], { env: envOf(sealed) }).done
    const definition = (queueKey?: string) =>
      sealed.definition({ tools: [{ ...kettle.spec, queue, ...(queueKey === undefined ? {} : { queueKey }) }] })
    await expect(sealed.client.create({ definition: definition() })).rejects.toMatchObject({
      code: 'invalid_definition',
    })

    const env = { ...envOf(sealed), SAVEFILE_DATABASE_URL: sealed.db.executorUrl }
    const kitchen = startCli(['worker', '--tools', tools, '--tool-queue', queue, '--queue-key', keyFile], { env })
    const { session } = await sealed.client.create({ definition: definition(made.stdout.trim()) })
    expect(await sealed.client.ask(session, 'tea please')).toMatchObject({ reason: 'done', text: 'Tea.' })
    expect(ofType(await readAll(sealed.client, session), 'tool_finished')[0]?.payload).toMatchObject({
      outcome: 'ok',
      blocks: [{ type: 'text', text: `2 l boil in process ${kitchen.child.pid}` }],
    })
    await sealed.sound(session)
    kitchen.child.kill('SIGTERM')
    expect((await kitchen.done).code).toBe(0)
  } finally {
    await sealed.close()
  }
})
