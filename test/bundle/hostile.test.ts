/** Bundles from strangers: refused with the line and the reason, within limits, and nothing is left behind; the database refuses too. */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { verifyBundle } from '../../client/bundles'
import { hashOf } from '../../log/bundle/event-line'
import { eventHash } from '../../log/hash'
import { openLog, say, ANN, type TestLog } from '../log/support'
import { exported, imported, inPieces, linesOf, ofLines, rowCounts } from './support'
import { tamperings } from './tamperings'

let here: TestLog
let there: TestLog
let bundle: Buffer
beforeAll(async () => {
  ;[here, there] = await Promise.all([openLog(), openLog()])
  const ref = await here.begin()
  for (const [i, text] of ['x'.repeat(700_000), 'three', 'four'].entries())
    await here.client.input(ref, ANN, `m${i}`, say(text, 'steer'))
  await here.client.fork(ref, 5, `${ref.session}-f`, ANN, {})
  await here.client.input({ space: 'default', session: `${ref.session}-f` }, ANN, 'f', say('on'))
  bundle = await exported(here.client, `${ref.session}-f`)
})
afterAll(() => Promise.all([here.close(), there.close()]))

describe('an import leaves nothing behind of a bundle in which', () => {
  it.each(tamperings)('$name', async ({ change, why }) => {
    const changed = change(linesOf(bundle))
    const before = await rowCounts(there.db.adminUrl)
    await expect(imported(there.client, Buffer.isBuffer(changed) ? changed : ofLines(changed))).rejects.toMatchObject({
      code: 'invalid_bundle',
      data: { why: expect.stringMatching(why) },
    })
    expect(await rowCounts(there.db.adminUrl)).toEqual(before)
  })

  it('the version is a later one', async () => {
    const [first = '', ...rest] = linesOf(bundle)
    const before = await rowCounts(there.db.adminUrl)
    const newer = ofLines([first.replace('"version":1', '"version":3'), ...rest])
    await expect(imported(there.client, newer)).rejects.toMatchObject({
      code: 'newer_bundle',
      data: { version: 3, knows: 2 },
    })
    await expect(verifyBundle(inPieces(newer))).rejects.toMatchObject({ code: 'newer_bundle' })
    expect(await rowCounts(there.db.adminUrl)).toEqual(before)
  })

  it('a packed file was cut or changed', async () => {
    const packed = gzipSync(bundle)
    const before = await rowCounts(there.db.adminUrl)
    for (const bad of [
      packed.subarray(0, -30),
      Buffer.concat([packed.subarray(0, 60), Buffer.from('zzzz'), packed.subarray(64)]),
    ])
      await expect(imported(there.client, bad)).rejects.toMatchObject({
        code: 'invalid_bundle',
        data: { why: expect.stringContaining('unpack') },
      })
    expect(await rowCounts(there.db.adminUrl)).toEqual(before)
  })

  it('two events have one key, though their hashes hold', async () => {
    const lines = linesOf(bundle)
    const twice = rehashed(lines, (e) => (e.seq === 4 ? { ...e, key: 'p:m0' } : e))
    const before = await rowCounts(there.db.adminUrl)
    await expect(imported(there.client, twice)).rejects.toMatchObject({
      code: 'invalid_bundle',
      data: { why: expect.stringContaining('same key') },
    })
    expect(await rowCounts(there.db.adminUrl)).toEqual(before)
  })
})

interface Line extends Record<string, unknown> {
  k: string
  seq: number
  payload: string
  key: string
}

/** The same bundle with changed events, their hashes made right again, and those of the sessions: what a forger would begin with. */
function rehashed(lines: readonly string[], change: (event: Line) => Line): Buffer {
  let session = ''
  let prev = ''
  const hashes = new Map<string, string>()
  const parsed = lines.map(
    (text) =>
      JSON.parse(text) as Line & {
        session: string
        base: { session: string; seq: number } | null
        to: number
        from: number
      },
  )
  const out = parsed.map((line) => {
    if (line.k === 'session') {
      session = line.session
      prev = line.base ? (hashes.get(`${line.base.session}@${line.base.seq}`) ?? '') : ''
    }
    if (line.k !== 'event') return line
    const { payload, ...changed } = change(line)
    const head = { ...changed, prev } as unknown as Parameters<typeof hashOf>[1]
    const hash = hashOf(session, head, Buffer.from(payload))
    hashes.set(`${session}@${line.seq}`, (prev = hash))
    return { ...head, hash, payload }
  })
  const sessions = out.map((line) =>
    line.k === 'session' ? { ...line, hash: hashes.get(`${line['session'] as string}@${line['to'] as number}`) } : line,
  )
  return ofLines(sessions.map((line) => JSON.stringify(line)))
}

