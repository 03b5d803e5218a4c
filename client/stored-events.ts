import type { StoredEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { ClientLog } from '../contract/client-port'

const PAGE = 500

/** Of a session, from its first event up to `to`, page by page: memory does not grow with the log. */
export async function* storedEvents(
  log: Pick<ClientLog, 'read'>,
  ref: SessionRef,
  to: number,
): AsyncGenerator<StoredEvent> {
  for (let from = 1; from <= to; from += PAGE)
    yield* await log.read(ref, { from, to: Math.min(to, from + PAGE - 1), limit: PAGE })
}
