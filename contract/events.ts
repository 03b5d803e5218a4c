/**
 * The event types and the schemas of their payloads (DESIGN.md section 5). Past tense, versioned: a payload that was once written stays
 * readable for ever, so a change is a new version with an upcaster, never an edit. test/contract/golden/ holds one file for each version.
 */
import { z } from 'zod'
import { BlobRef, Block, ContentBlock, Sha256 } from './blocks'
import { SavefileError } from './errors'

const Seq = z.int().positive()
const Micros = z.int().nonnegative()
const Step = z.string().min(1)
const Call = z.string().min(1)

/**
 * Raised with every change of what a view shows or of how an adapter encodes it; goes into each manifest. Version 2 shows forks and
 * begins at checkpoints, which no request of version 1 named: whatever was sent under it is still sent as it was. Version 3: an answer that
 * only calls has an empty text on compatible servers (Qwen's template takes no null), a paused answer is the last message, and what was
 * signed for a beginning that a checkpoint has replaced is left out: providers refuse it.
 */
export const VIEW_VERSION = 3

/** What the model saw. The request is: the one before (`prev`), its answer, its results in the order of the calls, then `saw`. */
export const Manifest = z.strictObject({
  /** Version of the view's rules: VIEW_VERSION of its day. */
  view: z.int().positive(),
  definition: Sha256,
  /** Seq of the answer whose request this one extends; 0 for the first. */
  prev: z.int().nonnegative(),
  /** The events that this request named for the first time, in view order. */
  saw: z.array(Seq),
  dropped: z.array(z.strictObject({ seq: Seq, what: z.string(), why: z.string() })),
  /** sha256 of the request body, hex. */
  requestHash: z.string(),
  /** The host that it went to. */
  platform: z.string().optional(),
  /** Which of the definition's fallback models was asked, from 1; absent: its own model. */
  fallback: z.int().positive().optional(),
  /** Answers up to this seq went without their replay, because a provider refused it. */
  replayCut: Seq.optional(),
})
export type Manifest = z.infer<typeof Manifest>

/** `input` counts all tokens sent, those read from and written to a cache included. */
export const Usage = z.strictObject({
  input: z.int().nonnegative(),
  output: z.int().nonnegative(),
  cacheRead: z.int().nonnegative().default(0),
  cacheWrite: z.int().nonnegative().default(0),
  reasoning: z.int().nonnegative().default(0),
})
export type Usage = z.infer<typeof Usage>

/** What a provider needs verbatim; sent back only where all four of provider, platform, model and format match. */
export const Replay = z.strictObject({
  provider: z.string(),
  platform: z.string(),
  model: z.string(),
  format: z.int(),
  /** One entry a block of the answer: JSON text of the wire's own form, or null where the block itself says all. */
  blocks: z.array(z.string().nullable()),
})
export type Replay = z.infer<typeof Replay>

export const FailureClass = z.enum([
  'rate_limited',
  'overloaded',
  'refused_request',
  'context_exceeded',
  'cut_off',
  'timeout',
  'unreachable',
  'auth',
  'budget',
  'internal',
])
export type FailureClass = z.infer<typeof FailureClass>

/** `vanished`: its process died, or was cut off, before it said anything. */
export const Attempt = z.strictObject({
  n: z.int().positive(),
  at: Micros,
  outcome: z.union([z.literal('answered'), z.literal('vanished'), FailureClass]),
})
export type Attempt = z.infer<typeof Attempt>

export const StopReason = z.enum([
  'end',
  'tool_calls',
  'max_tokens',
  'stop_sequence',
  'refusal',
  'pause',
  'context_exceeded',
  'other',
])
export type StopReason = z.infer<typeof StopReason>

