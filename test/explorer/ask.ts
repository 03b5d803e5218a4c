import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { builtArgs } from '../support/built'
import type { Search, Searched } from './search-thread'

/** A thread that searches, one case after the other. */
export function searcher(): { ask(search: Search): Promise<Searched>; end(): Promise<unknown> } {
  const [file = ''] = builtArgs('test/explorer/search-thread')
  const thread = new Worker(file)
  return {
    async ask(search) {
      thread.postMessage(search)
      const [searched] = (await once(thread, 'message')) as [Searched]
      return searched
    },
    end: () => thread.terminate(),
  }
}
