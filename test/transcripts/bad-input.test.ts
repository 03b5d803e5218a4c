/** Whatever a file holds: a legal session, or a refusal that says why, and nothing is left behind. */
import fc from 'fast-check'
import { errorCode, type SavefileError } from '../../contract/errors'
import { createLegality } from '../../log/legality'
import { definitionOf, readTranscript } from '../../transcripts/read'
import { writeThread } from '../../transcripts/sessions'
import type { State } from '../../contract/state'
import { rowCounts } from '../bundle/support'
import { fixture, FIXTURES, openDesk, type Desk } from './support'

jest.setTimeout(300_000)

let desk: Desk
beforeAll(async () => void (desk = await openDesk()))
afterAll(() => desk.close())

const RUNS = Number(process.env.SAVEFILE_TEST_RUNS ?? 150)
const line = (value: unknown): string => `${JSON.stringify(value)}\n`
const said = (text: string, uuid: string, parentUuid: string | null = null): string =>
  line({
    type: 'user',
    uuid,
    parentUuid,
    sessionId: 's',
    timestamp: '2026-01-01T00:00:00Z',
    message: { role: 'user', content: text },
  })
const answered = (content: unknown[], uuid: string, parentUuid: string): string =>
  line({
    type: 'assistant',
    uuid,
    parentUuid,
    sessionId: 's',
    timestamp: '2026-01-01T00:00:01Z',
    message: { id: `msg_${uuid}`, model: 'claude-test', role: 'assistant', content },
  })

async function bringText(text: string | Buffer, session: string): Promise<string> {
  try {
    const bytes = Buffer.from(text)
    const result = await desk.client.importTranscript({ name: 'x.jsonl', bytes }, { session })
    return result.status
  } catch (error) {
    return `${errorCode(error) ?? 'thrown'}: ${(error as Error).message}`
  }
}

describe('a file that is no transcript', () => {
  it.each<[string, string | Buffer, RegExp]>([
    ['nothing', '', /invalid_transcript: The transcript x.jsonl is refused: it is empty/],
    ['blank lines', '\n \n\n', /invalid_transcript: .*no transcript of claude-code, codex, pi/],
    ['prose', 'Dear diary,\ntoday\n', /invalid_transcript/],
    ['bytes', Buffer.from('89504e470d0a1a0a0000000d', 'hex'), /invalid_transcript/],
    ['JSON of another kind', line({ role: 'user', content: 'hi' }), /invalid_transcript/],
    [
      'only a title',
      line({ type: 'summary', summary: 'x', leafUuid: 'y' }),
      /nothing that claude-code writes of a conversation/,
    ],
    ['only a header', line({ type: 'session', id: 'abc', cwd: '/' }), /nothing that pi writes/],
    ['only what nobody answered', said('hello', 'u1'), /no model answers in it.*--definition/],
    [
      'arguments that no event holds',
      said('a', 'u1') +
        answered([{ type: 'tool_use', id: 't', name: 'Write', input: { text: 'x'.repeat(5_000_000) } }], 'a1', 'u1'),
      /too_large: Line 2 of the transcript makes an event of 50\d+ bytes; 4194304 are allowed/,
    ],
    [
      'a line of 70 MB',
      said('a', 'u1') + said('x'.repeat(70_000_000), 'u2'),
      /too_large: Line 2 of the transcript x.jsonl weighs 70000\d+ bytes; 67108864 are taken/,
    ],
  ])('%s: refused, with the reason, and nothing is left', async (_name, text, why) => {
    const before = await rowCounts(desk.log.db.adminUrl)
    expect(await bringText(text, 'none')).toMatch(why)
    expect(await rowCounts(desk.log.db.adminUrl)).toEqual(before)
  })

  it('an id that no session can have is refused', async () => {
    expect(await bringText(said('a', 'u1'), 'Not An Id')).toMatch(/invalid_input/)
  })
})

describe('a file that is one, but for some of it', () => {
  it.each<[string, string]>([
    [
      'characters that no store holds',
      said('NUL \0 and half \ud800 of a pair', 'u1') +
        answered([{ type: 'tool_use', id: 't', name: 'R\0n', input: { a: '\0\udfff' } }], 'a1', 'u1'),
    ],
    ['a line that U+2028 stands in', said('one\u2028two', 'u1') + answered([{ type: 'text', text: 'ok' }], 'a1', 'u1')],
    [
      'a cycle of parents',
      said('a', 'u1', 'u2') + said('b', 'u2', 'u1') + answered([{ type: 'text', text: 'ok' }], 'a1', 'u2'),
    ],
    [
      'fields of other types',
      line({
        type: 'user',
        uuid: 'u1',
        parentUuid: 7,
        timestamp: {},
        sessionId: [],
        message: { content: [1, null, { type: 'text', text: 5 }, 'words'] },
      }) + answered([{ type: 'text', text: 'ok' }, null, 3], 'a1', 'u1'),
    ],
    [
      'results of nothing',
      said('a', 'u1') +
        answered([{ type: 'text', text: 'ok' }], 'a1', 'u1') +
        line({
          type: 'user',
          uuid: 'r',
          parentUuid: 'a1',
          message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'none', content: 'x' }] },
        }),
    ],
    [
      'CRLF at the ends of lines',
      (said('a', 'u1') + answered([{ type: 'text', text: 'ok' }], 'a1', 'u1')).replaceAll('\n', '\r\n'),
    ],
    ['a mark of its byte order', `\ufeff${said('a', 'u1')}${answered([{ type: 'text', text: 'ok' }], 'a1', 'u1')}`],
    ['no newline at its end', (said('a', 'u1') + answered([{ type: 'text', text: 'ok' }], 'a1', 'u1')).trimEnd()],
  ])('%s: a legal session', async (name, text) => {
    const session = `odd-${name.replace(/[^a-z]+/gi, '-').toLowerCase()}`
    expect(await bringText(text, session)).toBe('imported')
    expect(await desk.client.verify(session, { deep: true })).toMatchObject({ ok: true })
  })
})

