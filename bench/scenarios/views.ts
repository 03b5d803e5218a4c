/**
 * What a request costs besides sending it: the view and its encoding, of a session of 2,000 events; with two of them new (warm), and from
 * nothing (cold). The floor is JSON.stringify of the same body as objects, in the same rounds. Then: how many messages of an earlier request
 * a later one changes, over a whole session with a migration and back.
 */
import { buildView } from '../../providers/view'
import { parseDefinition, type Definition, type ModelSpec } from '../../contract/definition'
import { VIEW_VERSION, type KnownEvent, type NewEvent } from '../../contract/events'
import type { ModelRequest } from '../../contract/provider-port'
import { encodeMessages } from '../../providers/anthropic/request'
import { encodeChat } from '../../providers/openai-chat/request'
import { encodeResponse } from '../../providers/openai-responses/request'
import { createRawJson, type RawJson } from '../../providers/raw-json'
import { AT_FIRST, answer, message, step, type Place } from '../log-events'
import { atMost, type Options, type Outcome } from '../scenario'
import { p50p99, percentile, round } from '../stats'

const EVENTS = 2000
const PLATFORM = 'api.example.com'
const MODELS: Readonly<Record<string, ModelSpec>> = Object.fromEntries(
  (['anthropic', 'openai-responses', 'openai-chat'] as const).map((provider) => [
    provider,
    parseDefinition({ model: { provider, name: 'bench' } }).model,
  ]),
)
const schema = '{"type":"object","properties":{"path":{"type":"string"}}}'
const DEFINITION: Definition = parseDefinition({
  system: 'You are measured.',
  model: MODELS['anthropic'] ?? { provider: 'anthropic', name: 'bench' },
  tools: [{ name: 'read_file', description: 'Reads a file.', inputSchema: schema, approval: 'allow', readOnly: true }],
})

interface Logged {
  events: KnownEvent[]
  /** What the next request names. */
  saw: number[]
}

/** Turns of fifty steps, a kilobyte an event; each answer thinks, and signs it. */
function logOf(events: number, providerOf: (seq: number) => string): Logged {
  const log: KnownEvent[] = []
  const push = (event: NewEvent): void => {
    const seq = log.length + 1
    const known = { seq, at: seq, actor: 'user:bench', ...event } as KnownEvent
    log.push(known.type === 'model_answered' ? signed(known, providerOf(seq)) : known)
  }
  push({ type: 'session_created', payload: { definition: 'sha256:bench', origin: { kind: 'new' } } })
  push(message(2))
  let at: Place = AT_FIRST
  while (log.length < events) {
    const made = step('s', 'sha256:bench', at)
    made.events.forEach(push)
    at = made.then
    if (log.length % 200 < made.events.length) {
      push(answer('s', 'sha256:bench', at, 0))
      const opener = log.length + 1
      push(message(opener))
      at = { head: opener, due: opener, prev: opener - 1, saw: [opener] }
    }
  }
  return { events: log, saw: at.saw }
}

function signed(event: Extract<KnownEvent, { type: 'model_answered' }>, provider: string): KnownEvent {
  const thought = `thought ${event.seq}`
  const own: Record<string, string> = {
    anthropic: JSON.stringify({ type: 'thinking', thinking: thought, signature: `sig${event.seq}` }),
    'openai-responses': JSON.stringify({ type: 'reasoning', summary: [], encrypted_content: `enc${event.seq}` }),
    'openai-chat': '{"field":"reasoning_content"}',
  }
  const answered = event.payload.blocks.map((block) => (block.type === 'tool_call' ? { ...block, args: ARGS } : block))
  const blocks = [{ type: 'reasoning' as const, text: thought }, ...answered]
  const replay = { provider, platform: PLATFORM, model: 'bench', format: 1, blocks: [own[provider] ?? null] }
  const kept = { ...replay, blocks: [...replay.blocks, ...event.payload.blocks.map(() => null)] }
  const manifest = { ...event.payload.manifest, view: VIEW_VERSION }
  return { ...event, payload: { ...event.payload, provider, blocks, replay: kept, manifest } }
}

const ARGS = '{"path":"kilobyte.txt","lines":12345678901234567890}'

const blob: ModelRequest['blob'] = () => Promise.reject(new Error('there are none'))

function encode(model: ModelSpec, { events, saw }: Logged, raw: RawJson) {
  const request = { model, view: buildView(events, { ...DEFINITION, model }, saw), blob }
  if (model.provider === 'anthropic') return encodeMessages(request, PLATFORM, raw)
  return model.provider === 'openai-chat' ? encodeChat(request, PLATFORM, raw) : encodeResponse(request, PLATFORM, raw)
}

