/**
 * Reading a bundle: one pass that checks all there is to check, in order, and hands on what holds. Pure: bytes in, checked items out; what it
 * throws names the line and the reason. Nothing in a bundle names a file, and nothing in it is believed before its hash was computed.
 * Over 400 lines, so that all that is checked of a bundle stands in one place.
 */
import { createHash } from 'node:crypto'
import type { z } from 'zod'
import { SavefileError } from '../../contract/errors'
import type { BundleLimits, BundleProgress } from '../../contract/bundle-port'
import { emptyState, type State } from '../../contract/state'
import { sha256Name } from '../hash'
import { createLegality, type Legality } from '../legality'
import { hashOf, isEventLine, parseEventLine, type BundleEvent } from './event-line'
import {
  BUNDLE_VERSION,
  CHUNK_BYTES,
  DEFAULT_LIMITS,
  SETS_DEFINITION,
  WITHOUT_KEYS,
  type EndLine,
  type HeaderLine,
  type KeyLine,
  type SessionLine,
} from './format'
import { BlobSchema, ChunkSchema, DefinitionSchema, EndSchema, Header, KeySchema, SessionSchema } from './line-schemas'
import { isDeeper, splitLines, type Lines } from './lines'
import { unpack } from './packing'
import { PlainEventLines } from './plain-event-line'
import { invalid } from './refusals'

export type BundleItem =
  | { kind: 'header'; header: HeaderLine }
  | { kind: 'definition'; hash: string; body: string }
  /** Comes with the session's first event, which says its title. */
  | { kind: 'session'; part: SessionLine; title: string | null; labels: string; line: number }
  | { kind: 'key'; session: string; key: KeyLine; line: number }
  | { kind: 'event'; event: BundleEvent; line: number }
  | { kind: 'blob'; hash: string; mediaType: string; sessions: string[]; content: Buffer; line: number }
  | { kind: 'end'; end: EndLine }

export interface ReadBundleOptions {
  limits?: Partial<BundleLimits>
  /** Also whether each event may follow those before it. */
  deep?: boolean
  onProgress?: (progress: BundleProgress) => void
}

interface Part {
  line: SessionLine
  seq: number
  hash: string
  at: number
  marks: ReadonlySet<number>
  legality: Legality | null
  state: State
  /** Which key stands before its events. */
  kid?: string
}

/** @throws SavefileError `invalid_bundle` (data: line, why; session, seq where an event is meant), `newer_bundle` */
export async function* readBundle(
  packed: AsyncIterable<Uint8Array>,
  options: ReadBundleOptions = {},
): AsyncGenerator<BundleItem[]> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const checker = new BundleChecker(limits, options.deep ?? false)
  let bytes = 0
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of unpack(packed, limits)) {
      bytes += chunk.length
      yield chunk
    }
  }
  for await (const lines of splitLines(counted(), limits)) {
    const items = checker.take(lines)
    options.onProgress?.({ events: checker.events, bytes })
    if (items.length > 0) yield items
  }
  checker.finish()
}

class BundleChecker {
  events = 0
  private readonly digest = createHash('sha256')
  private readonly plain = new PlainEventLines()
  private line = 0
  private header: HeaderLine | null = null
  private readonly definitions = new Set<string>()
  private lastDefinition = ''
  private readonly sessions = new Map<string, SessionLine>()
  private part: Part | null = null
  /** Where sessions go on from: hash, time, and with `deep` the state, by `session@seq`. */
  private readonly edges = new Map<string, { hash: string; at: number; state: State }>()
  private blob: {
    line: z.infer<typeof BlobSchema>
    content: Buffer
    filled: number
    chunks: number
    at: number
  } | null = null
  private blobs = 0
  private lastBlob = ''
  private ended = false

  constructor(
    private readonly limits: BundleLimits,
    private readonly deep: boolean,
  ) {}

  take({ number, lines, raw }: Lines): BundleItem[] {
    const items: BundleItem[] = []
    const last = lines[lines.length - 1]
    const closes = last !== undefined && isEnd(last)
    if (!closes) for (const piece of raw) this.digest.update(piece)
    for (const [i, line] of lines.entries()) {
      this.line = number + i
      if (this.ended) throw this.no('there is more after the end')
      if (closes && line !== last) this.digest.update(line).update('\n')
      if (isEventLine(line)) this.event(line, items)
      else {
        // Behind the end nothing is hashed, so this is said before the hash is.
        if (i < lines.length - 1 && isEnd(line)) this.endTooEarly()
        this.other(line, items)
      }
    }
    return items
  }

