/**
 * A session as Claude Code keeps its own: a file that it opens and resumes, where it lies as <sessionId>.jsonl in the project's folder. What
 * its format cannot say stands beside it in `savefile`, which the client passes over and the import reads: so what was exported comes back
 * the same. Left out: late results, approvals, grants, and replay of other vendors.
 */
import type { Block, ContentBlock } from '../contract/blocks'
import { OUTCOME_SAID, parseEvent, type Payload } from '../contract/events'
import { INTERRUPTED } from './claude-code'
import { exact, isPlain, NO_TEXT, notShown, saidOf, textOf, uuidOf, UUID, wireId, type Wire } from './export-blocks'
import type { Exporter, ExportSource } from './exporting'
import { isObject, parsed, type Json } from './json'
import { keptFrom, shownIn, type Begun, type Shown } from './view-order'

/** That of a client whose files look so; the session's own where it came from one. */
const CLIENT_VERSION = '2.1.37'
const STOPS: Readonly<Record<string, string>> = {
  end: 'end_turn',
  tool_calls: 'tool_use',
  max_tokens: 'max_tokens',
  stop_sequence: 'stop_sequence',
  refusal: 'refusal',
  pause: 'pause_turn',
  context_exceeded: 'model_context_window_exceeded',
}
const REJECTED = 'User rejected tool use'
const NOT_OK = new Set(['error', 'denied', 'cancelled', 'unknown'])

export const exportClaudeCode: Exporter = async function* (source) {
  const out = new Lines(source)
  yield* out.family(source)
  if (source.info.title !== null && out.leaf !== null)
    yield `${JSON.stringify({ type: 'summary', summary: source.info.title, leafUuid: out.leaf })}\n`
}

interface Frame {
  agent?: string
}

class Lines {
  /** Of the last line that a client would go on from. */
  leaf: string | null = null
  private readonly written = new Set<string>()
  private readonly sessionId: string
  private readonly common: Json

  constructor({ info }: ExportSource) {
    this.sessionId = UUID.test(info.session) ? info.session : uuidOf(info.session)
    const client = /^claude-code (.+)$/.exec(info.labels.client ?? '')?.[1]
    this.common = {
      userType: 'external',
      cwd: info.labels.cwd ?? '/',
      sessionId: this.sessionId,
      version: client ?? CLIENT_VERSION,
      gitBranch: info.labels.branch ?? '',
    }
  }

  /** Branches first: who opens the file goes on from its last line. */
  async *family(source: ExportSource): AsyncGenerator<string> {
    for (const fork of await source.forks()) yield* this.family(fork)
    yield* this.thread(source, {})
  }

  private async *thread(source: ExportSource, frame: Frame): AsyncGenerator<string> {
    let parent: string | null = null
    const children = await childrenOf(source)
    const stands: Standing = { begun: [], lines: [] }
    for await (const shown of shownIn(source.events())) {
      const lines = await this.linesOf(shown, parent, source, children, stands)
      const [first] = lines.filter(({ fresh }) => !fresh)
      if (first) stands.begun.push({ seq: shown.event.seq, type: shown.event.type, at: stands.lines.length })
      stands.lines.push(...lines.map(({ uuid }) => uuid))
      const child = shown.event.type === 'tool_finished' ? children.get(shown.event.payload.call) : undefined
      if (child && !this.written.has(lines[0]?.uuid ?? '')) yield* this.sidechain(child)
      for (const { uuid, fields, fresh = false } of lines) {
        const logical: Json = fresh ? { parentUuid: null, logicalParentUuid: parent } : { parentUuid: parent }
        parent = uuid
        if (this.written.has(uuid)) continue
        this.written.add(uuid)
        const agent = frame.agent === undefined ? {} : { agentId: frame.agent }
        const line = { ...logical, isSidechain: frame.agent !== undefined, ...this.common, ...agent, ...fields, uuid }
        yield `${JSON.stringify(line)}\n`
      }
      if (frame.agent === undefined && parent !== null) this.leaf = parent
    }
  }

  private async *sidechain({ agent, source }: Child): AsyncGenerator<string> {
    const child = await source()
    if (child) yield* this.thread(child, { agent })
  }

