/**
 * The statements of an append, named: parsed and planned once a connection and not with every call, which is a sixth of what an append costs
 * Postgres. A name is a hash of its text, so that whatever else uses the connection cannot mean another statement by it.
 */
import { createHash } from 'node:crypto'
import type { Pool } from 'pg'
import { asSavefileError, queryRow } from './pool'

/** Pools that are not asked again: what is between us and Postgres does not keep names with the connection that it hands us. */
const nameless = new WeakSet<Pool>()
const names = new Map<string, string>()

function nameOf(text: string): string {
  let name = names.get(text)
  if (name === undefined)
    names.set(text, (name = `savefile_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`))
  return name
}

/**
 * As `queryRow`, of a statement that is a function's call and a transaction by itself. PgBouncer in transaction mode keeps no names before
 * 1.21, and by setting after it: the statement is then refused before anything was done, and sent again without one, from then on always.
 */
export async function preparedValue(pool: Pool, text: string, values: unknown[]): Promise<string> {
  if (!nameless.has(pool))
    try {
      const { rows } = await pool.query<[string]>({ name: nameOf(text), text, values, rowMode: 'array' })
      return rows[0]?.[0] ?? ''
    } catch (error) {
      if (!isAboutTheName(error)) throw asSavefileError(error, pool)
      nameless.add(pool)
    }
  return Object.values(await queryRow<Record<string, string>>(pool, text, values))[0] ?? ''
}

/** No such statement, another of that name, or one whose function has another result since a migration. */
function isAboutTheName(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return (
    code === '26000' ||
    code === '42P05' ||
    (code === '0A000' && typeof message === 'string' && message.startsWith('cached plan must not change result type'))
  )
}

/** The fields of a function's row as Postgres writes it, where none of them holds a comma, a quote or a parenthesis. */
export function fieldsOf(row: string): (string | null)[] {
  return row
    .slice(1, -1)
    .split(',')
    .map((field) => field || null)
}
