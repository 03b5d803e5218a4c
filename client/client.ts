/**
 * The client over a log and a nudge: every input is committed first, then Temporal is told (L7). Effects come as arguments;
 * client/connect.ts wires the real ones. Over 400 lines: one short method for each thing that a client does, and what they share.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { parseDefinition, type Definition, type DefinitionInput } from '../contract/definition'
import type { RequestEncoder } from '../contract/encoder'
import { SavefileError } from '../contract/errors'
import { nameProblem, sessionIdFrom, type SessionRef } from '../contract/ids'
import { MAX_PAYLOAD_BYTES } from '../contract/limits'
import type { Keeper, RetentionOptions, Sharer } from '../contract/keys'
import type { ClientLog, InputEvent, SessionInfo, VerifyOptions } from '../contract/client-port'
import type { Tool } from '../contract/ports'
import { pendingApprovals, shortCall, toolOfCall, type PendingApproval, type ReadRange } from './approvals'
import { awaitTurn } from './await-turn'
import { createAnchors } from './anchors'
import { auditOf } from './audit'
import { createBundles } from './bundles'
import { createExports } from './exports'
import { toBlocks, type Content } from './content'
import { summarised, type CompactionParts } from './compaction'
import { contextOf, type ContextOptions } from './context'
import { diffOf, familyOf } from './family'
import { forkSession } from './fork'
import { toLogEvent, type LogEvent } from './log-events'
import { migrate, type MigrateRequest } from './migrate'
import type { Nudged } from './nudge'
import { definitionNotFound, notEncrypted, refusal, sessionExists, sessionNotFound } from './refusals'
import { createSharing } from './sharing'
import { storedEvents } from './stored-events'
import { createTranscripts } from './transcripts'
import type {
  Answer,
  CheckpointRequest,
  CompactRequest,
  Accepted,
  Client,
  CreateOptions,
  Decision,
  ForkRequest,
  SendOptions,
  WaitOptions,
} from './types'

import { existingFolder } from './work-folder'

export interface ClientParts {
  log: ClientLog
  nudge(ref: SessionRef): Promise<Nudged>
  encoder: RequestEncoder
  space: string
  /** `user:<principal>`. */
  actor: string
  /** Of this program: those with a world outside the log bring it along to a fork. */
  tools?: readonly Tool[]
  /** What `create` does where nobody says. */
  encrypted?: boolean
  disconnect(): Promise<void>
}

/** A key that a caller chooses: it becomes part of an event. */
const KEY = /^[\x21-\x7e]{1,200}$/
const CANDIDATES = 6

