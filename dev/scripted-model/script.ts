/**
 * The script of a scripted model: its schema, and how a file becomes one. docs/scripted-model.md explains every field.
 * The first rule whose `when` fits a request answers it; what it answers follows from the request alone, so a server that was killed and
 * started again, a retry and a fork get the same answer.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { SavefileError } from '../../contract/errors'
import { COMPAT } from './check-options'
import { templateProblem } from './template'

/** How often the fault happens, per rule and conversation, before the rule plays well. */
const times = { times: z.int().positive().default(1) }
/** Content deltas that still arrive; at the latest the fault stands where the stream would have been closed. */
const afterDeltas = z.int().nonnegative().default(0)
const millis = z.int().nonnegative().max(3_600_000)

export const Fault = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(400).max(599),
    /** Seconds; text goes into the header as it is (an HTTP date). */
    retryAfter: z.union([z.number().nonnegative(), z.string()]).optional(),
    /** Instead of the vendor's own error body. */
    body: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
    ...times,
  }),
  z.strictObject({ kind: z.literal('cut'), afterDeltas, ...times }),
  z.strictObject({ kind: z.literal('clean_end'), afterDeltas, ...times }),
  z.strictObject({
    kind: z.literal('error_event'),
    afterDeltas,
    type: z.string().default('overloaded_error'),
    ...times,
  }),
  /** Responses: the event `response.failed`; on the other wires, an error event. */
  z.strictObject({ kind: z.literal('failed'), afterDeltas, code: z.string().default('server_error'), ...times }),
  z.strictObject({ kind: z.literal('slow'), firstByteMs: millis.default(0), deltaMs: millis.default(0), ...times }),
  /** Never answers; with `afterDeltas`, falls silent after so many. */
  z.strictObject({ kind: z.literal('hang'), afterDeltas: z.int().nonnegative().optional(), ...times }),
])
export type Fault = z.infer<typeof Fault>
export type FaultInput = z.input<typeof Fault>

export const When = z.strictObject({
  /** Index of the model call in its turn: assistant messages since the last message of a person. */
  step: z.int().nonnegative().optional(),
  /** Index of the turn: messages of people in the request, less one. */
  turn: z.int().nonnegative().optional(),
  /** Index of the model call in the whole conversation: assistant messages in the request. */
  call: z.int().nonnegative().optional(),
  /** Is contained in the last message of a person. */
  text: z.string().optional(),
  /** Is contained in a tool result that came since the last answer. */
  result: z.string().optional(),
  model: z.string().optional(),
  provider: z.enum(['anthropic', 'openai-chat', 'openai-responses']).optional(),
})

const Call = z.strictObject({
  tool: z.string(),
  /** An object, whose strings may hold templates, or the raw text that the model is to write (also what is not JSON). */
  args: z.union([z.string(), z.record(z.string(), z.unknown())]).default({}),
})

export const Say = z.strictObject({
  reasoning: z.string().optional(),
  text: z.string().optional(),
  /** What the model says where it declines: a part or a field of its own at OpenAI, text at Anthropic. */
  refusal: z.string().optional(),
  /** Anthropic: the reasoning comes as a redacted block. */
  redacted: z.boolean().optional(),
  /** Responses: of the message; where absent, by whether calls follow. */
  phase: z.enum(['commentary', 'final_answer']).optional(),
  calls: z.array(Call).default([]),
  /** The calls are made in the first so many steps of a turn only; then comes the text alone. */
  loop: z.int().positive().optional(),
  /** So much filler is added to the text. */
  bytes: z.int().positive().max(50_000_000).optional(),
  stop: z.enum(['end', 'tool_calls', 'max_tokens', 'stop_sequence', 'refusal', 'pause', 'context_exceeded']).optional(),
  /** Instead of an estimate (a token for 4 bytes). `input` counts cached tokens too. */
  usage: z
    .strictObject({
      input: z.int().nonnegative(),
      output: z.int().nonnegative(),
      cacheRead: z.int().nonnegative().default(0),
      cacheWrite: z.int().nonnegative().default(0),
      reasoning: z.int().nonnegative().default(0),
    })
    .refine((u) => u.cacheRead + u.cacheWrite <= u.input, {
      path: ['input'],
      message: 'must count the cached tokens too',
    })
    .optional(),
  /** Characters a delta; a word each where absent. */
  deltaChars: z.int().positive().optional(),
  firstByteMs: millis.default(0),
  deltaMs: millis.default(0),
  fault: Fault.optional(),
})
export type Say = z.infer<typeof Say>

export const Rule = z.strictObject({ name: z.string().optional(), when: When.default({}), say: Say })
export type Rule = z.infer<typeof Rule>

export const Script = z.strictObject({
  /** Goes into a response header. */
  name: z.string().regex(/^[\x21-\x7e]([\x20-\x7e]{0,98}[\x21-\x7e])?$/, 'must be 1 to 100 printable ASCII characters'),
  description: z.string().optional(),
  /** What signed reasoning is bound to when it comes back. Absent: `prefix` for Anthropic's, `model` for OpenAI's. */
  bindReplay: z.enum(['prefix', 'model', 'none']).optional(),
  /** Which server of Chat Completions this is. Absent: by the model's name, and the strictest of all where that says nothing. */
  compat: z.enum(COMPAT).optional(),
  /** The models that there are: another is answered as its vendor answers a name that it does not know. Absent: any name is good. */
  models: z.array(z.string()).optional(),
  /** A longer request (a token for 4 bytes) is refused, as the vendor does. */
  contextTokens: z.int().positive().optional(),
  rules: z.array(Rule),
})
export type Script = z.infer<typeof Script>
export type ScriptInput = z.input<typeof Script>

/**
 * A checked script, from an object or from the path of a JSON file.
 * @throws SavefileError `invalid_input` naming each field, or the file that is not there or is not JSON.
 */
export function loadScript(source: ScriptInput | string): Script {
  const where = typeof source === 'string' ? `The script ${source}` : 'The script'
  const result = Script.safeParse(typeof source === 'string' ? readJson(source) : source)
  if (!result.success) {
    const problems = result.error.issues.map((issue) => `  ${issue.path.join('.') || '(script)'}: ${issue.message}`)
    throw new SavefileError(
      'invalid_input',
      `${where} does not validate (docs/scripted-model.md has the format):\n${problems.join('\n')}`,
    )
  }
  for (const [i, { say }] of result.data.rules.entries()) {
    const problem = [
      say.text,
      say.reasoning,
      say.refusal,
      ...say.calls.flatMap((call) => (typeof call.args === 'string' ? [] : strings(call.args))),
    ]
      .map((text) => (text === undefined ? null : templateProblem(text)))
      .find((found) => found !== null)
    if (problem) throw new SavefileError('invalid_input', `${where} does not validate: rules.${i}.say: ${problem}`)
  }
  return result.data
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new SavefileError(
      'invalid_input',
      `The script ${path} cannot be read: ${(error as Error).message}`,
      {},
      { cause: error },
    )
  }
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : []
}
