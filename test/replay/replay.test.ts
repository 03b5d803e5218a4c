/** Histories that were recorded before replay against the workflow of now: runs that are open during a deploy go on. */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { DefaultLogger, Runtime, Worker, type ReplayWorkerOptions } from '@temporalio/worker'
import { fromKept, type KeptHistory } from './kept-history'

const FOLDER = path.join(__dirname, 'histories')
const files = readdirSync(FOLDER)
const CONTINUED = 'workflowExecutionContinuedAsNewEventAttributes'

const read = (file: string): KeptHistory => fromKept(readFileSync(path.join(FOLDER, file), 'utf8'))
const options = (): ReplayWorkerOptions => ({
  workflowBundle: { codePath: process.env['SAVEFILE_TEST_WORKFLOW_BUNDLE'] ?? '' },
})
const replay = ({ workflowId, history }: KeptHistory): Promise<void> =>
  Worker.runReplayHistory(options(), history, workflowId)

// A history that is to fail is told of by the test, not by the SDK.
beforeAll(() => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { forward: {}, filter: { core: 'ERROR', other: 'ERROR' } } },
  })
})

test.each(files)('%s', async (file) => {
  await replay(read(file))
})

test('one is kept for every behaviour, and one of them continues as new', () => {
  const wanted = ['approval', 'continue-as-new', 'failure', 'interrupt', 'plain-turn', 'tools'].map(
    (name) => `${name}.json`,
  )
  expect(files.filter((file) => wanted.includes(file)).sort()).toEqual(wanted)
  expect(Object.keys(read('continue-as-new.json').history.events.at(-1) ?? {})).toContain(CONTINUED)
})

test('a history of other steps does not replay', async () => {
  const kept = read('tools.json')
  const call = kept.history.events.find((event) => event.activityTaskScheduledEventAttributes)
  if (!call?.activityTaskScheduledEventAttributes) throw new Error('no activity in tools.json')
  call.activityTaskScheduledEventAttributes.activityType.name = 'somethingElse'
  await expect(replay(kept)).rejects.toMatchObject({ name: 'DeterminismViolationError' })
})
