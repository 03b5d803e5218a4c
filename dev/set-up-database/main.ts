/**
 * Database, login roles and migrations on a Postgres of any kind; does nothing where all is there. For docker-compose.yml.
 * Environment: SAVEFILE_ADMIN_DATABASE_URL (may make databases and roles), SAVEFILE_DATABASE, SAVEFILE_<GROUP>_PASSWORD for each group.
 */
import { SavefileError } from '../../contract/errors'
import { migrate } from '../../log/migrate'
import { GROUPS, loginUrl, makeDatabase, makeLogins, makeOwnerLogin, type Passwords } from '../database'

function needed(name: string): string {
  const value = process.env[name]
  if (!value) throw new SavefileError('setup_failed', `${name} is not set.`)
  return value
}

async function main(): Promise<void> {
  const adminUrl = needed('SAVEFILE_ADMIN_DATABASE_URL')
  const database = needed('SAVEFILE_DATABASE')
  const passwords = Object.fromEntries(
    GROUPS.map((group) => [group, needed(`SAVEFILE_${group.toUpperCase()}_PASSWORD`)]),
  ) as Passwords
  await makeOwnerLogin(adminUrl, passwords)
  const made = await makeDatabase(adminUrl, database)
  const { revision, applied } = await migrate(loginUrl(adminUrl, database, 'owner', passwords.owner))
  await makeLogins(adminUrl, passwords)
  console.log(`${database}: ${made ? 'made, ' : ''}revision ${revision}, ${applied} applied`)
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
