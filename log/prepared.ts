/**
 * The statements of a step and of an append, named: parsed and planned once a connection and not with every call, which is a sixth of what
 * an append costs Postgres. A name is a hash of its text, so that whatever else uses the connection cannot mean another statement by it.
 */
import { createHash } from 'node:crypto'
import type { Pool, QueryResultRow } from 'pg'
import { asSavefileError } from './pool'

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
 * As `query`, of a statement that is a function's call and a transaction by itself. PgBouncer in transaction mode keeps no names before
 * 1.21, and by setting after it: the statement is then refused before anything was done, and sent again without one, from then on always.
 */
export async function preparedQuery<R extends QueryResultRow>(
  pool: Pool,
  text: string,
  values: unknown[],
): Promise<R[]> {
  return ask(
    pool,
    () => pool.query<R>({ name: nameOf(text), text, values }),
    () => pool.query<R>({ text, values }),
  )
}

/** The one value of a function that gives one, as text. */
export async function preparedValue(pool: Pool, text: string, values: unknown[]): Promise<string> {
  const array = { text, values, rowMode: 'array' as const }
  const named = (): Promise<{ rows: [string][] }> => pool.query<[string]>({ ...array, name: nameOf(text) })
  const [row] = await ask(pool, named, () => pool.query<[string]>(array))
  return row?.[0] ?? ''
}

type Ask<R> = () => Promise<{ rows: R[] }>

async function ask<R>(pool: Pool, named: Ask<R>, plain: Ask<R>): Promise<R[]> {
  try {
    if (nameless.has(pool)) return (await plain()).rows
    try {
      return (await named()).rows
    } catch (error) {
      if (!isAboutTheName(error)) throw error
      nameless.add(pool)
      return (await plain()).rows
    }
  } catch (error) {
    throw asSavefileError(error, pool)
  }
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
