/**
 * Export: the bytes of a bundle, as a stream. Every hash and link is checked on the way out, so that no bundle is made of a broken log.
 * Memory: a few megabytes, one blob, and the names of the blobs.
 */
import { createHash, type Hash } from 'node:crypto'
import { isUtf8 } from 'node:buffer'
import type { Pool } from 'pg'
import { SavefileError } from '../../contract/errors'
import type { SessionRef } from '../../contract/ids'
import type { BundleOptions } from '../../contract/bundle-port'
import { query } from '../pool'
import { rawEvents, type RowReader } from '../raw-events'
import { contentsOf } from './contents'
import { LineBytes } from './line-bytes'
import {
  blobsIn,
  BUNDLE_VERSION,
  CHUNK_BYTES,
  SETS_DEFINITION,
  WITHOUT_KEYS,
  type EndLine,
  type KeyLine,
  type SessionLine,
} from './format'

/** A text payload that would more than double by its escapes is written in base64. */
const LONG_TEXT_BYTES = 1024 * 1024

/** A blob that events refer to: by which sessions, in the order of the bundle. */
type BlobUse = Map<string, string[]>

/** @throws SavefileError `session_not_found`, `session_stub`, `corrupt_log` */
export async function* writeBundle(
  pool: Pool,
  ref: SessionRef,
  { onProgress, withKeys = false }: BundleOptions = {},
): AsyncGenerator<Buffer> {
  const contents = await contentsOf(pool, ref)
  const keys = withKeys ? await keyLines(pool, ref.space, contents.parts) : new Map<string, KeyLine>()
  const version = keys.size > 0 ? BUNDLE_VERSION : WITHOUT_KEYS
  const out = new Out()
  yield out.take(
    `${JSON.stringify({ k: 'savefile-bundle', version, session: ref.session, head: contents.head, hash: contents.hash })}\n`,
    1,
  )
  for (const hash of contents.definitions) yield out.take(await definitionLine(pool, ref.space, hash), 1)

  const end: Omit<EndLine, 'sha256' | 'lines'> = { k: 'end', events: 0, blobs: 0, sessions: [] }
  const uses: BlobUse = new Map()
  const edges = new Map<string, string>()
  for (const part of contents.parts) {
    yield out.take(`${JSON.stringify(part)}\n`, 1)
    const key = keys.get(part.session)
    if (key) yield out.take(`${JSON.stringify(key)}\n`, 1)
    for await (const text of partLines(pool, ref.space, part, edges, uses)) {
      yield out.took(text.lines, text.events)
      end.events += text.events
      onProgress?.({ events: end.events, bytes: out.bytes })
    }
    const { session, from, to, hash } = part
    end.sessions.push({ session, from, to, events: to - from + 1, hash })
  }
  for (const hash of [...uses.keys()].sort()) {
    for await (const line of blobLines(pool, ref.space, hash, uses.get(hash) ?? [])) yield out.take(line, 1)
    end.blobs++
    onProgress?.({ events: end.events, bytes: out.bytes })
  }
  const { k, ...totals } = end
  yield Buffer.from(`${JSON.stringify({ k, lines: out.lines + 1, ...totals, sha256: out.sha256() })}\n`)
}

/** By session; those of erased ones are nowhere. */
async function keyLines(pool: Pool, space: string, parts: readonly SessionLine[]): Promise<Map<string, KeyLine>> {
  const rows = await query<{ session: string; kid: string; owner: string; wrapped: Buffer }>(
    pool,
    `select s.session_id as session, k.kid, k.owner, k.wrapped from unnest($2::text[]) p (session_id)
     join savefile.sessions s on s.space_id = $1 and s.session_id = p.session_id
     join savefile.session_keys k on k.space_id = $1 and k.kid = s.kid and k.wrapped is not null`,
    [space, parts.map((part) => part.session)],
  )
  return new Map(
    rows.map(({ session, kid, owner, wrapped }) => [
      session,
      { k: 'key', kid, owner, wrapped: wrapped.toString('base64') },
    ]),
  )
}

/** Counts and hashes what goes out. */
class Out {
  lines = 0
  bytes = 0
  private readonly hash: Hash = createHash('sha256')

