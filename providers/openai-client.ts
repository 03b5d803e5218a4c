/** The SDK's client for both of OpenAI's APIs. Nothing of it comes from the environment. */
import OpenAI from 'openai'
import type { Fetch } from './watched-fetch'

export interface OpenAIOptions {
  /** Servers without keys take any text. */
  apiKey: string
  /** Up to and with the `/v1`; the vendor's own where absent. */
  baseURL?: string
  fetch?: Fetch
}

export const OPENAI_URL = 'https://api.openai.com/v1'

/** Silent: it would print content it cannot parse. Without retries: Temporal retries, and counts. */
export function openaiClient({ apiKey, baseURL, fetch }: Required<OpenAIOptions>): OpenAI {
  return new OpenAI({
    apiKey: apiKey || 'none',
    baseURL,
    fetch,
    organization: null,
    project: null,
    adminAPIKey: null,
    maxRetries: 0,
    logLevel: 'off',
  })
}
