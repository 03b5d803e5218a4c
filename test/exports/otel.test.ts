/** Spans: OTLP's shape, the GenAI conventions' names, the same ids whenever they are made. */
import fc from 'fast-check'
import type { KnownEvent } from '../../contract/events'
import { toOtel } from '../../transcripts/otel'
import type { KeyValue, Span } from '../../transcripts/otel-span'
import { play } from '../contract/driver'
import * as g from '../contract/given'
import { TracesData } from './otlp-schema'
import {
  SESSION,
  actorOf,
  everything,
  everythingSource,
  sourceOf,
  storedOf,
  textOf,
  textsOf,
  type SourceOptions,
} from './support'

interface Document {
  resourceSpans: { scopeSpans: { spans: Span[] }[] }[]
}
const documents = async (source: ReturnType<typeof sourceOf>, content = false): Promise<Document[]> => {
  const lines = (await textOf(toOtel(source, { content }))).split('\n')
  expect(lines.pop()).toBe('')
  return lines.map((line) => {
    const document: unknown = JSON.parse(line)
    TracesData.parse(document)
    return document as Document
  })
}
const spansOf = async (source: ReturnType<typeof sourceOf>, content = false): Promise<Span[]> =>
  (await documents(source, content)).flatMap((d) =>
    d.resourceSpans.flatMap((r) => r.scopeSpans.flatMap((s) => s.spans)),
  )
const sourceOfEvents = (events: readonly KnownEvent[], options?: SourceOptions) =>
  sourceOf(
    events.map((event) => storedOf(event)),
    options,
  )
const named = (attributes: readonly KeyValue[]): Record<string, unknown> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [one] = Object.values(value) as unknown[]
      return [key, 'arrayValue' in value ? value.arrayValue.values.flatMap((v) => Object.values(v) as unknown[]) : one]
    }),
  )
const byName = (spans: readonly Span[], name: string): Span[] => spans.filter((span) => span.name === name)

test('a session that uses everything: turns, model calls and tools, as the conventions name them', async () => {
  const spans = await spansOf(everythingSource())
  expect(spans.map(({ name }) => name)).toEqual(
    [
      'execute_tool look',
      'execute_tool pay',
      'execute_tool ask',
      'chat claude-test',
      'invoke_agent bookkeeper',
      'invoke_agent',
      'invoke_agent bookkeeper',
      'chat claude-test',
      'invoke_agent bookkeeper',
    ].toSpliced(0, 0, 'chat claude-test'),
  )
  const [chat] = byName(spans, 'chat claude-test')
  expect(named(chat!.attributes)).toEqual({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'anthropic',
    'gen_ai.conversation.id': SESSION,
    'gen_ai.request.model': 'claude-test',
    'gen_ai.request.max_tokens': '8192',
    'gen_ai.request.temperature': 0.5,
    'gen_ai.request.reasoning.level': 'high',
    'gen_ai.request.stream': true,
    'gen_ai.response.id': 'msg_1',
    'gen_ai.response.model': 'scripted',
    'gen_ai.response.finish_reasons': ['tool_call'],
    'gen_ai.response.time_to_first_chunk': 0.08,
    'gen_ai.usage.input_tokens': '100',
    'gen_ai.usage.output_tokens': '20',
    'gen_ai.usage.cache_read.input_tokens': '60',
    'gen_ai.usage.cache_write.input_tokens': '5',
    'gen_ai.usage.reasoning.output_tokens': '7',
    'savefile.cost_usd': 0.000007,
    'savefile.seq': '3',
    'savefile.request.hash': '00',
  })
  expect(chat!.kind).toBe(3)
  expect(chat!.events?.map((event) => named(event.attributes))).toEqual([
    { 'savefile.attempt': '1', 'savefile.outcome': 'rate_limited' },
  ])
  const [pay] = byName(spans, 'execute_tool pay')
  expect(named(pay!.attributes)).toMatchObject({ 'gen_ai.tool.name': 'pay', 'gen_ai.tool.call.id': `${SESSION}:2.0` })
  expect(BigInt(pay!.endTimeUnixNano) - BigInt(pay!.startTimeUnixNano)).toBe(3_000_000_000n)
  const [ask] = byName(spans, 'execute_tool ask')
  expect(named(ask!.attributes)['error.type']).toBe('unknown')
  expect(ask!.status?.code).toBe(2)
})

test('a turn is a trace: its calls are below it, approvals and interrupts are marked on it, its usage is the sum', async () => {
  const spans = await spansOf(everythingSource())
  const [first, second, third] = byName(spans, 'invoke_agent bookkeeper')
  const traces = new Set(spans.map(({ traceId }) => traceId))
  expect(traces.size).toBe(3)
  for (const span of spans) {
    const root = [first!, second!, third!].find(({ traceId }) => traceId === span.traceId)
    if (span !== root) expect(span.parentSpanId).toBe(root?.spanId)
    else expect(span.parentSpanId).toBeUndefined()
  }
  expect(first!.events?.map(({ name }) => name)).toEqual([
    'savefile.approval_requested',
    'savefile.message',
    'savefile.approval_resolved',
  ])
  expect(named(first!.attributes)).toMatchObject({ 'gen_ai.usage.input_tokens': '110', 'savefile.turn.reason': 'done' })
  expect(second!.events?.map(({ name }) => name)).toContain('savefile.interrupted')
  expect(named(third!.attributes)).toMatchObject({ 'error.type': 'refused_request', 'savefile.turn.reason': 'failed' })
})