  private async linesOf(
    { event, session }: Shown,
    parent: string | null,
    source: ExportSource,
    children: ReadonlyMap<string, Child>,
    stands: Standing,
  ): Promise<Made[]> {
    const timestamp = new Date(event.at / 1000).toISOString()
    // Also of what it hangs on: in a fork that shows the same in another order it is another line.
    const named = (part: string): string => uuidOf(`${parent ?? ''}\n${session}\n${event.seq}\n${part}`)
    switch (event.type) {
      case 'message_received': {
        const { content, own } = await wireContent(event.payload.blocks, source)
        // Words that the client would take for a stop.
        if (typeof content === 'string' && INTERRUPTED.test(content))
          own.savefile = await exact(event.payload.blocks, source)
        return [
          { uuid: named('said'), fields: { type: 'user', message: { role: 'user', content }, timestamp, ...own } },
        ]
      }
      case 'tool_finished': {
        const { uuid, fields } = await this.result(
          event.payload,
          source,
          named('result'),
          children.get(event.payload.call),
        )
        return [{ uuid, fields: { ...fields, timestamp } }]
      }
      case 'model_answered':
        return [
          { uuid: named('answer'), fields: { ...(await answer(event.payload, source, named('message'))), timestamp } },
        ]
      case 'model_failed': {
        const { class: kind, status, message } = event.payload
        const text = `API Error: ${status === undefined ? '' : `${status} `}${message}`
        const savefile = { class: kind, message, ...(status === undefined ? {} : { status }) }
        return [
          {
            uuid: named('failed'),
            fields: { ...synthetic(text, named('message')), isApiErrorMessage: true, savefile, timestamp },
          },
        ]
      }
      case 'interrupted': {
        const text = '[Request interrupted by user]'
        const stop = { type: 'user', message: { role: 'user', content: [{ type: 'text', text }] }, timestamp }
        const partial = event.payload.partial.flatMap(({ blocks }) => blocks)
        if (partial.length === 0) return [{ uuid: named('stop'), fields: stop }]
        const words = partial
          .flatMap((block) => (block.type === 'text' && block.text.trim() !== '' ? [block.text] : []))
          .join('\n\n')
        const cut = {
          ...synthetic(words || NO_TEXT, named('message')),
          savefile: { partial: true, ...(await exact(partial, source)) },
        }
        return [
          { uuid: named('partial'), fields: { ...cut, timestamp } },
          { uuid: named('stop'), fields: stop },
        ]
      }
      case 'checkpoint_made': {
        const { content, own } = await wireContent(event.payload.blocks, source)
        const anchorUuid = named('summary')
        const kept = keptBeside(stands, event.payload.hi)
        const boundary = {
          type: 'system',
          subtype: 'compact_boundary',
          content: 'Conversation compacted',
          isMeta: false,
          level: 'info',
          compactMetadata: { trigger: 'auto', preTokens: 0, ...preserved(kept, anchorUuid) },
          timestamp,
        }
        const [keeps] = kept
        const savefile = { ...own.savefile, ...(keeps === undefined ? {} : { keeps }) }
        const summary = {
          type: 'user',
          message: { role: 'user', content },
          isVisibleInTranscriptOnly: true,
          isCompactSummary: true,
          timestamp,
          ...(Object.keys(savefile).length > 0 ? { savefile } : {}),
        }
        return [
          { uuid: named('boundary'), fields: boundary, fresh: true },
          { uuid: anchorUuid, fields: summary },
        ]
      }
    }
  }

  private async result(
    { call, outcome, blocks }: Payload<'tool_finished'>,
    source: ExportSource,
    uuid: string,
    child: Child | undefined,
  ): Promise<Made> {
    const { content, own } = await wireContent([...saidOf(outcome), ...blocks], source)
    const exactly = OUTCOME_SAID[outcome] === null ? own.savefile : await exact(blocks, source)
    const part = {
      tool_use_id: wireId(call),
      type: 'tool_result',
      content,
      ...(NOT_OK.has(outcome) ? { is_error: true } : {}),
    }
    const said =
      outcome === 'denied'
        ? { toolUseResult: REJECTED }
        : child
          ? { toolUseResult: { status: 'completed', agentId: child.agent } }
          : {}
    const savefile = { ...exactly, ...(outcome === 'ok' || outcome === 'error' ? {} : { outcome }) }
    return {
      uuid,
      fields: {
        type: 'user',
        message: { role: 'user', content: [part] },
        ...said,
        ...(Object.keys(savefile).length > 0 ? { savefile } : {}),
      },
    }
  }
}

interface Made {
  uuid: string
  fields: Json
  /** Begins anew: what the client sends begins here. */
  fresh?: boolean
}

interface Standing {
  begun: Begun[]
  /** Uuids of all lines, in the order of the file. */
  lines: string[]
}

/** The lines that a summary leaves beside it; those of an earlier summary are none. */
function keptBeside({ begun, lines }: Standing, hi: number): string[] {
  const from = keptFrom(begun, hi)
  return begun.flatMap(({ type, at }, i) =>
    i < from || type === 'checkpoint_made' ? [] : lines.slice(at, begun[i + 1]?.at ?? lines.length),
  )
}

/** As the clients of 2.1 say it: they hang those lines behind the summary. Older ones send only what comes behind it. */
function preserved(uuids: readonly string[], anchorUuid: string): Json {
  const [headUuid] = uuids
  if (headUuid === undefined) return {}
  return {
    preservedSegment: { headUuid, anchorUuid, tailUuid: uuids.at(-1) },
    preservedMessages: { anchorUuid, uuids, allUuids: uuids },
  }
}

interface Child {
  agent: string
  source(): Promise<ExportSource | null>
}

