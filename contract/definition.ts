/**
 * A definition: what an agent runs under. Immutable, named by the sha256 of its stored bytes; a session refers to one at a time.
 * It holds no address and no key of a provider: those belong to the worker, so that no log can send a key somewhere.
 */
import { z } from 'zod'
import { SavefileError } from './errors'

/** Limits per turn, on by default: a turn that reaches one ends with `turn_finished`, reason `limit`. */
export const Limits = z.strictObject({
  /** Model calls. */
  steps: z.int().positive().max(1_000_000).default(100),
  /** Tokens in and out, summed over the turn's model calls. */
  tokens: z.int().positive().default(5_000_000),
  /** Millionths of a US dollar, where the price of the model is known. */
  usdMicros: z.int().positive().default(10_000_000),
  /** Seconds from the turn's opening, waiting for approvals included. */
  seconds: z.int().positive().default(86_400),
})
export type Limits = z.infer<typeof Limits>

export const ProviderName = z.enum(['anthropic', 'openai-chat', 'openai-responses'])
export type ProviderName = z.infer<typeof ProviderName>

export const ModelSpec = z.strictObject({
  provider: ProviderName,
  /** The vendor's own name of the model. */
  name: z.string().min(1).max(200),
  maxOutputTokens: z.int().positive().default(8192),
  temperature: z.number().min(0).max(2).optional(),
  /** Reasoning: a token budget (Anthropic), or an effort (OpenAI-compatible). */
  reasoning: z
    .strictObject({
      budgetTokens: z.int().min(1024).optional(),
      effort: z.enum(['minimal', 'low', 'medium', 'high']).optional(),
    })
    .optional(),
  /** No byte from the provider for so long: the call is given up and tried again. */
  silenceMs: z.int().positive().default(120_000),
})
export type ModelSpec = z.infer<typeof ModelSpec>

export const ToolSpec = z.strictObject({
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, 'must be 1 to 64 of letters, digits, "_" and "-"'),
  description: z.string(),
  /** JSON Schema as JSON text (key order survives); its root is an object. */
  inputSchema: z.string().refine(isObjectSchema, 'must be JSON text of a schema whose root is {"type":"object", ...}'),
  /** Has no effect outside: safe to run again. */
  readOnly: z.boolean().default(false),
  /** Safe to run again with the same idempotency key. */
  idempotent: z.boolean().default(false),
  approval: z.enum(['allow', 'ask', 'deny']).default('ask'),
  timeoutMs: z.int().positive().max(86_400_000).default(120_000),
  /** In process and under a second: run as a local activity. */
  local: z.boolean().default(false),
  /** Dispatched to somebody who finishes it later by an append with the call's id. */
  deferred: z.boolean().default(false),
  /** The Temporal task queue of the host where it belongs; the session's own where absent. */
  queue: z
    .string()
    .regex(/^[a-zA-Z0-9_.-]{1,100}$/)
    .optional(),
})
export type ToolSpec = z.infer<typeof ToolSpec>

/** What a model is sent is shortened by a checkpoint, made before the next model call once the last one was so long. */
export const Compaction = z.strictObject({
  /** Tokens of the last request and its answer, what came since estimated: a good deal below what the model takes. */
  atTokens: z.int().min(1000),
  /** The last steps (an answer and its results) that stay as they are. */
  keepSteps: z.int().min(0).max(4).default(1),
  /** Of the summarising model, what is other than in `model`. */
  model: ModelSpec.partial().optional(),
  /** What it is asked, instead of the usual. */
  instructions: z.string().min(1).max(20_000).optional(),
})

export const Definition = z
  .strictObject({
    v: z.literal(1).default(1),
    name: z.string().max(200).optional(),
    system: z.string().max(1_000_000).default(''),
    model: ModelSpec,
    tools: z.array(ToolSpec).max(512).default([]),
    limits: Limits.prefault({}),
    /** Checkpoints of its own accord; off where absent. */
    compaction: Compaction.optional(),
    /** Seconds after which an open approval counts as denied; it waits for ever where absent. */
    approvalSeconds: z.int().positive().optional(),
  })
  .refine((d) => new Set(d.tools.map((t) => t.name)).size === d.tools.length, {
    path: ['tools'],
    message: 'tool names must differ',
  })
export type Definition = z.infer<typeof Definition>
/** What a caller may write: everything that has a default may be left out. */
export type DefinitionInput = z.input<typeof Definition>

/**
 * Checks a definition and fills in the defaults.
 * @throws SavefileError `invalid_definition`, naming each field and what would be right.
 */
export function parseDefinition(input: unknown): Definition {
  const result = Definition.safeParse(input)
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => ({
    field: issue.path.join('.') || '(definition)',
    problem: issue.message,
  }))
  throw new SavefileError(
    'invalid_definition',
    `The definition does not validate:\n${problems.map((p) => `  ${p.field}: ${p.problem}`).join('\n')}`,
    { problems },
  )
}

export function toolNamed(definition: Definition, name: string): ToolSpec | undefined {
  return definition.tools.find((tool) => tool.name === name)
}

/** Declared safe to run again: read-only, or idempotent under its key (L8). */
export function isSafe(tool: Pick<ToolSpec, 'readOnly' | 'idempotent'>): boolean {
  return tool.readOnly || tool.idempotent
}

function isObjectSchema(text: string): boolean {
  try {
    const schema: unknown = JSON.parse(text)
    return typeof schema === 'object' && schema !== null && (schema as { type?: unknown }).type === 'object'
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}
