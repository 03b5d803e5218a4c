/** The three wires side by side: how each says an answer, an error, and an error in mid-stream. */
import type { Answer } from './answer'
import type { Api, Conversation } from './conversation'
import type { Frame } from './frame'
import type { Json } from './json'
import type { Part } from './play'
import type { Fault } from './script'
import {
  anthropicError,
  anthropicErrorFrame,
  anthropicFrames,
  anthropicMessage,
  statusOfErrorType,
} from './wire-anthropic'
import { chatCompletion, chatError, chatErrorFrame, chatFrames } from './wire-chat'
import { response, responseErrorFrame, responseFailedFrame, responseFrames } from './wire-responses'

const STREAM_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' }
export const JSON_HEADERS = { 'content-type': 'application/json' }

/** What goes over the socket for an answer to this request. */
export function answerPart(said: Answer, c: Conversation, body: Json): Omit<Part, 'pace'> {
  const id = `req_scripted_${said.id}`
  const headers = {
    ...(c.stream ? STREAM_HEADERS : JSON_HEADERS),
    ...(c.api === 'anthropic' ? { 'request-id': id } : { 'x-request-id': id }),
  }
  return {
    status: 200,
    headers,
    frames: framesOf(said, c, body),
    errorFrame: (fault, at) => errorFrame(c.api, fault, at),
  }
}

function framesOf(said: Answer, c: Conversation, body: Json): Frame[] {
  switch (c.api) {
    case 'anthropic':
      return c.stream ? anthropicFrames(said, body) : halves(anthropicMessage(said, body))
    case 'openai-chat':
      return c.stream ? chatFrames(said, c.includeUsage) : halves(chatCompletion(said))
    case 'openai-responses':
      return c.stream ? responseFrames(said, body) : halves(response(said, body))
  }
}

/** An error response's body, in the vendor's shape. */
export function errorBody(api: Api, status: number, message: string): Json {
  return api === 'anthropic' ? anthropicError(status, message) : chatError(status, message)
}

function errorFrame(api: Api, fault: Extract<Fault, { kind: 'error_event' | 'failed' }>, at: number): string {
  const type = fault.kind === 'failed' ? fault.code : fault.type
  const message = `Scripted fault: ${type}`
  switch (api) {
    case 'anthropic':
      return anthropicErrorFrame(fault.kind === 'failed' ? 'api_error' : type, message)
    case 'openai-chat':
      return chatErrorFrame(type, message)
    case 'openai-responses':
      return (fault.kind === 'failed' ? responseFailedFrame : responseErrorFrame)(type, message, at)
  }
}

/** What stands for an error in mid-stream where there is no stream. */
export function statusOfFault(fault: Extract<Fault, { kind: 'error_event' | 'failed' }>): number {
  return fault.kind === 'failed' ? 500 : statusOfErrorType(fault.type)
}

/** One JSON body in two pieces, so that a fault finds a middle. */
function halves(body: unknown): Frame[] {
  const text = JSON.stringify(body)
  const middle = Math.floor(text.length / 2)
  return [
    { wire: text.slice(0, middle), delta: false },
    { wire: text.slice(middle), delta: true },
  ]
}