  private endTooEarly(): never {
    this.line++
    throw this.no('there is more after the end')
  }

  finish(): void {
    if (!this.ended)
      throw invalid(this.line + 1, this.line === 0 ? 'it is empty' : 'it ends before its last line: it was cut')
  }

  private no(why: string, data: Record<string, unknown> = {}): SavefileError {
    return invalid(this.line, why, undefined, data)
  }

  private event(line: Buffer, items: BundleItem[]): void {
    const { part } = this
    if (!part || part.seq === part.line.to) throw this.no('an event that no session announced')
    const { session } = part.line
    const plain = this.plain.read(line)
    const holds = plain?.head.prev === part.hash && hashOf(session, plain.head, plain.payload) === plain.head.hash
    // What does not hold is read again, to say why.
    const parsed = plain && holds ? plain : parseEventLine(line)
    if (typeof parsed === 'string') throw this.no(parsed)
    const { head, payload } = parsed
    const seq = part.seq + 1
    if (head.seq !== seq)
      throw this.wrong(
        head.seq > seq ? `it is missing; ${head.seq} stands in its place` : `${head.seq} stands in its place`,
      )
    if (head.prev !== part.hash) throw this.wrong('it is not chained to the event before it')
    if (!holds && hashOf(session, head, payload) !== head.hash) throw this.wrong('its content does not give its hash')
    if (head.at < part.at) throw this.wrong('it is older than the event before it')
    const shallow = plain !== null && holds && plain.brackets <= this.limits.depth
    if (head.kid === undefined && !shallow && isDeeper(payload, this.limits.depth))
      throw this.wrong(`its payload is nested deeper than ${this.limits.depth}`)
    if (seq === part.line.from) items.push(this.begins(part.line, head.kid, payload))
    const definition = SETS_DEFINITION.has(head.type)
      ? this.definitionOf(head.kid === undefined ? textField(payload, 'definition') : head.definition)
      : undefined
    const illegal = part.legality?.({ ...head, kid: head.kid ?? '', payload })
    if (illegal) throw this.wrong(illegal)
    if (seq === part.line.to && head.hash !== part.line.hash)
      throw this.wrong('its hash is not the one that was announced')
    part.seq = seq
    part.hash = head.hash
    part.at = head.at
    if (seq === part.line.to || part.marks.has(seq))
      this.edges.set(`${session}@${seq}`, { hash: head.hash, at: head.at, state: part.state })
    this.events++
    const { type, v, at, actor, key, kid, prev, hash } = head
    const event: BundleEvent = {
      k: 'event',
      seq,
      type,
      v,
      at,
      actor,
      key,
      kid,
      definition,
      prev,
      hash,
      session,
      payload,
    }
    items.push({ kind: 'event', event, line: this.line })
  }

  /** Of the event that is due. */
  private wrong(why: string): SavefileError {
    const { line, seq } = this.part as Part
    return this.no(`event ${seq + 1} of session ${line.session}: ${why}`, { session: line.session, seq: seq + 1 })
  }

  /** The first event of a session says its title, and where it was forked. */
  private begins(part: SessionLine, kid: string | undefined, payload: Buffer): BundleItem {
    const { line } = this
    if (this.part?.kid !== undefined && this.part.kid !== kid)
      throw this.wrong('it is not under the key that came with it')
    if (kid !== undefined)
      return { kind: 'session', part, title: part.title ?? null, labels: labelsOf(part.labels), line }
    if (part.title !== undefined || part.labels !== undefined)
      throw this.wrong('title and labels stand beside an event that says them')
    const said = objectOf(payload)
    if (part.base && (said['parent'] !== part.parent || said['seq'] !== part.base.seq))
      throw this.wrong('it was forked elsewhere than the bundle says')
    const title = typeof said['title'] === 'string' ? said['title'] : null
    return { kind: 'session', part, title, labels: labelsOf(JSON.stringify(said['labels'] ?? {})), line }
  }

  private definitionOf(hash: string | undefined): string {
    if (hash !== undefined && this.definitions.has(hash)) return hash
    throw this.wrong('it names a definition that the bundle does not hold')
  }

