/**
 * Following logs: each follower reads on from its own seq, so there is no gap and no repeat, whatever is told or lost. NOTIFY and a slow
 * poll (one query for all followers of the process) only say when to read.
 */
import type { Pool } from 'pg'
import { SavefileError } from '../contract/errors'
import type { StoredEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { Listener } from './listen'
import { EVENTS_CHANNEL } from './notify'
import { isUnreachable, query } from './pool'
import { readHead, readPage } from './read'
import type { Tails } from './tails'
import type { Vault } from './vault'

interface Follower {
  ref: SessionRef
  /** The seq that it waits for. */
  next: number
  wake(): void
}

export interface Follow {
  follow(ref: SessionRef, options?: { from?: number; signal?: AbortSignal }): AsyncIterable<StoredEvent>
  close(): void
}

const RETRY_MS = { first: 100, last: 2_000 }

/** `listener` null: only by polling. `tails` null: each reads for itself. */
export function createFollow(
  pool: Pool,
  vault: Vault,
  listener: Listener | null,
  pollMs: number,
  tails: Tails | null,
): Follow {
  const followers = new Set<Follower>()
  const ended = new AbortController()
  let poll: NodeJS.Timeout | undefined
  let polling = false
  let unlisten: (() => void) | undefined

  async function lookAtAll(): Promise<void> {
    if (polling) return
    polling = true
    try {
      const waiting = [...followers]
      const rows = await query<{ space_id: string; session_id: string; head: number }>(
        pool,
        `select s.space_id, s.session_id, s.head from unnest($1::text[], $2::text[]) f (space_id, session_id)
         join savefile.sessions s using (space_id, session_id)`,
        [waiting.map(({ ref }) => ref.space), waiting.map(({ ref }) => ref.session)],
      )
      const heads = new Map(rows.map((row) => [`${row.space_id}/${row.session_id}`, row.head]))
      for (const follower of waiting)
        if ((heads.get(`${follower.ref.space}/${follower.ref.session}`) ?? 0) >= follower.next) follower.wake()
    } catch {
      // Postgres is away; the next poll asks again.
    } finally {
      polling = false
    }
  }

  function add(follower: Follower): void {
    followers.add(follower)
    poll ??= setInterval(() => void lookAtAll(), pollMs)
    unlisten ??= listener?.listen(EVENTS_CHANNEL, (session) => {
      for (const f of followers) if (session === null || f.ref.session === session) f.wake()
    })
  }

  function remove(follower: Follower): void {
    followers.delete(follower)
    if (followers.size > 0) return
    clearInterval(poll)
    poll = undefined
    unlisten?.()
    unlisten = undefined
  }

  async function* follow(
    ref: SessionRef,
    { from = 1, signal }: { from?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<StoredEvent> {
    const stop = signal ? AbortSignal.any([signal, ended.signal]) : ended.signal
    if (stop.aborted) return
    if ((await readHead(pool, ref)) === null)
      throw new SavefileError('session_not_found', `There is no session ${ref.session} in space ${ref.space}.`, {
        ...ref,
      })
    let woken = true
    let resume: (() => void) | undefined
    const follower: Follower = {
      ref,
      next: Math.max(1, from),
      wake() {
        woken = true
        resume?.()
      },
    }
    /** Until woken, or the time is up, or it is over. */
    const pause = (ms?: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = ms === undefined ? undefined : setTimeout(() => resume?.(), ms)
        resume = () => {
          clearTimeout(timer)
          resume = undefined
          resolve()
        }
      })
    const onAbort = (): void => follower.wake()
    stop.addEventListener('abort', onAbort, { once: true })
    add(follower)
    let retryMs = RETRY_MS.first
    let caughtUp = false
    try {
      while (!stop.aborted) {
        // Before the read: what is told during it must lead to another.
        woken = false
        let page: StoredEvent[]
        try {
          // Once the head was reached, what comes is in the session's own rows, and is read together with what others wait for.
          const tail: StoredEvent[] | null = caughtUp && tails ? await tails.read(ref, follower.next) : null
          page = tail ?? (await readPage(pool, vault, ref, follower.next))
          caughtUp = tail !== null || page.length === 0
          retryMs = RETRY_MS.first
        } catch (error) {
          if (!isUnreachable(error)) throw error
          await pause(retryMs)
          retryMs = Math.min(retryMs * 2, RETRY_MS.last)
          continue
        }
        for (const event of page) {
          if (stop.aborted) return
          follower.next = event.seq + 1
          yield event
        }
        if (caughtUp && !woken && !stop.aborted) await pause()
      }
    } finally {
      stop.removeEventListener('abort', onAbort)
      remove(follower)
    }
  }

  return { follow, close: () => ended.abort() }
}
