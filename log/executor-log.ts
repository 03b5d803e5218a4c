/** The log as executors use it, behind the port of contract/ports.ts. */
import type { Pool } from 'pg'
import { SavefileError } from '../contract/errors'
import type { StoredEvent } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { BlobRef } from '../contract/blocks'
import type { ExecutorLog } from '../contract/ports'
import { REDUCER_VERSION } from '../contract/state'
import { createAppend, finishAndAppend, setOutlook } from './append'
import { readBlob, writeBlob } from './blobs'
import { createDefinitions } from './definitions'
import { beat, claimDraft, claimSession, closeDrafts, finishDraft, partial, releaseDraft } from './drafts'
import { createHandOver } from './hand-over'
import { look } from './look'
import { createNotifier } from './notify'
import { query } from './pool'
import { readOn } from './read'
import { createVault, snapshotSlot, type Vault } from './vault'

/** A holder that was silent for so long counts as gone. */
export const DEFAULT_TTL_MS = 20_000

/** @throws SavefileError `key_missing`, `key_destroyed`: nothing is made of half a log. */
function readable(ref: SessionRef, events: StoredEvent[]): StoredEvent[] {
  const locked = events.find((event) => event.locked)
  if (!locked?.locked) return events
  const { seq, kid } = locked
  throw new SavefileError(locked.locked, `Event ${seq} of session ${ref.session} cannot be read here.`, { seq, kid })
}

/** `end` sends what is left to tell followers; the pool stays its owner's. */
export function createExecutorLog(
  pool: Pool,
  { ttlMs = DEFAULT_TTL_MS, vault = createVault(pool, null) }: { ttlMs?: number; vault?: Vault } = {},
): ExecutorLog & { end(): Promise<void> } {
  const definitions = createDefinitions(pool)
  const keepBlob = (ref: SessionRef, bytes: Uint8Array, mediaType: string): Promise<BlobRef> =>
    writeBlob(pool, vault, ref, bytes, mediaType)
  const notifier = createNotifier(pool)
  const append = createAppend(pool, vault)

  return {
    claim: (ref, owner, options) => claimSession(pool, ttlMs, ref, owner, options?.takeover ?? false),
    look: (ref, epoch, after) => look(pool, vault, ttlMs, ref, epoch, after),
    async append(ref, epoch, expectedHead, events, outlook, evidence = []) {
      const appended = await append(ref, { epoch, head: expectedHead, events, outlook }, evidence)
      if (appended.status === 'appended') notifier.notify(ref.session)
      return appended
    },
    setOutlook: (ref, epoch, outlook, head) => setOutlook(pool, ref, epoch, outlook, head),
    close: (ref, epoch, closes) => closeDrafts(pool, ref, epoch, closes),
    async saveSnapshot(ref, seq, state) {
      const sealer = await vault.sealer(ref)
      const text = JSON.stringify(state)
      await query(pool, 'select savefile.save_snapshot($1, $2, $3, $4, $5)', [
        ref.space,
        ref.session,
        REDUCER_VERSION,
        seq,
        sealer?.text(snapshotSlot(REDUCER_VERSION, seq), text) ?? text,
      ])
    },
    async claimDraft(ref, epoch, step, options) {
      const { claim, page } = await claimDraft(pool, ttlMs, ref, epoch, step, options)
      if (claim.status !== 'claimed' || page.length === 0) return claim
      return { ...claim, events: readable(ref, await readOn(pool, vault, ref, page)) }
    },
    finishDraft: (ref, step, token, event) =>
      finishDraft(pool, vault, (bytes, mediaType) => keepBlob(ref, bytes, mediaType), ref, step, token, event),
    async finishAndAppend(ref, finish, what) {
      const write = (bytes: Uint8Array, mediaType: string): Promise<BlobRef> => keepBlob(ref, bytes, mediaType)
      const appended = await finishAndAppend(pool, vault, write, ref, finish, what)
      if (appended.status === 'appended') notifier.notify(ref.session)
      return appended
    },
    handOver: createHandOver(pool, vault),
    releaseDraft: (ref, step, token, why) => releaseDraft(pool, ref, step, token, why),
    beat: (held) => beat(pool, held),
    partial: (ref, steps) => partial(pool, vault, ref, steps),
    definition: (space, hash) => definitions.get(space, hash),
    readBlob: (ref, hash) => readBlob(pool, vault, ref, hash),
    writeBlob: keepBlob,
    end: () => notifier.close(),
  }
}
