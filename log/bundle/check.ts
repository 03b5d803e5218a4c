/** Whether a bundle is what was written: the same pass as before an import, and nothing is kept. */
import { errorCode } from '../../contract/errors'
import type { SavefileError } from '../../contract/errors'
import type { Anchor } from '../../contract/client-port'
import { createAnchorCheck } from '../anchors'
import { readBundle, type ReadBundleOptions } from './read'

export type CheckedBundle =
  | {
      ok: true
      session: string
      head: number
      headHash: string
      events: number
      sessions: number
      blobs: number
      anchors: number
    }
  | { ok: false; line: number | null; session: string | null; seq: number | null; why: string }

export interface CheckBundleOptions extends ReadBundleOptions {
  /** Of any session of the bundle; others are passed over. */
  anchors?: readonly Anchor[]
}

/** @throws SavefileError `newer_bundle` */
export async function checkBundle(
  packed: AsyncIterable<Uint8Array>,
  { anchors = [], ...options }: CheckBundleOptions = {},
): Promise<CheckedBundle> {
  let header = { session: '', head: 0, hash: '' }
  const anchored = createAnchorCheck(anchors)
  let hash = ''
  const hashOfIt = (): string => hash
  let counts = { events: 0, sessions: 0, blobs: 0 }
  try {
    for await (const items of readBundle(packed, options))
      for (const item of items) {
        if (item.kind === 'event') {
          const { session, seq } = item.event
          hash = item.event.hash
          const why = anchored.event(session, seq, hashOfIt)
          if (why)
            return { ok: false, line: item.line, session, seq, why: `event ${seq} of session ${session}: ${why}` }
        } else if (item.kind === 'session' && item.part.whole) {
          const { session, to } = item.part
          const cut = anchored.end(session, to)
          if (cut) return { ok: false, line: item.line, session, seq: cut.seq, why: `session ${session}: ${cut.why}` }
        } else if (item.kind === 'header') header = item.header
        else if (item.kind === 'end')
          counts = { events: item.end.events, sessions: item.end.sessions.length, blobs: item.end.blobs }
      }
  } catch (error) {
    if (errorCode(error) !== 'invalid_bundle') throw error
    const { line, session, seq, why } = (error as SavefileError).data as {
      line?: number
      session?: string
      seq?: number
      why: string
    }
    return { ok: false, line: line ?? null, session: session ?? null, seq: seq ?? null, why }
  }
  const { session, head } = header
  return { ok: true, session, head, headHash: header.hash, ...counts, anchors: anchored.held() }
}
