/**
 * The provider `anthropic`: Messages over the vendor's SDK, without the SDK's retries (Temporal retries, and counts).
 */
import Anthropic from '@anthropic-ai/sdk'
import type { MessageCreateParams } from '@anthropic-ai/sdk/resources/messages/messages'
import type { Provider } from '../../contract/provider-port'
import { exchange, type Adapter } from '../exchange'
import { createCallFetch } from '../one-client'
import type { Fetch } from '../watched-fetch'
import { classifyAnthropic } from './errors'
import { REPLAY_FORMAT, encodeMessages } from './request'
import { createMessagesReader, eventsOfMessage } from './stream'

export interface AnthropicOptions {
  apiKey: string
  /** The vendor's own where absent. */
  baseURL?: string
  fetch?: Fetch
}

export const ANTHROPIC_URL = 'https://api.anthropic.com'

/** @throws TypeError where `baseURL` is no URL. */
export function createAnthropic({ apiKey, baseURL = ANTHROPIC_URL, fetch: base = fetch }: AnthropicOptions): Provider {
  const platform = new URL(baseURL).hostname
  const calls = createCallFetch()
  // Silent: it would print content it cannot parse.
  const { messages } = new Anthropic({ apiKey, baseURL, maxRetries: 0, logLevel: 'off', fetch: calls.fetch })
  const adapter: Adapter<MessageCreateParams> = {
    encode: (request, raw) => encodeMessages(request, platform, raw),
    open: (params, watched, signal, timeout) =>
      calls.through(watched, (headers) => messages.create(params, { signal, timeout, headers }).asResponse()),
    whole: eventsOfMessage,
    reader: ({ model }, { onDelta }) =>
      createMessagesReader({ provider: 'anthropic', platform, model: model.name, format: REPLAY_FORMAT }, onDelta),
    classify: classifyAnthropic,
  }
  return {
    name: 'anthropic',
    call: (request, context) => exchange(adapter, request, context, { fetch: base, platform, secrets: [apiKey] }),
  }
}
