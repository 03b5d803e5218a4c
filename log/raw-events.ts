/**
 * Events as they are stored, byte for byte, one stretch of one log at a time: for whoever checks or carries away a log. The columns are asked
 * for in the order of the hash, and COPY frames a field as the hash does (four bytes of length, then the bytes): what is hashed is a slice
 * of what arrives.
 */
import { hash as digest } from 'node:crypto'
import { escapeLiteral, type Pool } from 'pg'
import type { SessionRef } from '../contract/ids'
import type { Stretch } from '../contract/client-port'
import { copyOut } from './copy-out'

/** `savefile/1`, framed. */
const PREFIX = Buffer.from('0000000a7361766566696c652f31', 'hex')
const SHA256_BYTES = 32

/** Where a row's fields begin and end; `hashed` is the slice from prev_hash to kid. */
export interface RawRow {
  seq: number
  at: number
  type: string
  /** latin1 strings of 32 bytes, or empty: compared, never shown. */
  prevHash: string
  hash: string
  /** What the content gives. */
  computed: string
}

const COLUMNS =
  "e.prev_hash, e.session_id, e.seq::text, e.type, e.v::text, e.at::text, e.actor, e.key, coalesce(e.kid, ''), e.payload, e.hash"
const FIELDS = {
  prevHash: 0,
  session: 1,
  seq: 2,
  type: 3,
  v: 4,
  at: 5,
  actor: 6,
  key: 7,
  kid: 8,
  payload: 9,
  hash: 10,
} as const
type Field = keyof typeof FIELDS

/** One reader for all rows of a pass: nothing is allocated for a row but what is asked of it. */
export class RowReader {
  row: Buffer = PREFIX
  private readonly begins = new Int32Array(11)
  private readonly ends = new Int32Array(11)
  private scratch = Buffer.alloc(1024)

  load(row: Buffer): void {
    this.row = row
    let at = 2
    for (let i = 0; i < 11; i++) {
      const length = row.readInt32BE(at)
      at += 4
      this.begins[i] = at
      at += length
      this.ends[i] = at
    }
  }

  /** Where a field begins and ends in `row`. */
  begin(field: Field): number {
    return this.begins[FIELDS[field]] as number
  }

  end(field: Field): number {
    return this.ends[FIELDS[field]] as number
  }

  text(field: Field): string {
    const i = FIELDS[field]
    return this.row.toString('utf8', this.begins[i], this.ends[i])
  }

  latin1(field: Field): string {
    const i = FIELDS[field]
    return this.row.toString('latin1', this.begins[i], this.ends[i])
  }

  hex(field: Field): string {
    const i = FIELDS[field]
    return this.row.toString('hex', this.begins[i], this.ends[i])
  }

  /** A view: gone with the row. */
  bytes(field: Field): Buffer {
    const i = FIELDS[field]
    return this.row.subarray(this.begins[i], this.ends[i])
  }

  /** The hash that the content gives, as latin1. */
  computed(): string {
    const from = 2
    const to = this.ends[FIELDS.kid] as number
    const length = PREFIX.length + (to - from) + 4 + SHA256_BYTES
    if (this.scratch.length < length) this.scratch = Buffer.alloc(length * 2)
    PREFIX.copy(this.scratch, 0)
    this.row.copy(this.scratch, PREFIX.length, from, to)
    let at = PREFIX.length + (to - from)
    at = this.scratch.writeInt32BE(SHA256_BYTES, at)
    this.scratch.write(digest('sha256', this.bytes('payload'), 'binary'), at, 'latin1')
    return digest('sha256', this.scratch.subarray(0, length), 'binary')
  }

  summary(): RawRow {
    return {
      seq: Number(this.latin1('seq')),
      at: Number(this.latin1('at')),
      type: this.text('type'),
      prevHash: this.latin1('prevHash'),
      hash: this.latin1('hash'),
      computed: this.computed(),
    }
  }
}

/** The rows of a stretch in order of seq; `map` sees each while it is loaded. */
export function rawEvents<T>(
  pool: Pool,
  { space }: Pick<SessionRef, 'space'>,
  { session, lo, hi }: Stretch,
  map: (row: RowReader) => T,
): AsyncGenerator<T[]> {
  const reader = new RowReader()
  const select = `select ${COLUMNS} from savefile.events e
    where e.space_id = ${escapeLiteral(space)} and e.session_id = ${escapeLiteral(session)} and e.seq between ${Number(lo)} and ${Number(hi)} order by e.seq`
  return copyOut(pool, select, (row) => {
    reader.load(row)
    return map(reader)
  })
}
