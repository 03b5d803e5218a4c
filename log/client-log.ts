/** The log as people and their services use it, behind the port of contract/ports.ts. */
import type { Pool } from 'pg'
import type { BlobRef } from '../contract/blocks'
import type { ClientLog } from '../contract/client-port'
import { adopt } from './adopt'
import { readBlob, writeBlob } from './blobs'
import { assemble } from './bundle/assemble'
import { importBundle, importItems } from './bundle/import'
import { writeBundle } from './bundle/write'
import { createDefinitions } from './definitions'
import { extentOf, family, placeAt } from './family'
import { eraseSession, keepersOf, rekey, sharersOf } from './erase'
import { createFollow } from './follow'
import { forkSession } from './fork'
import { createAppendInput, input } from './input'
import { createListener } from './listen'
import { createFollowLive } from './live'
import { createNotifier } from './notify'
import { readEvents, readHead } from './read'
import { retain } from './retention'
import { createSession, heads, listSessions, sessionInfo } from './sessions'
import { createSharingLog } from './sharing'
import { stalled } from './stalled'
import { createTails } from './tails'
import { createVault, type Vault } from './vault'
import { verify } from './verify'

export interface ClientLogOptions {
  /** False behind PgBouncer in transaction mode: followers then only poll. */
  listen?: boolean
  /** How often followers look of themselves. */
  pollMs?: number
  /** Holds the owner's keys; without it encrypted sessions can neither be made nor read. */
  vault?: Vault
  /** The pool presents a token (log/token-pool.ts). */
  byToken?: boolean
}

/** `close` ends all following, sends what is left to tell, and ends the pool. */
export function createClientLog(
  pool: Pool,
  { listen = true, pollMs = 1000, vault = createVault(pool, null), byToken = false }: ClientLogOptions = {},
): ClientLog {
  const definitions = createDefinitions(pool)
  const append = createAppendInput(pool, { alone: byToken })
  const notifier = createNotifier(pool)
  const listener = listen ? createListener(pool) : null
  const following = createFollow(pool, vault, listener, pollMs, byToken ? null : createTails(pool, vault))
  const live = createFollowLive(pool, vault, listener, pollMs)

  return {
    putDefinition: (space, definition) => definitions.put(space, definition),
    definition: (space, hash) => definitions.get(space, hash),
    create: (ref, by, session) => createSession(pool, vault, definitions, ref, by, session),
    fork: (parent, seq, child, by, options) => forkSession(pool, vault, definitions, parent, seq, child, by, options),
    placeAt: (ref, seq) => placeAt(pool, vault, ref, seq),
    stretches: async (ref) => (await extentOf(pool, ref))?.stretches ?? [],
    family: (ref) => family(pool, vault, ref),
    async input(ref, by, key, event) {
      const write = (bytes: Uint8Array, mediaType: string): Promise<BlobRef> =>
        writeBlob(pool, vault, ref, bytes, mediaType)
      const result = await input({ pool, vault, definitions, append }, write, ref, by, key, event)
      if (result.status === 'appended' || result.status === 'arrived_late') notifier.notify(ref.session)
      return result
    },
    info: (ref) => sessionInfo(pool, vault, ref),
    list: (space, options) => listSessions(pool, vault, space, options),
    read: (ref, { from = 1, to = Number.MAX_SAFE_INTEGER, limit = 1000 } = {}) =>
      readEvents(pool, vault, ref, from, Math.min(to, from + limit - 1)),
    async tail(ref, count) {
      const head = await readHead(pool, ref)
      return head === null ? [] : readEvents(pool, vault, ref, Math.max(1, head - count + 1), head)
    },
    follow: (ref, options) => following.follow(ref, options),
    stalled: (ref) => stalled(pool, ref),
    followLive: (ref, options) => live.followLive(ref, options),
    readBlob: (ref, hash) => readBlob(pool, vault, ref, hash),
    writeBlob: (ref, bytes, mediaType) => writeBlob(pool, vault, ref, bytes, mediaType),
    sharers: (ref) => sharersOf(pool, ref),
    keepers: (ref) => keepersOf(pool, ref),
    async erase(ref, by, why) {
      const erased = await eraseSession(pool, vault, ref, by, why)
      if (erased.status === 'erased') notifier.notify(ref.session)
      return erased
    },
    rekey: (space, onProgress) => rekey(pool, vault.keyring, space, onProgress),
    retain: (space, options) => retain(pool, vault, space, options),
    verify: (ref, options) => verify(pool, ref, options),
    heads: (space, after, limit) => heads(pool, space, after, limit),
    exportBundle: (ref, options) => writeBundle(pool, ref, options),
    importBundle: (space, bytes, options) => importBundle(pool, space, bytes, options),
    importSessions: (space, arriving, { onProgress, signal } = {}) =>
      importItems(pool, space, assemble(arriving, onProgress), signal),
    async adopt(ref, by, why, original) {
      const result = await adopt(pool, vault, ref, by, why, original)
      if (result.status === 'adopted') notifier.notify(ref.session)
      return result
    },
    sharing: createSharingLog(pool),
    async close() {
      following.close()
      live.close()
      await notifier.close()
      await listener?.close()
      await pool.end()
    },
  }
}
