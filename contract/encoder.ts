/** The port of the pure half of the providers: what a request would be, without sending it, for whoever wants to see it. */
import type { Definition, ProviderName } from './definition'
import type { KnownEvent, Manifest } from './events'
import type { ModelRequest, View } from './provider-port'

export interface RequestEncoder {
  readonly viewVersion: number
  /** `saw`: what the request names for the first time, in view order. `raw`: as if no checkpoint had been made. */
  buildView(
    events: readonly KnownEvent[],
    definition: Definition,
    saw?: readonly number[],
    options?: { raw?: boolean },
  ): View
  /** The host that a provider's requests go to, where nothing else says which. */
  platformOf(provider: ProviderName): string
  /** The body as it would go to that host, byte for byte. */
  encode(request: ModelRequest, platform: string): Promise<{ body: string; dropped: Manifest['dropped'] }>
}
