/**
 * The provider `openai-chat`: Chat Completions over the vendor's SDK, streaming, without the SDK's retries, at OpenAI or at any server that
 * speaks the same.
 */
import OpenAI from 'openai'
import type { ChatCompletionCreateParamsStreaming } from 'openai/resources/chat/completions'
import type { Provider } from '../../contract/ports'
import { exchange, type Adapter } from '../exchange'
import type { Fetch } from '../watched-fetch'
import { classifyChat } from './errors'
import { REPLAY_FORMAT, encodeChat } from './request'
import { createChatReader } from './stream'

export interface OpenAIChatOptions {
  /** Servers without keys take any text. */
  apiKey: string
  /** Up to and with the `/v1`; the vendor's own where absent. */
  baseURL?: string
  fetch?: Fetch
}

export const OPENAI_URL = 'https://api.openai.com/v1'

/** @throws TypeError where `baseURL` is no URL. */
export function createOpenAIChat({ apiKey, baseURL = OPENAI_URL, fetch: base = fetch }: OpenAIChatOptions): Provider {
  const platform = new URL(baseURL).hostname
  const settings = {
    apiKey: apiKey || 'none',
    baseURL,
    organization: null,
    project: null,
    adminAPIKey: null,
    maxRetries: 0,
    logLevel: 'off' as const,
  }
  const adapter: Adapter<ChatCompletionCreateParamsStreaming> = {
    encode: (request, raw) => encodeChat(request, platform, raw),
    // A client for each call: it is only settings, and the connections are pooled below it. Silent: it would print content it cannot parse.
    open: (params, watched, signal, timeout) =>
      new OpenAI({ ...settings, fetch: watched }).chat.completions.create(params, { signal, timeout }),
    reader: ({ model }, { onDelta }) =>
      createChatReader({ provider: 'openai-chat', platform, model: model.name, format: REPLAY_FORMAT }, onDelta),
    classify: classifyChat,
  }
  return {
    name: 'openai-chat',
    call: (request, context) => exchange(adapter, request, context, { fetch: base, secrets: [apiKey] }),
  }
}
