/** A server with a script, and the vendors' own clients on it; whatever was started is closed after each test. */
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { startScriptedModel, type ScriptedModel, type ScriptedModelOptions } from '../../dev/scripted-model/server'
import type { ScriptInput } from '../../dev/scripted-model/script'
import { misfitOf } from '../support/vendor-validate'

const open: ScriptedModel[] = []

export async function serve(
  rules: ScriptInput['rules'],
  options: Partial<ScriptedModelOptions> = {},
): Promise<ScriptedModel> {
  const server = await startScriptedModel({ script: { name: 'of-a-test', rules }, validate: misfitOf, ...options })
  open.push(server)
  return server
}

export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((server) => server.close()))
}

export function anthropic({ url }: { url: string }, maxRetries = 0): Anthropic {
  return new Anthropic({ baseURL: url, apiKey: 'not-a-key', maxRetries })
}

export function openai({ url }: { url: string }, maxRetries = 0): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'not-a-key', maxRetries })
}

export const user = (content: string) => ({ role: 'user' as const, content })

/** Why a promise was rejected; fails where it was not. */
export async function failure(promise: Promise<unknown>): Promise<Error & { status?: number }> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as Error
  }
  throw new Error(`expected a failure, got ${JSON.stringify(value)}`)
}

/** Polls for a fact. */
export async function until(what: string, holds: () => boolean, withinMs = 10_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !holds(); await new Promise((r) => setTimeout(r, 5)))
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
}

/** Everything that a stream yields, until it ends. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const item of stream) seen.push(item)
  return seen
}
