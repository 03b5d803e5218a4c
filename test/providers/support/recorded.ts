/**
 * The recorded exchanges of test/fixtures/wire. Most were recorded without streaming: `streamOf` cuts such a body into the events that the
 * vendor streams for it (text in pieces, arguments in pieces), so that the same real content goes through the stream parsers.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'

export type Json = Record<string, unknown>

export type Api = 'anthropic' | 'chat' | 'responses'

export interface Exchange {
  request: { body: Json & { messages: Json[]; input: Json[]; model: string } }
  response: { status: number; body?: Json; sse?: string }
}

const ROOT = path.join(__dirname, '../../fixtures/wire')

export function recorded(name: string): Exchange {
  return JSON.parse(readFileSync(path.join(ROOT, `${name}.json`), 'utf8')) as Exchange
}

/** A recorded stream of vercel/ai as the bytes of the wire. */
export function chunks(name: string, api: Api): string {
  const lines = readFileSync(path.join(ROOT, 'streams-vercel-ai', `${name}.chunks.txt`), 'utf8')
  const events = lines.split('\n').filter((line) => line.trim() !== '')
  if (api === 'chat') return `${events.map((e) => `data: ${e}\n\n`).join('')}data: [DONE]\n\n`
  return events.map((e) => `event: ${(JSON.parse(e) as { type: string }).type}\ndata: ${e}\n\n`).join('')
}

export function streamOf(exchange: Exchange, api: Api): string {
  const { sse, body } = exchange.response
  if (sse !== undefined) return sse
  if (!body) throw new Error('the exchange holds no answer')
  return { anthropic: anthropicStream, chat: chatStream, responses: responsesStream }[api](body)
}

export function responsesStream(response: Json): string {
  const out: string[] = []
  const event = (type: string, e: Json): void =>
    void out.push(`event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: out.length, ...e })}\n\n`)
  event('response.created', { response: { ...response, status: 'in_progress', output: [], usage: null } })
  for (const [output_index, item] of (response['output'] as Json[]).entries()) {
    const at = { output_index, item_id: item['id'] }
    // What is encrypted is final only when the item is done.
    const begun = {
      ...item,
      status: 'in_progress',
      ...('content' in item ? { content: [] } : {}),
      ...('summary' in item ? { summary: [], encrypted_content: 'not yet' } : {}),
      ...('arguments' in item ? { arguments: '' } : {}),
    }
    event('response.output_item.added', { output_index, item: begun })
    for (const [summary_index, part] of ((item['summary'] as Json[] | undefined) ?? []).entries()) {
      event('response.reasoning_summary_part.added', { ...at, summary_index, part: { ...part, text: '' } })
      for (const delta of pieces(String(part['text'])))
        event('response.reasoning_summary_text.delta', { ...at, summary_index, delta })
    }
    for (const [content_index, part] of ((item['content'] as Json[] | undefined) ?? []).entries()) {
      event('response.content_part.added', { ...at, content_index, part: { ...part, text: '' } })
      const [kind, body] = part['type'] === 'refusal' ? ['refusal', part['refusal']] : ['output_text', part['text']]
      for (const delta of pieces(String(body))) event(`response.${String(kind)}.delta`, { ...at, content_index, delta })
    }
    for (const delta of item['type'] === 'function_call' ? pieces(String(item['arguments'])) : [])
      event('response.function_call_arguments.delta', { ...at, delta })
    event('response.output_item.done', { output_index, item })
  }
  const status = response['status'] === 'incomplete' ? 'incomplete' : 'completed'
  event(`response.${status}`, { response })
  return out.join('')
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
