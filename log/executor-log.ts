/** The log as executors use it, behind the port of contract/ports.ts. */
import type { Pool } from 'pg'
import type { BlobRef } from '../contract/blocks'
import type { ExecutorLog } from '../contract/ports'
import { REDUCER_VERSION } from '../contract/state'
import { append, finishAndAppend, setOutlook } from './append'
import { readBlob, writeBlob } from './blobs'
import { createDefinitions } from './definitions'
import { beat, claimDraft, claimSession, closeDrafts, finishDraft, partial, releaseDraft } from './drafts'
import { look } from './look'
import { createNotifier } from './notify'
import { query } from './pool'
import { readEvents } from './read'

/** A holder that was silent for so long counts as gone. */
export const DEFAULT_TTL_MS = 20_000

/** `end` sends what is left to tell followers; the pool stays its owner's. */
export function createExecutorLog(
  pool: Pool,
  { ttlMs = DEFAULT_TTL_MS }: { ttlMs?: number } = {},
): ExecutorLog & { end(): Promise<void> } {
  const definitions = createDefinitions(pool)
  const notifier = createNotifier(pool)

  return {
    claim: (ref, owner, options) => claimSession(pool, ttlMs, ref, owner, options?.takeover ?? false),
    look: (ref, epoch, after) => look(pool, ttlMs, ref, epoch, after),
    async append(ref, epoch, expectedHead, events, outlook, evidence = []) {
      const appended = await append(pool, ref, { epoch, head: expectedHead, events, outlook }, evidence)
      if (appended.status === 'appended') notifier.notify(ref.session)
      return appended
    },
    setOutlook: (ref, epoch, outlook, head) => setOutlook(pool, ref, epoch, outlook, head),
    close: (ref, epoch, closes) => closeDrafts(pool, ref, epoch, closes),
    async saveSnapshot(ref, seq, state) {
      await query(pool, 'select savefile.save_snapshot($1, $2, $3, $4, $5)', [
        ref.space,
        ref.session,
        REDUCER_VERSION,
        seq,
        JSON.stringify(state),
      ])
    },
    claimDraft: (ref, epoch, step, options) => claimDraft(pool, ttlMs, ref, epoch, step, options),
    finishDraft: (ref, step, token, event) =>
      finishDraft(pool, (bytes, mediaType) => writeBlob(pool, ref, bytes, mediaType), ref, step, token, event),
    async finishAndAppend(ref, finish, what) {
      const write = (bytes: Uint8Array, mediaType: string): Promise<BlobRef> => writeBlob(pool, ref, bytes, mediaType)
      const appended = await finishAndAppend(pool, write, ref, finish, what)
      if (appended.status === 'appended') notifier.notify(ref.session)
      return appended
    },
    releaseDraft: (ref, step, token, why) => releaseDraft(pool, ref, step, token, why),
    beat: (held) => beat(pool, held),
    partial: (ref, steps) => partial(pool, ref, steps),
    events: (ref, from) => readEvents(pool, ref, from, Number.MAX_SAFE_INTEGER),
    definition: (space, hash) => definitions.get(space, hash),
    readBlob: (ref, hash) => readBlob(pool, ref, hash),
    writeBlob: (ref, bytes, mediaType) => writeBlob(pool, ref, bytes, mediaType),
    end: () => notifier.close(),
  }
}
