/** What `savefile run` and `savefile chat` run under where nobody gives a definition: the built-in tools, and the model that is at hand. */
import { ProviderName, type DefinitionInput } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import { builtinSpecs } from '../tools/builtin'

/** Of each vendor, a model that is good at tools and not the dearest. OpenAI's newer ones take tools on Chat Completions only without thought. */
const MODELS = {
  anthropic: 'claude-sonnet-5-5',
  'openai-responses': 'gpt-6-sol',
  'openai-chat': 'gpt-5.1',
} as const satisfies Record<ProviderName, string>

export const SYSTEM = [
  'You work in a folder of files, with tools. Look before you answer; do not guess at what a file holds.',
  'Say what you did, and what you could not do. If a result says that its outcome is unknown, look at what is there before you try again.',
].join('\n')

export interface ModelChoice {
  provider: ProviderName
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
    : env.OPENAI_BASE_URL
      ? 'openai-chat'
      : env.OPENAI_API_KEY
        ? 'openai-responses'
        : undefined
  const provider = options.provider ?? ofName ?? ofStack ?? ofEnv
  if (!isProvider(provider)) {
    const what =
      provider === undefined
        ? 'No model is named, and no key says which provider.'
        : `There is no provider ${JSON.stringify(provider)}.`
    const right =
      'Say --provider anthropic, openai-responses or openai-chat, or set ANTHROPIC_API_KEY or OPENAI_API_KEY here and where the worker runs.'
    throw new SavefileError('invalid_input', `${what} ${right}`)
  }
  const name = options.model ?? (provider === 'anthropic' ? env.ANTHROPIC_MODEL : env.OPENAI_MODEL)
  if (name) return { provider, name }
  if (provider !== 'anthropic' && env.OPENAI_BASE_URL)
    throw new SavefileError(
      'invalid_input',
      'A server of your own (OPENAI_BASE_URL) has models of its own: say --model <name>, or set OPENAI_MODEL.',
    )
  return { provider, name: MODELS[provider] }
}

function isProvider(name: string | undefined): name is ProviderName {
  return ProviderName.options.some((known) => known === name)
}

export function defaultDefinition(model: ModelChoice): DefinitionInput {
  return { name: 'default', system: SYSTEM, model, tools: builtinSpecs() }
}