export function createClient(parts: ClientParts): Client {
  const { log, nudge, encoder, space, actor, tools = [], encrypted = false, disconnect } = parts
  const by = { actor }
  const ref = (session: string): SessionRef => {
    // What cannot be an id is not looked up, so that a file name or a sentence gets an answer that helps.
    if (nameProblem('session id', session)) throw sessionNotFound(session, space)
    return { space, session }
  }

  async function info(session: string): Promise<SessionInfo> {
    const found = await log.info(ref(session))
    if (!found) throw sessionNotFound(session, space)
    return found
  }

  async function stored(definition: DefinitionInput | string): Promise<string> {
    if (typeof definition === 'string') return definition
    return log.putDefinition(space, parseDefinition(definition))
  }

  async function newSession(session: string | undefined): Promise<string> {
    const id = session ?? sessionIdFrom(randomBytes(16))
    const problem = nameProblem('session id', id)
    if (problem) throw new SavefileError('invalid_input', `The ${problem}.`, { session: id })
    return id
  }

  async function input(
    session: string,
    key: string,
    event: InputEvent,
    call?: string,
  ): Promise<Accepted & { late?: true }> {
    checkKey(key)
    const result = await log.input(ref(session), by, key, event)
    if (result.status === 'appended' || result.status === 'duplicate') {
      // A duplicate nudges too: whoever repeats an input may do so because nobody was told the first time.
      const { nudged } = await nudge(ref(session))
      return { session, seq: result.seq, key, duplicate: result.status === 'duplicate', nudged }
    }
    if (result.status === 'arrived_late')
      return { session, seq: result.seq, key, duplicate: false, nudged: true, late: true }
    if (result.status === 'already_resolved') return alreadyResolved(session, key, result.seq, event, call)
    throw refusal(result.status, { session, space, key, call })
  }

  /** The same decision again is a duplicate, as a message under the same key is; another one lost. */
  async function alreadyResolved(
    session: string,
    key: string,
    seq: number,
    event: InputEvent,
    call = '',
  ): Promise<Accepted> {
    const [winner] = await read(session, { from: seq, to: seq })
    const same =
      event.type === 'approval_resolved' &&
      winner?.type === 'approval_resolved' &&
      !winner.unknown &&
      winner.payload.decision === event.payload.decision
    if (same) return { session, seq, key, duplicate: true, nudged: (await nudge(ref(session))).nudged }
    const how =
      winner && !winner.unknown && winner.type === 'approval_resolved'
        ? `${winner.payload.decision} by ${winner.actor}`
        : `event ${seq}`
    throw new SavefileError(
      'already_resolved',
      `The call ${shortCall(call)} was resolved before: ${how}. The first answer counts.`,
      { session, call, seq },
    )
  }

  async function read(
    session: string,
    range: { from?: number; to?: number; limit?: number } = {},
  ): Promise<LogEvent[]> {
    return (await log.read(ref(session), range)).map(toLogEvent)
  }
  /** Page by page up to the head of now: memory does not grow with the log. */
  async function* everyEvent(session: string): AsyncGenerator<LogEvent> {
    const { head } = await info(session)
    for await (const event of storedEvents(log, ref(session), head)) yield toLogEvent(event)
  }
  const rangeOf =
    (session: string): ReadRange =>
    (from, to) =>
      read(session, { from, to, limit: to - from + 1 })

  async function* follow(
    session: string,
    options: { from?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<LogEvent> {
    await info(session)
    for await (const event of log.follow(ref(session), options)) yield toLogEvent(event)
  }

  async function approvals(session: string, at?: number): Promise<PendingApproval[]> {
    return pendingApprovals(at ?? (await info(session)).head, rangeOf(session))
  }

  async function infoAt(session: string, seq: number): Promise<SessionInfo> {
    const now = await info(session)
    const place = await log.placeAt(ref(session), seq)
    const [event] = await log.read(ref(session), { from: seq, to: seq })
    if (!place || !event)
      throw new SavefileError('invalid_input', `Session ${session} has no event ${seq}: its head is ${now.head}.`, {
        session,
        seq,
        head: now.head,
      })
    return { ...now, head: seq, headHash: place.hash, definition: place.definition, updatedAt: event.at }
  }

  async function callNamed(session: string, call: string | undefined): Promise<string> {
    if (call?.includes(':')) return call
    const pending = await approvals(session)
    if (call !== undefined) return pending.find((p) => p.short === call)?.call ?? `${session}:${call}`
    const [only, ...more] = pending
    if (only && more.length === 0) return only.call
    if (!only)
      throw new SavefileError('not_requested', `No call of session ${session} waits for an answer.`, { session })
    const calls = pending.map((p) => p.short)
    throw new SavefileError('invalid_input', `Several calls wait: ${calls.join(', ')}. Say which one.`, {
      session,
      calls,
    })
  }

  async function resolve(session: string, call: string | undefined, d: Decision): Promise<Accepted & { call: string }> {
    if (d.args !== undefined) checkArgs(d.args)
    const id = await callNamed(session, call)
    const payload = {
      call: id,
      decision: d.decision,
      scope: d.scope ?? ('once' as const),
      ...(d.note === undefined ? {} : { note: d.note }),
      ...(d.args === undefined ? {} : { args: d.args }),
    }
    return { ...(await input(session, randomUUID(), { type: 'approval_resolved', payload }, id)), call: id }
  }

  async function send(session: string, content: Content, options: SendOptions = {}): Promise<Accepted> {
    const at = ref(session)
    const key = options.key ?? randomUUID()
    checkKey(key)
    const blocks = await toBlocks(content, (bytes, mediaType) => log.writeBlob(at, bytes, mediaType))
    return input(session, key, { type: 'message_received', payload: { blocks, delivery: options.delivery ?? 'queue' } })
  }

  async function wait(session: string, seq: number, options: WaitOptions = {}) {
    const source = {
      head: async () => (await info(session)).head,
      follow: (from: number, signal: AbortSignal) => follow(session, { from, signal }),
      approvals: () => approvals(session),
      resolve: (call: string, decision: Decision) => resolve(session, call, decision),
    }
    return awaitTurn(source, session, seq, options)
  }

  async function changeDefinition(
    session: string,
    definition: DefinitionInput | string,
    options: { why?: string; key?: string } = {},
  ) {
    const { definition: from } = await info(session)
    const next = await stored(definition)
    if (next === from) return { definition: next, changed: [], seq: null }
    const [before, after] = await Promise.all([log.definition(space, from), log.definition(space, next)])
    const changed = changedFields(before, after)
    const why = options.why === undefined ? {} : { why: options.why }
    const payload = { definition: next, from, changed, ...why }
    const { seq } = await input(session, options.key ?? randomUUID(), { type: 'definition_changed', payload })
    return { definition: next, changed, seq }
  }

  async function fork(parent: string, request: ForkRequest = {}): Promise<SessionInfo> {
    const child = ref(await newSession(request.session))
    const at = request.at ?? (await info(parent)).head
    await forkSession({ log, by, tools }, ref(parent), child, at, request)
    await nudge(child) // the fork may have inherited something to do
    return info(child.session)
  }

  const context = { log, encoder, space, info }
  const compaction: CompactionParts = {
    log,
    by,
    info,
    read,
    async fork(parent, child, at, request) {
      await forkSession({ log, by, tools: [] }, parent, child, at, request)
    },
    async ask(session, text, options) {
      // Whatever the fork inherited is not to be answered first.
      const { seq } = await send(session, text, { delivery: 'interrupt' })
      return (await wait(session, seq, options)) as Answer
    },
    close: (session, reason) => input(session, randomUUID(), { type: 'session_closed', payload: { reason } }),
  }

  const client = {
    space,
    info,
    infoAt,
    read,
    follow,
    approvals,
    resolve,
    send,
    awaitTurn: wait,
    changeDefinition,
    fork,
    disconnect,
    ...createSharing({ log: log.sharing, space, actor, ref, exists: info }),

    async create(options: CreateOptions): Promise<SessionInfo> {
      const session = await newSession(options.session)
      const workFolder = options.workFolder === undefined ? undefined : await existingFolder(options.workFolder)
      const definition = await stored(options.definition)
      const { title, labels } = options
      const result = await log.create({ space, session }, by, {
        definition,
        encrypted: options.encrypted ?? encrypted,
        ...(title === undefined ? {} : { title: title }),
        ...(labels === undefined ? {} : { labels }),
        ...(workFolder === undefined ? {} : { workFolder }),
      })
      if (result.status === 'session_exists') throw sessionExists(session)
      if (result.status === 'definition_not_found') throw definitionNotFound(definition)
      return info(session)
    },

    async ask(session: string, content: Content, options: SendOptions & WaitOptions = {}) {
      const { key, seq } = await send(session, content, options)
      return { ...(await wait(session, seq, options)), key }
    },

    approve: (session: string, call?: string, options: Omit<Decision, 'decision'> = {}) =>
      resolve(session, call, { ...options, decision: 'allow' }),
    deny: (session: string, call?: string, options: Pick<Decision, 'note'> = {}) =>
      resolve(session, call, { ...options, decision: 'deny' }),

    async interrupt(session: string, content?: Content, options: { key?: string } = {}) {
      // Before the append, which itself makes the session's state a running one.
      const before = await log.info(ref(session))
      const stopped = before && before.state !== 'idle'
      if (content !== undefined)
        return { ...(await send(session, content, { ...options, delivery: 'interrupt' })), stopped }
      const payload = { blocks: [], delivery: 'interrupt' as const }
      const accepted = await input(session, options.key ?? randomUUID(), { type: 'message_received', payload })
      return { ...accepted, stopped }
    },

    async finishCall(
      session: string,
      call: string,
      result: { outcome: 'ok' | 'error'; content: Content; code?: string; key?: string },
    ): Promise<Accepted & { late?: true }> {
      const at = ref(session)
      const { head } = await info(session)
      const id = call.includes(':') ? call : `${session}:${call}`
      const tool = await toolOfCall(id, head, rangeOf(session))
      const key = result.key ?? randomUUID()
      if (tool === null) throw refusal('call_not_found', { session, space, key, call: id })
      const blocks = await toBlocks(result.content, (bytes, mediaType) => log.writeBlob(at, bytes, mediaType))
      const code = result.code === undefined ? {} : { code: result.code }
      return input(
        session,
        key,
        { type: 'tool_finished', payload: { call: id, tool, outcome: result.outcome, blocks, ...code } },
        id,
      )
    },

    async checkpoint(session: string, request: CheckpointRequest = {}) {
      const payload = await summarised(compaction, ref(session), request)
      const { seq } = await input(session, randomUUID(), { type: 'checkpoint_made', payload })
      return { seq, lo: payload.lo, hi: payload.hi }
    },
    async compact(session: string, request: CompactRequest = {}): Promise<SessionInfo> {
      const child = ref(await newSession(request.session))
      if (await log.info(child)) throw sessionExists(child.session)
      const checkpoint = await summarised(compaction, ref(session), request)
      const place = await log.placeAt(ref(session), checkpoint.hi)
      const definition = request.definition === undefined ? (place?.definition ?? '') : await stored(request.definition)
      const { title, labels } = request
      const { status } = await log.create(child, by, {
        definition,
        ...(title === undefined ? {} : { title }),
        ...(labels === undefined ? {} : { labels }),
        ...(place?.workFolder ? { workFolder: place.workFolder } : {}),
        // What the log says in secret, its summary does not say in clear.
        encrypted: place?.encrypted ?? false,
        compaction: { session, lo: checkpoint.lo, hi: checkpoint.hi, checkpoint },
      })
      if (status === 'session_exists') throw sessionExists(child.session)
      if (status === 'definition_not_found') throw definitionNotFound(definition)
      return info(child.session)
    },
    context: (session: string, options?: ContextOptions) => contextOf(context, session, options),
    migrate: (session: string, request: MigrateRequest) =>
      migrate({ ...context, changeDefinition, fork }, session, request),
    family: (session: string) => familyOf(log, ref(session)),
    diff: (a: string, b: string) => diffOf(log, ref(a), ref(b)),

    async close(session: string, options: { reason?: string; key?: string } = {}): Promise<Accepted> {
      const payload = options.reason === undefined ? {} : { reason: options.reason }
      return input(session, options.key ?? randomUUID(), { type: 'session_closed', payload })
    },

    async sharers(session: string): Promise<Sharer[]> {
      await info(session)
      return log.sharers(ref(session))
    },
    async keepers(session: string): Promise<Keeper[]> {
      await info(session)
      return log.keepers(ref(session))
    },
    async erase(session: string, options: { why?: string } = {}): Promise<{ session: string; seq: number | null }> {
      const erased = await log.erase(ref(session), by, options.why)
      if (erased.status === 'erased') return { session, seq: erased.seq }
      throw erased.status === 'session_not_found' ? sessionNotFound(session, space) : notEncrypted(session)
    },
    rekey: (onProgress?: (keys: number) => void) => log.rekey(space, onProgress),
    retain: (options: RetentionOptions) => log.retain(space, options),

    async find(prefix: string): Promise<string> {
      const exact = await log.info(ref(prefix))
      if (exact) return prefix
      const found = await log.list(space, { prefix, limit: CANDIDATES })
      const [only, ...more] = found
      if (!only) throw sessionNotFound(prefix, space)
      if (more.length === 0) return only.session
      const candidates = found.map((row) => row.session)
      throw new SavefileError(
        'ambiguous_id',
        `Several sessions begin with ${prefix}: ${candidates.join(', ')}. Give more of the id.`,
        { prefix, candidates },
      )
    },

    list: (options: { prefix?: string; limit?: number; before?: { updatedAt: number; session: string } } = {}) =>
      log.list(space, options),
    tail: async (session: string, count: number): Promise<LogEvent[]> => {
      await info(session)
      return (await log.tail(ref(session), count)).map(toLogEvent)
    },
    stalled: (session: string) => log.stalled(ref(session)),
    followLive: (session: string, options: { signal?: AbortSignal } = {}) => log.followLive(ref(session), options),
    async verify(session: string, options?: VerifyOptions) {
      await info(session)
      return log.verify(ref(session), options)
    },
    audit: (session: string) => auditOf(everyEvent(session)),
    ...createAnchors({ log, space, info }),
    ...createBundles({ log, space, by, nudge: (session) => nudge(ref(session)), info }),
    ...createTranscripts({ log, space, by, encrypted, nudge: (session) => nudge(ref(session)) }),
    ...createExports({ log, space, info, context: (session, options) => contextOf(context, session, options) }),
    definition: (hash: string) => log.definition(space, hash),
    blob: (session: string, hash: string) => log.readBlob(ref(session), hash),
  }
  return client as Client
}

function checkKey(key: string): void {
  if (KEY.test(key)) return
  throw new SavefileError(
    'invalid_input',
    `The key ${JSON.stringify(key.slice(0, 80))} must be 1 to 200 printable ASCII characters without spaces.`,
  )
}

function checkArgs(args: string): void {
  let value: unknown
  try {
    value = JSON.parse(args)
  } catch (cause) {
    throw new SavefileError('invalid_input', 'The edited arguments are not JSON text.', {}, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SavefileError('invalid_input', 'The edited arguments must be a JSON object, like those of the call.')
  if (Buffer.byteLength(args) > MAX_PAYLOAD_BYTES / 2)
    throw new SavefileError('too_large', 'The edited arguments are too large.')
}

function changedFields(before: Definition, after: Definition): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof Definition>
  return [...names].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
}
