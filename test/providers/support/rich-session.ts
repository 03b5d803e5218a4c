/**
 * Sessions that use everything, on any provider and from any event on another: the contract's own reduce judges each event, the adapters'
 * encoders make each request, and what an answer signs is sealed to the request that it answers, as the scripted server seals it.
 * Every content carries a marker of its own, so that whatever becomes of it can be found.
 */
import { createHash } from 'node:crypto'
import type { Block, BlobRef, ContentBlock } from '../../../contract/blocks'
import { parseDefinition, type Definition, type ModelSpec } from '../../../contract/definition'
import {
  VIEW_VERSION,
  type KnownEvent,
  type Manifest,
  type NewEvent,
  type Outcome,
  type Payload,
} from '../../../contract/events'
import { callId, modelStep } from '../../../contract/ids'
import type { ModelRequest, View } from '../../../contract/provider-port'
import { reduce } from '../../../contract/reduce'
import { emptyState, unseenByModel, type State } from '../../../contract/state'
import { isRecord, type Json } from '../../../dev/scripted-model/json'
import { seal, walkAnthropic, walkResponses, type Place } from '../../../dev/scripted-model/replay'
import { createEncoder } from '../../../providers/encode'
import { newlyDropped } from '../../../providers/view'
import { spec } from './calls'

/** A model, and where it is asked. */
export interface Home {
  name: string
  spec: ModelSpec
  platform: string
}

const home = (name: string, model: ModelSpec, platform: string): Home => ({ name, spec: model, platform })
export const HOMES: readonly Home[] = [
  home('anthropic', spec('anthropic', 'claude-haiku-4-5'), 'api.anthropic.com'),
  home('responses', spec('openai-responses', 'gpt-5.5'), 'api.openai.com'),
  home('chat at openai', spec('openai-chat', 'gpt-4o'), 'api.openai.com'),
  home('chat at vllm', spec('openai-chat', 'Qwen/Qwen3-32B', { compat: 'vllm' }), 'localhost'),
  home('chat at deepseek', spec('openai-chat', 'deepseek-chat'), 'api.deepseek.com'),
  home('chat at openrouter', spec('openai-chat', 'z-ai/glm-5'), 'openrouter.ai'),
]

const tool = (name: string, more: object): object => ({
  ...{ name, description: `${name}s`, inputSchema: '{"type":"object","properties":{"2":{},"1":{}}}' },
  ...more,
})
export const DEFINITION: Definition = parseDefinition({
  system: 'Be brief.',
  model: HOMES[0]?.spec ?? spec('anthropic', 'x'),
  tools: [tool('read', { approval: 'allow', readOnly: true }), tool('write', { approval: 'ask' })],
})
const hashOf = (model: ModelSpec): string =>
  `sha256:${createHash('sha256').update(`${model.provider}/${model.name}`).digest('hex')}`

const blobs = new Map<string, Uint8Array>()
export const blob: ModelRequest['blob'] = (hash) => {
  const bytes = blobs.get(hash)
  return bytes ? Promise.resolve(bytes) : Promise.reject(new Error(`no blob ${hash}`))
}
function blobOf(text: string, mediaType: string): BlobRef {
  const bytes = Buffer.from(text)
  const hash = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  blobs.set(hash, bytes)
  return { hash, bytes: bytes.length, mediaType }
}

export interface RichRequest {
  /** The number of events that it was made behind. */
  behind: number
  /** What it named for the first time. */
  saw: number[]
  home: Home
  view: View
  body: string
  dropped: Manifest['dropped']
}

export interface RichSession {
  events: KnownEvent[]
  /** In their order; the last may be without an answer. */
  requests: RichRequest[]
}