/** Every event of every session judged along its lineage, as verify --deep does. */
async function judged(name: string, bytes: Buffer): Promise<string> {
  try {
    const transcript = readTranscript({ name, bytes }, [])
    definitionOf(transcript)
    const states = new Map<string, State>()
    let events = 0
    const written = writeThread(transcript.thread, {
      session: 's',
      format: transcript.format,
      definition: `sha256:${'0'.repeat(64)}`,
      actor: 'user:ann',
      report: ({ file }) => transcript.notes.of(file),
      blobs: transcript.blobs,
      existing: () => Promise.resolve(new Map()),
    })
    for await (const { session, base, events: own } of written) {
      const keys = new Set(own.map(({ key }) => key))
      if (keys.size !== own.length) return `two events of ${session} have one key`
      let seq = base?.seq ?? 0
      const from = base ? states.get(`${base.session}@${base.seq}`) : undefined
      if (base && !from) return `${session} goes on from nothing`
      const legality = createLegality(from, (state) => states.set(`${session}@${seq}`, state))
      let at = 0
      for (const event of own) {
        seq++
        events++
        if (event.at < at) return `event ${seq} of ${session} is older than the one before`
        ;({ at } = event)
        const why = legality({ ...event, seq, kid: '', payload: Buffer.from(event.payload) })
        if (why) return `event ${seq} of ${session}: ${why}`
      }
    }
    return events > 0 ? 'legal' : 'nothing'
  } catch (error) {
    const code = errorCode(error)
    return code === 'invalid_transcript' &&
      /empty|nothing that|no transcript|no model/.test((error as SavefileError).message)
      ? 'refused'
      : `${code ?? 'thrown'}: ${(error as Error).stack}`
  }
}

describe('a transcript with lines dropped, doubled, moved, cut or changed', () => {
  const files = FIXTURES.map(({ file }) => ({ file, lines: fixture(file).bytes.toString('utf8').split('\n') }))
  const damage = fc.record({
    file: fc.constantFrom(...files),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 1, max: 120 }),
    changes: fc.array(
      fc.record({
        what: fc.constantFrom('drop', 'double', 'swap', 'cut', 'byte', 'orphan'),
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        to: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      { maxLength: 12 },
    ),
  })
  const damaged = ({
    file: { lines },
    from,
    length,
    changes,
  }: typeof damage extends fc.Arbitrary<infer T> ? T : never): string => {
    const begin = Math.floor(from * lines.length)
    const some = lines.slice(begin, begin + length)
    for (const { what, at, to } of changes) {
      const i = Math.floor(at * some.length)
      const j = Math.floor(to * some.length)
      const text = some[i]
      if (text === undefined) continue
      const cut = Math.floor(to * text.length)
      if (what === 'drop') some.splice(i, 1)
      if (what === 'double') some.splice(j, 0, text)
      if (what === 'swap') [some[i], some[j]] = [some[j] ?? '', text]
      if (what === 'cut') some[i] = text.slice(0, cut)
      if (what === 'byte')
        some[i] = `${text.slice(0, cut)}${String.fromCharCode(32 + Math.floor(at * 90))}${text.slice(cut + 1)}`
      if (what === 'orphan')
        some[i] = text.replace(/"(parentUuid|parentId|id|tool_use_id|call_id)":\s?"[^"]*"/, '"$1":"gone"')
    }
    return some.join('\n')
  }

  it('is a legal session or a refusal, never anything else', async () => {
    const seen = { legal: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(damage, async (how) => {
        const verdict = await judged(how.file.file, Buffer.from(damaged(how)))
        if (verdict === 'legal' || verdict === 'refused') seen[verdict]++
        expect(verdict).toMatch(/^(?:legal|refused)$/)
      }),
      { numRuns: RUNS },
    )
    expect(seen.legal).toBeGreaterThan(RUNS / 2)
  })

  it('in the database too: what was not taken left nothing, what was verifies', async () => {
    let n = 0
    await fc.assert(
      fc.asyncProperty(damage, async (how) => {
        const before = await rowCounts(desk.log.db.adminUrl)
        const session = `fuzz-${n++}`
        const came = await bringText(damaged(how), session)
        if (came === 'imported') expect(await desk.client.verify(session, { deep: true })).toMatchObject({ ok: true })
        else {
          expect(came).toMatch(/^invalid_transcript/)
          expect(await rowCounts(desk.log.db.adminUrl)).toEqual(before)
        }
      }),
      { numRuns: Math.ceil(RUNS / 8) },
    )
  })
})
