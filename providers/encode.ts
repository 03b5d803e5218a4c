/**
 * The pure half of the providers: what a request would be on the wire, byte for byte, without a key and without sending it. What the
 * adapters send is this; the SDKs are asked for nothing here.
 */
import { VIEW_VERSION } from '../contract/events'
import type { ProviderName } from '../contract/definition'
import type { RequestEncoder } from '../contract/encoder'
import type { ModelRequest } from '../contract/provider-port'
import { encodeMessages } from './anthropic/request'
import { encodeChat } from './openai-chat/request'
import { encodeResponse } from './openai-responses/request'
import { createRawJson, type RawJson } from './raw-json'
import { buildView } from './view'

/** Where each goes if nobody says otherwise. */
const VENDOR_PLATFORM: Readonly<Record<ProviderName, string>> = {
  anthropic: 'api.anthropic.com',
  'openai-chat': 'api.openai.com',
  'openai-responses': 'api.openai.com',
}

/** @param platforms the hosts, where they are not the vendors' own. */
export function createEncoder(platforms: Partial<Record<ProviderName, string>> = {}): RequestEncoder {
  return {
    viewVersion: VIEW_VERSION,
    buildView,
    platformOf: (provider) => platforms[provider] ?? VENDOR_PLATFORM[provider],
    async encode(request, platform) {
      const raw = createRawJson()
      const { params, dropped } = await paramsOf(request, platform, raw)
      return { body: raw.restore(JSON.stringify(params)), dropped }
    },
  }
}

function paramsOf(request: ModelRequest, platform: string, raw: RawJson) {
  switch (request.model.provider) {
    case 'anthropic':
      return encodeMessages(request, platform, raw)
    case 'openai-chat':
      return encodeChat(request, platform, raw)
    case 'openai-responses':
      return encodeResponse(request, platform, raw)
  }
}