export const Outcome = z.enum(['ok', 'error', 'denied', 'cancelled', 'unknown'])
export type Outcome = z.infer<typeof Outcome>
/** What a model is told of an outcome before what the tool gave; null: nothing more. */
export const OUTCOME_SAID: Readonly<Record<Outcome, string | null>> = {
  ok: null,
  error: null,
  denied: '[denied]',
  cancelled: '[cancelled]',
  unknown: '[unknown: it is not known whether this took effect]',
}

export const Delivery = z.enum(['queue', 'steer', 'interrupt'])
export type Delivery = z.infer<typeof Delivery>

/** What a grant allows: to read, to speak, to resolve what waits for a person, to fork, or all of it and to grant in turn. */
export const Right = z.enum(['read', 'extend', 'approve', 'fork', 'own'])
export type Right = z.infer<typeof Right>

export const TurnReason = z.enum(['done', 'awaiting_input', 'limit', 'failed', 'interrupted'])
export type TurnReason = z.infer<typeof TurnReason>

const Origin = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('new') }),
  z.strictObject({ kind: z.literal('compaction'), session: z.string(), lo: Seq, hi: Seq }),
  z.strictObject({ kind: z.literal('import'), format: z.string() }),
])

export const PAYLOADS = {
  session_created: z.strictObject({
    definition: Sha256,
    title: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    /** Absolute path, on the hosts that run this session's tools, of the folder its file tools are confined to. */
    workFolder: z.string().optional(),
    origin: Origin,
  }),
  forked: z.strictObject({
    parent: z.string(),
    seq: Seq,
    /** Hash of the parent's event at `seq`, hex. */
    hash: z.string(),
    definition: Sha256,
    title: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    /** The parent's, shared with it, where absent. */
    workFolder: z.string().optional(),
    /** What that folder is of the parent's; absent where it was named by hand. */
    folder: z.enum(['copy', 'worktree']).optional(),
    /**
     * `rule`: what was open at the fork goes by PROTOCOL.md rule 21. `rerun`: by its owner's order, calls that were started before the fork
     * and have no result there run here, also those that are not safe to repeat.
     */
    open: z.enum(['rule', 'rerun']),
    /** What tools say of the world that they brought along. */
    brought: z.array(z.strictObject({ tool: z.string(), note: z.string() })).optional(),
    /** The model is not told of the fork. */
    quiet: z.literal(true).optional(),
  }),
  definition_changed: z.strictObject({
    definition: Sha256,
    from: Sha256,
    changed: z.array(z.string()),
    why: z.string().optional(),
  }),
  /** No blocks, and delivery `interrupt`: only a stop. */
  message_received: z.strictObject({ blocks: z.array(ContentBlock), delivery: Delivery }),
  model_answered: z.strictObject({
    step: Step,
    provider: z.string(),
    model: z.string(),
    blocks: z.array(Block),
    stop: StopReason,
    usage: Usage,
    costUsdMicros: z.int().nonnegative().optional(),
    responseId: z.string().optional(),
    timings: z.strictObject({
      startedAt: Micros,
      firstByteMs: z.int().nonnegative().optional(),
      totalMs: z.int().nonnegative(),
    }),
    replay: Replay.optional(),
    manifest: Manifest,
    attempts: z.array(Attempt),
  }),
  model_failed: z.strictObject({
    step: Step,
    class: FailureClass,
    retryable: z.boolean(),
    attempts: z.array(Attempt),
    manifest: Manifest.optional(),
    status: z.int().optional(),
    /** The provider's own words: here, and nowhere in Temporal. */
    message: z.string(),
    /** The turn goes on: with a fallback model (which one, from 1), or with the same one behind a checkpoint, made first. */
    next: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('fallback'), model: z.int().positive() }),
        z.strictObject({ kind: z.literal('checkpoint') }),
      ])
      .optional(),
  }),
  approval_requested: z.strictObject({ call: Call, tool: z.string(), rule: z.string(), expiresAt: Micros.optional() }),
  approval_resolved: z.strictObject({
    call: Call,
    decision: z.enum(['allow', 'deny']),
    /** `session`: also for later calls of the same tool in this session. */
    scope: z.enum(['once', 'session']).default('once'),
    note: z.string().optional(),
    /** JSON text that replaces the model's arguments. */
    args: z.string().optional(),
  }),
  tool_started: z.strictObject({
    call: Call,
    tool: z.string(),
    queue: z.string().nullable(),
    idempotencyKey: z.string(),
  }),
  tool_finished: z.strictObject({
    call: Call,
    tool: z.string(),
    outcome: Outcome,
    blocks: z.array(ContentBlock),
    /** A word for programs: `timeout`, `invalid_arguments`, `invalid_output`, `exit_1`, ... */
    code: z.string().optional(),
    ms: z.int().nonnegative().optional(),
  }),
  result_arrived_late: z.strictObject({
    call: Call,
    tool: z.string(),
    outcome: Outcome,
    blocks: z.array(ContentBlock),
  }),
  interrupted: z.strictObject({
    turn: Seq,
    /** Seq of the message that interrupted. */
    by: Seq,
    /** What had been streamed by the model step that was stopped. */
    partial: z.array(z.strictObject({ step: Step, blocks: z.array(Block) })),
  }),
  /** A view may begin here: with `blocks`, in place of the events `lo`..`hi`. The log keeps them. */
  checkpoint_made: z.strictObject({
    /** The model call that wrote it; absent where it was given. */
    step: Step.optional(),
    lo: Seq,
    hi: Seq,
    blocks: z.array(ContentBlock).min(1),
    method: z.enum(['model', 'given']),
    provider: z.string().optional(),
    model: z.string().optional(),
    usage: Usage.optional(),
    costUsdMicros: z.int().nonnegative().optional(),
    attempts: z.array(Attempt).optional(),
  }),
  /** A sub-agent's session; `call`: the tool call that asked for it. */
  child_started: z.strictObject({ child: z.string().min(1), call: Call.optional(), task: z.array(ContentBlock) }),
  child_finished: z.strictObject({ child: z.string().min(1), outcome: Outcome, blocks: z.array(ContentBlock) }),
  turn_finished: z.strictObject({
    turn: Seq,
    reason: TurnReason,
    limit: z
      .enum(['steps', 'tokens', 'usd', 'seconds', 'session_steps', 'session_tokens', 'session_usd', 'session_seconds'])
      .optional(),
  }),
  /** An imported session goes on here, from this head: what was open before is inherited, as in a fork. */
  custody_taken: z.strictObject({
    head: Seq,
    hash: z.string(),
    why: z.string().optional(),
    /** Of a transcript: the files that the log was made from, byte for byte; a long one in several parts, in their order. */
    original: z.array(z.strictObject({ name: z.string(), blob: BlobRef })).optional(),
  }),
  /** `principal` null: whoever has the link. `forks`: also those that are yet to come. */
  granted: z.strictObject({
    grant: z.string().min(1),
    principal: z.string().nullable(),
    rights: z.array(Right).min(1),
    forks: z.boolean(),
    expiresAt: Micros.optional(),
    label: z.string().optional(),
  }),
  revoked: z.strictObject({ grant: z.string().min(1) }),
  session_closed: z.strictObject({ reason: z.string().optional() }),
  /** The content under this key can't be read any more; hashes are over what is stored, so the chain still verifies. */
  key_destroyed: z.strictObject({ kid: z.string().min(1), why: z.string().optional() }),
} as const

