/** Which model answers in development: that of the keys in the environment, else the scripted server. */

import type { ProviderName } from '../contract/definition'

type Environment = Readonly<Record<string, string | undefined>>

/** The providers that the environment has a key (or, for compatible servers, an address) for; the first is taken where none is named. */
export function providersIn(env: Environment): ProviderName[] {
  const own = env['OPENAI_BASE_URL'] ? (['openai-chat', 'openai-responses'] as const) : []
  const openai = env['OPENAI_API_KEY'] ? (['openai-responses', 'openai-chat'] as const) : []
  return [...(env['ANTHROPIC_API_KEY'] ? (['anthropic'] as const) : []), ...(own.length > 0 ? own : openai)]
}

/** What a worker needs to take the scripted server for every provider. Its key is no secret. */
export function scriptedEnv(url: string): Record<string, string> {
  return {
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_API_KEY: 'scripted',
    OPENAI_BASE_URL: `${url}/v1`,
    OPENAI_API_KEY: 'scripted',
  }
}
