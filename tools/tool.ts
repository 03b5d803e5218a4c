/**
 * A tool from one declaration: the ToolSpec that a definition holds, and the Tool that a worker runs (contract/ports.ts). What comes from a
 * model is checked before `run` sees it; what `run` gives back is checked before the log sees it; nothing is thrown at the caller.
 */
import { z } from 'zod'
import { ContentBlock } from '../contract/blocks'
import { ToolSpec } from '../contract/definition'
import type { Tool, ToolContext, ToolResult } from '../contract/ports'
import { describeThrown } from './failure'
import { fitBlocks, type Whole } from './output'

export interface ToolOptions<I extends z.ZodObject> {
  name: string
  /** For the model: what it does, when to use it, what comes back. */
  description: string
  /** The arguments. Made strict: a field that is not named is refused. */
  input: I
  /** Has no effect outside: safe to run again. */
  readOnly: boolean
  /** Safe to run again with the same idempotency key. */
  idempotent: boolean
  approval: ToolSpec['approval']
  /** Milliseconds after which the signal is aborted. */
  timeoutMs: number
  /** In process and under a second. */
  local: boolean
  /** Dispatched, and finished later by an append with the call's id: `run` is not called. */
  deferred?: boolean
  /** The task queue of the host where it belongs. */
  queue?: string
  /** Brings along for a fork what the tool keeps outside the log (contract/ports.ts). */
  fork?: Tool['fork']
}

/** What `run` may give back where no `output` schema is set. A plain string is an `ok` with that text. */
export interface ToolAnswer {
  text?: string
  /** After the text. */
  blocks?: ContentBlock[]
  /** `ok` where absent. */
  outcome?: ToolResult['outcome']
  code?: string
  /** What to keep where the text is cut, if it is not the text itself. */
  whole?: Whole
}

export interface DefinedTool extends Tool {
  readonly spec: ToolSpec
}

const AnswerSchema = z.union([
  z.string().transform((text): ToolAnswer => ({ text })),
  z.strictObject({
    text: z.string().optional(),
    blocks: z.array(ContentBlock).optional(),
    outcome: z.enum(['ok', 'error', 'cancelled']).optional(),
    code: z.string().optional(),
    whole: z
      .strictObject({
        bytes: z.custom<Uint8Array>((value) => ArrayBuffer.isView(value), 'must be bytes'),
        mediaType: z.string(),
        partial: z.boolean().optional(),
      })
      .optional(),
  }),
])

/**
 * The spec that a definition holds. Its schema is JSON text: keywords in alphabetical order, properties as written, root closed.
 * @throws ZodError where a name, a timeout or a schema is not allowed: a mistake of the program, not of a model.
 */
export function toolSpec<I extends z.ZodObject>(options: ToolOptions<I>): ToolSpec {
  const {
    input,
    name,
    description,
    readOnly,
    idempotent,
    approval,
    timeoutMs,
    local,
    deferred = false,
    queue,
  } = options
  const { $schema: _, ...schema } = z.toJSONSchema(input.strict(), { io: 'input' })
  const inputSchema = JSON.stringify(ordered({ ...schema, type: 'object', additionalProperties: false }))
  return ToolSpec.parse({
    name,
    description,
    inputSchema,
    readOnly,
    idempotent,
    approval,
    timeoutMs,
    local,
    deferred,
    ...(queue === undefined ? {} : { queue }),
  })
}

