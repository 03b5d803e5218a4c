/**
 * A session as Claude Code keeps its own: a file that it opens and resumes, where it lies as <sessionId>.jsonl in the project's folder. What
 * its format cannot say stands beside it in `savefile`, which the client passes over and the import reads: so what was exported comes back
 * the same. Left out: late results, approvals, grants, and replay of other vendors.
 */
import { OUTCOME_SAID, parseEvent, type Payload } from '../contract/events'
import { INTERRUPTED } from './claude-code'
import { answer, synthetic, wireContent } from './claude-code-wire'
import { exact, NO_TEXT, saidOf, uuidOf, UUID, wireId } from './export-blocks'
import type { Exporter, ExportSource } from './exporting'
import type { Json } from './json'
import { keptFrom, shownIn, type Begun, type Shown } from './view-order'

/** That of a client whose files look so; the session's own where it came from one. */
const CLIENT_VERSION = '2.1.37'
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
  /** Uuids of lines that another hangs on. */
  private readonly goneOn = new Set<string>()
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
    let timestamp = ''
    for await (const shown of shownIn(source.events())) {
      const lines = await this.linesOf(shown, parent, source, children, stands)
      timestamp = timeOf(shown.event.at)
      const [first] = lines.filter(({ fresh }) => !fresh)
      if (first) stands.begun.push({ seq: shown.event.seq, type: shown.event.type, at: stands.lines.length })
      stands.lines.push(...lines.map(({ uuid }) => uuid))
      const child = shown.event.type === 'tool_finished' ? children.get(shown.event.payload.call) : undefined
      if (child && !this.written.has(lines[0]?.uuid ?? '')) yield* this.sidechain(child)
      for (const { uuid, fields, fresh = false } of lines) {
        const logical: Json = fresh ? { parentUuid: null, logicalParentUuid: parent } : { parentUuid: parent }
        if (parent !== null) this.goneOn.add(parent)
        parent = uuid
        if (this.written.has(uuid)) continue
        this.written.add(uuid)
        yield this.line(logical, { ...fields, uuid }, frame)
      }
      if (frame.agent === undefined && parent !== null) this.leaf = parent
    }
    if (frame.agent === undefined && parent !== null && this.goneOn.has(parent))
      yield this.line({ parentUuid: parent }, endOf(parent, source, timestamp), frame)
  }

  private line(logical: Json, fields: Json, { agent }: Frame): string {
    const whose = agent === undefined ? {} : { agentId: agent }
    return `${JSON.stringify({ ...logical, isSidechain: agent !== undefined, ...this.common, ...whose, ...fields })}\n`
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
    const timestamp = timeOf(event.at)
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

function timeOf(at: number): string {
  return new Date(at / 1000).toISOString()
}

/** Where a fork goes on from a session's last line, nothing else would say that the session ended there. */
function endOf(last: string, { info }: ExportSource, timestamp: string): Json {
  return {
    type: 'system',
    subtype: 'informational',
    content: 'This session ends here; a fork of it goes on.',
    isMeta: true,
    level: 'info',
    timestamp,
    savefile: { ends: true },
    uuid: uuidOf(`${last}\n${info.session}\nend`),
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