test('nothing that was said is in it, unless it is asked for', async () => {
  const bare = JSON.stringify(await documents(everythingSource()))
  const full = await spansOf(everythingSource(), true)
  const words = [
    'Please pay',
    'I will pay',
    'paid ```twice',
    'Hurry',
    'edited',
    '12345678901234567890',
    'last line of it',
  ]
  for (const word of words) {
    expect(bare).not.toContain(word)
    expect(JSON.stringify(full)).toContain(word)
  }
  for (const said of textsOf(everything()))
    if (said.includes(' ')) expect(bare).not.toContain(JSON.stringify(said).slice(1, -1))
})

test('with content: each request has what it named for the first time, spelt as it was', async () => {
  const spans = await spansOf(everythingSource(), true)
  const [first, second] = byName(spans, 'chat claude-test').map((span) => named(span.attributes))
  expect(first!['gen_ai.output.messages']).toContain('"arguments":{"n":12345678901234567890,"b":1,"a":2}')
  const input = JSON.parse(second!['gen_ai.input.messages'] as string) as { role: string }[]
  expect(input.map(({ role }) => role)).toEqual(['tool', 'tool', 'tool', 'user'])
  const [ask] = byName(spans, 'execute_tool ask')
  expect(named(ask!.attributes)['gen_ai.tool.call.arguments']).toBe('{"x":"edited"}')
  const [turn] = byName(spans, 'invoke_agent bookkeeper')
  expect(named(turn!.attributes)['gen_ai.system_instructions']).toContain('Be exact.')
})

test('the same log gives the same bytes, and a longer one the same spans and more', async () => {
  const whole = await textOf(toOtel(everythingSource()))
  expect(await textOf(toOtel(everythingSource()))).toBe(whole)
  const spans = await spansOf(everythingSource())
  const events = everything()
  const upTo = events.findIndex(({ type }) => type === 'turn_finished') + 1
  const before = await spansOf(sourceOfEvents(events.slice(0, upTo)))
  expect(spans.slice(0, before.length)).toEqual(before)
})

test('a fork has its own spans alone, linked to the turn that it left', async () => {
  const events = everything()
  const at = events.findIndex(({ type }) => type === 'tool_started')
  const inherited = events.slice(0, at + 1).map((event) => storedOf(event, { session: 'parent' }))
  const parent = await spansOf(sourceOf(inherited, { info: { session: 'parent' } }))
  const seq = inherited.length
  const own = [
    { type: 'forked', payload: { parent: 'parent', seq, hash: '00', definition: g.HASH, open: 'rule' } },
    { type: 'tool_finished', payload: { call: `${SESSION}:2.0`, tool: 'pay', outcome: 'unknown', blocks: [] } },
  ].map((event, i) =>
    storedOf({ seq: seq + 1 + i, at: g.T0 + (seq + 1 + i) * g.SECOND, actor: 'system', ...event } as KnownEvent),
  )
  const fork = await spansOf(sourceOf([...inherited, ...own], { info: { parent: { session: 'parent', seq } } }))
  expect(fork.map(({ name }) => name)).toEqual(['execute_tool pay', 'invoke_agent bookkeeper'])
  const left = byName(parent, 'invoke_agent bookkeeper')[0]!
  expect(fork[1]!.links).toMatchObject([{ traceId: left.traceId, spanId: left.spanId }])
  expect(named(fork[1]!.links![0]!.attributes)).toMatchObject({
    'savefile.link': 'forked_from',
    'savefile.parent': 'parent',
  })
  expect(fork[0]!.traceId).not.toBe(left.traceId)
})

test('a sub-agent is linked to its first turn', async () => {
  const [created, message] = everything()
  const stored = [created!, message!].map((event) => storedOf(event, { session: 'kid' }))
  const child = sourceOf(stored, { info: { session: 'kid' } })
  const [turn] = await spansOf(child)
  const spans = await spansOf(everythingSource({ child }))
  const [sub] = byName(spans, 'invoke_agent')
  expect(sub!.links).toMatchObject([{ traceId: turn!.traceId, spanId: turn!.spanId }])
  expect(named(sub!.attributes)['gen_ai.conversation.id']).toBe('kid')
})

test('what cannot be read is one span that says so', async () => {
  const stored = everything().map((event) => storedOf(event))
  const locked = stored.map((event, i) => (i === 0 || i > 10 ? event : { ...event, locked: 'key_destroyed' as const }))
  const spans = byName(await spansOf(sourceOf(locked.slice(0, 11))), 'locked')
  expect(spans).toHaveLength(1)
  expect(named(spans[0]!.attributes)).toMatchObject({ 'savefile.locked': 'key_destroyed', 'savefile.events': '10' })
})

test('any legal log gives spans of OTLP, each id once, every parent there', async () => {
  const histories = fc.array(fc.nat(1000), { minLength: 20, maxLength: 200 }).map(play)
  await fc.assert(
    fc.asyncProperty(histories, fc.boolean(), async (h, content) => {
      const events = h.events.map((event, i) => ({
        ...g.after(h.states[i]!, event, h.times[i]),
        actor: actorOf(event),
      }))
      const spans = await spansOf(sourceOfEvents(events), content)
      const ids = spans.map(({ spanId }) => spanId)
      expect(new Set(ids).size).toBe(ids.length)
      for (const { parentSpanId } of spans) if (parentSpanId) expect(ids).toContain(parentSpanId)
      const of = (type: string): number => events.filter((event) => event.type === type).length
      expect(spans.filter(({ name }) => name.startsWith('chat')).length).toBe(of('model_answered') + of('model_failed'))
      expect(spans.filter(({ name }) => name.startsWith('execute_tool')).length).toBe(of('tool_finished'))
    }),
    { numRuns: 60 },
  )
})