async function timed(model: ModelSpec, log: Logged): Promise<{ made: number; serialised: number; body: string }> {
  const raw = createRawJson()
  const begin = performance.now()
  const { params } = await encode(model, log, raw)
  const between = performance.now()
  const body = raw.restore(JSON.stringify(params))
  return { made: between - begin, serialised: performance.now() - between, body }
}

export async function views({ quick }: Options): Promise<Outcome> {
  const rounds = quick ? 5 : 40
  const figures: Outcome['figures'] = []
  const data: Outcome['data'] = {}
  for (const [name, model] of Object.entries(MODELS)) {
    const long = logOf(EVENTS, () => name)
    const times = { warm: [] as number[], cold: [] as number[], serialised: [] as number[], floor: [] as number[] }
    let megabytes = 0
    for (let i = 0; i < rounds; i++) {
      // Other objects: nothing of them is kept.
      const cold = await timed(model, { events: structuredClone(long.events), saw: long.saw })
      megabytes = Buffer.byteLength(cold.body) / 1e6
      times.cold.push((cold.made + cold.serialised) / megabytes)
    }
    let warm = long
    await timed(model, warm)
    for (let i = 0; i < rounds; i++) {
      warm = withTwoMore(warm)
      const two = await timed(model, warm)
      times.warm.push(two.made)
      times.serialised.push(two.serialised)
      const objects: unknown = JSON.parse(two.body)
      const begin = performance.now()
      JSON.stringify(objects)
      times.floor.push(performance.now() - begin)
    }
    figures.push(
      atMost(
        `next request of ${EVENTS} events with 2 new, warm, besides serialising, ${name}, p50`,
        percentile(times.warm, 0.5),
        2,
        ' ms',
      ),
      atMost(`the same, cold, whole, a megabyte of body, ${name}, p50`, percentile(times.cold, 0.5), 60, ' ms'),
    )
    data[name] = {
      bodyMegabytes: round(megabytes, 2),
      warmMs: p50p99(times.warm, 2),
      coldMsPerMegabyte: p50p99(times.cold, 2),
      serialisingWarmMs: p50p99(times.serialised, 2),
      floorJsonStringifyMs: p50p99(times.floor, 2),
    }
  }
  const changed = await changedMessages(quick ? 200 : 800)
  figures.push(
    atMost('messages that a later request changed, over a session with a migration and back', changed.changed, 0, ''),
  )
  return { figures, data: { ...data, prefixes: changed } }
}

/** An answer without calls, and a message to answer. */
function withTwoMore({ events, saw }: Logged): Logged {
  const last = events.findLast((event) => event.type === 'model_answered')
  const head = events.length
  const at = { head, due: saw.at(-1) ?? head, prev: last?.seq ?? 0, saw }
  const add = (event: NewEvent, seq: number): KnownEvent =>
    ({ seq, at: seq, actor: 'user:bench', ...event }) as KnownEvent
  return {
    events: [...events, add(answer('s', 'sha256:bench', at, 0), head + 1), add(message(head + 2), head + 2)],
    saw: [head + 2],
  }
}

/** Each request against the last one that the same provider was sent. */
async function changedMessages(events: number): Promise<{ requests: number; compared: number; changed: number }> {
  const third = Math.floor(events / 3)
  const providerOf = (seq: number): string => (seq <= third || seq > 2 * third ? 'anthropic' : 'openai-responses')
  const { events: log } = logOf(events, providerOf)
  const before = new Map<string, string[]>()
  const counts = { requests: 0, compared: 0, changed: 0 }
  for (const event of log) {
    if (event.type !== 'model_answered') continue
    const model = MODELS[event.payload.provider]
    if (!model) continue
    const { body } = await timed(model, { events: log.slice(0, event.seq - 1), saw: event.payload.manifest.saw })
    const unmarked = (key: string, value: unknown): unknown => (key === 'cache_control' ? undefined : value)
    const { messages, input } = JSON.parse(body) as { messages?: unknown[]; input?: unknown[] }
    const now = (messages ?? input ?? []).map((one) => JSON.stringify(one, unmarked))
    const earlier = before.get(model.provider) ?? []
    counts.requests++
    counts.compared += earlier.length
    counts.changed += earlier.filter((one, i) => one !== now[i]).length
    before.set(model.provider, now)
  }
  return counts
}
