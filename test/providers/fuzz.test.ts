/** Whatever comes over the wire, the parsers give an answer or a failure that an event can hold, and never throw. */
import fc from 'fast-check'
import type { ProviderName } from '../../contract/definition'
import { PAYLOADS } from '../../contract/events'
import type { ModelResult } from '../../contract/provider-port'
import { createMessagesReader } from '../../providers/anthropic/stream'
import { createChatReader } from '../../providers/openai-chat/stream'
import { createResponsesReader } from '../../providers/openai-responses/stream'
import { AT, context, noBlob, spec, user, view } from './support/calls'
import { chunks, recorded, streamOf } from './support/recorded'
import { cut, sse, startWireServer, type WireServer } from './support/wire-server'

const home = { provider: 'p', platform: 'x', model: 'm', format: 1 }
const READERS = {
  anthropic: createMessagesReader,
  'openai-chat': createChatReader,
  'openai-responses': createResponsesReader,
}

/** That the answer's event validates, with the calls named. */
function holds(
  result: Pick<Extract<ModelResult, { ok: true }>, 'blocks' | 'stop' | 'usage' | 'model' | 'replay' | 'responseId'>,
): void {
  const { blocks, stop, usage, model, replay, responseId } = result
  const payload = {
    step: 'model@1',
    provider: 'p',
    model,
    blocks: blocks.map((b, i) => (b.type === 'tool_call' ? { ...b, call: `s:1.${i}` } : b)),
    stop,
    usage,
    timings: { startedAt: 0, totalMs: 0 },
    manifest: { view: 1, definition: `sha256:${'0'.repeat(64)}`, prev: 0, saw: [1], dropped: [], requestHash: '' },
    attempts: [],
    ...(replay ? { replay } : {}),
    ...(responseId ? { responseId } : {}),
  }
  expect(PAYLOADS.model_answered.safeParse(payload).error?.issues ?? []).toEqual([])
  expect(JSON.stringify(payload)).not.toMatch(/(?<!\\)\\u(?:0000|d[89a-f]..)/)
  if (replay) expect(replay.blocks).toHaveLength(blocks.length)
}

const STREAMS = [
  ['anthropic', streamOf(recorded('anthropic/stream-thinking'), 'anthropic')],
  ['anthropic', streamOf(recorded('anthropic/stream-code-execution'), 'anthropic')],
  ['anthropic', chunks('anthropic-tool-no-args', 'anthropic')],
  ['openai-chat', streamOf(recorded('chat/stream-parallel-tools-1'), 'chat')],
  ['openai-chat', chunks('deepseek-tool-call', 'chat')],
  ['openai-chat', chunks('alibaba-tool-call', 'chat')],
  ['openai-responses', streamOf(recorded('responses/stream-phase-reasoning'), 'responses')],
  ['openai-responses', streamOf(recorded('responses/web-search-1'), 'responses')],
  ['openai-responses', chunks('openai-error.1', 'responses')],
] as const
const eventsOf = (stream: string): unknown[] =>
  (stream.match(/^data: \{.*$/gm) ?? []).map((line) => JSON.parse(line.slice(6)) as unknown)

test.each(STREAMS.map(([provider, stream], i) => [i, provider, eventsOf(stream)] as const))(
  'events in any order, left out, repeated or altered (%i, %s)',
  (_i, provider, events) => {
    const altered = fc.record({
      at: fc.nat(events.length - 1),
      path: fc.array(fc.nat(20), { maxLength: 4 }),
      value: fc.jsonValue(),
    })
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(events.length - 1), altered), { maxLength: 60 }), (picks) => {
        const reader = READERS[provider](home, () => undefined)
        for (const pick of picks)
          reader.push(typeof pick === 'number' ? events[pick] : change(events[pick.at], pick.path, pick.value))
        reader.whole()
        holds(reader.answer())
      }),
      { numRuns: 300 },
    )
  },
)

test.each(['anthropic', 'openai-chat', 'openai-responses'] as const)('any JSON at all (%s)', (provider) => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), (values) => {
      const reader = READERS[provider](home, () => undefined)
      for (const value of values) reader.push(value)
      holds(reader.answer())
    }),
  )
})

function change(event: unknown, path: number[], value: unknown): unknown {
  const copy = structuredClone(event)
  let at: unknown = copy
  for (const [i, step] of path.entries()) {
    if (typeof at !== 'object' || at === null) break
    const keys = Object.keys(at)
    const key = keys[step % Math.max(1, keys.length)]
    if (key === undefined) break
    const record = at as Record<string, unknown>
    if (i === path.length - 1) record[key] = value
    at = record[key]
  }
  return copy
}

describe('over HTTP', () => {
  let server: WireServer
  beforeAll(async () => {
    server = await startWireServer()
  })
  afterAll(() => server.close())

  const call = (provider: ProviderName): Promise<ModelResult> => {
    const model = spec(provider, 'claude-haiku-4-5', { silenceMs: 2000 })
    return AT[provider](server).call({ model, view: view(user(1, 'hi')), blob: noBlob }, context())
  }

  test.each(STREAMS.map(([provider, stream], i) => [i, provider, stream] as const))(
    'bytes that are altered, and sockets that are cut (%i, %s)',
    async (_i, provider, stream) => {
      const bytes = Buffer.from(stream)
      const edits = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 20 })
      await fc.assert(
        fc.asyncProperty(edits, fc.nat(bytes.length), fc.boolean(), async (changes, end, clean) => {
          const sent = Buffer.from(bytes)
          for (const [at, byte] of changes) sent[at] = byte
          server.replies.splice(0, 9, clean ? sse(sent.subarray(0, end)) : cut(sent.toString('latin1'), end))
          const result = await call(provider)
          if (result.ok) holds(result)
          else expect(typeof result.class).toBe('string')
        }),
        { numRuns: 30 },
      )
    },
  )
})
