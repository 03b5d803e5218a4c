/** The vectors were computed by a third hand; they never change, since every log that exists was written under them. */
import { eventHash } from '../../log/hash'
import { openLog, type TestLog } from './support'
import vectors from './hash-vectors.json'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

describe.each(vectors)('the hash of: $name', (vector) => {
  const { session, seq, type, v, at, actor, key, kid } = vector
  const [prevHash, payload] = [Buffer.from(vector.prevHash, 'hex'), Buffer.from(vector.payloadHex, 'hex')]

  it('is what it was, here', () => {
    expect(eventHash({ prevHash, session, seq, type, v, at, actor, key, kid, payload }).toString('hex')).toBe(
      vector.hash,
    )
  })

  it('is what it was, in the database', async () => {
    const { rows } = await log.pool.query<{ hash: string }>(
      `select encode(savefile.event_hash($1, $2, $3, $4, $5, $6, $7, $8, $9, $10), 'hex') as hash`,
      [prevHash, session, seq, type, v, at, actor, key, kid, payload],
    )
    expect(rows[0]?.hash).toBe(vector.hash)
  })
})

it('differs with every field', () => {
  const base = {
    prevHash: Buffer.alloc(32),
    session: 's',
    seq: 1,
    type: 't',
    v: 1,
    at: 1,
    actor: 'a',
    key: 'k',
    kid: null,
    payload: Buffer.from('{}'),
  }
  const changes = [
    { prevHash: Buffer.alloc(32, 1) },
    { session: 'r' },
    { seq: 2 },
    { type: 'u' },
    { v: 2 },
    { at: 2 },
    { actor: 'b' },
    { key: 'l' },
    { kid: 'x' },
    { payload: Buffer.from('{ }') },
  ]
  const hashes = new Set([{}, ...changes].map((change) => eventHash({ ...base, ...change }).toString('hex')))
  expect(hashes.size).toBe(changes.length + 1)
})