/** A tool whose `run` gives back text, or a ToolAnswer. */
export function defineTool<I extends z.ZodObject>(
  options: ToolOptions<I> & { run(args: z.output<I>, context: ToolContext): Promise<string | ToolAnswer> },
): DefinedTool
/** A tool whose answer is checked against `output`: a string becomes text, anything else a structured block. */
export function defineTool<I extends z.ZodObject, O extends z.ZodType>(
  options: ToolOptions<I> & { output: O; run(args: z.output<I>, context: ToolContext): Promise<z.input<O>> },
): DefinedTool
export function defineTool<I extends z.ZodObject>(
  options: ToolOptions<I> & { output?: z.ZodType; run(args: z.output<I>, context: ToolContext): Promise<unknown> },
): DefinedTool {
  const spec = toolSpec(options)
  const schema = options.input.strict()

  return {
    name: spec.name,
    spec,
    ...(options.fork ? { fork: options.fork } : {}),
    problem(args) {
      const read = readArgs(schema, args)
      return read.ok ? null : read.problem
    },
    async run(args, context) {
      const read = readArgs(schema, args)
      if (!read.ok) return failed('invalid_arguments', read.problem)
      try {
        const given = checked(await options.run(read.args as z.output<I>, context), options.output)
        if (!given.ok)
          return failed('invalid_output', `${spec.name} gave back what its own schema does not allow: ${given.problem}`)
        const { text, blocks = [], outcome = 'ok', code, whole } = given.answer
        const all: ContentBlock[] = text === undefined ? blocks : [{ type: 'text', text }, ...blocks]
        return {
          outcome,
          blocks: await fitBlocks(all, (bytes, type) => context.writeBlob(bytes, type), whole),
          ...(code === undefined ? {} : { code }),
        }
      } catch (error) {
        if (context.signal.aborted && isAbort(error, context.signal)) return { outcome: 'cancelled', blocks: [] }
        const { code, text } = describeThrown(error)
        return {
          ...failed(code, ''),
          blocks: await fitBlocks([{ type: 'text', text }], (bytes, type) => context.writeBlob(bytes, type)),
        }
      }
    },
  }
}

function failed(code: string, text: string): ToolResult {
  return { outcome: 'error', code, blocks: [{ type: 'text', text }] }
}

/** Ended because it was told to, as fetch, fs and child_process say it: no failure of its own. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  return (
    error === signal.reason ||
    (typeof error === 'object' && error !== null && (error as { name?: unknown }).name === 'AbortError')
  )
}

type Read<I extends z.ZodObject> = { ok: true; args: z.output<I> } | { ok: false; problem: string }

/** Arguments from the JSON text that the model wrote, or what is wrong with them, field by field. */
function readArgs<I extends z.ZodObject>(schema: I, text: string): Read<I> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    return { ok: false, problem: `The arguments are not valid JSON (${(error as Error).message}); ${wanted(schema)}` }
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    return { ok: false, problem: `The arguments must be a JSON object; ${wanted(schema)}` }
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return { ok: true, args: parsed.data }
  return { ok: false, problem: `The arguments are not right:\n${problems(parsed.error)}\n${wanted(schema)}` }
}

function problems(error: z.ZodError): string {
  return error.issues.map((issue) => `  ${issue.path.join('.') || '(arguments)'}: ${issue.message}`).join('\n')
}

function wanted(schema: z.ZodObject): string {
  const fields = Object.entries(schema.shape).map(([name, type]) =>
    type instanceof z.ZodType && type.safeParse(undefined).success ? `${name}?` : name,
  )
  return `what would be right: an object with ${fields.length > 0 ? fields.join(', ') : 'no fields'}`
}

type Checked = { ok: true; answer: ToolAnswer } | { ok: false; problem: string }

function checked(given: unknown, output: z.ZodType | undefined): Checked {
  const parsed = (output ?? AnswerSchema).safeParse(given)
  if (!parsed.success) return { ok: false, problem: `\n${problems(parsed.error)}` }
  if (!output) return { ok: true, answer: parsed.data as ToolAnswer }
  if (typeof parsed.data === 'string') return { ok: true, answer: { text: parsed.data } }
  return { ok: true, answer: { blocks: [{ type: 'structured', json: JSON.stringify(parsed.data) }] } }
}

/** Keywords sorted, so that the same tool is the same definition under another zod; the order of properties is the author's and means something. */
function ordered(value: unknown, isProperties = false): unknown {
  if (Array.isArray(value)) return value.map((item) => ordered(item))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  if (!isProperties) entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, ordered(item, !isProperties && key === 'properties')]))
}
