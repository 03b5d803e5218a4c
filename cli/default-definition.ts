/** What `savefile run` and `savefile chat` run under where nobody gives a definition: the built-in tools, and the model that is at hand. */
import { z } from 'zod'
import { ProviderName, type DefinitionInput } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import { builtinSpecs } from '../tools/builtin'

/** Of each vendor, a model that is good at tools and not the dearest. */
const MODELS = { anthropic: 'claude-sonnet-4-5', 'openai-chat': 'gpt-5-mini' } as const

export const SYSTEM = [
  'You work in a folder of files, with tools. Look before you answer; do not guess at what a file holds.',
  'Say what you did, and what you could not do. If a result says that its outcome is unknown, look at what is there before you try again.',
].join('\n')

export interface ModelChoice {
  provider: 'anthropic' | 'openai-chat'
  name: string
}

/**
 * The model by options, else by which key is in the environment. The keys themselves are the worker's business.
 * @throws SavefileError `invalid_input` where nothing says which.
 */
export function chooseModel(
  options: { provider?: string; model?: string },
  env: Readonly<Record<string, string | undefined>>,
  ofStack: ModelChoice | null = null,
): ModelChoice {
  const byKey = env.ANTHROPIC_API_KEY ? 'anthropic' : env.OPENAI_API_KEY || env.OPENAI_BASE_URL ? 'openai-chat' : null
  const provider =
    options.provider ?? (options.model?.startsWith('claude') ? 'anthropic' : (byKey ?? ofStack?.provider))
  const known = z.enum(['anthropic', 'openai-chat']).safeParse(provider)
  if (!known.success) {
    const names = ProviderName.options.filter((name) => name in MODELS).join(' or ')
    const what =
      provider === undefined
        ? 'No model is named, and no key says which provider.'
        : `There is no provider ${JSON.stringify(provider)}.`
    const message = `${what} Say --provider ${names} and --model <name>, or set ANTHROPIC_API_KEY or OPENAI_API_KEY where the worker runs.`
    throw new SavefileError('invalid_input', message)
  }
  const ofEnv = known.data === 'anthropic' ? env.ANTHROPIC_MODEL : env.OPENAI_MODEL
  const stack = ofStack?.provider === known.data ? ofStack.name : undefined
  return { provider: known.data, name: options.model ?? ofEnv ?? stack ?? MODELS[known.data] }
}

export function defaultDefinition(model: ModelChoice): DefinitionInput {
  return { name: 'default', system: SYSTEM, model, tools: builtinSpecs() }
}
