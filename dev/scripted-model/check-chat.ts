/**
 * What Chat Completions refuses with 400, in OpenAI's words. Rules from the vendor's SDK types, recorded exchanges, public reports of its
 * errors and PITFALLS.md; where compatible servers are stricter (vLLM reads arguments as JSON, templates want an object), theirs count,
 * because an adapter has to serve those too.
 */
import { hostOf, hostProblem } from './check-chat-host'
import { messagesProblem } from './check-chat-messages'
import type { CheckOptions, Compat } from './check-options'
import { effortProblem } from './check-responses'
import { isObjectRoot, ROOT_RULE, strictProblem } from './check-schema'
import { isReasoningModel } from './families'
import { isRecord, list, records, str, type Json } from './json'
import { emptyArray, nameProblem, problem, unknown, wrongType, type OpenAIProblem } from './openai-problem'

/** Of ChatCompletionCreateParamsBase. */
const PARAMETERS = new Set(
  (
    'messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens metadata modalities ' +
    'moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention ' +
    'reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools ' +
    'top_logprobs top_p user verbosity web_search_options'
  ).split(' '),
)
/** What compatible servers take besides (their documentation): vLLM, llama.cpp, Ollama, DeepSeek, OpenRouter, Mistral. */
const OTHERS = new Set(
  (
    'top_k min_p repetition_penalty chat_template_kwargs guided_json structured_outputs include_reasoning cache_prompt id_slot grammar ' +
    'json_schema n_predict options format keep_alive think thinking reasoning provider models transforms usage plugins route safe_prompt ' +
    'random_seed prompt_mode'
  ).split(' '),
)

/** What is wrong with a request body, or null. */
export function chatProblem(body: Json, options: CheckOptions = {}): OpenAIProblem | null {
  const host = hostOf(body, options.compat)
  return (
    parametersProblem(body, host) ??
    modelProblem(body) ??
    toolsProblem(body, host) ??
    formatProblem(body, host) ??
    messagesProblem(list(body.messages)) ??
    hostProblem(body, host)
  )
}

function parametersProblem(body: Json, host: Compat | undefined): OpenAIProblem | null {
  const extra = Object.keys(body).find((key) => !PARAMETERS.has(key) && (host === 'openai' || !OTHERS.has(key)))
  if (extra !== undefined) return unknown(extra)
  if (str(body.model) === '') return problem('you must provide a model parameter')
  if (body.messages === undefined)
    return problem("Missing required parameter: 'messages'.", 'messages', 'missing_required_parameter')
  if (!Array.isArray(body.messages)) return wrongType('messages', 'an array of objects', body.messages)
  if (body.messages.length === 0) return emptyArray('messages')
  if (body.stream_options !== undefined && body.stream_options !== null && body.stream !== true)
    return problem("The 'stream_options' parameter is only allowed when 'stream' is enabled.", 'stream_options')
  if (body.tools === undefined && body.tool_choice !== undefined)
    return problem("'tool_choice' is only allowed when 'tools' are specified.", 'tool_choice')
  return null
}

const SAMPLING = ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty', 'logprobs']

/** What OpenAI's models do not take, by their names. Recorded: error-400-system-role, error-400-web-search, reasoning-model-*-error. */
function modelProblem(body: Json): OpenAIProblem | null {
  const model = str(body.model)
  const reasons = isReasoningModel(model)
  if (reasons === true && body.max_tokens != null)
    return problem(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      'max_tokens',
      'unsupported_parameter',
    )
  const sampling = SAMPLING.find((name) => body[name] != null)
  if (reasons === true && sampling && body.reasoning_effort !== 'none')
    return problem(`Unsupported parameter: '${sampling}' is not supported with this model.`, sampling)
  if (reasons === false && body.reasoning_effort != null)
    return problem('Unrecognized request argument supplied: reasoning_effort')
  if (reasons !== null && body.web_search_options != null && !model.includes('search'))
    return problem('Web search options not supported with this model.', 'web_search_options')
  const system = records(body.messages).findIndex((message) => message.role === 'system')
  if (/^o1-(mini|preview)/.test(model) && system >= 0)
    return problem(
      `Unsupported value: 'messages[${system}].role' does not support 'system' with this model.`,
      `messages[${system}].role`,
      'unsupported_value',
    )
  return effortProblem(body.reasoning_effort, model, 'reasoning_effort')
}

function formatProblem(body: Json, host: Compat | undefined): OpenAIProblem | null {
  const format = isRecord(body.response_format) ? body.response_format : {}
  if (format.type === 'json_schema') {
    const asked = isRecord(format.json_schema) ? format.json_schema : {}
    const named = nameProblem(asked.name, 'response_format.json_schema.name')
    if (named) return named
    const broken = asked.strict === true && closes(host) ? strictProblem(asked.schema ?? {}) : null
    if (broken) return problem(`Invalid schema for response_format '${str(asked.name)}': ${broken}`, 'response_format')
  }
  if (format.type === 'json_object' && closes(host) && !/json/i.test(JSON.stringify(body.messages)))
    return problem(
      "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
      'messages',
    )
  return null
}

/** OpenAI holds a strict schema to its rules; others take the flag and do what they can. */
function closes(host: Compat | undefined): boolean {
  return host === undefined || host === 'openai'
}

function toolsProblem(body: Json, host: Compat | undefined): OpenAIProblem | null {
  if (Array.isArray(body.tools) && body.tools.length === 0) return emptyArray('tools')
  for (const [i, tool] of records(body.tools).entries()) {
    if (!isRecord(tool.function))
      return problem(
        `Missing required parameter: 'tools[${i}].function'.`,
        `tools[${i}].function`,
        'missing_required_parameter',
      )
    const named = nameProblem(tool.function.name, `tools[${i}].function.name`)
    if (named) return named
    const { parameters, strict } = tool.function
    const broken = !isObjectRoot(parameters)
      ? ROOT_RULE
      : strict === true && closes(host)
        ? strictProblem(parameters ?? {})
        : null
    if (broken)
      return problem(
        `Invalid schema for function '${str(tool.function.name)}': ${broken}`,
        `tools[${i}].function.parameters`,
        'invalid_function_parameters',
      )
  }
  return null
}
