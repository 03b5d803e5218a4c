/** A session carried away and brought in: bundles, and taking custody. */
import type { BundleProgress, ImportOptions } from '../contract/bundle-port'
import type { ClientLog, Principal, SessionInfo } from '../contract/client-port'
import { SavefileError } from '../contract/errors'
import { checkBundle, type CheckBundleOptions, type CheckedBundle } from '../log/bundle/check'
import { pack, packingOf, type Packing } from '../log/bundle/packing'
import { sessionNotFound, sessionStub } from './refusals'

export { packingOf, type CheckedBundle, type Packing }

export interface ExportOptions {
  /** `none` where absent; `packingOf` says what a file name asks for. */
  packing?: Packing
  /** Of what goes in, before it is packed. */
  onProgress?: (progress: BundleProgress) => void
  /** Its data keys too, wrapped with their owner's key: what is erased later stays readable from this bundle. */
  withKeys?: boolean
}

/**
 * Whether a bundle is what was written, without any service: bytes in, packed or not; memory stays flat. `deep`: also whether each event may
 * follow those before it.
 * @throws SavefileError `newer_bundle`
 */
export function verifyBundle(bytes: AsyncIterable<Uint8Array>, options?: CheckBundleOptions): Promise<CheckedBundle> {
  return checkBundle(bytes, options)
}

interface BundleParts {
  log: ClientLog
  space: string
  by: Principal
  nudge(session: string): Promise<unknown>
  info(session: string): Promise<SessionInfo>
}

export function createBundles({ log, space, by, nudge, info }: BundleParts) {
  return {
    async *exportBundle(session: string, { packing = 'none', ...options }: ExportOptions = {}) {
      await info(session)
      yield* pack(log.exportBundle({ space, session }, options), packing)
    },

    importBundle: (bytes: AsyncIterable<Uint8Array>, options?: ImportOptions) =>
      log.importBundle(space, bytes, options),

    async adopt(session: string, { why }: { why?: string } = {}) {
      await info(session)
      const result = await log.adopt({ space, session }, by, why)
      switch (result.status) {
        case 'adopted':
        case 'live':
          await nudge(session) // what was open may be due at once
          return { session, seq: result.seq, adopted: result.status === 'adopted' }
        case 'closed':
          throw new SavefileError(
            'session_closed',
            `Session ${session} is closed: there is nothing to go on with. Fork it to go on from any of its events.`,
            { session },
          )
        case 'session_not_found':
          throw sessionNotFound(session, space)
        case 'stub':
        case 'arriving':
          throw sessionStub(session)
      }
    },
  }
}