describe('the limits', () => {
  const refuses = async (bytes: Buffer, limits: Parameters<typeof verifyBundle>[1], why: RegExp) =>
    expect(await verifyBundle(inPieces(bytes), limits)).toMatchObject({ ok: false, why: expect.stringMatching(why) })

  it('of a line', () => refuses(bundle, { limits: { lineBytes: 100_000 } }, /longer than 100000/))
  it('of a line without an end', () =>
    refuses(Buffer.alloc(300_000, 'x'), { limits: { lineBytes: 100_000 } }, /longer than 100000/))
  it('of lines', () => refuses(bundle, { limits: { lines: 5 } }, /more than 5 lines/))
  it('of sessions', () => refuses(bundle, { limits: { sessions: 1 } }, /more than 1 sessions/))
  it('of definitions', () => refuses(bundle, { limits: { definitions: 0 } }, /more than 0 definitions/))
  it('of blobs', () => refuses(bundle, { limits: { blobs: 0 } }, /more than 0 blobs/))
  it('of a blob, before room is made for it', () =>
    refuses(
      ofLines(linesOf(bundle).map((l) => l.replace('"size":700000,"chunks":2', '"size":70000000000,"chunks":133515'))),
      {},
      /blob of 70000000000 bytes/,
    ))
  it('of all that it unpacks to', () =>
    refuses(gzipSync(bundle), { limits: { totalBytes: 10_000 } }, /more than 10000 bytes/))
  it('of what it unpacks to for its size', () =>
    refuses(
      gzipSync(Buffer.alloc(20_000_000, ' ')),
      { limits: { ratioFromBytes: 1_000_000, lineBytes: 1e9 } },
      /more than 200 times/,
    ))

  it('of nesting: in a line, in a payload, in a definition', async () => {
    const deep = '['.repeat(100) + ']'.repeat(100)
    const lines = linesOf(bundle)
    const at = (k: string) => lines.findIndex((l) => l.startsWith(`{"k":"${k}"`))
    await refuses(
      ofLines([...lines.slice(0, at('session')), `{"k":"session","x":${deep}}`]),
      {},
      /nested deeper than 64/,
    )
    const body = `{"x":${deep}}`
    const name = `sha256:${createHash('sha256').update(body).digest('hex')}`
    await refuses(
      ofLines([lines[0] as string, JSON.stringify({ k: 'definition', hash: name, body })]),
      {},
      /nested deeper than 64/,
    )
    await refuses(
      rehashed(lines, (e) => (e.seq === 4 ? { ...e, payload: `{"blocks":${deep}}` } : e)),
      {},
      /event 4 .* nested deeper than 64/,
    )
    // A million levels cost no stack.
    await refuses(
      ofLines([lines[0] as string, `{"k":"session","x":${'['.repeat(1_000_000)}`]),
      {},
      /nested deeper than 64/,
    )
    await refuses(
      ofLines([...lines.slice(0, at('event')), `{"k":"event","seq":${'['.repeat(1_000_000)},"payload":""}`]),
      {},
      /more than 8192 bytes before it/,
    )
  })
})

describe('the database', () => {
  const arrays = (h: Buffer, p: Buffer) => [
    'default',
    'forged',
    ['session_created'],
    [1],
    [5],
    ['user:eve'],
    ['x:created'],
    [null],
    [null],
    [p.length],
    p,
    h,
  ]
  const begin = `select * from savefile.import_begin('default', $1, false, null, null, null, null, '{}', 9, sha256('x'), 0)`
  const write = 'select savefile.import_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)'

  it('computes every hash itself, whoever calls it', async () => {
    await there.pool.query(begin, ['forged'])
    const payload = Buffer.from('{}')
    const good = eventHash({
      prevHash: Buffer.alloc(0),
      session: 'forged',
      seq: 1,
      type: 'session_created',
      v: 1,
      at: 5,
      actor: 'user:eve',
      key: 'x:created',
      kid: null,
      payload,
    })
    await expect(there.pool.query(write, arrays(Buffer.alloc(32, 7), payload))).rejects.toThrow(
      /not what their hashes say/,
    )
    await expect(there.pool.query(write, arrays(good, Buffer.from('{ }')))).rejects.toThrow(/not what their hashes say/)
    expect((await there.pool.query(write, arrays(good, payload))).rows).toEqual([{ import_events: 1 }])
    expect(
      (await there.pool.query(`select savefile.import_end('default', 'forged', false, 9, sha256('x')) as ok`)).rows,
    ).toEqual([{ ok: false }])
  })

  it('imports nothing into what is live, and extends nothing by an update of a writer', async () => {
    const ref = await there.begin()
    const values = arrays(Buffer.alloc(32), Buffer.from('{}'))
    await expect(there.pool.query(write, [values[0], ref.session, ...values.slice(2)])).rejects.toThrow(
      /takes no imported events/,
    )
    await expect(
      there.pool.query(`update savefile.sessions set custody = 'arriving' where session_id = $1`, [ref.session]),
    ).rejects.toThrow(/permission denied/)
  })
})
