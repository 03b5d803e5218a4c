/** A grant's id is of its whole space. */
import { openLog, ANN, type TestLog } from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

it('given in two sessions at the same moment, the second is told so', async () => {
  const sessions = [await log.begin(), await log.begin()]
  for (let round = 0; round < 10; round++) {
    const grant = { grant: `race${round}`, principal: 'bob', rights: ['read' as const], forks: false }
    const given = await Promise.all(sessions.map((ref) => log.client.sharing.grant(ref, ANN, grant)))
    expect(given.map(({ status }) => status).sort()).toEqual(['appended', 'idempotency_conflict'])
  }
  for (const ref of sessions) expect(await log.client.verify(ref)).toMatchObject({ ok: true })
})

it('whose event came with an import, without the grant, is taken already', async () => {
  const ref = await log.begin()
  const grant = { grant: 'elsewhere', principal: 'bob', rights: ['read' as const], forks: false }
  await log.client.sharing.grant(ref, ANN, grant)
  // As an import leaves it: the event, and nobody who holds the right.
  await log.admin(`delete from savefile.reach where grant_id = 'elsewhere'`)
  await log.admin(`delete from savefile.grants where grant_id = 'elsewhere'`)
  expect(await log.client.sharing.grant(ref, ANN, grant)).toMatchObject({ status: 'idempotency_conflict' })
})
