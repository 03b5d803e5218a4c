/** The quick ways through an event line, held against the plain ones: what they give is the same, and they never take what those refuse. */
import fc from 'fast-check'
import { hashOf, parseEventLine, type EventHead } from '../../log/bundle/event-line'
import { LineBytes } from '../../log/bundle/line-bytes'
import { isDeeper } from '../../log/bundle/lines'
import { PlainEventLines } from '../../log/bundle/plain-event-line'
import { eventHash } from '../../log/hash'

const RUNS = { numRuns: 2000 }
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'))
const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 30 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 9 }),
)
const json = fc.oneof(
  fc.json(),
  fc.json({ stringUnit: 'grapheme' }),
  fc.string({
    unit: fc.constantFrom('"', '\\', '\n', '\t', '\u0001', '\u007f', '\u2028', '[', '{', 'é', '😀', 'u', 'a'),
  }),
)
const count = fc.oneof(fc.nat(), fc.maxSafeNat())
const head: fc.Arbitrary<EventHead> = fc.record({
  k: fc.constant('event' as const),
  seq: count,
  type: name,
  v: count,
  at: count,
  actor: name,
  key: name,
  kid: fc.option(name, { nil: undefined }),
  definition: fc.option(name, { nil: undefined }),
  prev: fc.oneof(hash, fc.constant('')),
  hash,
})
const lineOf = ({ payload, ...e }: EventHead & { payload: string }): Buffer =>
  Buffer.from(JSON.stringify({ ...e, payload }))
const plain = new PlainEventLines()

/** What the reader may do with the line: nothing, or what the JSON parser does. */
function agrees(line: Buffer): boolean {
  const quick = plain.read(line)
  if (!quick) return false
  const slow = parseEventLine(line)
  if (typeof slow === 'string') throw new Error(`read, where the JSON parser says: ${slow}`)
  expect(quick.head).toEqual(slow.head)
  expect(quick.payload.equals(slow.payload)).toBe(true)
  if (quick.brackets <= 3) expect(isDeeper(slow.payload, 3)).toBe(false)
  return true
}

describe('a line as it is written', () => {
  it('is read as the JSON parser reads it', () => {
    fc.assert(
      fc.property(head, json, (e, payload) => void agrees(lineOf({ ...e, payload }))),
      RUNS,
    )
  })

  it('is read the quick way, where its short fields are ASCII', () => {
    const e = { k: 'event', seq: 12, type: 'x', v: 1, at: 1_764_000_000_000_000, actor: 'a', key: 'p:1' } as const
    const hashes = { prev: '', hash: '0'.repeat(64) }
    expect(agrees(lineOf({ ...e, ...hashes, payload: '{"text":"ü \\n [\\"😀\\"]"}\n\t\\' }))).toBe(true)
    expect(agrees(lineOf({ ...e, kid: 'key', ...hashes, payload: '' }))).toBe(true)
    expect(agrees(lineOf({ ...e, type: 'ü', ...hashes, payload: '{}' }))).toBe(false)
    expect(agrees(lineOf({ ...e, ...hashes, payload: '\u0001' }))).toBe(false)
  })
})

it('a line with any bytes changed is read as the JSON parser reads it, or not at all', () => {
  const bytes = fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('"\\{}[],:0u/')))
  fc.assert(
    fc.property(
      head,
      json,
      fc.array(fc.tuple(fc.nat(), bytes), { minLength: 1, maxLength: 4 }),
      fc.nat(6),
      (e, payload, edits, cut) => {
        const line = lineOf({ ...e, payload })
        for (const [at, byte] of edits) line[at % line.length] = byte
        agrees(line)
        agrees(line.subarray(0, line.length - cut))
      },
    ),
    RUNS,
  )
})

it('what an export writes of a text is what JSON.stringify gives', () => {
  const bytes = new LineBytes()
  fc.assert(
    fc.property(fc.oneof(json, name), (text) => {
      const row = Buffer.from(text, 'utf8')
      bytes.begin(row.length, 0)
      if (bytes.escaped(row, 0, row.length))
        expect(`"${bytes.end().toString('utf8')}"`).toBe(JSON.stringify(row.toString('utf8')))
      else expect(row.some((byte) => byte < 0x20)).toBe(true)
    }),
    RUNS,
  )
  const broken = Buffer.from([0x61, 0xc3, 0x28])
  bytes.begin(broken.length, 0)
  expect(bytes.escaped(broken, 0, broken.length)).toBe(false)
  expect(bytes.end()).toHaveLength(0)
})

it('the hash of a line is the hash of its event', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 40 }), head, json, (session, e, text) => {
      const payload = Buffer.from(text)
      const event = { ...e, prevHash: Buffer.from(e.prev, 'hex'), session, kid: e.kid ?? null, payload }
      expect(hashOf(session, e, payload)).toBe(eventHash(event).toString('hex'))
    }),
    RUNS,
  )
})