/** @param homes which model is asked, by how many events of the scenario the log holds; a change is an event of its own. */
export async function richSession(homes: (events: number) => Home): Promise<RichSession> {
  const encoder = createEncoder()
  const events: KnownEvent[] = []
  const requests: RichRequest[] = []
  let state: State = emptyState
  let now = homes(0)
  let scenario = 0
  let n = 0
  const push = (event: NewEvent, actor = 'system'): number => {
    const known = { seq: state.seq + 1, at: events.length, actor, ...event } as KnownEvent
    const reduced = reduce(state, known)
    if (!reduced.ok) throw new Error(`${event.type} at ${known.seq}: ${reduced.refusal}`)
    state = reduced.state
    events.push(known)
    return known.seq
  }
  const add = (event: NewEvent, actor?: string): number => {
    const next = homes(scenario)
    if (next !== now) {
      const [from, definition] = [hashOf(now.spec), hashOf(next.spec)]
      now = next
      push({ type: 'definition_changed', payload: { definition, from, changed: ['model'] } }, 'user:ann')
    }
    scenario++
    return push(event, actor)
  }
  const mark = (): string => `mark-${++n}-`
  const text = (): ContentBlock => ({ type: 'text', text: mark() })
  const image = (): ContentBlock => ({ type: 'image', blob: blobOf(mark(), 'image/png') })
  const file = (mediaType: string, name: string): ContentBlock => ({
    type: 'file',
    name,
    blob: blobOf(mark(), mediaType),
  })
  const say = (
    blocks: ContentBlock[],
    delivery: 'queue' | 'steer' | 'interrupt' = 'queue',
    actor = 'user:ann',
  ): number => add({ type: 'message_received', payload: { blocks, delivery } }, actor)

  async function request(): Promise<{ home: Home; manifest: Manifest; place: Place | null; due: number }> {
    const saw = unseenByModel(state)
    const made = now
    const view = encoder.buildView(events, { ...DEFINITION, model: made.spec }, saw)
    const { body, dropped } = await encoder.encode({ model: made.spec, view, blob }, made.platform)
    requests.push({ behind: events.length, saw, home: made, view, body, dropped })
    const last = events.findLast((event) => event.type === 'model_answered')?.payload.manifest
    const base = { view: VIEW_VERSION, definition: hashOf(made.spec), prev: state.lastAnswer, saw }
    const manifest = { ...base, dropped: newlyDropped(dropped, last, base), requestHash: 'aa', platform: made.platform }
    const json = JSON.parse(body) as Json
    const walk = made.spec.provider === 'anthropic' ? walkAnthropic(json) : walkResponses(json)
    return { home: made, manifest, place: made.spec.provider === 'openai-chat' ? null : walk.end, due: state.due }
  }

  type Said = 'thought' | 'text' | 'read' | 'write' | 'broken' | 'server' | 'refusal' | 'structured' | 'image'
  async function answer(said: Said[], meanwhile?: () => void): Promise<string[]> {
    const { home: by, manifest, place, due } = await request()
    meanwhile?.()
    const blocks: Block[] = []
    const replay: (string | null)[] = []
    const put = (block: Block, own: string | null = null): void => void (blocks.push(block), replay.push(own))
    const calls: string[] = []
    for (const what of said)
      if (what === 'thought') {
        const thought = mark()
        put({ type: 'reasoning', text: thought }, thinking(by, thought, place))
      } else if (what === 'read' || what === 'write' || what === 'broken') {
        const call = callId('s', due, calls.length)
        calls.push(call)
        const args = what === 'broken' ? '{"cut' : `{"2":"${mark()}","1":12345678901234567890}`
        const problem = what === 'broken' ? { problem: 'the arguments are not JSON' } : {}
        put({ type: 'tool_call', call, name: what === 'broken' ? 'read' : what, args, ...problem })
      } else if (what === 'server')
        for (const own of serverTool(by, mark())) put({ type: 'structured', json: own }, own)
      else if (what === 'structured') put({ type: 'structured', json: JSON.stringify({ answer: mark() }) })
      else if (what === 'image') put({ type: 'image', blob: blobOf(mark(), 'image/png') })
      else put({ type: what, text: mark() })
    const kept = { provider: by.spec.provider, platform: by.platform, model: by.spec.name, format: 1, blocks: replay }
    const payload: Payload<'model_answered'> = {
      ...{ step: modelStep(due), provider: by.spec.provider, model: by.spec.name, blocks },
      stop: calls.length > 0 ? 'tool_calls' : 'end',
      usage: { input: 10, output: 5, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
      timings: { startedAt: 0, totalMs: 1 },
      ...(replay.some((own) => own !== null) ? { replay: kept } : {}),
      ...{ manifest, attempts: [] },
    }
    add({ type: 'model_answered', payload }, 'agent')
    return calls
  }
  const run = (call: string, tool: string, outcome: Outcome, ...blocks: ContentBlock[]): void => {
    if (outcome === 'ok' || outcome === 'error' || outcome === 'unknown')
      add({ type: 'tool_started', payload: { call, tool, queue: null, idempotencyKey: 'k' } })
    finish(call, tool, outcome, ...blocks)
  }
  const finish = (call: string, tool: string, outcome: Outcome, ...blocks: ContentBlock[]): void =>
    void add({ type: 'tool_finished', payload: { call, tool, outcome, blocks } }, `tool:${tool}`)
  const ended = (reason: 'done' | 'interrupted'): void =>
    void add({ type: 'turn_finished', payload: { turn: state.turn?.opener ?? 0, reason } })
  const asked = (call: string): void =>
    void add({ type: 'approval_requested', payload: { call, tool: 'write', rule: 'ask' } })
  const allowed = (call: string, args?: string): void =>
    void add(
      { type: 'approval_resolved', payload: { call, decision: 'allow', scope: 'once', ...(args ? { args } : {}) } },
      'user:ann',
    )

  add({ type: 'session_created', payload: { definition: hashOf(now.spec), origin: { kind: 'new' } } })
  say([
    text(),
    image(),
    file('application/pdf', 'a.pdf'),
    file('text/plain', 'a.txt'),
    file('application/zip', 'a.zip'),
  ])
  const [a = '', b = '', c = ''] = await answer(['thought', 'text', 'read', 'write', 'broken'])
  finish(c, 'read', 'error', text())
  asked(b)
  say([text()], 'steer') // during an approval
  add({ type: 'tool_started', payload: { call: a, tool: 'read', queue: null, idempotencyKey: 'k' } })
  say([text()], 'steer', 'user:bob') // during a tool, by somebody else
  finish(a, 'read', 'ok', text(), image())
  allowed(b, `{"edited":"${mark()}"}`)
  run(b, 'write', 'error', text(), image())
  const [d = ''] = await answer(['thought', 'server', 'text', 'write'], () => say([text()], 'steer')) // during a call
  asked(d)
  add({ type: 'approval_resolved', payload: { call: d, decision: 'deny', scope: 'once', note: mark() } }, 'user:bob')
  finish(d, 'write', 'denied', text())
  await answer(['thought', 'text'], () => say([text()], 'steer'))
  await answer(['refusal'])
  ended('done')
  say([text()])
  const [e = '', f = ''] = await answer(['read', 'write'])
  const stop = say([], 'interrupt')
  finish(e, 'read', 'unknown', text())
  finish(f, 'write', 'cancelled', text())
  const partial = [{ step: 'model@1', blocks: [{ type: 'text' as const, text: mark() }] }]
  add({ type: 'interrupted', payload: { turn: state.turn?.opener ?? 0, by: stop, partial } })
  ended('interrupted')
  say([text(), file('text/csv', 'b.csv')])
  await answer(['structured', 'image'])
  ended('done')
  add({
    type: 'forked',
    payload: { parent: 's', seq: state.seq, hash: '00', definition: hashOf(now.spec), open: 'rule' },
  })
  say([text()], 'queue', 'user:bob')
  const [g = ''] = await answer(['thought', 'read'])
  run(g, 'read', 'ok')
  await answer(['thought', 'server', 'text'])
  ended('done')
  say([text()])
  await answer(['text'])
  ended('done')
  const hi = state.boundaries.at(-3) ?? 1
  add({ type: 'checkpoint_made', payload: { lo: 1, hi, blocks: [text()], method: 'given' } })
  say([text()])
  const [h = ''] = await answer(['thought', 'text', 'read'])
  run(h, 'read', 'ok', text())
  await answer(['thought', 'text'])
  ended('done')
  say([text()])
  await request()
  return { events, requests }
}

/** Of the scenario: how many events there are to migrate behind. */
export async function eventsOfScenario(): Promise<number> {
  const first = HOMES[0]
  if (!first) throw new Error('there is one')
  return (await richSession(() => first)).events.length
}

/** What comes with a thought so that it can go back. */
function thinking({ spec: { provider } }: Home, thought: string, place: Place | null): string {
  if (!place) return '{"field":"reasoning_content"}'
  return provider === 'anthropic'
    ? JSON.stringify({ type: 'thinking', thinking: thought, signature: seal(place, thought) })
    : JSON.stringify({
        ...{ type: 'reasoning', summary: [{ type: 'summary_text', text: thought }] },
        encrypted_content: seal(place, ''),
      })
}

/** The blocks of a tool that the vendor runs itself; none on Chat. */
function serverTool({ spec: { provider } }: Home, marker: string): string[] {
  const id = `srvtoolu_${marker.replace(/\W/g, '')}`
  if (provider === 'anthropic')
    return [
      { type: 'server_tool_use', id, name: 'web_search', input: { query: marker } },
      { type: 'web_search_tool_result', tool_use_id: id, content: [] },
    ].map((block) => JSON.stringify(block))
  if (provider === 'openai-responses')
    return [JSON.stringify({ type: 'web_search_call', status: 'completed', action: { type: 'search', query: marker } })]
  return []
}

function markersIn(value: unknown): string[] {
  return [...new Set(JSON.stringify(value).match(/mark-\d+-/g) ?? [])]
}

/** What a view shows and a request must hold or name: markers by where they are. */
interface Shown {
  marker: string
  seq: number
  /** `text` may not be lost. */
  what: 'text' | 'reasoning' | 'server tool' | 'attachment'
}

export async function shownIn({ entries }: View): Promise<Shown[]> {
  const shown: Shown[] = []
  for (const entry of entries) {
    const groups = entry.role === 'results' ? entry.results : [entry]
    for (const { seq, blocks } of groups)
      for (const [i, block] of (blocks as Block[]).entries()) {
        const own = entry.role === 'assistant' ? (entry.replay?.blocks[i] ?? null) : null
        const what =
          block.type === 'reasoning'
            ? 'reasoning'
            : block.type === 'structured' && own !== null
              ? 'server tool'
              : block.type === 'image' || block.type === 'file'
                ? 'attachment'
                : 'text'
        const content = 'blob' in block && block.blob ? Buffer.from(await blob(block.blob.hash)).toString() : block
        for (const marker of markersIn(content)) shown.push({ marker, seq, what })
      }
  }
  return shown
}

/** Every string of a body, attachments decoded. */
export function textIn(body: string): string {
  const found: string[] = []
  const walk = (value: unknown): void => {
    if (typeof value === 'string') {
      found.push(value)
      const base64 = /^(?:data:[^,]*;base64,)?([A-Za-z0-9+/]{8,}={0,2})$/.exec(value)?.[1]
      if (base64) found.push(Buffer.from(base64, 'base64').toString('latin1'))
    } else if (Array.isArray(value)) value.forEach(walk)
    else if (isRecord(value)) Object.values(value).forEach(walk)
  }
  walk(JSON.parse(body))
  return found.join('\n')
}
