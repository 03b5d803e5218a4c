/**
 * The provider `openai-chat`: Chat Completions over the vendor's SDK, without the SDK's retries, at OpenAI or at any server that speaks the
 * same.
 */
import type { ChatCompletionCreateParams } from 'openai/resources/chat/completions'
import type { Provider } from '../../contract/provider-port'
import { exchange, type Adapter } from '../exchange'
import { createCallFetch } from '../one-client'
import { OPENAI_URL, openaiClient, type OpenAIOptions } from '../openai-client'
import { classifyChat } from './errors'
import { REPLAY_FORMAT, encodeChat } from './request'
import { createChatReader, eventsOfCompletion } from './stream'

/** @throws TypeError where `baseURL` is no URL. */
export function createOpenAIChat({ apiKey, baseURL = OPENAI_URL, fetch: base = fetch }: OpenAIOptions): Provider {
  const platform = new URL(baseURL).hostname
  const calls = createCallFetch()
  const { completions } = openaiClient({ apiKey, baseURL, fetch: calls.fetch }).chat
  const adapter: Adapter<ChatCompletionCreateParams> = {
    encode: (request, raw) => encodeChat(request, platform, raw),
    open: (params, watched, signal, timeout) =>
      calls.through(watched, (headers) => completions.create(params, { signal, timeout, headers }).asResponse()),
    whole: eventsOfCompletion,
    reader: ({ model }, { onDelta }) =>
      createChatReader({ provider: 'openai-chat', platform, model: model.name, format: REPLAY_FORMAT }, onDelta),
    classify: classifyChat,
  }
  return {
    name: 'openai-chat',
    call: (request, context) => exchange(adapter, request, context, { fetch: base, platform, secrets: [apiKey] }),
  }
}