  private other(line: Buffer, items: BundleItem[]): void {
    if (isDeeper(line, this.limits.depth)) throw this.no(`it is nested deeper than ${this.limits.depth}`)
    let json: unknown
    try {
      json = JSON.parse(line.toString('utf8', 0, line.length))
    } catch (error) {
      if (error instanceof SyntaxError) throw this.no(this.header ? 'it is not JSON' : 'it is no bundle')
      throw error
    }
    const kind = (json as { k?: unknown } | null)?.k
    if (!this.header) return this.first(json, items)
    switch (kind) {
      case 'definition':
        return this.definition(this.shape(DefinitionSchema, json), items)
      case 'session':
        return this.session(this.shape(SessionSchema, json))
      case 'key':
        return this.key(this.shape(KeySchema, json), items)
      case 'blob':
        return this.blobBegins(this.shape(BlobSchema, json), items)
      case 'chunk':
        return this.chunk(this.shape(ChunkSchema, json), items)
      case 'end':
        return this.end(this.shape(EndSchema, json), items)
      default:
        throw this.no(`there is no line of the kind ${JSON.stringify(String(kind).slice(0, 40))} here`)
    }
  }

  private shape<T>(schema: z.ZodType<T>, json: unknown): T {
    const parsed = schema.safeParse(json)
    if (parsed.success) return parsed.data
    throw this.no(
      parsed.error.issues
        .map((i) => `${i.path.join('.')}: ${i.message}`)
        .join('; ')
        .slice(0, 300),
    )
  }

  private first(json: unknown, items: BundleItem[]): void {
    const { k, version } = (json ?? {}) as { k?: unknown; version?: unknown }
    if (k !== 'savefile-bundle') throw this.no('it is no bundle')
    if (typeof version === 'number' && version > BUNDLE_VERSION)
      throw new SavefileError(
        'newer_bundle',
        `The bundle is of version ${version}; this Savefile reads up to ${BUNDLE_VERSION}. Update it.`,
        { line: 1, version, knows: BUNDLE_VERSION },
      )
    this.header = this.shape(Header, json)
    items.push({ kind: 'header', header: this.header })
  }

  private definition({ hash, body }: z.infer<typeof DefinitionSchema>, items: BundleItem[]): void {
    if (this.sessions.size > 0) throw this.no('definitions stand before sessions')
    if (hash <= this.lastDefinition) throw this.no('definitions stand in the order of their hashes, each once')
    if (sha256Name(body) !== hash) throw this.no('the definition is not what its hash says')
    if (isDeeper(Buffer.from(body), this.limits.depth)) throw this.no(`it is nested deeper than ${this.limits.depth}`)
    if (this.definitions.size >= this.limits.definitions)
      throw this.no(`it has more than ${this.limits.definitions} definitions`)
    this.definitions.add(hash)
    this.lastDefinition = hash
    items.push({ kind: 'definition', hash, body })
  }

  private session(line: SessionLine): void {
    this.partEnds()
    const { session, base, from, to, marks } = line
    if (this.blobs > 0 || this.blob) throw this.no('sessions stand before blobs')
    if (this.sessions.has(session)) throw this.no(`session ${session} is there twice`)
    if (this.sessions.size >= this.limits.sessions) throw this.no(`it has more than ${this.limits.sessions} sessions`)
    const edge = base ? this.edges.get(`${base.session}@${base.seq}`) : { hash: '', at: 0, state: emptyState }
    if (!edge)
      throw this.no(`session ${session} goes on from ${base?.session}@${base?.seq}, which does not stand before it`)
    if (from !== (base?.seq ?? 0) + 1 || to < from)
      throw this.no(`session ${session} must begin at ${(base?.seq ?? 0) + 1}, and end behind it`)
    if (!marks.every((seq, i) => seq >= from && seq < to && seq > (marks[i - 1] ?? 0)))
      throw this.no('its marks are not seqs of its own, ascending')
    this.sessions.set(session, line)
    const { hash, at, state } = edge
    const part: Part = { line, seq: from - 1, hash, at, marks: new Set(marks), state, legality: null }
    if (this.deep) part.legality = createLegality(state, (reached) => (part.state = reached))
    this.part = part
  }

