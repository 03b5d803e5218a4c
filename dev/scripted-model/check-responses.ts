/**
 * What the Responses API refuses with 400 or 404, in OpenAI's words: parameters and tools here, the input in check-responses-input.ts. Rules
 * from the vendor's SDK types (openai 6.49), recorded exchanges, public reports of its errors and PITFALLS.md.
 */
import type { CheckOptions } from './check-options'
import { inputProblem } from './check-responses-input'
import { isObjectRoot, ROOT_RULE, strictProblem } from './check-schema'
import { gptEfforts, isReasoningModel } from './families'
import { isRecord, list, records, str, type Json } from './json'
import {
  emptyArray,
  missing,
  nameProblem,
  outOfRange,
  problem,
  tooLong,
  unknown,
  wrongType,
  wrongValue,
  type OpenAIProblem,
} from './openai-problem'

/** Of ResponseCreateParamsBase; `max_tool_calls`, which recorded responses have; `client_metadata`, which Codex 0.169 sends. */
const PARAMETERS = new Set(
  (
    'background client_metadata context_management conversation include input instructions max_output_tokens max_tool_calls metadata model moderation ' +
    'parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention reasoning ' +
    'safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user'
  ).split(' '),
)

/** Chat's parameters, which the API answers with where they went. */
const MOVED: Record<string, string> = {
  messages: 'input',
  max_tokens: 'max_output_tokens',
  max_completion_tokens: 'max_output_tokens',
  response_format: 'text.format',
  reasoning_effort: 'reasoning.effort',
  verbosity: 'text.verbosity',
}
const SAMPLING = ['temperature', 'top_p', 'top_logprobs']
const KEY_CHARS = 64
/** The types of the SDK's `Tool`. */
const TOOLS =
  'function file_search computer computer_use_preview mcp code_interpreter programmatic_tool_calling image_generation local_shell shell custom namespace tool_search web_search web_search_2025_08_26 web_search_preview web_search_preview_2025_03_11 apply_patch'.split(
    ' ',
  )

/** What is wrong with a request body, or null. */
export function responsesProblem(body: Json, options: CheckOptions = {}): OpenAIProblem | null {
  return (
    parametersProblem(body) ??
    modelProblem(body) ??
    toolsProblem(body) ??
    formatProblem(body) ??
    storedProblem(body, options) ??
    inputProblem(body, options)
  )
}

function parametersProblem(body: Json): OpenAIProblem | null {
  const extra = Object.keys(body).find((key) => !PARAMETERS.has(key))
  const moved = extra === undefined ? undefined : MOVED[extra]
  if (moved !== undefined)
    return problem(
      `Unsupported parameter: '${extra}'. In the Responses API, this parameter has moved to '${moved}'. Try again with the new parameter.`,
      extra,
      'unsupported_parameter',
    )
  if (extra !== undefined) return unknown(extra)
  if (str(body.model) === '') return missing('model')
  if (body.stream_options != null && body.stream !== true)
    return problem("The 'stream_options' parameter is only allowed when 'stream' is enabled.", 'stream_options')
  for (const name of ['prompt_cache_key', 'safety_identifier'])
    if (str(body[name]).length > KEY_CHARS) return tooLong(name, str(body[name]), KEY_CHARS)
  return (
    outOfRange('max_output_tokens', body.max_output_tokens, 16) ??
    outOfRange('temperature', body.temperature, 0, 2) ??
    outOfRange('top_p', body.top_p, 0, 1)
  )
}

/** What the model's family does not take. Recorded: reasoning-model-temperature-error. */
function modelProblem(body: Json): OpenAIProblem | null {
  const model = str(body.model)
  const reasons = isReasoningModel(model)
  const reasoning = isRecord(body.reasoning) ? body.reasoning : {}
  if (reasons === true && reasoning.effort !== 'none') {
    const name = SAMPLING.find((key) => body[key] != null)
    if (name) return problem(`Unsupported parameter: '${name}' is not supported with this model.`, name)
  }
  if (reasons === false && reasoning.effort != null)
    return problem(
      "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
      'reasoning.effort',
      'unsupported_parameter',
    )
  if (reasons === false && list(body.include).includes('reasoning.encrypted_content'))
    return problem('Encrypted content is not supported with this model.', 'include')
  return effortProblem(reasoning.effort, model, 'reasoning.effort')
}

