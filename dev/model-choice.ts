/** Which model answers in development: that of the keys in the environment, else the scripted server. */

type Environment = Readonly<Record<string, string | undefined>>

/** The providers that the environment has a key (or, for compatible servers, an address) for. */
export function providersIn(env: Environment): ('anthropic' | 'openai-chat')[] {
  return [
    ...(env['ANTHROPIC_API_KEY'] ? (['anthropic'] as const) : []),
    ...(env['OPENAI_API_KEY'] || env['OPENAI_BASE_URL'] ? (['openai-chat'] as const) : []),
  ]
}

/** What a worker needs to take the scripted server for both providers. Its key is no secret. */
export function scriptedEnv(url: string): Record<string, string> {
  return {
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_API_KEY: 'scripted',
    OPENAI_BASE_URL: `${url}/v1`,
    OPENAI_API_KEY: 'scripted',
  }
}
