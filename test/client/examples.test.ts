/** The examples of the docs, run as they are: real processes over the real loop. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { CancelledFailure } from '@temporalio/activity'
import { Client as TemporalClient, Connection } from '@temporalio/client'
import { MockActivityEnvironment } from '@temporalio/testing'
import { createAskActivity } from '../../client/ask-activity'
import { connect } from '../../client/connect'
import type { ScriptInput } from '../../dev/scripted-model/script'
import { createWorld, until, type World } from '../support/world'

jest.setTimeout(120_000)

const MARKER = 'marker-7f3a'
const script: ScriptInput = {
  name: 'examples',
  rules: [
    { when: { text: '31st of February' }, say: { text: `Rejected: there is no such day. ${MARKER}` } },
    {
      when: { text: 'Order green tea', step: 0 },
      say: { calls: [{ tool: 'order_tea', args: { kind: 'green', cups: 3 } }] },
    },
    { when: { text: 'Order green tea', step: 1 }, say: { text: 'Ordered.' } },
    { when: { text: 'slow' }, say: { text: 'one two three four '.repeat(100), deltaMs: 40 } },
    { say: { text: 'It remembers everything.' } },
  ],
}
const children = new Set<ChildProcess>()
let world: World
beforeAll(async () => {
  world = await createWorld({ script })
  await world.startWorker()
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await world?.close()
})

interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

function start(file: string, args: string[] = [], env: Record<string, string> = {}) {
  const root = path.join(__dirname, '..', '..')
  const tsx = pathToFileURL(require.resolve('tsx')).href
  const child = spawn(process.execPath, ['--import', tsx, path.join(root, 'examples', file), ...args], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      SAVEFILE_DATABASE_URL: world.db.writerUrl,
      SAVEFILE_TASK_QUEUE: world.taskQueue,
      TEMPORAL_ADDRESS: world.temporalAddress,
      ...env,
    },
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said.stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said.stderr += chunk))
  const done = new Promise<Ran>((resolve) => child.once('close', (code) => resolve({ code, ...said })))
  return { child, said, done }
}

const run = (example: string, args: string[] = []): Promise<Ran> => start(`${example}/main.ts`, args).done

test('library: ten lines from a question to its answer', async () => {
  expect(await run('library')).toMatchObject({ code: 0, stdout: 'It remembers everything.\n' })
})

test("ask-from-workflow: a backend's workflow goes on with the answer, and its history holds no content", async () => {
  const ran = await run('ask-from-workflow', ['d1'])
  expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 0, stdout: 'rejected\n' })

  const connection = await Connection.connect({ address: world.temporalAddress })
  const history = await new TemporalClient({ connection }).workflow.getHandle('review-of-d1').fetchHistory()
  await connection.close()
  const decoded = JSON.stringify(history).replace(/"data":"([^"]*)"/g, (_all, data: string) =>
    Buffer.from(data, 'base64').toString(),
  )
  expect(decoded).toContain('{"session":"review-d1","seq":2}')
  expect(decoded).not.toMatch(new RegExp(`${MARKER}|February|Rejected: there`))
})

test('own-tools: a worker of its own with a tool of its own, asked for and used in a turn', async () => {
  const orders: unknown[] = []
  const kitchen = createServer((request, response) => {
    orders.push(request.headers['idempotency-key'])
    response.end('{"order":1}')
  })
  await new Promise<void>((resolve) => kitchen.listen(0, '127.0.0.1', resolve))
  // A log of its own: of two workers on one log, either may take a session that lies still.
  const tea = await createWorld({ script })
  const own = { SAVEFILE_DATABASE_URL: tea.db.writerUrl, SAVEFILE_TASK_QUEUE: tea.taskQueue }
  const worker = start('own-tools/worker.ts', [], {
    ...own,
    SAVEFILE_WORKFLOW_BUNDLE: process.env['SAVEFILE_TEST_WORKFLOW_BUNDLE'] ?? '',
    ANTHROPIC_API_KEY: 'scripted',
    ANTHROPIC_BASE_URL: tea.model.url,
    KITCHEN_URL: `http://127.0.0.1:${(kitchen.address() as AddressInfo).port}`,
  })
  try {
    const asked = await start('own-tools/main.ts', [], own).done
    expect(asked).toMatchObject({ code: 0, stdout: 'Ordered.\n' })
    expect(orders).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)])
    worker.child.kill('SIGTERM')
    expect(await worker.done).toMatchObject({ code: 0 })
  } finally {
    worker.child.kill('SIGKILL')
    kitchen.close()
    await tea.close()
  }
})

describe('awaitTurn as an activity', () => {
  test('ends when it is cancelled, and the turn goes on', async () => {
    const { session } = await world.client.create({ definition: world.definition() })
    const { seq } = await world.client.send(session, 'slow')
    const environment = new MockActivityEnvironment()
    const beats: unknown[] = []
    environment.on('heartbeat', (details: unknown) => beats.push(details))
    const waiting = environment.run(createAskActivity(world.client).awaitTurn, { session, seq })
    await until('a heartbeat', () => beats.length > 0)
    environment.cancel()
    await expect(waiting).rejects.toThrow(CancelledFailure)
    expect(beats).toEqual([undefined])
    expect((await world.client.info(session)).state).toBe('running')
    await world.client.interrupt(session)
  })

  test('a failure carries its code, and no word and no path', async () => {
    const failed = await new MockActivityEnvironment()
      .run(createAskActivity(world.client).awaitTurn, { session: 'nothere', seq: 2 })
      .catch((error: unknown) => error)
    expect(failed).toMatchObject({ type: 'session_not_found', message: '', stack: '', nonRetryable: true })
  })
})

test('connect without arguments finds what the environment says, and the library ends when it is disconnected', async () => {
  const before = { ...process.env }
  Object.assign(process.env, {
    SAVEFILE_DATABASE_URL: world.db.writerUrl,
    TEMPORAL_ADDRESS: world.temporalAddress,
    SAVEFILE_TASK_QUEUE: world.taskQueue,
  })
  try {
    const client = await connect()
    const { session } = await client.create({ definition: world.definition() })
    const waiting = client.ask(session, 'slow').catch((error: unknown) => error)
    await until('the message', async () => (await client.info(session)).head >= 2)
    await client.disconnect()
    expect(await waiting).toBeInstanceOf(Error)
  } finally {
    process.env = before
  }
})
