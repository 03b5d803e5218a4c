/**
 * What the Responses API refuses in `input`: items and their fields, calls without outputs, outputs without calls, reasoning without its
 * following item, ids of what was never stored, encrypted reasoning that is not its own.
 */
import type { CheckOptions } from './check-options'
import { isRecord, list, records, str, type Json } from './json'
import {
  missing,
  nameProblem,
  problem,
  tooLong,
  unknown,
  wrongType,
  wrongValue,
  type OpenAIProblem,
} from './openai-problem'
import { judge, walkResponses } from './replay'
import { REASONED } from './wire-responses'

/** Reported: "Tool output beyond 10,485,760 characters is refused". */
const TEXT_CHARS = 10_485_760
const CALL_ID_CHARS = 64
const ROLES = ['assistant', 'system', 'developer', 'user']
/** Fields of the items that adapters write; others (hosted tools) pass as they are. */
const FIELDS: Record<string, string[]> = {
  message: ['role', 'content', 'phase', 'id', 'status'],
  function_call: ['arguments', 'call_id', 'name', 'id', 'caller', 'namespace', 'status'],
  function_call_output: ['call_id', 'output', 'id', 'caller', 'status', 'name', 'namespace'],
  reasoning: ['id', 'summary', 'content', 'encrypted_content', 'status'],
}
/** On any item: Codex 0.169 sends it to OpenAI, as it keeps it in its rollouts. */
const OF_CODEX = 'internal_chat_message_metadata_passthrough'
/** Of ResponseInputItem. */
const TYPES = new Set(
  (
    'message file_search_call computer_call computer_call_output web_search_call function_call function_call_output tool_search_call ' +
    'tool_search_output additional_tools reasoning compaction image_generation_call code_interpreter_call local_shell_call ' +
    'local_shell_call_output shell_call shell_call_output apply_patch_call apply_patch_call_output mcp_list_tools mcp_approval_request ' +
    'mcp_approval_response mcp_call custom_tool_call custom_tool_call_output compaction_trigger item_reference program program_output'
  ).split(' '),
)
const INPUT_PARTS = ['input_text', 'input_image', 'input_file']
const OUTPUT_PARTS = ['output_text', 'refusal']
/** How an item's id begins (reported: "Expected an ID that begins with 'fc'"). */
const ID_BEGINS: Record<string, string> = { function_call: 'fc', message: 'msg', reasoning: 'rs' }

export function inputProblem(body: Json, options: CheckOptions): OpenAIProblem | null {
  if (body.input === undefined || typeof body.input === 'string') return null
  if (!Array.isArray(body.input)) return wrongType('input', 'one of a string or array of objects', body.input)
  const items: Json[] = []
  for (const [i, item] of body.input.entries()) {
    if (!isRecord(item)) return wrongType(`input[${i}]`, 'an object', item)
    items.push(item)
    const found = itemProblem(item, `input[${i}]`, body)
    if (found) return found
  }
  return (
    idsProblem(items) ??
    reasoningProblem(items) ??
    encryptedProblem(body, items, options) ??
    pairingProblem(items) ??
    hostProblem(items, str(body.model))
  )
}

function itemProblem(item: Json, at: string, body: Json): OpenAIProblem | null {
  const type = typeOf(item)
  if (!TYPES.has(type)) return wrongValue(at, type, [...TYPES])
  const extra = Object.keys(item).find(
    (key) => key !== 'type' && key !== OF_CODEX && FIELDS[type]?.includes(key) === false,
  )
  if (extra !== undefined) return unknown(`${at}.${extra}`)
  const begins = ID_BEGINS[type]
  if (begins && typeof item.id === 'string' && !item.id.startsWith(begins))
    return problem(
      `Invalid '${at}.id': '${item.id}'. Expected an ID that begins with '${begins}'.`,
      `${at}.id`,
      'invalid_value',
    )
  const call = item.call_id
  if (typeof call === 'string' && call.length > CALL_ID_CHARS) return tooLong(`${at}.call_id`, call, CALL_ID_CHARS)
  switch (type) {
    case 'message':
      return messageProblem(item, at)
    case 'function_call':
      if (str(call) === '') return missing(`${at}.call_id`)
      if (typeof item.arguments !== 'string') return wrongType(`${at}.arguments`, 'a string', item.arguments)
      return nameProblem(item.name, `${at}.name`) ?? argumentsProblem(item.arguments, `${at}.arguments`)
    case 'function_call_output':
      if (str(call) === '') return missing(`${at}.call_id`)
      return outputProblem(item.output, `${at}.output`)
    case 'reasoning':
      if (!Array.isArray(item.summary)) return missing(`${at}.summary`)
      if (list(item.content).length > 0)
        return problem(
          `Invalid '${at}.content': array too long. Expected an array with maximum length 0, but got an array with length ${list(item.content).length} instead.`,
          `${at}.content`,
          'array_above_max_length',
        )
      if (item.encrypted_content == null && body.store === false) return notStored(item.id)
      return null
    case 'item_reference':
      return notStored(item.id)
    default:
      return null
  }
}

