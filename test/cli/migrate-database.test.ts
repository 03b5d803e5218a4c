import { createEmptyDatabase, type TestDatabase } from '../support/database'
import { runCli } from './run-cli'

let db: TestDatabase
beforeAll(async () => {
  db = await createEmptyDatabase()
})
afterAll(() => db.drop())

test('migrate-database makes the tables once, and says what it needs', async () => {
  const without = await runCli(['migrate-database'])
  expect([without.code, without.stderr]).toEqual([1, expect.stringContaining('SAVEFILE_OWNER_DATABASE_URL')])
  const env = { SAVEFILE_OWNER_DATABASE_URL: db.ownerUrl }
  const first = await runCli(['migrate-database', '--json'], { env })
  expect(first.code).toBe(0)
  const { revision, applied } = JSON.parse(first.stdout) as { revision: number; applied: number }
  expect(applied).toBe(revision)
  const again = await runCli(['migrate-database', '--json'], { env })
  expect(JSON.parse(again.stdout)).toEqual({ revision, applied: 0 })
})
