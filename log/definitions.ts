/** Definitions by the hash of their stored bytes. Immutable, so what was read once is never read again. */
import type { Pool } from 'pg'
import { Definition, parseDefinition } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import { sha256Name } from './hash'
import { query, queryRow } from './pool'

const CACHED = 500

export interface Definitions {
  put(space: string, definition: Definition): Promise<string>
  /** @throws SavefileError `definition_not_found`, `corrupt_log` */
  get(space: string, hash: string): Promise<Definition>
}

export function createDefinitions(pool: Pool): Definitions {
  const cache = new Map<string, Definition>()

  return {
    async put(space, definition) {
      const body = JSON.stringify(parseDefinition(definition))
      const { hash } = await queryRow<{ hash: string }>(pool, 'select savefile.put_definition($1, $2) as hash', [
        space,
        body,
      ])
      return hash
    },

    async get(space, hash) {
      const key = `${space}/${hash}`
      const cached = cache.get(key)
      if (cached) return cached
      const rows = await query<{ body: Buffer }>(
        pool,
        'select body from savefile.definitions where space_id = $1 and hash = $2',
        [space, hash],
      )
      const body = rows[0]?.body
      if (!body)
        throw new SavefileError('definition_not_found', `There is no definition ${hash} in space ${space}.`, {
          space,
          hash,
        })
      const found = Definition.safeParse(JSON.parse(body.toString('utf8')))
      if (sha256Name(body) !== hash || !found.success)
        throw new SavefileError(
          'corrupt_log',
          `Definition ${hash} in space ${space} is not what its name says, or not a definition.`,
          { space, hash },
        )
      if (cache.size >= CACHED) cache.delete(cache.keys().next().value ?? '')
      cache.set(key, found.data)
      return found.data
    },
  }
}
