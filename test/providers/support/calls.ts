/** Small views, specs and contexts for the tests of the adapters. */
import type { Block } from '../../../contract/blocks'
import { ModelSpec, type ProviderName } from '../../../contract/definition'
import type { ModelContext, ModelRequest, Provider, View, ViewEntry } from '../../../contract/provider-port'
import { createAnthropic } from '../../../providers/anthropic/provider'
import { createOpenAIChat } from '../../../providers/openai-chat/provider'
import { createOpenAIResponses } from '../../../providers/openai-responses/provider'
import { createRawJson } from '../../../providers/raw-json'
import { encodeMessages } from '../../../providers/anthropic/request'
import { encodeChat } from '../../../providers/openai-chat/request'
import { encodeResponse } from '../../../providers/openai-responses/request'
import { anthropicProblems } from './anthropic-rules'
import { chatProblems } from './chat-rules'
import type { Json } from './recorded'
import { responsesProblems } from './responses-rules'
import type { WireServer } from './wire-server'

export const KEY = 'sk-ant-api03-test-key-0123456789abcdef'

export function spec(provider: ProviderName, name: string, more: Partial<ModelSpec> = {}): ModelSpec {
  return { ...ModelSpec.parse({ provider, name }), ...more }
}

export const user = (seq: number, text: string, actor = 'user:ann'): ViewEntry => ({
  role: 'user',
  seq,
  actor,
  blocks: [{ type: 'text', text }],
})
export const answer = (seq: number, ...blocks: Block[]): ViewEntry => ({ role: 'assistant', seq, blocks })
export const call = (id: string, name = 'look', args = '{}'): Block => ({ type: 'tool_call', call: id, name, args })
export const said = (text: string): Block => ({ type: 'text', text })
export const result = (seq: number, ids: string[], text = 'done'): ViewEntry => ({
  role: 'results',
  seq,
  results: ids.map((id, i) => ({
    seq: seq + i,
    call: id,
    name: 'look',
    outcome: 'ok',
    blocks: text === '' ? [] : [{ type: 'text', text }],
  })),
})

export function view(...entries: ViewEntry[]): View {
  return {
    system: 'Be brief.',
    tools: [{ name: 'look', description: 'Looks.', inputSchema: '{"type":"object","properties":{}}' }],
    entries,
  }
}

export const noBlob: ModelRequest['blob'] = (hash) => Promise.reject(new Error(`no blob ${hash}`))

export function context(
  signal: AbortSignal = new AbortController().signal,
): ModelContext & { said: [string, string][] } {
  const deltas: [string, string][] = []
  return { signal, said: deltas, onDelta: (kind, body) => void deltas.push([kind, body]) }
}

export function anthropicAt(server: WireServer): Provider {
  return createAnthropic({ apiKey: KEY, fetch: server.fetch })
}

export function chatAt(server: WireServer, host = 'api.openai.com'): Provider {
  return createOpenAIChat({ apiKey: KEY, baseURL: `https://${host}/v1`, fetch: server.fetch })
}

export function responsesAt(server: WireServer, host = 'api.openai.com'): Provider {
  return createOpenAIResponses({ apiKey: KEY, baseURL: `https://${host}/v1`, fetch: server.fetch })
}

export const AT: Readonly<Record<ProviderName, (server: WireServer) => Provider>> = {
  anthropic: anthropicAt,
  'openai-chat': chatAt,
  'openai-responses': responsesAt,
}

export interface Encoded {
  body: Json & { messages: Json[]; input: Json[] }
  dropped: { seq: number; what: string; why: string }[]
  problems: string[]
}

/** The body as it would be sent, and what its vendor would say. */
export async function toAnthropic(
  v: View,
  model = spec('anthropic', 'claude-haiku-4-5'),
  blob = noBlob,
): Promise<Encoded> {
  const raw = createRawJson()
  const { params, dropped } = await encodeMessages({ model, view: v, blob }, 'api.anthropic.com', raw)
  const body = JSON.parse(raw.restore(JSON.stringify(params))) as Encoded['body']
  return { body, dropped, problems: anthropicProblems(body) }
}

export async function toChat(
  v: View,
  model = spec('openai-chat', 'gpt-4o'),
  blob = noBlob,
  host = 'api.openai.com',
): Promise<Encoded> {
  const raw = createRawJson()
  const { params, dropped } = await encodeChat({ model, view: v, blob }, host, raw)
  const body = JSON.parse(raw.restore(JSON.stringify(params))) as Encoded['body']
  return { body, dropped, problems: chatProblems(body) }
}

export async function toResponses(
  v: View,
  model = spec('openai-responses', 'gpt-5.5'),
  blob = noBlob,
  host = 'api.openai.com',
): Promise<Encoded> {
  const raw = createRawJson()
  const { params, dropped } = await encodeResponse({ model, view: v, blob }, host, raw)
  const body = JSON.parse(raw.restore(JSON.stringify(params))) as Encoded['body']
  return { body, dropped, problems: responsesProblems(body) }
}

/** Without cache markers: they stand apart from prefix stability. */
export function unmarked<T>(body: T): T {
  return JSON.parse(JSON.stringify(body, (key, value: unknown) => (key === 'cache_control' ? undefined : value))) as T
}

/** A request with tools that the vendor runs, for everybody. */
export async function serverToolView(
  serverTools: string[],
): Promise<Record<'anthropic' | 'responses' | 'chat' | 'openrouter', Encoded>> {
  const v = view(user(1, 'x'))
  return {
    anthropic: await toAnthropic(v, spec('anthropic', 'claude-haiku-4-5', { serverTools })),
    responses: await toResponses(v, spec('openai-responses', 'gpt-5.5', { serverTools })),
    chat: await toChat(v, spec('openai-chat', 'gpt-4o', { serverTools })),
    openrouter: await toChat(v, spec('openai-chat', 'x', { serverTools }), noBlob, 'openrouter.ai'),
  }
}