export type EventType = keyof typeof PAYLOADS
export type Payload<T extends EventType> = z.infer<(typeof PAYLOADS)[T]>
export const EVENT_TYPES = Object.keys(PAYLOADS) as EventType[]

/** The version that is written today, by type. */
export const VERSIONS: Readonly<Record<EventType, number>> = {
  session_created: 1,
  forked: 2,
  definition_changed: 1,
  message_received: 1,
  model_answered: 2,
  model_failed: 2,
  approval_requested: 1,
  approval_resolved: 1,
  tool_started: 1,
  tool_finished: 1,
  result_arrived_late: 1,
  interrupted: 1,
  checkpoint_made: 1,
  child_started: 1,
  child_finished: 1,
  turn_finished: 2,
  custody_taken: 2,
  granted: 1,
  revoked: 1,
  session_closed: 1,
  key_destroyed: 1,
}

/** What reads a payload of an older version as the next one: the first from version 1 to 2, and so on. */
const UPCASTERS: { readonly [T in EventType]?: readonly ((payload: unknown) => unknown)[] } = {
  // Version 2 only adds what may be absent, and another way with what is open.
  forked: [(payload) => payload],
  // Version 2 only adds what may be absent; but a pause, which is now carried on, then ended the turn.
  model_answered: [pauseEnded],
  // Version 2 of these only adds what may be absent, and words to an enumeration.
  model_failed: [(payload) => payload],
  turn_finished: [(payload) => payload],
  // Version 2 may name the files of a transcript.
  custody_taken: [(payload) => payload],
}

