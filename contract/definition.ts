/**
 * A definition: what an agent runs under. Immutable, named by the sha256 of its stored bytes; a session refers to one at a time.
 * It holds no address and no key of a provider: those belong to the worker, so that no log can send a key somewhere.
 */
import { z } from 'zod'
import { SavefileError } from './errors'
import { FailureClass } from './events'

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

/** JSON text of an object, kept as it is written. */
const ObjectJson = z.string().refine(isObject, 'must be JSON text of an object')

/**
 * A model and how it is asked. What a model's family does not take is left out and said in the manifest (`savefile context` shows it
 * before); what no request could mean is refused here.
 */
export const ModelSpec = z.strictObject({
  provider: ProviderName,
  /** The vendor's own name of the model. */
  name: z.string().min(1).max(200),
  maxOutputTokens: z.int().positive().default(8192),
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  /** Texts at which the model stops. */
  stop: z.array(z.string().min(1).max(200)).min(1).max(4).optional(),
  /** Reasoning: a token budget (older Claude models), or an effort. */
  reasoning: z
    .strictObject({
      budgetTokens: z.int().min(1024).optional(),
      effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']).optional(),
    })
    .optional(),
  /** Whether tools may be, must be or must not be called; or the one that must be. The vendor's own way, `auto`, where absent. */
  toolChoice: z
    .union([z.enum(['auto', 'required', 'none']), z.strictObject({ tool: z.string().min(1).max(64) })])
    .optional(),
  /** False: at most one call an answer. */
  parallelToolCalls: z.boolean().optional(),
  /** Answers are JSON of this schema (JSON Schema as JSON text). */
  output: z.strictObject({ name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/), schema: ObjectJson }).optional(),
  /** Tools that the vendor runs itself, each as its API writes them (JSON text): {"type":"web_search", ...}. */
  serverTools: z.array(ObjectJson).max(32).optional(),
  serviceTier: z.enum(['auto', 'standard', 'flex', 'priority']).optional(),
  /** How long the vendor keeps what it is marked to cache, where it can be told; `off`: no marks. */
  cache: z.enum(['off', '5m', '1h']).optional(),
  /** Of `openai-chat`: which server it is, where its address does not say so. */
  compat: z.enum(['openai', 'vllm', 'llama.cpp', 'ollama', 'deepseek', 'openrouter', 'mistral']).optional(),
  /** False: the answer comes in one piece. */
  stream: z.boolean().optional(),
  /** No byte from the provider for so long: the call is given up and tried again. */
  silenceMs: z.int().positive().default(120_000),
  /** Nor longer than this in all, an attempt. */
  totalMs: z.int().positive().max(3_600_000).optional(),
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
  /** Of an encrypted session: the public key that its calls are sealed for, as `savefile queue-key new` prints it. */
  queueKey: z
    .string()
    .regex(/^savefile-queue-1:[A-Za-z0-9_-]{43}$/, 'must be a key as `savefile queue-key new` prints it')
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

/** Which models go on, in this order, where the one before could not answer; the next turn begins with the first again. */
export const Fallbacks = z.strictObject({
  models: z.array(ModelSpec).min(1).max(8),
  /** On which failures; on all but `internal` where absent. */
  on: z.array(FailureClass).min(1).optional(),
})

/** Limits of a whole session, a fork's counted from the fork on. What would break one is not begun. */
export const SessionLimits = z.strictObject({
  steps: z.int().positive().optional(),
  tokens: z.int().positive().optional(),
  usdMicros: z.int().positive().optional(),
  /** Seconds from the session's first event of its own. */
  seconds: z.int().positive().optional(),
})
export type SessionLimits = z.infer<typeof SessionLimits>

export const Definition = z
  .strictObject({
    v: z.literal(1).default(1),
    name: z.string().max(200).optional(),
    system: z.string().max(1_000_000).default(''),
    model: ModelSpec,
    tools: z.array(ToolSpec).max(512).default([]),
    limits: Limits.prefault({}),
    sessionLimits: SessionLimits.optional(),
    fallbacks: Fallbacks.optional(),
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

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
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
