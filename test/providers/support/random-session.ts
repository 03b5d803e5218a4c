/**
 * Random legal histories: the contract's own reduce and nextStep, driven by a list of choices, with messages, interrupts, approvals, failures
 * and definitions that come at any moment, also while a model call is under way. Gives the log and the view of every answered request.
 */
import { createHash } from 'node:crypto'
import type { Block, ContentBlock } from '../../../contract/blocks'
import { parseDefinition, type Definition } from '../../../contract/definition'
import { VIEW_VERSION, type KnownEvent, type NewEvent, type Outcome, type Replay } from '../../../contract/events'
import { callId, parseStep } from '../../../contract/ids'
import { nextStep, type DraftView } from '../../../contract/next-step'
import type { View } from '../../../contract/provider-port'
import { reduce } from '../../../contract/reduce'
import { emptyState, openCalls, phaseOf, unseenByModel, type State } from '../../../contract/state'
import { buildView } from '../../../providers/view'

const tool = (name: string, more: object): object => ({
  name,
  description: `${name}s`,
  inputSchema: '{"type":"object"}',
  ...more,
})
export const DEFINITION: Definition = parseDefinition({
  system: 'Be brief.',
  model: { provider: 'anthropic', name: 'claude-sonnet-4-5' },
  tools: [tool('read', { approval: 'allow', readOnly: true }), tool('write', { approval: 'ask' })],
})
const HASH = `sha256:${'0'.repeat(64)}`

interface Base {
  prev: number
  saw: number[]
  view: View
}

export interface Session {
  events: KnownEvent[]
  /** Of each answer in the log: the view that its request showed. */
  requests: { answer: number; view: View }[]
  /** The view of the request that is due now, if one is. */
  due: View | null
}

/** Each choice is a number from 0 up: what happens is taken from it by remainders, so that any list is a history. */
export function randomSession(choices: readonly number[]): Session {
  const events: KnownEvent[] = []
  let state: State = emptyState
  const drafts = new Map<string, DraftView>()
  const bases = new Map<string, Base>()
  const requests: Session['requests'] = []
  const env = () => ({
    now: events.length,
    sha256: (t: string) => createHash('sha256').update(t).digest('hex'),
    definition: () => DEFINITION,
    drafts,
    grace: false,
  })
  const append = (event: NewEvent, actor: string): boolean => {
    const known = { seq: state.seq + 1, at: events.length, actor, ...event } as KnownEvent
    const reduced = reduce(state, known)
    if (!reduced.ok) return false
    state = reduced.state
    events.push(known)
    if (known.type === 'model_answered') {
      const base = bases.get(known.payload.step)
      if (base) requests.push({ answer: known.seq, view: base.view })
    }
    return true
  }
  append({ type: 'session_created', payload: { definition: HASH, origin: { kind: 'new' } } }, 'system')

  const decide = (n: number): void => {
    for (let round = 0; round < 20; round++) {
      const decision = nextStep(state, env())
      for (const close of decision.closes) {
        const partial: Block[] =
          n % 3 === 0
            ? []
            : [
                { type: 'reasoning', text: 'hm' },
                { type: 'text', text: `part ${n}` },
              ]
        drafts.set(close.step, {
          step: close.step,
          state: 'closed',
          token: 't',
          fresh: false,
          outcome: close.outcome,
          result: null,
          partial,
        })
      }
      if (decision.closes.length > 0) continue
      for (const event of decision.events) append(event, 'agent')
      for (const { step } of decision.run) {
        if (drafts.has(step)) continue
        drafts.set(step, { step, state: 'running', token: 't', fresh: true, outcome: null, result: null })
        const saw = unseenByModel(state)
        bases.set(step, { prev: state.lastAnswer, saw, view: buildView(events, DEFINITION, saw) })
      }
      return
    }
    throw new Error('nextStep does not come to rest')
  }

  for (const n of choices) {
    const pick = Math.floor(n / 8)
    switch (n % 8) {
      case 0:
      case 1: {
        const delivery = (['queue', 'steer', 'interrupt'] as const)[pick % 3] ?? 'queue'
        const blocks: ContentBlock[] =
          delivery === 'interrupt' && pick % 2 === 0
            ? []
            : [{ type: 'text', text: pick % 7 === 6 ? ' ' : `message ${pick}` }]
        append({ type: 'message_received', payload: { blocks, delivery } }, pick % 5 === 4 ? 'user:bob' : 'user:ann')
        break
      }
      case 2: {
        const waiting = openCalls(state).find((c) => c.asked && !c.decision)
        const args = pick % 3 === 0 ? { args: '{"edited":1}' } : {}
        if (waiting)
          append(
            {
              type: 'approval_resolved',
              payload: { call: waiting.id, decision: pick % 4 === 3 ? 'deny' : 'allow', scope: 'once', ...args },
            },
            'user:ann',
          )
        break
      }
      case 3:
      case 4:
        decide(n)
        break
      default: {
        const running = [...drafts.values()].filter((draft) => draft.state === 'running')
        const draft = running[pick % Math.max(1, running.length)]
        if (draft)
          drafts.set(draft.step, {
            ...draft,
            state: 'finished',
            result: outcomeOf(draft.step, bases.get(draft.step), pick),
          })
        decide(n)
      }
    }
  }
  const due = phaseOf(state) === 'due' ? buildView(events, DEFINITION, unseenByModel(state)) : null
  return { events, requests, due }
}

