/**
 * The providers that the environment gives keys for. The keys are taken out of it as they are read, so that no child process inherits them,
 * and stay with the clients that need them.
 */
import type { Provider } from '../contract/provider-port'
import { createAnthropic } from '../providers/anthropic/provider'
import { createOpenAIChat } from '../providers/openai-chat/provider'
import { createOpenAIResponses } from '../providers/openai-responses/provider'

type Environment = Record<string, string | undefined>

export function takeProviders(env: Environment): Map<string, Provider> {
  const providers: Provider[] = []
  const anthropic = take(env, 'ANTHROPIC_API_KEY')
  const openai = take(env, 'OPENAI_API_KEY')
  if (anthropic) providers.push(createAnthropic({ apiKey: anthropic, ...baseURL(env.ANTHROPIC_BASE_URL) }))
  // A local server (vLLM, llama.cpp, Ollama) often wants no key.
  if (openai || env.OPENAI_BASE_URL) {
    // One key, one address, both of the APIs.
    const keys = { apiKey: openai ?? 'none', ...baseURL(env.OPENAI_BASE_URL) }
    providers.push(createOpenAIChat(keys), createOpenAIResponses(keys))
  }
  return new Map(providers.map((provider) => [provider.name, provider]))
}

function take(env: Environment, name: string): string | undefined {
  const value = env[name]
  delete env[name]
  return value === '' ? undefined : value
}

const baseURL = (url: string | undefined): { baseURL?: string } => (url ? { baseURL: url } : {})
