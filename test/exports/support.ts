/** Sessions to export: one that uses everything, and random ones whose every text is hostile. */
import { createHash } from 'node:crypto'
import type { BlobRef, Block, ContentBlock } from '../../contract/blocks'
import { parseDefinition, type Definition } from '../../contract/definition'
import { VERSIONS, type KnownEvent, type NewEvent, type Payload, type StoredEvent } from '../../contract/events'
import type { SessionInfo } from '../../contract/client-port'
import { emptyState, type State } from '../../contract/state'
import type { ExportSource } from '../../transcripts/exporting'
import * as g from '../contract/given'

export const SESSION = g.SESSION

/** A picture of one point, as every browser shows it. */
export const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const LONG = `first line of a long text\n${'0123456789 '.repeat(60)}\nlast line of it`

export const BLOBS = new Map<string, Uint8Array>()
function blob(bytes: Uint8Array, mediaType: string): BlobRef {
  const hash = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  BLOBS.set(hash, bytes)
  return { hash, bytes: bytes.length, mediaType }
}
export const IMAGE = blob(PNG, 'image/png')
export const LONG_TEXT = blob(Buffer.from(LONG), 'text/plain; charset=utf-8')
export const FILE = blob(Buffer.from('whole'), 'text/plain')

export const DEFINITION: Definition = parseDefinition({
  ...g.DEFINITION_INPUT,
  name: 'bookkeeper',
  system: 'Be exact.\n```\nnot code\n```',
  model: { provider: 'anthropic', name: 'claude-test', temperature: 0.5, reasoning: { effort: 'high' } },
  fallbacks: { models: [{ provider: 'openai-chat', name: 'qwen', compat: 'deepseek' }] },
})

/** An event, or how it follows from the state before it. */
type Given = NewEvent | ((s: State) => NewEvent)

const text = (said: string): ContentBlock => ({ type: 'text', text: said })
const calls = (
  s: State,
  specs: g.CallSpec[],
  more: Block[],
  change: Partial<Payload<'model_answered'>> = {},
): NewEvent => {
  const event = g.answered(s, specs)
  if (event.type !== 'model_answered') throw new Error('not an answer')
  const { blocks, timings } = event.payload
  const at = { ...timings, startedAt: g.T0 + (s.seq + 1) * g.SECOND - 900_000, firstByteMs: 80, totalMs: 900 }
  return { ...event, payload: { ...event.payload, blocks: [...more, ...blocks], timings: at, ...change } }
}

