/** Forking: a new row, a new lineage and one event; nothing of the parent is copied, locked or changed. */
import type { Pool } from 'pg'
import type { SessionRef } from '../contract/ids'
import type { ClientLog, ForkOptions, Principal } from '../contract/ports'
import { prepare } from './content'
import { placeAt } from './family'
import { queryRow } from './pool'
import { readHead } from './read'
import { checkRef, clean, cleanLabels } from './sessions'

type Forked = Awaited<ReturnType<ClientLog['fork']>>

/** Two round trips, whatever the parent's length: what stands at the fork (it never changes), then the fork itself. */
export async function forkSession(
  pool: Pool,
  parent: SessionRef,
  seq: number,
  child: string,
  by: Principal,
  options: ForkOptions,
): Promise<Forked> {
  checkRef({ space: parent.space, session: child })
  const at = await placeAt(pool, parent, seq)
  if (at === null) return { status: (await readHead(pool, parent)) === null ? 'session_not_found' : 'no_such_event' }
  const { definition = at.definition, workFolder, folder, open = 'rule', brought, quiet } = options
  const title = options.title === undefined ? undefined : clean(options.title)
  const labels = options.labels && cleanLabels(options.labels)
  const { v, payload } = prepare({
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
  })
  return queryRow<Forked>(
    pool,
    'select savefile.fork_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as status',
    [
      parent.space,
      parent.session,
      seq,
      Buffer.from(at.hash, 'hex'),
      child,
      by.actor,
      definition,
      title ?? null,
      JSON.stringify(labels ?? {}),
      v,
      payload,
    ],
  )
}
