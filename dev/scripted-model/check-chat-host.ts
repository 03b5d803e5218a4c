/**
 * What single servers of Chat Completions refuse beyond OpenAI, in their words. Sources: the Qwen3.5 chat template
 * (shared/fixtures/templates) and vllm-project/vllm 41114, 36432 (how vLLM says it); continuedev/continue 10193 and abhigyanpatwari/GitNexus
 * 43, 1jehuang/jcode 310 and api-docs.deepseek.com (DeepSeek); mistralai/mistral-common 169, 0xPlaygrounds/rig 1130 and
 * BibekBhusal0/zen-custom-js 7 (Mistral).
 */
import type { Compat } from './check-options'
import { isReasoningModel } from './families'
import { isRecord, list, records, str, type Json } from './json'
import { problem, unknown, type OpenAIProblem } from './openai-problem'

/** The server as it was named, or as the model's name says; undefined: none is known, and only the common rules count. */
export function hostOf(body: Json, named: Compat | undefined): Compat | undefined {
  if (named !== undefined) return named
  const model = str(body.model)
  if (isReasoningModel(model) !== null) return 'openai'
  if (/^deepseek-/.test(model)) return 'deepseek'
  if (/^(open-)?(mistral|ministral|codestral|magistral|devstral)-/.test(model)) return 'mistral'
  // As Hugging Face writes it; routers write a maker before each name.
  if (/^Qwen\//.test(model)) return 'vllm'
  return model.includes('/') ? 'openrouter' : undefined
}

export function hostProblem(body: Json, host: Compat | undefined): OpenAIProblem | null {
  const messages = records(body.messages)
  switch (host) {
    case 'openai':
      return extrasProblem(messages)
    case 'deepseek':
      return deepseekProblem(body, messages)
    case 'mistral':
      return mistralProblem(messages)
    case 'vllm':
    case 'llama.cpp':
    case 'ollama':
      return templateProblem(messages)
    case 'openrouter':
      return detailsProblem(messages) ?? (isQwen(body) ? templateProblem(messages, true) : null)
    default:
      return isQwen(body) ? templateProblem(messages) : null
  }
}

/** Fields that only compatible servers read. */
function extrasProblem(messages: Json[]): OpenAIProblem | null {
  for (const [i, message] of messages.entries())
    for (const name of ['reasoning_content', 'reasoning', 'reasoning_details'])
      if (message[name] !== undefined) return unknown(`messages[${i}].${name}`)
  return null
}

function isQwen(body: Json): boolean {
  return /qwen/i.test(str(body.model))
}

/** Pieces of a streamed detail that were not put together: its vendor refuses the signature (agno-agi/agno 8794). */
function detailsProblem(messages: Json[]): OpenAIProblem | null {
  for (const [i, message] of messages.entries()) {
    const seen = new Set<string>()
    for (const { type, index } of records(message.reasoning_details)) {
      const key = `${str(type)} ${String(index)}`
      if (type === 'reasoning.text' && seen.has(key))
        return { ...problem(`messages.${i}.content.0: Invalid \`signature\` in \`thinking\` block`), code: 400 }
      seen.add(key)
    }
  }
  return null
}

/**
 * The Qwen3.5 template's own errors, as vLLM gives them back: one system message, first; somebody asks; no other roles or parts. `parses`:
 * the host reads files and gives the model their text (openrouter.ai/docs, PDF inputs: "works on any model").
 */
function templateProblem(messages: Json[], parses = false): OpenAIProblem | null {
  const late = messages.findIndex((message, i) => message.role === 'system' && i > 0)
  if (late >= 0) return raised('System message must be at the beginning.')
  if (messages.some((message) => message.role === 'developer')) return raised('Unexpected message role.')
  if (!messages.some((message) => message.role === 'user')) return raised('No user query found in messages.')
  const parts = messages.flatMap((message) => records(message.content))
  if (!parses && parts.some((part) => part.type === 'file')) return raised('Unexpected item type in content.')
  const first = messages[0]
  return first?.role === 'system' && records(first.content).some((part) => part.type === 'image_url')
    ? raised('System message cannot contain images.')
    : null
}

function raised(message: string): OpenAIProblem {
  return { ...problem(message), code: 400, type: 'BadRequestError' }
}

function deepseekProblem(body: Json, messages: Json[]): OpenAIProblem | null {
  const refuse = (message: string): OpenAIProblem => problem(message, null, 'invalid_request_error')
  const unread = 'Failed to deserialize the JSON body into the target type: '
  for (const [i, message] of messages.entries()) {
    if (message.role === 'developer')
      return refuse(
        `${unread}messages[${i}].role: unknown variant \`developer\`, expected one of \`system\`, \`user\`, \`assistant\`, \`tool\``,
      )
    // Those named so take images of people's (api-docs.deepseek.com/guides/vision).
    const known = message.role === 'user' && /vision/.test(str(body.model)) ? ['text', 'image_url'] : ['text']
    const part = records(message.content).find(({ type }) => !known.includes(str(type)))
    if (part) return refuse(`${unread}messages[${i}]: unknown variant \`${str(part.type)}\`, expected \`text\``)
  }
  if (isRecord(body.response_format) && body.response_format.type === 'json_schema')
    return refuse('This response_format type is unavailable now')
  const asked = messages.findLastIndex((message) => message.role === 'user')
  const bare = messages.findIndex(
    (message, i) => i > asked && list(message.tool_calls).length > 0 && typeof message.reasoning_content !== 'string',
  )
  return thinks(body) && bare >= 0
    ? refuse(
        `Missing \`reasoning_content\` field in the assistant message at message index ${bare}. For more information, please refer to https://api-docs.deepseek.com/guides/thinking_mode#tool-calls`,
      )
    : null
}

/** Its reasoner always; its other models where they are told to, and from v4 on where they are not told otherwise. */
function thinks(body: Json): boolean {
  const asked = isRecord(body.thinking) ? str(body.thinking.type) : ''
  if (asked !== '') return asked === 'enabled'
  return /reasoner|-v[4-9]/.test(str(body.model))
}

const MISTRAL_ID = /^[a-zA-Z0-9]{9}$/

function mistralProblem(messages: Json[]): OpenAIProblem | null {
  const order = (message: string): OpenAIProblem => ({
    ...problem(message, null, '3230'),
    type: 'invalid_request_message_order',
  })
  for (const [i, message] of messages.entries()) {
    const before = messages[i - 1]?.role
    if (before === 'tool' && (message.role === 'user' || message.role === 'system'))
      return order(`Unexpected role '${message.role}' after role 'tool'`)
    const id = records(message.tool_calls)
      .map((call) => str(call.id))
      .find((call) => !MISTRAL_ID.test(call))
    if (id !== undefined) return problem(`Tool call id was ${id} but must be a-z, A-Z, 0-9, with a length of 9.`)
  }
  const last = messages.at(-1)?.role
  return last === 'user' || last === 'tool'
    ? null
    : order(`Expected last role User or Tool (or Assistant with prefix True) for serving but got ${String(last)}`)
}
