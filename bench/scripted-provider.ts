/**
 * A model that is none, at the port of providers (contract/provider-port.ts): no wire, no SDK, so that what is measured is Savefile's own.
 * Like in-process-model.ts it plays what the newest message of a person says (turn-words.ts), and takes its time. And a tool
 * that only gives a kilobyte, as the floor's does nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { Provider } from '../contract/provider-port'
import { defineTool, type DefinedTool } from '../tools/tool'
import { parseTurn } from './turn-words'

const FILLER = 'filler of a model that is none '.repeat(40)
const KILOBYTE = 'a line of a file '.repeat(60).slice(0, 1000)
const USAGE = { input: 1000, output: 250, cacheRead: 0, cacheWrite: 0, reasoning: 0 }

export const scriptedProvider: Provider = {
  name: 'anthropic',
  async call({ view: { entries } }, { onDelta, signal }) {
    const asked = entries.findLastIndex(({ role }) => role === 'user')
    const { words } = parseTurn(JSON.stringify(entries[asked]))
    const answers = entries.slice(asked).filter(({ role }) => role === 'assistant').length
    const goesOn = answers < words.steps
    const text = FILLER.slice(0, words.bytes)
    for (let at = 0; at < text.length; at += words.deltaChars) {
      if (words.ms > 0) await sleep((words.ms * words.deltaChars) / text.length, undefined, { signal })
      onDelta('text', text.slice(at, at + words.deltaChars))
    }
    const call = { type: 'tool_call' as const, call: '', name: words.tool, args: '{}' }
    return {
      ok: true,
      blocks: [{ type: 'text', text }, ...(goesOn ? Array.from({ length: words.calls }, () => call) : [])],
      stop: goesOn ? 'tool_calls' : 'end',
      usage: USAGE,
      model: 'bench',
      requestHash: `sha256:${'0'.repeat(64)}`,
      dropped: [],
    }
  },
}

/** `kilobyte` as a regular activity, `kilobyte_here` in process. */
export const kilobyteTools: readonly DefinedTool[] = [false, true].map((local) =>
  defineTool({
    name: local ? 'kilobyte_here' : 'kilobyte',
    description: 'Gives a kilobyte.',
    input: z.object({}),
    readOnly: true,
    idempotent: true,
    approval: 'allow',
    timeoutMs: 10_000,
    local,
    run: () => Promise.resolve(KILOBYTE),
  }),
)
