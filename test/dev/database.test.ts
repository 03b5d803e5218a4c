import { createDatabase, createEmptyDatabase } from '../support/database'
import { GROUPS, makeLogins, makeOwnerLogin, withClient } from '../../dev/database'

test('every test file has a database of its own, and every login is in its group', async () => {
  const [one, two] = await Promise.all([createDatabase(), createEmptyDatabase()])
  try {
    expect(one.name).not.toBe(two.name)
    for (const group of GROUPS) {
      const url = one[`${group}Url`]
      const row = await withClient(url, async (client) => {
        const { rows } = await client.query<{ database: string; member: boolean; super: boolean }>(
          `SELECT current_database() AS database, pg_has_role($1, 'member') AS member, rolsuper AS super FROM pg_roles WHERE rolname = current_user`,
          [`savefile_${group}`],
        )
        return rows[0]
      })
      expect(row).toEqual({ database: one.name, member: true, super: false })
    }
  } finally {
    await Promise.all([one.drop(), two.drop()])
  }
})

test('many set-ups at once make the same roles without a failure', async () => {
  const cluster = String(process.env['SAVEFILE_TEST_PG_URL'])
  const passwords = { owner: 'test', writer: 'test', executor: 'test', reader: 'test' }
  const setUp = () => makeOwnerLogin(cluster, passwords).then(() => makeLogins(cluster, passwords))
  await expect(Promise.all(Array.from({ length: 8 }, setUp))).resolves.toHaveLength(8)
})