export function effortProblem(effort: unknown, model: string, param: string): OpenAIProblem | null {
  const efforts = gptEfforts(model)
  if (typeof effort !== 'string' || efforts === null || efforts.includes(effort)) return null
  const { message } = wrongValue(param, effort, efforts)
  const supported = message.slice(message.indexOf('Supported values'))
  return problem(
    `Unsupported value: '${effort}' is not supported with the '${model}' model. ${supported}`,
    param,
    'unsupported_value',
  )
}

function toolsProblem(body: Json): OpenAIProblem | null {
  if (body.tools != null && !Array.isArray(body.tools)) return wrongType('tools', 'an array of objects', body.tools)
  const names: string[] = []
  for (const [i, tool] of records(body.tools).entries()) {
    const at = `tools[${i}]`
    const type = str(tool.type)
    if (type === '') return missing(`${at}.type`)
    if (!TOOLS.includes(type)) return wrongValue(at, type, TOOLS)
    if (type !== 'function') continue
    // Chat nests these under `function`.
    if (tool.function !== undefined && tool.name === undefined) return missing(`${at}.name`)
    const wrong = nameProblem(tool.name, `${at}.name`)
    if (wrong) return wrong
    names.push(str(tool.name))
    const broken = !isObjectRoot(tool.parameters)
      ? ROOT_RULE
      : tool.strict === true
        ? strictProblem(tool.parameters ?? {})
        : null
    if (broken)
      return problem(
        `Invalid schema for function '${str(tool.name)}': ${broken}`,
        `${at}.parameters`,
        'invalid_function_parameters',
      )
  }
  return choiceProblem(body, names)
}

function choiceProblem(body: Json, names: string[]): OpenAIProblem | null {
  const choice = body.tool_choice
  if (choice === 'required' && list(body.tools).length === 0)
    return problem("Tool choice 'required' must be specified with 'tools' parameter.", 'tool_choice')
  if (typeof choice === 'string' && !['auto', 'none', 'required'].includes(choice))
    return wrongValue('tool_choice', choice, ['none', 'auto', 'required'])
  if (isRecord(choice) && choice.type === 'function' && !names.includes(str(choice.name)))
    return choice.name === undefined
      ? missing('tool_choice.name')
      : problem(`Tool choice '${str(choice.name)}' not found in 'tools' parameter.`, 'tool_choice')
  return null
}

function formatProblem(body: Json): OpenAIProblem | null {
  const format = isRecord(body.text) && isRecord(body.text.format) ? body.text.format : {}
  if (format.type === 'json_schema') {
    const wrong = nameProblem(format.name, 'text.format.name')
    if (wrong) return wrong
    if (!isRecord(format.schema)) return missing('text.format.schema')
    const broken = format.strict === true ? strictProblem(format.schema) : null
    if (broken)
      return problem(
        `Invalid schema for response_format '${str(format.name)}': ${broken}`,
        'text.format.schema',
        'invalid_json_schema',
      )
  }
  if (format.type === 'json_object' && !/json/i.test(JSON.stringify([body.input, body.instructions])))
    return problem(
      "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
      'input',
    )
  return null
}

/** This server keeps nothing, as with `store: false`. */
function storedProblem(body: Json, options: CheckOptions): OpenAIProblem | null {
  if (body.input === undefined && body.previous_response_id == null && body.prompt == null && body.conversation == null)
    return problem("One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided.")
  if (Array.isArray(body.input) && body.input.length === 0 && body.previous_response_id == null)
    return emptyArray('input')
  if (body.previous_response_id != null && options.trustReplay !== true)
    return problem(
      `Previous response with id '${str(body.previous_response_id)}' not found.`,
      'previous_response_id',
      'previous_response_not_found',
    )
  return null
}
