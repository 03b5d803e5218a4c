/**
 * The provider `openai-responses`: Responses over the vendor's SDK, stateless, without the SDK's retries, at OpenAI or at a server that
 * speaks the same.
 */
import type { ResponseCreateParams } from 'openai/resources/responses/responses'
import type { Provider } from '../../contract/provider-port'
import { exchange, type Adapter } from '../exchange'
import { createCallFetch } from '../one-client'
import { OPENAI_URL, openaiClient, type OpenAIOptions } from '../openai-client'
import { classifyResponses } from './errors'
import { REPLAY_FORMAT, encodeResponse } from './request'
import { createResponsesReader, eventsOfResponse } from './stream'

/** @throws TypeError where `baseURL` is no URL. */
export function createOpenAIResponses({ apiKey, baseURL = OPENAI_URL, fetch: base = fetch }: OpenAIOptions): Provider {
  const platform = new URL(baseURL).hostname
  const calls = createCallFetch()
  const { responses } = openaiClient({ apiKey, baseURL, fetch: calls.fetch })
  const adapter: Adapter<ResponseCreateParams> = {
    encode: (request, raw) => encodeResponse(request, platform, raw),
    open: (params, watched, signal, timeout) =>
      calls.through(watched, (headers) => responses.create(params, { signal, timeout, headers }).asResponse()),
    whole: eventsOfResponse,
    reader: ({ model }, { onDelta }) =>
      createResponsesReader(
        { provider: 'openai-responses', platform, model: model.name, format: REPLAY_FORMAT },
        onDelta,
      ),
    classify: classifyResponses,
  }
  return {
    name: 'openai-responses',
    call: (request, context) => exchange(adapter, request, context, { fetch: base, platform, secrets: [apiKey] }),
  }
}
