/**
 * Events as lines for people: when, which, who, what. A fold over the events in their order: the same events give the same lines. All
 * that comes from outside is made safe for a terminal (safe-text.ts).
 *
 *   10:31:09   4  agent        I will look at the files first.
 *                              → list_files(path: ".")
 */
import type { Block, ContentBlock } from '../contract/blocks'
import type { Outcome, Payload, StopReason, TurnReason, Usage } from '../contract/events'
import { shortCall } from '../client/approvals'
import type { LogEvent } from '../client/log-events'
import { limitWords } from './limit-words'
import { bytes, count, duration, tokens, usd } from './numbers'
import type { Colour, Paint } from './paint'
import { cut, oneLine, safeText } from './safe-text'
import { wrap } from './wrap'

export interface TimelineOptions {
  paint: Paint
  /** Characters in a line. */
  width: number
  /** Whole texts, arguments and results, instead of one line of each. */
  full?: boolean
  /** Whole texts of messages and answers; the rest in one line each. */
  wholeAnswers?: boolean
  /** What people type for this session: in the command that answers an approval. */
  sessionName: string
  /** `HH:MM:SS` of microseconds since 1970; local time where absent. */
  clock?: (at: number) => string
}

export interface Timeline {
  /** `textShown`: the answer's text was already seen as it was written. */
  lines(event: LogEvent, how?: { textShown?: boolean }): string[]
}

const TIME = 8
const SEQ = 5
const ACTOR = 12
/** Where the text of a line begins. */
export const INDENT = ' '.repeat(TIME + SEQ + 2 + ACTOR + 1)

const OUTCOME: Readonly<Record<Outcome, { mark: string; colour: Colour }>> = {
  ok: { mark: '✓', colour: 'green' },
  error: { mark: '✗', colour: 'red' },
  denied: { mark: '⊘', colour: 'yellow' },
  cancelled: { mark: '–', colour: 'dim' },
  unknown: { mark: '?', colour: 'magenta' },
}
const REASON: Readonly<Record<TurnReason, Colour>> = {
  done: 'green',
  awaiting_input: 'green',
  limit: 'yellow',
  failed: 'red',
  interrupted: 'yellow',
}

/** Why an answer is not whole. */
const STOPPED: Readonly<Partial<Record<StopReason, string>>> = {
  max_tokens: 'cut off: the model reached its output limit',
  context_exceeded: 'cut off: nothing more fitted into what the model takes',
  pause: 'paused by the provider, and carried on',
}

interface Totals {
  opener: number
  openedAt: number
  calls: number
  tokens: number
  usdMicros: number | null
}

