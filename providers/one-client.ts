/**
 * One client of an SDK for all calls: making one costs about as much as reading a short answer. The fetch of each call is found by a header,
 * which is taken off before anything is sent.
 */
import type { Fetch } from './watched-fetch'

const HEADER = 'x-savefile-call'

export interface CallFetch {
  /** For the client. */
  fetch: Fetch
  /** Makes a request with these headers, which goes through `own`. */
  through<T>(own: Fetch, request: (headers: Record<string, string>) => Promise<T>): Promise<T>
}

export function createCallFetch(): CallFetch {
  const calls = new Map<string, Fetch>()
  let last = 0
  return {
    fetch(url, init) {
      const headers = new Headers(init?.headers)
      const own = calls.get(headers.get(HEADER) ?? '')
      if (!own) return Promise.reject(new Error('a request of no call'))
      headers.delete(HEADER)
      return own(url, { ...init, headers })
    },
    async through(own, request) {
      const call = String(++last)
      calls.set(call, own)
      try {
        return await request({ [HEADER]: call })
      } finally {
        calls.delete(call)
      }
    },
  }
}
