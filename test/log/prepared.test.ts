/** Named statements: what a connection lost, or has under the same name, costs one more round trip, and nothing is done twice. */
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'
import { finished, openLog, say, ANN, RUNNING, type TestLog } from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

/** One connection, so that what is done to it is met by the next statement. */
function alone() {
  const pool = createPool(log.db.writerUrl, { max: 1 })
  const client = createClientLog(pool, { listen: false })
  const executor = createExecutorLog(pool)
  const close = async (): Promise<void> => {
    await executor.end()
    await client.close()
  }
  return { pool, client, executor, close }
}

it('a connection that lost the names is given the statements without', async () => {
  const ref = await log.begin()
  const { pool, client, executor, close } = alone()
  expect(await client.input(ref, ANN, 'a', say('one'))).toMatchObject({ status: 'appended', seq: 3 })
  expect(await executor.append(ref, 1, 3, [finished(`${ref.session}:2.0`)], RUNNING)).toMatchObject({ head: 4 })
  expect((await pool.query('select name from pg_prepared_statements')).rows).toHaveLength(2)
  await pool.query('deallocate all')
  expect(await client.input(ref, ANN, 'b', say('two'))).toMatchObject({ status: 'appended', seq: 5 })
  expect(await executor.append(ref, 1, 5, [finished(`${ref.session}:2.1`)], RUNNING)).toMatchObject({ head: 6 })
  // From then on never named again.
  expect((await pool.query('select name from pg_prepared_statements')).rows).toEqual([])
  await close()
  expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 6 })
})

it('so is one that has another statement by a name of ours', async () => {
  const ref = await log.begin()
  const first = alone()
  await first.client.input(ref, ANN, 'a', say('one'))
  const { rows } = await first.pool.query<{ name: string }>('select name from pg_prepared_statements')
  await first.close()
  const second = alone()
  await second.pool.query(`prepare "${rows[0]?.name}" as select 1`)
  expect(await second.client.input(ref, ANN, 'b', say('two'))).toMatchObject({ status: 'appended', seq: 4 })
  await second.close()
  expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 4 })
})
