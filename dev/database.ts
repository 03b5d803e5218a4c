/**
 * Databases and login roles in a cluster of ours. The groups (savefile_owner, …) are made by the migrations; what logs in is made here.
 * Roles belong to the whole cluster, so each statement bears that another set-up does the same at the same time.
 */
import { Client, escapeIdentifier, escapeLiteral } from 'pg'

export const GROUPS = ['owner', 'writer', 'executor', 'reader', 'member'] as const
export type Group = (typeof GROUPS)[number]
export type Passwords = Record<Group, string>

const login = (group: Group) => `savefile_${group}_login`

/** The login that migrates and owns: it may make roles, and is no superuser, as on a hosted Postgres. */
export async function makeOwnerLogin(adminUrl: string, passwords: Passwords): Promise<void> {
  await withClient(adminUrl, (client) =>
    makeRole(client, login('owner'), `LOGIN CREATEROLE PASSWORD ${escapeLiteral(passwords.owner)}`),
  )
}

/** To be called once the groups are there. */
export async function makeLogins(adminUrl: string, passwords: Passwords): Promise<void> {
  await withClient(adminUrl, async (client) => {
    for (const group of GROUPS) {
      await makeRole(client, `savefile_${group}`, 'NOLOGIN')
      if (group !== 'owner') await makeRole(client, login(group), `LOGIN PASSWORD ${escapeLiteral(passwords[group])}`)
      await ignoring(['tuple'], () => client.query(`GRANT savefile_${group} TO ${login(group)}`))
    }
  })
}

/** A new role has these attributes; one that is there gets them too, a group keeps its own. */
async function makeRole(client: Client, name: string, attributes: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [name])
  const made =
    !rowCount && (await ignoring(['exists', 'tuple'], () => client.query(`CREATE ROLE ${name} ${attributes}`)))
  if (!made && attributes !== 'NOLOGIN')
    await ignoring(['tuple'], () => client.query(`ALTER ROLE ${name} ${attributes}`))
}

/** Runs it; false where it failed because another session did the same just then. */
async function ignoring(what: ('exists' | 'tuple')[], run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run()
    return true
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    const exists = code === '42710' || code === '23505' || code === '42P04'
    const tuple = code === 'XX000' && message.includes('tuple concurrently updated')
    if ((exists && what.includes('exists')) || (tuple && what.includes('tuple'))) return false
    throw error
  }
}

/** Makes the database where it is missing, owned by the owner's login. @returns whether it was made. */
export async function makeDatabase(adminUrl: string, name: string): Promise<boolean> {
  return withClient(adminUrl, async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name])
    if (rowCount) return false
    return ignoring(['exists'], () => client.query(`CREATE DATABASE ${escapeIdentifier(name)} OWNER ${login('owner')}`))
  })
}

/** The address of a database for the login of a group. */
export function loginUrl(adminUrl: string, database: string, group: Group, password: string): string {
  return urlOf(adminUrl, database, login(group), password)
}

/** The same server and user, another database. */
export function urlOf(adminUrl: string, database: string, user?: string, password?: string): string {
  const url = new URL(adminUrl)
  url.pathname = `/${encodeURIComponent(database)}`
  if (user !== undefined) url.username = encodeURIComponent(user)
  if (password !== undefined) url.password = encodeURIComponent(password)
  return url.href
}

export async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  // A server that goes away ends the query with an error of its own: without a listener this one would end the process.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
