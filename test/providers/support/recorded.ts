/**
 * The recorded exchanges of test/fixtures/wire. Most were recorded without streaming: `streamOf` cuts such a body into the events that the
 * vendor streams for it (text in pieces, arguments in pieces), so that the same real content goes through the stream parsers.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'

export type Json = Record<string, unknown>

export interface Exchange {
  request: { body: Json & { messages: Json[]; model: string } }
  response: { status: number; body?: Json; sse?: string }
}

const ROOT = path.join(__dirname, '../../fixtures/wire')

export function recorded(name: string): Exchange {
  return JSON.parse(readFileSync(path.join(ROOT, `${name}.json`), 'utf8')) as Exchange
}

/** A recorded stream of vercel/ai as the bytes of the wire. */
export function chunks(name: string, api: 'anthropic' | 'chat'): string {
  const lines = readFileSync(path.join(ROOT, 'streams-vercel-ai', `${name}.chunks.txt`), 'utf8')
  const events = lines.split('\n').filter((line) => line.trim() !== '')
  if (api === 'chat') return `${events.map((e) => `data: ${e}\n\n`).join('')}data: [DONE]\n\n`
  return events.map((e) => `event: ${(JSON.parse(e) as { type: string }).type}\ndata: ${e}\n\n`).join('')
}

export function streamOf(exchange: Exchange, api: 'anthropic' | 'chat'): string {
  const { sse, body } = exchange.response
  if (sse !== undefined) return sse
  if (!body) throw new Error('the exchange holds no answer')
  return api === 'anthropic' ? anthropicStream(body) : chatStream(body)
}

export function anthropicStream(message: Json): string {
  const event = (e: Json): string => `event: ${String(e['type'])}\ndata: ${JSON.stringify(e)}\n\n`
  const out = [event({ type: 'message_start', message: { ...message, content: [], stop_reason: null } })]
  for (const [index, block] of (message['content'] as Json[]).entries()) {
    const delta = (d: Json): void => void out.push(event({ type: 'content_block_delta', index, delta: d }))
    const begin = (start: Json): void =>
      void out.push(event({ type: 'content_block_start', index, content_block: start }))
    if (block['type'] === 'text') {
      begin({ ...block, text: '' })
      for (const text of pieces(String(block['text']))) delta({ type: 'text_delta', text })
    } else if (block['type'] === 'thinking') {
      begin({ type: 'thinking', thinking: '', signature: '' })
      for (const thinking of pieces(String(block['thinking']))) delta({ type: 'thinking_delta', thinking })
      delta({ type: 'signature_delta', signature: block['signature'] })
    } else if (block['type'] === 'tool_use') {
      begin({ ...block, input: {} })
      for (const partial_json of pieces(JSON.stringify(block['input'])))
        delta({ type: 'input_json_delta', partial_json })
    } else begin(block)
    out.push(event({ type: 'content_block_stop', index }))
  }
  const { stop_reason, stop_sequence, usage } = message
  out.push(event({ type: 'message_delta', delta: { stop_reason, stop_sequence }, usage: usage as Json }))
  out.push(event({ type: 'message_stop' }))
  return out.join('')
}

function chatStream(body: Json): string {
  const { choices, usage, ...rest } = body
  const choice = (choices as Json[])[0] ?? {}
  const message = choice['message'] as Json
  const calls =
    (message['tool_calls'] as { id: string; function: { name: string; arguments: string } }[] | undefined) ?? []
  const out: string[] = []
  const chunk = (c: Json): void =>
    void out.push(`data: ${JSON.stringify({ ...rest, object: 'chat.completion.chunk', usage: null, ...c })}\n\n`)
  const delta = (d: Json, finish: unknown = null): void =>
    chunk({ choices: [{ index: 0, delta: d, finish_reason: finish }] })
  delta({ role: 'assistant', content: null })
  for (const reasoning_content of pieces(String(message['reasoning_content'] ?? ''))) delta({ reasoning_content })
  for (const content of pieces(String(message['content'] ?? ''))) delta({ content })
  for (const [index, call] of calls.entries()) {
    delta({
      tool_calls: [{ index, id: call.id, type: 'function', function: { name: call.function.name, arguments: '' } }],
    })
    for (const args of pieces(call.function.arguments))
      delta({ tool_calls: [{ index, function: { arguments: args } }] })
  }
  delta({}, choice['finish_reason'])
  chunk({ choices: [], usage })
  return `${out.join('')}data: [DONE]\n\n`
}

function pieces(text: string): string[] {
  return text.match(/[\s\S]{1,7}/gu) ?? []
}