  take(text: string, lines: number): Buffer {
    return this.took(Buffer.from(text, 'utf8'), lines)
  }

  took(buffer: Buffer, lines: number): Buffer {
    this.lines += lines
    this.bytes += buffer.length
    this.hash.update(buffer)
    return buffer
  }

  sha256(): string {
    return this.hash.digest('hex')
  }
}

async function definitionLine(pool: Pool, space: string, hash: string): Promise<string> {
  const [row] = await query<{ body: Buffer }>(
    pool,
    'select body from savefile.definitions where space_id = $1 and hash = $2',
    [space, hash],
  )
  if (!row)
    throw new SavefileError('corrupt_log', `The definition ${hash}, which the session runs under, is not there.`, {
      hash,
    })
  return `${JSON.stringify({ k: 'definition', hash, body: row.body.toString('utf8') })}\n`
}

async function* partLines(
  pool: Pool,
  space: string,
  part: SessionLine,
  edges: Map<string, string>,
  uses: BlobUse,
): AsyncGenerator<{ lines: Buffer; events: number }> {
  const { session, from, to } = part
  const marks = new Set(part.marks)
  const encrypted = await hiddenFacts(pool, space, part)
  const named = new Set<string>(encrypted.blobs)
  let seq = from - 1
  let hash = part.base ? (edges.get(`${part.base.session}@${part.base.seq}`) ?? '?') : ''
  const broken = (at: number, why: string): SavefileError =>
    new SavefileError(
      'corrupt_log',
      `Event ${at} of session ${session} is not what was written: ${why}. Nothing is exported; \`savefile verify\` says more.`,
      { session, seq: at },
    )
  const bytes = new LineBytes()
  const line = (row: RowReader): Buffer => {
    const prev = row.latin1('prevHash')
    const own = row.latin1('hash')
    const found = Number(row.latin1('seq'))
    if (found !== seq + 1) throw broken(seq + 1, 'it is missing')
    if (prev !== hash) throw broken(found, 'it is not chained to the event before it')
    if (row.computed() !== own) throw broken(found, 'its content does not give its hash')
    seq = found
    hash = own
    if (marks.has(seq) || seq === to) edges.set(`${session}@${seq}`, own)
    const kid = row.text('kid')
    const payload = row.bytes('payload')
    const definition = kid !== '' && SETS_DEFINITION.has(row.text('type')) ? encrypted.definitions.get(seq) : undefined
    const plain = kid === '' && plainLine(bytes, row)
    if (kid === '' && (!plain || bytes.named)) for (const blob of blobsIn(payload)) named.add(blob)
    return plain ? bytes.end() : Buffer.from(anyLine(row, kid, definition, payload), 'utf8')
  }
  for await (const batch of rawEvents(pool, { space }, { session, lo: from, hi: to }, line))
    yield { lines: Buffer.concat(batch), events: batch.length }
  if (seq !== to) throw broken(seq + 1, 'it is missing')
  await addReadable(pool, space, session, named, uses)
}

const [SEQ, TYPE, V, AT, ACTOR, KEY, PREV, HASH, PAYLOAD, END] = [
  '{"k":"event","seq":',
  ',"type":"',
  '","v":',
  ',"at":',
  ',"actor":"',
  '","key":"',
  '","prev":"',
  '","hash":"',
  '","payload":"',
  '"}\n',
].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer]
/** Names of fields, numbers and hashes. */
const FRAME_BYTES = 512

/** The line of an event in the clear. False: it needs the other way. */
function plainLine(to: LineBytes, reader: RowReader): boolean {
  const { row } = reader
  if (reader.end('payload') - reader.begin('payload') >= LONG_TEXT_BYTES) return false
  to.begin(row.length, FRAME_BYTES)
  to.raw(SEQ)
  to.raw(row, reader.begin('seq'), reader.end('seq'))
  to.raw(TYPE)
  if (!to.escaped(row, reader.begin('type'), reader.end('type'))) return false
  to.raw(V)
  to.raw(row, reader.begin('v'), reader.end('v'))
  to.raw(AT)
  to.raw(row, reader.begin('at'), reader.end('at'))
  to.raw(ACTOR)
  if (!to.escaped(row, reader.begin('actor'), reader.end('actor'))) return false
  to.raw(KEY)
  if (!to.escaped(row, reader.begin('key'), reader.end('key'))) return false
  to.raw(PREV)
  to.hex(row, reader.begin('prevHash'), reader.end('prevHash'))
  to.raw(HASH)
  to.hex(row, reader.begin('hash'), reader.end('hash'))
  to.raw(PAYLOAD)
  if (!to.escaped(row, reader.begin('payload'), reader.end('payload'))) return false
  to.raw(END)
  return true
}

