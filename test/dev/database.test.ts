/** The databases and logins that the rig, the development stack and compose make. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Pool } from 'pg'
import { GROUPS, loginUrl, makeLogins, makeOwnerLogin, withClient } from '../../dev/database'
import { nodeArgs } from '../../dev/own-files'
import { checkSchema } from '../../log/migrate'
import { createDatabase, createEmptyDatabase, TEST_PASSWORD } from '../support/database'

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
  const passwords = { owner: 'test', writer: 'test', executor: 'test', reader: 'test', member: 'test' }
  const setUp = () => makeOwnerLogin(cluster, passwords).then(() => makeLogins(cluster, passwords))
  await expect(Promise.all(Array.from({ length: 8 }, setUp))).resolves.toHaveLength(8)
})

test("compose's set-up makes a database that each login can use, and does nothing the second time", async () => {
  const name = `compose_${process.pid}`
  const cluster = String(process.env['SAVEFILE_TEST_PG_URL'])
  const passwords = Object.fromEntries(
    GROUPS.map((group) => [`SAVEFILE_${group.toUpperCase()}_PASSWORD`, TEST_PASSWORD]),
  )
  const env = { ...process.env, ...passwords, SAVEFILE_ADMIN_DATABASE_URL: cluster, SAVEFILE_DATABASE: name }
  const setUp = async () =>
    (await promisify(execFile)(process.execPath, nodeArgs('dev/set-up-database/main'), { env })).stdout
  try {
    expect(await setUp()).toMatch(new RegExp(`^${name}: made, revision (\\d+), \\1 applied\n$`))
    expect(await setUp()).toMatch(new RegExp(`^${name}: revision \\d+, 0 applied\n$`))
    const pool = new Pool({ connectionString: loginUrl(cluster, name, 'writer', TEST_PASSWORD) })
    await checkSchema(pool).finally(() => pool.end())
  } finally {
    await withClient(cluster, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  }
})