export function createTimeline(options: TimelineOptions): Timeline {
  const { paint, full = false } = options
  const whole = full || (options.wholeAnswers ?? false)
  const clock = options.clock ?? localTime
  const room = Math.max(20, options.width - INDENT.length)
  const names = new Map<string, string>()
  const wholeCalls = new Map<string, string>()
  const queued: Totals[] = []
  let turn: Totals | null = null

  const head = (event: LogEvent, who: string, colour: Colour): string => {
    const seq = paint('dim', String(event.seq).padStart(SEQ))
    return `${paint('dim', clock(event.at))}${seq}  ${paint(colour, cut(oneLine(who, 60), ACTOR).padEnd(ACTOR))} `
  }
  const under = (lines: string[]): string[] => lines.map((line) => `${INDENT}${line}`)
  const body = (text: string, colour?: Colour): string[] => {
    const safe = wrap(safeText(text).trim(), room)
    return colour ? safe.map((line) => paint(colour, line)) : safe
  }
  /** The first line beside the head, the rest under it. */
  const say = (event: LogEvent, who: string, colour: Colour, lines: string[]): string[] => {
    const [first = '', ...rest] = lines
    return [head(event, who, colour) + first, ...under(rest)]
  }
  const content = (blocks: readonly Block[] | readonly ContentBlock[]): string[] =>
    blocks.flatMap((block): string[] => {
      switch (block.type) {
        case 'text':
          if ('blob' in block && block.blob) return [paint('dim', `(text of ${bytes(block.blob.bytes)})`)]
          return block.text.trim() === '' ? [] : whole ? body(block.text) : [oneLine(block.text, room)]
        case 'refusal':
          return whole ? body(block.text, 'yellow') : [paint('yellow', oneLine(block.text, room))]
        case 'reasoning':
          if (block.text.trim() === '') return []
          return full ? body(block.text, 'dim') : [paint('dim', oneLine(block.text, room))]
        case 'tool_call':
          return [paint('cyan', '→ ') + callText(block.name, block.args)]
        case 'image':
          return [paint('dim', `(image, ${bytes(block.blob.bytes)})`)]
        case 'file':
          return [
            paint(
              'dim',
              `(${block.kept ? 'kept' : 'file'} ${oneLine(block.name ?? '', 40)} ${bytes(block.blob.bytes)})`,
            ),
          ]
        case 'structured':
          return whole ? body(block.json) : [oneLine(block.json, room)]
      }
    })
  const callText = (name: string, args: string): string =>
    full ? `${safeText(name)}(${safeText(args)})` : cut(`${oneLine(name, 64)}(${argsText(args, room)})`, room - 2)
  const result = (blocks: readonly ContentBlock[], room: number): string => {
    const text = blocks
      .map((b) => (b.type === 'text' ? b.text : b.type === 'structured' ? b.json : ''))
      .join('\n')
      .trim()
    const lines = text === '' ? 0 : text.split('\n').length
    const more = lines > 1 ? ` (${count(lines, 'line')})` : ''
    return oneLine(text.split('\n', 1)[0] ?? '', Math.max(10, room - more.length)) + paint('dim', more)
  }

  function paid(usage: Usage, usdMicros: number | undefined): void {
    if (!turn) return
    turn.calls++
    turn.tokens += usage.input + usage.output
    turn.usdMicros = turn.usdMicros === null || usdMicros === undefined ? null : turn.usdMicros + usdMicros
  }

  function opened(seq: number, at: number): void {
    const totals = { opener: seq, openedAt: at, calls: 0, tokens: 0, usdMicros: 0 }
    if (turn) queued.push(totals)
    else turn = totals
  }

  function turnEnd(event: LogEvent, opener: number, { reason, limit }: Payload<'turn_finished'>): string[] {
    const ended = turn?.opener === opener ? turn : null
    const next = queued.shift()
    queued.length = 0
    turn = next ? { ...next, openedAt: event.at } : null
    const words = reason === 'limit' ? `turn ended: ${limitWords(limit)}` : `turn ${reason.replace('_', ' ')}`
    const parts = ended
      ? [
          count(ended.calls, 'model call'),
          `${tokens(ended.tokens)} tokens`,
          ...(ended.usdMicros === null ? [] : [usd(ended.usdMicros)]),
          duration((event.at - ended.openedAt) / 1000),
        ]
      : []
    return say(event, '', 'dim', [
      paint(REASON[reason], `■ ${words}`) + paint('dim', parts.map((p) => ` · ${p}`).join('')),
    ])
  }

  function lines(event: LogEvent, how: { textShown?: boolean } = {}): string[] {
    const who = actorName(event.actor)
    const note = (text: string, colour: Colour = 'dim'): string[] =>
      say(event, who, 'dim', [paint(colour, cut(text, room))])
    if (event.unknown && event.locked)
      return note(
        `${oneLine(event.type, 60)}: ${event.locked === 'key_destroyed' ? 'erased' : 'encrypted, key not here'}`,
        'magenta',
      )
    if (event.unknown) return note(`${oneLine(event.type, 60)} v${event.v}: written by a newer Savefile`, 'magenta')
    switch (event.type) {
      case 'session_created': {
        const { title, workFolder } = event.payload
        const parts = [
          'session created',
          ...(title ? [oneLine(title, 60)] : []),
          ...(workFolder ? [oneLine(workFolder, 80)] : []),
        ]
        return note(parts.join(' · '))
      }
      case 'forked':
        return note(`forked from ${event.payload.parent}@${event.payload.seq}`)
      case 'definition_changed':
        return note(
          `definition changed: ${event.payload.changed.join(', ')}${event.payload.why ? ` (${oneLine(event.payload.why, 60)})` : ''}`,
        )
      case 'message_received': {
        const { blocks, delivery } = event.payload
        if (blocks.length === 0) return say(event, who, 'yellow', [paint('yellow', 'stop')])
        if (delivery === 'steer' ? !turn : true) opened(event.seq, event.at)
        const tag =
          delivery === 'queue' ? [] : [paint('yellow', delivery === 'steer' ? '(steering)' : '(interrupting)')]
        return say(event, who, 'green', [...content(blocks), ...tag])
      }
      case 'model_answered': {
        const p = event.payload
        for (const block of p.blocks)
          if (block.type === 'tool_call') {
            names.set(block.call, callText(block.name, block.args))
            wholeCalls.set(block.call, `${safeText(block.name)}(${argsText(block.args, Infinity)})`)
          }
        paid(p.usage, p.costUsdMicros)
        const shown = how.textShown ? p.blocks.filter((b) => b.type === 'tool_call') : p.blocks
        const { fallback, replayCut } = p.manifest
        const resent = replayCut !== undefined && p.attempts.some(({ outcome }) => outcome === 'refused_request')
        const notes = [
          ...(p.attempts.length > 1 ? [`(attempt ${p.attempts.length})`] : []),
          ...(fallback === undefined ? [] : [`(fallback ${fallback}: ${oneLine(p.model, 60)})`]),
          ...(resent ? [`(its provider refused what it had said up to ${replayCut}: sent as plain text)`] : []),
        ]
        const said = content(shown)
        const last = STOPPED[p.stop] === undefined ? [] : [paint('yellow', `(${STOPPED[p.stop]})`)]
        const all = [...said, ...last, ...notes.map((text) => paint('dim', text))]
        return all.length > 0 ? say(event, who, 'blue', all) : how.textShown ? [] : note('(an empty answer)')
      }
      case 'model_failed': {
        const { class: failure, next, message } = event.payload
        const goesOn =
          next?.kind === 'fallback'
            ? [paint('yellow', `→ the turn goes on with fallback ${next.model}`)]
            : next
              ? [paint('yellow', '→ too long: a summary makes room, then it is called again')]
              : []
        const colour = next ? 'yellow' : 'red'
        return say(event, who, colour, [paint(colour, `model call failed: ${failure}`), ...said(message), ...goesOn])
      }
      case 'approval_requested': {
        const { call, tool } = event.payload
        const command = `savefile approve ${options.sessionName} ${shortCall(call)}`
        // Whole, whatever it weighs: nobody is to allow what they cannot see.
        const asked = wrap(`? may this run: ${wholeCalls.get(call) ?? oneLine(tool, 64)}`, room)
        return say(event, who, 'yellow', [
          ...asked.map((line) => paint('yellow', line)),
          paint('dim', `${command}   (or with --deny)`),
        ])
      }
      case 'approval_resolved': {
        const { call, decision, scope, note: why, args } = event.payload
        const extra = [
          ...(scope === 'session' ? ['for this session'] : []),
          ...(args ? ['with other arguments'] : []),
          ...(why ? [oneLine(why, 60)] : []),
        ]
        const words = [`${decision === 'allow' ? 'allowed' : 'denied'} ${shortCall(call)}`, ...extra].join(', ')
        return say(event, who, decision === 'allow' ? 'green' : 'yellow', [words])
      }
      case 'tool_started':
        return full ? note(`${oneLine(event.payload.tool, 64)} started (${shortCall(event.payload.call)})`) : []
      case 'tool_finished': {
        const p = event.payload
        const { mark, colour } = OUTCOME[p.outcome]
        const took = p.ms === undefined ? '' : ` ${duration(p.ms)}`
        const label = `${paint(colour, mark)} ${p.outcome === 'ok' ? '' : paint(colour, `${p.outcome}${p.code ? ` (${oneLine(p.code, 30)})` : ''} `)}`
        const shown = full ? content(p.blocks) : [result(p.blocks, room - 12 - took.length)]
        const [first = '', ...rest] = shown
        return say(event, p.tool, 'cyan', [label + first + paint('dim', took), ...rest])
      }
      case 'result_arrived_late':
        return say(event, event.payload.tool, 'magenta', [
          `late result (${event.payload.outcome}), kept as evidence: ${result(event.payload.blocks, 40)}`,
        ])
      case 'interrupted': {
        const partial = event.payload.partial.flatMap((p) => content(p.blocks))
        return say(event, who, 'yellow', [paint('yellow', 'interrupted'), ...partial])
      }
      case 'checkpoint_made': {
        const { lo, hi, blocks, usage, costUsdMicros } = event.payload
        if (usage) paid(usage, costUsdMicros)
        return say(event, who, 'magenta', [paint('magenta', `checkpoint: stands for ${lo}..${hi}`), ...content(blocks)])
      }
      case 'child_started':
        return say(event, who, 'cyan', [
          `sub-agent ${oneLine(event.payload.child, 64)}`,
          ...content(event.payload.task),
        ])
      case 'child_finished': {
        const { child, outcome, blocks } = event.payload
        const { mark, colour } = OUTCOME[outcome]
        return say(event, who, 'cyan', [`${paint(colour, mark)} sub-agent ${oneLine(child, 64)}`, ...content(blocks)])
      }
      case 'custody_taken':
        return note(
          `taken over here, from event ${event.payload.head}${event.payload.why ? `: ${oneLine(event.payload.why, 60)}` : ''}`,
        )
      case 'granted': {
        const { grant, principal, rights, forks, expiresAt } = event.payload
        const parts = [
          `granted ${rights.join(', ')} to ${principal === null ? 'whoever has the link' : oneLine(principal, 60)}`,
          ...(forks ? ['with its forks'] : []),
          ...(expiresAt === undefined ? [] : [`until ${new Date(expiresAt / 1000).toISOString().slice(0, 16)}Z`]),
          `(${oneLine(grant, 40)})`,
        ]
        return note(parts.join(' · '))
      }
      case 'revoked':
        return note(`revoked ${oneLine(event.payload.grant, 40)}`)
      case 'key_destroyed':
        return note('erased: the key of this content is destroyed', 'yellow')
      case 'turn_finished':
        return turnEnd(event, event.payload.turn, event.payload)
      case 'session_closed':
        return note(`session closed${event.payload.reason ? `: ${oneLine(event.payload.reason, 60)}` : ''}`)
    }
  }
  const said = (message: string): string[] =>
    message.trim() === '' ? [] : full ? body(message) : [oneLine(message, room)]
  return { lines }
}

function actorName(actor: string): string {
  return actor.replace(/^(user|tool):/, '')
}

function localTime(at: number): string {
  const d = new Date(at / 1000)
  return [d.getHours(), d.getMinutes(), d.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':')
}

/** Arguments in one line: `path: "README.md", limit: 10`; long strings by their size. */
/** `room` Infinity: all of it. */
function argsText(args: string, room: number): string {
  let value: unknown
  try {
    value = JSON.parse(args)
  } catch (error) {
    if (error instanceof SyntaxError) return oneLine(args, room)
    throw error
  }
  if (typeof value !== 'object' || value === null) return oneLine(args, room)
  return Object.entries(value)
    .map(([name, v]) => `${oneLine(name, 40)}: ${argText(v, room)}`)
    .join(', ')
}

function argText(value: unknown, room: number): string {
  const text = JSON.stringify(value)
  if (room === Infinity) return safeText(text)
  return text.length <= 60 ? oneLine(text, 60) : `${oneLine(text, 40)} ${bytes(Buffer.byteLength(text))}`
}
