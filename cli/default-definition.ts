/** What `savefile run` and `savefile chat` run under where nobody gives a definition: the built-in tools, and the model that is at hand. */
import type { DefinitionInput } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import { builtinSpecs } from '../tools/builtin'

/** Of each vendor, a model that is good at tools and not the dearest. */
const MODELS = { anthropic: 'claude-sonnet-5-5', 'openai-chat': 'gpt-6-sol' } as const

export const SYSTEM = [
  'You work in a folder of files, with tools. Look before you answer; do not guess at what a file holds.',
  'Say what you did, and what you could not do. If a result says that its outcome is unknown, look at what is there before you try again.',
].join('\n')

export interface ModelChoice {
  provider: 'anthropic' | 'openai-chat'
  name: string
}

/** What the scripted model server of the development stack is called: it speaks for any name. */
export const SCRIPTED: ModelChoice = { provider: 'anthropic', name: 'scripted' }

/**
 * The model by options, else that of the development stack, else by which key is in the environment. Keys are the worker's business.
 * @throws SavefileError `invalid_input` where nothing says which.
 */
export function chooseModel(
  options: { provider?: string; model?: string },
  env: Readonly<Record<string, string | undefined>>,
  stack: { scripted: true } | { scripted: false; providers: readonly ModelChoice['provider'][] } | null = null,
): ModelChoice {
  if (stack?.scripted && options.provider === undefined) return { ...SCRIPTED, name: options.model ?? SCRIPTED.name }
  const ofName = options.model?.startsWith('claude') ? 'anthropic' : undefined
  const ofStack = stack && !stack.scripted ? stack.providers[0] : undefined
  const ofEnv = env.ANTHROPIC_API_KEY
    ? 'anthropic'
    : env.OPENAI_API_KEY || env.OPENAI_BASE_URL
      ? 'openai-chat'
      : undefined
  const provider = options.provider ?? ofName ?? ofStack ?? ofEnv
  if (provider !== 'anthropic' && provider !== 'openai-chat') {
    const what =
      provider === undefined
        ? 'No model is named, and no key says which provider.'
        : `There is no provider ${JSON.stringify(provider)}.`
    const right =
      'Say --provider anthropic or --provider openai-chat, or set ANTHROPIC_API_KEY or OPENAI_API_KEY here and where the worker runs.'
    throw new SavefileError('invalid_input', `${what} ${right}`)
  }
  const name = options.model ?? (provider === 'anthropic' ? env.ANTHROPIC_MODEL : env.OPENAI_MODEL)
  if (name) return { provider, name }
  if (provider === 'openai-chat' && env.OPENAI_BASE_URL)
    throw new SavefileError(
      'invalid_input',
      'A server of your own (OPENAI_BASE_URL) has models of its own: say --model <name>, or set OPENAI_MODEL.',
    )
  return { provider, name: MODELS[provider] }
}

export function defaultDefinition(model: ModelChoice): DefinitionInput {
  return { name: 'default', system: SYSTEM, model, tools: builtinSpecs() }
}
