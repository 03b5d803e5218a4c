/**
 * A run whose history does not replay is terminated and replaced by the reconciler (DESIGN.md section 6). The history is made by a worker
 * whose bundle has another workflow under the name `session`, as a careless deploy would; what its step had received is not lost with it.
 */
import { writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { bundleWorkflowCode } from '@temporalio/worker'
import { createWorld, RECONCILE_OFTEN, until, type World } from '../support/world'
import { ask, draftState, makeDue } from './support/gate'
import { runOf, withTemporal } from './support/temporal'

const OTHER = `
import { condition, proxyActivities } from '@temporalio/workflow'
const { callModel } = proxyActivities({ startToCloseTimeout: 3600000, heartbeatTimeout: 2000 })
export async function session({ ref }) {
  await callModel({ ref, epoch: 0, step: 'model@2' })
  await condition(() => false)
}
export async function reconcile() { return { nudged: 0, replaced: 0 } }
`

let world: World
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'savefile-other-'))
  await writeFile(path.join(folder, 'workflows.js'), OTHER)
  const quiet = { log() {}, trace() {}, debug() {}, info() {}, warn: console.error, error: console.error }
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(folder, 'workflows.js'),
    failureConverterPath: path.join(__dirname, '../../workers/failure-converter.ts'),
    webpackConfigHook: (config) => ({
      ...config,
      resolve: { ...config.resolve, modules: [path.join(__dirname, '../../node_modules')] },
    }),
    logger: quiet,
  })
  await writeFile(path.join(folder, 'bundle.js'), code)
  world = await createWorld({ script: { name: 'replaced', rules: [{ say: { text: 'Answered.' } }] } })
}, 60_000)
afterAll(async () => {
  await world.close()
  await rm(folder, { recursive: true, force: true })
})

test('a run that fails for non-determinism is terminated, another finishes the turn', async () => {
  const { session } = await world.client.create({ definition: world.definition() })
  const other = await world.startWorker({
    ...RECONCILE_OFTEN,
    SAVEFILE_WORKFLOW_BUNDLE: path.join(folder, 'bundle.js'),
  })
  await world.client.send(session, 'hello')
  await until('its answer', async () => (await draftState(world.db.adminUrl, session, 'model@2')) === 'finished')
  await other.kill('SIGKILL')
  const { run } = await runOf(world, session)

  await world.startWorker()
  const { seq } = await world.client.send(session, 'are you there?', { delivery: 'steer' })
  await until('the run to fail its tasks', () =>
    withTemporal(world, async (client) => {
      const { raw } = await client.workflow.getHandle(session).describe()
      return (raw.pendingWorkflowTask?.attempt ?? 0) >= 3
    }),
  )
  // Stalls are counted by the reconciler, once in 30 s: here each of its looks finds the session overdue again.
  const replaced = async (): Promise<boolean> => {
    await makeDue(world.db.adminUrl, [session])
    return (await runOf(world, session)).run !== run
  }
  await until('the run to be replaced', replaced, 60_000)
  const end = await world.client.awaitTurn(session, seq, { timeoutMs: 90_000 })
  expect(end.reason).toBe('done')
  await world.sound(session)
  const terminated = await withTemporal(world, async (client) => {
    const { status, raw } = await client.workflow.getHandle(session, run).describe()
    const { events } = await client.workflow.getHandle(session, run).fetchHistory()
    return { status: status.name, reason: events?.at(-1)?.workflowExecutionTerminatedEventAttributes?.reason, raw }
  })
  expect(terminated).toMatchObject({ status: 'TERMINATED', reason: 'stuck' })
  // One call a message: the answer that the broken run had received was not paid for again.
  expect(world.model.requests).toHaveLength(2)
  expect(
    Number(await ask(world.db.adminUrl, 'select stalls from savefile.sessions where session_id = $1', [session])),
  ).toBe(0)
}, 180_000)
