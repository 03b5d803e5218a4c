/** Anchors of one session or of all: heads, signed, to be kept where the database is not. */
import type { Anchor, ClientLog, SessionInfo } from '../contract/client-port'
import { anchorKeyName, anchorSigner, newAnchorKey, readAnchor } from '../log/anchors'

export { anchorKeyName, newAnchorKey, readAnchor }

const PAGE = 500

interface AnchorParts {
  log: ClientLog
  space: string
  info(session: string): Promise<SessionInfo>
}

export function createAnchors({ log, space, info }: AnchorParts) {
  const now = (): number => Date.now() * 1000
  return {
    async anchor(session: string, privateKey: string): Promise<Anchor> {
      const signed = anchorSigner(privateKey)
      const { head, headHash } = await info(session)
      return signed({ session, head, hash: headHash, at: now() })
    },

    async *anchorAll(privateKey: string): AsyncGenerator<Anchor> {
      const signed = anchorSigner(privateKey)
      for (let after = ''; ;) {
        const page = await log.heads(space, after, PAGE)
        for (const { session, head, hash } of page) yield signed({ session, head, hash, at: now() })
        const last = page.at(-1)
        if (!last || page.length < PAGE) return
        after = last.session
      }
    },
  }
}

/** The anchors in the lines of a file, each with its signature checked. @throws SavefileError `invalid_anchor` */
export async function readAnchors(lines: AsyncIterable<string>, options: { key?: string } = {}): Promise<Anchor[]> {
  const anchors: Anchor[] = []
  let number = 0
  for await (const line of lines) {
    number++
    if (line.trim() !== '') anchors.push(readAnchor(line, number, options.key))
  }
  return anchors
}
