/**
 * A database for a test file, on the one Postgres that the run has (global-setup.ts). `createDatabase` copies the migrated template, in
 * some 20 ms; `createEmptyDatabase` is for tests of the migrations themselves. Drop it in afterAll.
 */
import { randomBytes } from 'node:crypto'
import { Client, escapeIdentifier } from 'pg'
import { loginUrl, urlOf, withClient, type Group } from '../../dev/database'

export interface TestDatabase {
  name: string
  /** Superuser of the cluster, in this database: to look behind the privileges. */
  adminUrl: string
  /** The login that migrates and owns. */
  ownerUrl: string
  writerUrl: string
  executorUrl: string
  readerUrl: string
  memberUrl: string
  /** Ends whoever is still connected. */
  drop(): Promise<void>
}

export const TEMPLATE = 'savefile_template'
/** Of every login of a test cluster, which listens on 127.0.0.1 only and is gone after the run. */
export const TEST_PASSWORD = 'test'

/** Migrated, otherwise empty. */
export function createDatabase(): Promise<TestDatabase> {
  return create(TEMPLATE)
}

/** Without tables, but the cluster has the roles already. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return create('template0')
}

async function create(template: string): Promise<TestDatabase> {
  const cluster = process.env['SAVEFILE_TEST_PG_URL']
  if (!cluster)
    throw new Error('SAVEFILE_TEST_PG_URL is not set: tests run under jest with test/support/global-setup.ts')
  const name = `test_${randomBytes(6).toString('hex')}`
  await withClient(cluster, (client: Client) =>
    client.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${template} OWNER savefile_owner_login`),
  )
  const as = (group: Group) => loginUrl(cluster, name, group, TEST_PASSWORD)
  return {
    name,
    adminUrl: urlOf(cluster, name),
    ownerUrl: as('owner'),
    writerUrl: as('writer'),
    executorUrl: as('executor'),
    readerUrl: as('reader'),
    memberUrl: as('member'),
    drop: () =>
      withClient(
        cluster,
        async (client) => void (await client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`)),
      ),
  }
}