function messageProblem(item: Json, at: string): OpenAIProblem | null {
  const role = str(item.role)
  if (!ROLES.includes(role)) return wrongValue(`${at}.role`, role, ROLES)
  if (typeof item.content === 'string') return null
  if (!Array.isArray(item.content))
    return wrongType(`${at}.content`, 'one of a string or array of objects', item.content)
  return partsProblem(item.content, `${at}.content`, role === 'assistant' ? OUTPUT_PARTS : INPUT_PARTS)
}

function outputProblem(output: unknown, at: string): OpenAIProblem | null {
  if (typeof output === 'string') return output.length > TEXT_CHARS ? tooLong(at, output, TEXT_CHARS) : null
  return Array.isArray(output)
    ? partsProblem(output, at, INPUT_PARTS)
    : wrongType(at, 'one of a string or array of objects', output)
}

const AUDIO_OR_VIDEO = /\.(mp3|wav|ogg|flac|m4a|mp4|mov|mkv|webm|avi)$/i

function partsProblem(parts: unknown[], at: string, known: readonly string[]): OpenAIProblem | null {
  for (const [j, part] of parts.entries()) {
    const here = `${at}[${j}]`
    if (!isRecord(part)) return wrongType(here, 'an object', part)
    const type = str(part.type)
    if (!known.includes(type)) return wrongValue(here, type, known)
    const text = type === 'refusal' ? part.refusal : part.text
    if (/text|refusal/.test(type) && typeof text !== 'string')
      return missing(`${here}.${type === 'refusal' ? 'refusal' : 'text'}`)
    if (type === 'input_image' && part.file_id == null && !/^(https?:|data:image\/)/.test(str(part.image_url)))
      return problem(
        `Invalid '${here}.image_url'. Expected a valid URL, but got a value with an invalid format.`,
        `${here}.image_url`,
        'invalid_value',
      )
    // Recorded: error-400-unsupported-file.
    if (type === 'input_file' && (AUDIO_OR_VIDEO.test(str(part.file_url)) || AUDIO_OR_VIDEO.test(str(part.filename))))
      return problem(
        'The file type you uploaded is not supported. Please try again with a pdf',
        'input',
        'unsupported_file',
      )
  }
  return null
}