/** Sub-agents by the call that asked for them. */
async function childrenOf(source: ExportSource): Promise<Map<string, Child>> {
  const children = new Map<string, Child>()
  for await (const stored of source.events()) {
    const event = stored.type === 'child_started' ? parseEvent(stored) : null
    if (event?.type !== 'child_started') continue
    const { child, call } = event.payload
    const agent = child.endsWith(`-${source.info.session}`) ? child.slice(0, -1 - source.info.session.length) : child
    if (call !== undefined) children.set(call, { agent, source: () => source.child(child) })
  }
  return children
}

async function answer(payload: Payload<'model_answered'>, source: ExportSource, id: string): Promise<Json> {
  const { blocks, replay, model, provider, usage, stop, responseId } = payload
  const ours = replay?.provider === 'anthropic'
  const content: unknown[] = []
  let plain = provider === 'anthropic' || provider === 'claude-code'
  for (const [i, block] of blocks.entries()) {
    const own = ours ? (replay.blocks[i] ?? null) : null
    if (own !== null) content.push(JSON.parse(own))
    else {
      const wire = await inAnswer(block, source)
      content.push(...wire.parts)
      plain &&= wire.exact
    }
  }
  plain &&= !replay || ours
  const platform = replay?.platform
  if (content.length === 0) content.push({ type: 'text', text: NO_TEXT })
  const savefile = plain
    ? null
    : {
        provider,
        ...(replay ? { platform, replayFormat: replay.format, kept: replay.blocks } : {}),
        ...(await exact(blocks, source)),
      }
  return {
    type: 'assistant',
    message: {
      model,
      id: responseId !== undefined && /^[\w-]+$/.test(responseId) ? responseId : `msg_${id.replaceAll('-', '')}`,
      type: 'message',
      role: 'assistant',
      content,
      stop_reason: STOPS[stop] ?? null,
      stop_sequence: null,
      usage: {
        input_tokens: Math.max(0, usage.input - usage.cacheRead - usage.cacheWrite),
        cache_creation_input_tokens: usage.cacheWrite,
        cache_read_input_tokens: usage.cacheRead,
        output_tokens: usage.output,
      },
    },
    ...(savefile ? { savefile } : {}),
  }
}

function synthetic(text: string, id: string): Json {
  const usage = { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
  return {
    type: 'assistant',
    message: {
      id,
      model: '<synthetic>',
      type: 'message',
      role: 'assistant',
      content: [{ type: 'text', text }],
      stop_reason: 'stop_sequence',
      stop_sequence: '',
      usage,
    },
  }
}

async function inAnswer(block: Block, source: ExportSource): Promise<Wire> {
  switch (block.type) {
    case 'text':
      return { parts: [{ type: 'text', text: await textOf(block, source) }], exact: isPlain(block) }
    case 'tool_call': {
      const input = parsed(block.args)
      const exact = isObject(input) && JSON.stringify(input) === block.args && block.problem === undefined
      return {
        parts: [
          {
            type: 'tool_use',
            id: wireId(block.call),
            name: block.name,
            input: isObject(input) ? input : { _invalid: block.args },
          },
        ],
        exact,
      }
    }
    case 'reasoning':
      return { parts: [], exact: false } // unsigned: the vendor would refuse it
    case 'refusal':
      return { parts: [{ type: 'text', text: block.text }], exact: false }
    case 'structured':
      return { parts: [{ type: 'text', text: block.json }], exact: false }
    default:
      return { parts: [{ type: 'text', text: `[${block.type} not shown]` }], exact: false }
  }
}

/** Of a message or a result. */
async function wireContent(
  blocks: readonly ContentBlock[],
  source: ExportSource,
): Promise<{ content: unknown; own: { savefile?: Json } }> {
  const wires: Wire[] = []
  for (const block of blocks) wires.push(await inContent(block, source))
  const parts = wires.flatMap((wire) => wire.parts)
  const own = wires.every((wire) => wire.exact) ? {} : { savefile: await exact(blocks, source) }
  const [only, ...more] = parts
  const lone = more.length === 0 && isObject(only) && only.type === 'text' && typeof only.text === 'string'
  return { content: lone ? only.text : parts, own }
}

async function inContent(block: ContentBlock, source: ExportSource): Promise<Wire> {
  if (block.type === 'text')
    return { parts: [{ type: 'text', text: await textOf(block, source) }], exact: isPlain(block) }
  if (block.type === 'structured') return { parts: [{ type: 'text', text: block.json }], exact: false }
  const { mediaType, hash } = block.blob
  const name = block.type === 'file' ? block.name : undefined
  const shown = block.type === 'image' || mediaType === 'application/pdf'
  const content = shown ? await source.blob(hash) : null
  if (!content) return { parts: [{ type: 'text', text: notShown(block.type, block.blob, name) }], exact: false }
  const data = Buffer.from(content).toString('base64')
  const wire = {
    type: block.type === 'image' ? 'image' : 'document',
    source: { type: 'base64', media_type: mediaType, data },
    ...(name === undefined ? {} : { title: name }),
  }
  return { parts: [wire], exact: block.type === 'image' ? mediaType.startsWith('image/') : !block.kept }
}