function anyLine(row: RowReader, kid: string, definition: string | undefined, payload: Buffer): string {
  return (
    `{"k":"event","seq":${row.latin1('seq')},"type":${JSON.stringify(row.text('type'))},"v":${row.latin1('v')},"at":${row.latin1('at')},"actor":${JSON.stringify(row.text('actor'))}` +
    `,"key":${JSON.stringify(row.text('key'))}${kid === '' ? '' : `,"kid":${JSON.stringify(kid)}`}${definition === undefined ? '' : `,"definition":"${definition}"`}` +
    `,"prev":"${row.hex('prevHash')}","hash":"${row.hex('hash')}",${payloadField(kid, payload)}}\n`
  )
}

function payloadField(kid: string, payload: Buffer): string {
  if (kid === '' && isUtf8(payload)) {
    const text = JSON.stringify(payload.toString('utf8', 0, payload.length))
    if (payload.length < LONG_TEXT_BYTES || text.length <= payload.length * 2 + 2) return `"payload":${text}`
  }
  return `"bytes":"${payload.toString('base64', 0, payload.length)}"`
}

/** What readable payloads say themselves, of a session with encrypted ones: its definitions by seq, and every blob that it refers to. */
async function hiddenFacts(
  pool: Pool,
  space: string,
  { session, from, to }: SessionLine,
): Promise<{ definitions: Map<number, string>; blobs: string[] }> {
  const definitions = await query<{ seq: number; definition: string }>(
    pool,
    `select d.seq, d.definition from savefile.session_definitions d
     join savefile.events e using (space_id, session_id, seq)
     where d.space_id = $1 and d.session_id = $2 and d.seq between $3 and $4 and e.kid is not null`,
    [space, session, from, to],
  )
  if (definitions.length === 0) return { definitions: new Map(), blobs: [] }
  const blobs = await query<{ hash: string }>(
    pool,
    'select hash from savefile.blob_refs where space_id = $1 and session_id = $2',
    [space, session],
  )
  return { definitions: new Map(definitions.map((d) => [d.seq, d.definition])), blobs: blobs.map((b) => b.hash) }
}

/** Of the blobs that the events name, those that the session may read, and that are there. */
async function addReadable(
  pool: Pool,
  space: string,
  session: string,
  named: Set<string>,
  uses: BlobUse,
): Promise<void> {
  if (named.size === 0) return
  const rows = await query<{ hash: string }>(
    pool,
    `select n.hash from unnest($3::text[]) n (hash)
     where exists (select from savefile.blobs b where b.space_id = $1 and b.hash = n.hash) and exists (
       select from savefile.lineage l join savefile.blob_refs r on r.space_id = l.space_id and r.session_id = l.src and r.hash = n.hash
       where l.space_id = $1 and l.session_id = $2)`,
    [space, session, [...named]],
  )
  for (const { hash } of rows) uses.set(hash, [...(uses.get(hash) ?? []), session])
}

async function* blobLines(pool: Pool, space: string, hash: string, sessions: string[]): AsyncGenerator<string> {
  const [row] = await query<{ media_type: string; content: Buffer }>(
    pool,
    'select media_type, content from savefile.blobs where space_id = $1 and hash = $2',
    [space, hash],
  )
  if (!row) throw new SavefileError('corrupt_log', `The blob ${hash} went away during the export.`, { hash })
  const { media_type: mediaType, content } = row
  const chunks = Math.ceil(content.length / CHUNK_BYTES)
  yield `${JSON.stringify({ k: 'blob', hash, mediaType, size: content.length, chunks, sessions })}\n`
  for (let at = 0; at < content.length; at += CHUNK_BYTES)
    yield `{"k":"chunk","data":"${content.toString('base64', at, Math.min(content.length, at + CHUNK_BYTES))}"}\n`
}