function outcomeOf(step: string, base: Base | undefined, n: number): NonNullable<DraftView['result']> {
  const named = parseStep(step)
  if (named.kind === 'tool') {
    const outcome: Outcome = (['ok', 'error', 'cancelled', 'ok'] as const)[n % 4] ?? 'ok'
    const blocks: ContentBlock[] = n % 5 === 0 ? [] : [{ type: 'text', text: `output ${n}` }]
    return { type: 'tool_finished', payload: { call: named.call, tool: 'read', outcome, blocks } }
  }
  const common = { step, attempts: [] }
  if (n % 9 === 8)
    return { type: 'model_failed', payload: { ...common, class: 'overloaded', retryable: true, message: 'busy' } }
  const { blocks, replay } = answerOf(named.due, n)
  return {
    type: 'model_answered',
    payload: {
      ...common,
      provider: 'anthropic',
      model: 'claude-sonnet-4-5',
      blocks,
      stop: 'end',
      usage: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
      timings: { startedAt: 0, totalMs: 0 },
      manifest: {
        view: VIEW_VERSION,
        definition: HASH,
        prev: base?.prev ?? 0,
        saw: base?.saw ?? [],
        dropped: [],
        requestHash: '',
      },
      ...(replay ? { replay } : {}),
    },
  }
}

/** Answers of every kind: with signed thinking or another provider's, with several calls, with arguments that are none, with nothing. */
function answerOf(due: number, n: number): { blocks: Block[]; replay?: Replay } {
  const blocks: Block[] = []
  const kept: (string | null)[] = []
  const add = (block: Block, verbatim: string | null = null): void => void (blocks.push(block), kept.push(verbatim))
  if (n % 3 === 1) add({ type: 'reasoning', text: 'hm' }, '{"type":"thinking","thinking":"hm","signature":"c2ln"}')
  if (n % 2 === 0) add({ type: 'text', text: `answer ${n}` })
  for (let i = 0; i < n % 4; i++) {
    const args = ['{}', '{"a":12345678901234567890}', '{"cut', '[1]'][(n + i) % 4] ?? '{}'
    const problem = i === 2 ? { problem: 'the arguments are not JSON' } : {}
    add({
      type: 'tool_call',
      call: callId('s', due, i),
      name: ['read', 'write', 'no.such tool'][(n + i) % 3] ?? 'read',
      args,
      ...problem,
    })
  }
  const provider = n % 6 === 1 ? 'openai-chat' : 'anthropic'
  return {
    blocks,
    replay: { provider, platform: 'api.anthropic.com', model: 'claude-haiku-4-5', format: 1, blocks: kept },
  }
}