function pauseEnded(payload: unknown): unknown {
  const { stop, blocks } = payload as { stop?: unknown; blocks?: { type?: unknown }[] }
  const calls = Array.isArray(blocks) && blocks.some((block) => block.type === 'tool_call')
  return stop === 'pause' && !calls ? { ...(payload as object), stop: 'other' } : payload
}

/** An event as it is stored. `at` is in microseconds since 1970; hashes are hex; `payload` is the JSON text, verbatim. */
export interface StoredEvent {
  seq: number
  /** The session whose own row this is: an ancestor's, in an inherited stretch. */
  session: string
  type: string
  v: number
  at: number
  actor: string
  key: string
  /** The key that the stored payload is encrypted with; here `payload` is what it says, opened. */
  kid: string | null
  payload: string
  prevHash: string
  hash: string
  /** Why the payload could not be opened: it is then what is stored. */
  locked?: 'key_missing' | 'key_destroyed'
}

/** An event of a type and version that this code knows, its payload parsed. */
export type KnownEvent = {
  [T in EventType]: { seq: number; at: number; actor: string; type: T; payload: Payload<T> }
}[EventType]

/** An event to be appended. `subject` is what its structural key is made of: a call id, a step key, a turn. */
export type NewEvent = { [T in EventType]: { type: T; payload: Payload<T> } }[EventType]

export function isKnown(type: string, v: number): type is EventType {
  return Object.hasOwn(PAYLOADS, type) && VERSIONS[type as EventType] >= v
}

/**
 * Reads a stored event. An unknown type or version gives null, and so does a payload that could not be opened: it is kept and shown, and an
 * executor that meets one stops.
 * @throws SavefileError `corrupt_log` where the payload of a known event does not validate.
 */
export function parseEvent(
  event: Pick<StoredEvent, 'seq' | 'at' | 'actor' | 'type' | 'v' | 'payload' | 'locked'>,
): KnownEvent | null {
  if (event.locked || !isKnown(event.type, event.v)) return null
  let json: unknown
  try {
    json = JSON.parse(event.payload)
  } catch (cause) {
    throw new SavefileError(
      'corrupt_log',
      `The payload of event ${event.seq} is not JSON.`,
      { seq: event.seq },
      { cause },
    )
  }
  const upcasters = UPCASTERS[event.type]?.slice(event.v - 1) ?? []
  const parsed = PAYLOADS[event.type].safeParse(upcasters.reduce((payload, upcast) => upcast(payload), json))
  if (!parsed.success) {
    const where = parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')
    throw new SavefileError(
      'corrupt_log',
      `The payload of event ${event.seq} (${event.type}) does not validate: ${where}`,
      { seq: event.seq },
    )
  }
  return { seq: event.seq, at: event.at, actor: event.actor, type: event.type, payload: parsed.data } as KnownEvent
}