  private key(key: KeyLine, items: BundleItem[]): void {
    const { part } = this
    if (this.header?.version === WITHOUT_KEYS) throw this.no('a bundle of version 1 holds no keys')
    if (!part || part.seq >= part.line.from || part.kid !== undefined)
      throw this.no('a key stands right behind its session, and is the only one')
    part.kid = key.kid
    items.push({ kind: 'key', session: part.line.session, key, line: this.line })
  }

  private partEnds(): void {
    const { part } = this
    if (part && part.seq < part.line.to)
      throw this.no(`event ${part.seq + 1} of session ${part.line.session} is missing`, {
        session: part.line.session,
        seq: part.seq + 1,
      })
  }

  private blobBegins(line: z.infer<typeof BlobSchema>, items: BundleItem[]): void {
    this.partEnds()
    this.blobEnds()
    const { hash, size, chunks, sessions } = line
    if (hash <= this.lastBlob) throw this.no('blobs stand in the order of their hashes, each once')
    if (this.blobs >= this.limits.blobs) throw this.no(`it has more than ${this.limits.blobs} blobs`)
    if (size > this.limits.blobBytes) throw this.no(`a blob of ${size} bytes; ${this.limits.blobBytes} are allowed`)
    if (chunks !== Math.ceil(size / CHUNK_BYTES))
      throw this.no(`a blob of ${size} bytes stands in ${Math.ceil(size / CHUNK_BYTES)} chunks`)
    const stranger = sessions.find((session) => !this.sessions.has(session))
    if (stranger !== undefined)
      throw this.no(`session ${stranger}, which is to refer to the blob, is not in the bundle`)
    this.lastBlob = hash
    this.blob = { line, content: Buffer.alloc(size), filled: 0, chunks: 0, at: this.line }
    if (chunks === 0) this.blobIsWhole(items)
  }

  private chunk({ data }: z.infer<typeof ChunkSchema>, items: BundleItem[]): void {
    const { blob } = this
    if (!blob) throw this.no('a chunk that no blob announced')
    const bytes = Buffer.from(data, 'base64')
    const due = Math.min(CHUNK_BYTES, blob.line.size - blob.filled)
    if (bytes.length !== due || bytes.toString('base64') !== data)
      throw this.no(`the chunk is not ${due} bytes in base64`)
    bytes.copy(blob.content, blob.filled)
    blob.filled += bytes.length
    blob.chunks++
    if (blob.chunks === blob.line.chunks) this.blobIsWhole(items)
  }

  private blobIsWhole(items: BundleItem[]): void {
    const { blob } = this
    if (!blob) return
    const { hash, mediaType, sessions } = blob.line
    if (sha256Name(blob.content) !== hash) throw this.no('the blob is not what its hash says')
    this.blobs++
    this.blob = null
    items.push({ kind: 'blob', hash, mediaType, sessions, content: blob.content, line: blob.at })
  }

  private blobEnds(): void {
    if (this.blob) throw this.no(`chunk ${this.blob.chunks + 1} of the blob before is missing`)
  }

  private end(end: EndLine, items: BundleItem[]): void {
    this.partEnds()
    this.blobEnds()
    const { session, head, hash } = this.header as HeaderLine
    const main = this.sessions.get(session)
    if (!main || !main.whole || main.to !== head || main.hash !== hash)
      throw this.no(`the session ${session} with the head ${head}, which the first line announced, is not there`)
    const counted = [...this.sessions.values()].map((p) => ({
      session: p.session,
      from: p.from,
      to: p.to,
      events: p.to - p.from + 1,
      hash: p.hash,
    }))
    if (
      end.lines !== this.line ||
      end.events !== this.events ||
      end.blobs !== this.blobs ||
      JSON.stringify(end.sessions) !== JSON.stringify(counted)
    )
      throw this.no('it does not hold what its last line says: something was left out or added')
    if (end.sha256 !== this.digest.digest('hex'))
      throw this.no('its bytes are not those that its last line says: something outside of the events was changed')
    this.ended = true
    items.push({ kind: 'end', end })
  }
}

function isEnd(line: Buffer): boolean {
  return line.toString('latin1', 0, 10) === '{"k":"end"'
}

function objectOf(payload: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(payload.toString('utf8', 0, payload.length))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

function textField(payload: Buffer, name: string): string | undefined {
  const value = objectOf(payload)[name]
  return typeof value === 'string' ? value : undefined
}

/** Labels as they are stored beside a session: the JSON text of an object of texts. */
function labelsOf(text: string | undefined): string {
  return text ?? '{}'
}
