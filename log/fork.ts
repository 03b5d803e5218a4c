/** Forking: a new row, a new lineage and one event; nothing of the parent is copied, locked or changed. */
import type { Pool } from 'pg'
import type { SessionRef } from '../contract/ids'
import type { ClientLog, ForkOptions, Principal } from '../contract/client-port'
import { prepare } from './content'
import { placeAt } from './family'
import { readHead } from './read'
import type { Definitions } from './definitions'
import { checkRef, clean, cleanLabels, refuseQueues, titleOf, withKey } from './sessions'
import type { Vault } from './vault'

type Forked = Awaited<ReturnType<ClientLog['fork']>>

/** Two round trips, whatever the parent's length: what stands at the fork (it never changes), then the fork itself. */
export async function forkSession(
  pool: Pool,
  vault: Vault,
  definitions: Definitions,
  parent: SessionRef,
  seq: number,
  child: string,
  by: Principal,
  options: ForkOptions,
): Promise<Forked> {
  checkRef({ space: parent.space, session: child })
  const at = await placeAt(pool, vault, parent, seq)
  if (at === null) return { status: (await readHead(pool, parent)) === null ? 'session_not_found' : 'no_such_event' }
  const { definition = at.definition, workFolder, folder, open = 'rule', brought, quiet } = options
  // What its parent keeps under a key is not to come out in clear because nobody said so.
  const encrypted = options.encrypted ?? at.encrypted
  if (encrypted) await refuseQueues(definitions, parent.space, definition)
  const key = encrypted ? await vault.newKey(child) : null
  const title = options.title === undefined ? undefined : clean(options.title)
  const labels = options.labels && cleanLabels(options.labels)
  const { v, payload } = prepare(
    {
      type: 'forked',
      payload: {
        parent: parent.session,
        seq,
        hash: at.hash,
        definition,
        ...(title === undefined ? {} : { title }),
        ...(labels === undefined ? {} : { labels }),
        ...(workFolder === undefined ? {} : { workFolder }),
        ...(folder === undefined ? {} : { folder }),
        open,
        ...(brought === undefined || brought.length === 0
          ? {}
          : { brought: brought.map(({ tool, note }) => ({ tool: clean(tool), note: clean(note) })) }),
        ...(quiet === undefined ? {} : { quiet }),
      },
    },
    key?.sealer ?? null,
  )
  return withKey<Forked>(
    pool,
    { space: parent.space, session: child },
    key,
    'savefile.fork_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)',
    [
      parent.space,
      parent.session,
      seq,
      Buffer.from(at.hash, 'hex'),
      child,
      by.actor,
      definition,
      titleOf(title, key),
      JSON.stringify(labels ?? {}),
      v,
      payload,
    ],
  )
}
