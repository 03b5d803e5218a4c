/** The examples of the docs, run as they are: real processes over the real loop. */
import { spawn, type ChildProcess } from 'node:child_process'
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

function run(example: string, args: string[] = []): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const root = path.join(__dirname, '..', '..')
  const tsx = pathToFileURL(require.resolve('tsx')).href
  const child = spawn(process.execPath, ['--import', tsx, path.join(root, 'examples', example, 'main.ts'), ...args], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      SAVEFILE_DATABASE_URL: world.db.writerUrl,
      SAVEFILE_TASK_QUEUE: world.taskQueue,
      TEMPORAL_ADDRESS: world.temporalAddress,
    },
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })))
}

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