/** OpenAI takes any text; compatible servers read it as JSON, and templates want an object. */
export function argumentsProblem(text: string, at: string): OpenAIProblem | null {
  try {
    if (isRecord(JSON.parse(text))) return null
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return problem(`Invalid '${at}': expected the JSON text of an object.`, at, 'invalid_value')
}

/** 404, reported for `store: false`: router-for-me/CLIProxyAPI 2381, can1357/oh-my-pi 41. */
function notStored(id: unknown): OpenAIProblem {
  const message = `Item with id '${str(id)}' not found. Items are not persisted when \`store\` is set to false. Try again with \`store\` set to true, or remove this item from your input.`
  return { ...problem(message, 'input'), status: 404 }
}

function idsProblem(items: Json[]): OpenAIProblem | null {
  const seen = new Set<string>()
  const twice = items.map((item) => str(item.id)).find((id) => id !== '' && (seen.has(id) || !seen.add(id)))
  if (twice === undefined) return null
  return problem(
    `Duplicate item found with id ${twice}. Remove duplicate items from your input and try again.`,
    'input',
  )
}

/** Recorded: modified-history-2-error-400. Without ids nothing is paired; and an item whose reasoning was left out is known by its id. */
function reasoningProblem(items: Json[]): OpenAIProblem | null {
  const reasoning = new Set<string>()
  for (const [i, item] of items.entries()) {
    const type = typeOf(item)
    const id = str(item.id)
    const next = items[i + 1]
    if (type === 'reasoning') reasoning.add(id)
    if (type === 'reasoning' && id !== '' && !follows(next))
      return problem(`Item '${id}' of type 'reasoning' was provided without its required following item.`, 'input')
    const answer = /^(?:fc|msg)_scripted_([0-9a-f]+)/.exec(id)?.[1]
    const reasoned = answer !== undefined && id.startsWith(REASONED, id.indexOf(answer) + answer.length)
    const needed = `rs_scripted_${answer}${REASONED}`
    if (reasoned && !reasoning.has(needed) && !reasoning.has(''))
      return problem(
        `Item '${id}' of type '${type}' was provided without its required 'reasoning' item: '${needed}'.`,
        'input',
      )
  }
  return null
}

/** A written message (no id) is not what the model said after it thought. */
function follows(next: Json | undefined): boolean {
  if (!next) return false
  const type = typeOf(next)
  if (type === 'message') return next.role === 'assistant' && str(next.id) !== ''
  return type === 'reasoning' || type.endsWith('_call') || type === 'compaction'
}

/** Reported: openai/codex 8119 to 8145, smallmain/vscode-unify-chat-provider 178. */
function encryptedProblem(body: Json, items: Json[], options: CheckOptions): OpenAIProblem | null {
  const binding = options.bindReplay ?? 'model'
  const compacted = items.filter((item) => item.type === 'compaction')
  const found = items.some((item) => item.type === 'reasoning') ? walkResponses(body).found : []
  const wrong =
    found.find(({ token, place }) => {
      const verdict = judge(token, '', place, binding)
      return verdict === 'foreign' ? options.trustReplay !== true : verdict !== 'ok'
    })?.item ?? (options.trustReplay === true ? undefined : compacted[0])
  if (!wrong) return null
  const token = str(wrong.encrypted_content)
  const what = str(wrong.id) === '' ? `${token.slice(0, 4)}...${token.slice(-4)}` : `for item ${str(wrong.id)}`
  return problem(
    `The encrypted content ${what} could not be verified. Reason: Encrypted content could not be decrypted or parsed.`,
    null,
    'invalid_encrypted_content',
  )
}

/** By `call_id`, never by `id`. Reported: microsoft/vscode 320060, openai-support-agent-demo 12. */
function pairingProblem(items: Json[]): OpenAIProblem | null {
  const open = new Set<string>()
  for (const item of items) {
    const type = typeOf(item)
    const call = str(item.call_id)
    if (type.endsWith('_call') && call !== '') {
      if (open.has(call)) return problem(`Duplicate function call found with call_id ${call}.`, 'input')
      open.add(call)
    } else if (type.endsWith('_output') && call !== '' && !open.delete(call))
      return problem(`No tool call found for function call output with call_id ${call}.`, 'input')
  }
  const unanswered = records(items).find((item) => typeOf(item) === 'function_call' && open.has(str(item.call_id)))
  return unanswered ? problem(`No tool output found for function call ${str(unanswered.call_id)}.`, 'input') : null
}

/** Recorded (deepseek-error-400-interleaved): on DeepSeek nothing may stand between calls and their outputs. */
function hostProblem(items: Json[], model: string): OpenAIProblem | null {
  if (!/deepseek/i.test(model)) return null
  const open: string[] = []
  for (const item of items) {
    const type = typeOf(item)
    if (type === 'function_call') open.push(str(item.call_id))
    else if (type === 'function_call_output') open.splice(open.indexOf(str(item.call_id)), 1)
    else if (open.length > 0)
      return problem(`No tool output found for tool call ${open[0]}.`, null, 'invalid_request_error')
  }
  return null
}

function typeOf(item: Json): string {
  return item.type === undefined || item.type === null ? 'message' : str(item.type)
}