/** Every type of event, and every kind of block, in a legal log. */
const EVERYTHING: Given[] = [
  {
    type: 'session_created',
    payload: {
      definition: g.HASH,
      origin: { kind: 'new' },
      title: 'The <b>books</b>',
      labels: { team: 'a|b' },
      workFolder: '/work/books',
    },
  },
  {
    type: 'message_received',
    payload: {
      delivery: 'queue',
      blocks: [
        text('Please pay the *bills*.\n\nThen:\n- look\n- tell me'),
        { type: 'image', blob: IMAGE },
        { type: 'file', blob: FILE, name: 'bills `1`.txt' },
      ],
    },
  },
  (s) =>
    calls(
      s,
      [
        { name: 'pay', args: '{"n":12345678901234567890,"b":1,"a":2}' },
        { name: 'ask', args: '{"x":"<i>"}' },
        { name: 'look', args: '{"cut', problem: 'the arguments are not JSON' },
      ],
      [{ type: 'reasoning', text: 'Hm, <script>alert(1)</script>' }, text('I will pay.')],
      {
        attempts: [
          { n: 1, at: g.T0, outcome: 'rate_limited' },
          { n: 2, at: g.T0 + 1, outcome: 'answered' },
        ],
        responseId: 'msg_1',
        usage: { input: 100, output: 20, cacheRead: 60, cacheWrite: 5, reasoning: 7 },
      },
    ),
  (s) => g.started(s, 0),
  (s) => g.requested(s, 1, g.T0 + 100 * g.SECOND),
  (s) => ({
    type: 'tool_finished',
    payload: {
      call: g.callAt(s, 2),
      tool: 'look',
      outcome: 'error',
      code: 'invalid_arguments',
      blocks: [text('the arguments are not JSON')],
    },
  }),
  (s) => ({
    type: 'tool_finished',
    payload: {
      call: g.callAt(s, 0),
      tool: 'pay',
      outcome: 'ok',
      ms: 1234,
      blocks: [
        text('paid ```twice```\n````'),
        { type: 'text', text: '', blob: LONG_TEXT },
        { type: 'file', blob: FILE, kept: true },
      ],
    },
  }),
  { type: 'message_received', payload: { delivery: 'steer', blocks: [text('Hurry.')] } },
  (s) => g.resolved(s, 'allow', 1, { args: '{"x":"edited"}', note: 'with care', scope: 'session' }),
  (s) => g.started(s, 1),
  (s) => g.finished(s, 'unknown', 1),
  (s) =>
    calls(s, [], [text('All done: [see](http://example.com)')], {
      usage: { input: 10, output: 5, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
    }),
  (s) => g.turnFinished(s),
  {
    type: 'result_arrived_late',
    payload: { call: `${SESSION}:2.1`, tool: 'ask', outcome: 'ok', blocks: [text('late words')] },
  },
  { type: 'definition_changed', payload: { definition: g.HASH, from: g.HASH, changed: ['model'], why: 'cheaper' } },
  { type: 'checkpoint_made', payload: { lo: 1, hi: 12, blocks: [text('The bills are paid.')], method: 'given' } },
  g.message('queue', 'Again.'),
  g.childStarted,
  g.childFinished,
  { type: 'message_received', payload: { delivery: 'interrupt', blocks: [text('Stop, this instead.')] } },
  (s) => ({
    type: 'interrupted',
    payload: { turn: s.turn?.opener ?? 1, by: s.stop, partial: [{ step: 'model@17', blocks: [text('Half a sent')] }] },
  }),
  (s) => g.turnFinished(s, 'interrupted'),
  (s) => ({
    type: 'model_failed',
    payload: {
      step: `model@${s.due}`,
      class: 'refused_request',
      retryable: false,
      status: 400,
      attempts: [{ n: 1, at: g.T0, outcome: 'refused_request' }],
      message: 'messages.3: <unexpected>',
    },
  }),
  (s) => g.turnFinished(s, 'failed'),
  (s) => g.forked(s),
  (s) => g.custody(s),
  g.granted,
  g.revoked,
  { type: 'session_closed', payload: { reason: 'the year is over' } },
  g.keyDestroyed,
]

export function logOf(given: readonly Given[]): KnownEvent[] {
  let state = emptyState
  return given.map((one) => {
    const event = g.after(state, typeof one === 'function' ? one(state) : one)
    state = g.then(state, one)
    return { ...event, actor: actorOf(event) }
  })
}

export function actorOf({ type }: { type: string }): string {
  if (type === 'message_received' || type === 'approval_resolved') return 'user:ann'
  return type.startsWith('model_') ? 'agent' : 'system'
}

export const everything = (): KnownEvent[] => logOf(EVERYTHING)

export function storedOf(event: KnownEvent, more: Partial<StoredEvent> = {}): StoredEvent {
  const { seq, at, actor, type, payload } = event
  return {
    seq,
    session: SESSION,
    type,
    v: VERSIONS[type],
    at,
    actor,
    key: `x:${seq}`,
    kid: null,
    payload: JSON.stringify(payload),
    prevHash: '',
    hash: createHash('sha256').update(String(seq)).digest('hex'),
    ...more,
  }
}

export interface SourceOptions {
  info?: Partial<SessionInfo>
  definition?: Definition | null
  child?: ExportSource
}

export function sourceOf(stored: readonly StoredEvent[], options: SourceOptions = {}): ExportSource {
  const last = stored.at(-1)
  return {
    info: {
      space: 'default',
      session: SESSION,
      title: 'The <b>books</b>',
      labels: { team: 'a|b' },
      definition: g.HASH,
      head: last?.seq ?? 0,
      headHash: last?.hash ?? '',
      createdAt: g.T0,
      updatedAt: last?.at ?? g.T0,
      state: 'idle',
      dueAt: null,
      epoch: 1,
      parent: null,
      custody: 'live',
      compactedFrom: null,
      encryption: null,
      ...options.info,
    },

    async *events() {
      yield* stored
    },
    definition: () => Promise.resolve(options.definition === undefined ? DEFINITION : options.definition),
    blob: (hash) => Promise.resolve(BLOBS.get(hash) ?? null),
    forks: () => Promise.resolve([]),
    child: () => Promise.resolve(options.child ?? null),
  }
}

export const everythingSource = (options?: SourceOptions): ExportSource =>
  sourceOf(
    everything().map((event) => storedOf(event)),
    options,
  )

export async function textOf(pieces: AsyncIterable<string>): Promise<string> {
  let all = ''
  for await (const piece of pieces) all += piece
  return all
}

/** What people, models and tools wrote in it, each block, note and message by itself. */
export function textsOf(events: readonly KnownEvent[]): string[] {
  const texts: string[] = []
  const walk = (value: unknown, key: string): void => {
    if (typeof value === 'string') {
      if (TEXTS.has(key) && value !== '') texts.push(value)
    } else if (Array.isArray(value)) value.forEach((one) => walk(one, key))
    else if (typeof value === 'object' && value !== null)
      for (const [name, one] of Object.entries(value)) walk(one, name)
  }
  for (const { type, payload } of events) {
    walk(payload, '')
    if (type === 'session_closed' && payload.reason) texts.push(payload.reason)
  }
  return texts
}
const TEXTS = new Set(['text', 'json', 'args', 'note', 'message', 'why', 'title', 'problem'])

export const HOSTILE = [
  '</script><script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '"><svg/onload=alert(1)>',
  "' onmouseover='alert(1)",
  '```\n# not a heading\n```',
  '````md\n<b>\n````',
  '~~~\nopen',
  '> quote\n\n## Turn 99\n\ntext',
  '- list\n\n---\n\n***',
  '[a]: http://example.com "t"\n\n[a]',
  '![x](http://example.com/?leak)',
  '| a | b |\n|---|---|\n| 1 | 2 |',
  '&lt;b&gt; &#x202e;',
  '\u202egnp.exe\u202c',
  '\u001b[31mred\u001b[0m\rover',
  'a\u0000b\u200bc\u2028d\ufeffe',
  '\u{e0041}\u{e0042}',
  '<!-- -->\n<![CDATA[ ]]>',
  '</details></article></main>',
  '{"a":"</style>"}',
  '   leading, and trailing   \n\n',
  '\\`*_{}[]()#+-.!|',
  'ünïcödé 👩‍👩‍👧 עברית العربية',
  '`',
  '=====\n\n    code',
]

/** The same log, with a hostile text wherever it had one. */
export function hostile(events: readonly KnownEvent[], from: number): KnownEvent[] {
  let n = from
  const walk = (value: unknown, key: string): unknown => {
    if (typeof value === 'string') return TEXTS.has(key) && value !== '' ? HOSTILE[n++ % HOSTILE.length] : value
    if (Array.isArray(value)) return value.map((one) => walk(one, key))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, walk(one, name)]))
  }
  return events.map((event) =>
    event.type === 'session_closed'
      ? { ...event, payload: { reason: HOSTILE[n++ % HOSTILE.length] ?? '' } }
      : ({ ...event, payload: walk(event.payload, '') } as KnownEvent),
  )
}
