/** The nudge against a real Temporal, without a worker: what it starts, and what it makes of a server that cannot take it. */
import { randomBytes } from 'node:crypto'
import { lazyTemporal } from '../../client/temporal'
import { nudge, SESSION_ATTRIBUTE, STATE_ATTRIBUTE } from '../../client/nudge'
import { workflowId } from '../../contract/ids'
import { until } from '../support/world'

const address = (): string => process.env['SAVEFILE_TEST_TEMPORAL_ADDRESS'] ?? ''
const unique = (): string => `nudge-${randomBytes(5).toString('hex')}`

test('starts one run, named by the session, with its search attributes; a second nudge signals the same run', async () => {
  const temporal = lazyTemporal({ address: address() })
  const ref = { space: 'default', session: unique() }
  const taskQueue = unique()
  for (let i = 0; i < 2; i++) expect(await nudge(temporal, ref, { taskQueue })).toEqual({ nudged: true })
  const handle = temporal.workflow.getHandle(workflowId(ref))
  const { typedSearchAttributes } = await handle.describe()
  expect(typedSearchAttributes.get(SESSION_ATTRIBUTE)).toBe(ref.session)
  expect(typedSearchAttributes.get(STATE_ATTRIBUTE)).toBe('running')
  const { events } = await handle.fetchHistory()
  const signals = events?.filter((e) => e.workflowExecutionSignaledEventAttributes?.signalName === 'nudge')
  expect(signals).toHaveLength(2)
  await handle.terminate('test')
  await temporal.connection.close()
})

test('a server on which the search attributes are not registered is told without', async () => {
  const namespace = unique()
  const admin = lazyTemporal({ address: address() })
  await admin.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 } as never,
  })
  const temporal = lazyTemporal({ address: address(), namespace })
  const ref = { space: 'default', session: unique() }
  // The server takes some seconds to know a new namespace everywhere.
  await until('the namespace to be known', async () => (await nudge(temporal, ref, { taskQueue: unique() })).nudged)
  const handle = temporal.workflow.getHandle(workflowId(ref))
  expect((await handle.describe()).typedSearchAttributes.get(SESSION_ATTRIBUTE)).toBeUndefined()
  await handle.terminate('test')
  await temporal.connection.close()
  await admin.connection.close()
})

test('where no server answers, or has no such namespace, it says so in time and does not throw', async () => {
  for (const settings of [{ address: '127.0.0.1:1' }, { address: address(), namespace: 'nothere' }]) {
    const temporal = lazyTemporal(settings)
    const began = Date.now()
    expect(await nudge(temporal, { space: 'default', session: 'x' })).toMatchObject({
      nudged: false,
      why: expect.any(String) as string,
    })
    // Two seconds, and what a loaded machine adds.
    expect(Date.now() - began).toBeLessThan(15_000)
    await temporal.connection.close()
  }
})
