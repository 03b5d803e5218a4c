/** Out and in again: what was exported comes back the same, and the files are such as the clients themselves write. */
import type { TranscriptFile } from '../../client/transcripts'
import { bring, eventsOf, familyOf, FIXTURES, known, openDesk, type Desk } from './support'
import { told } from './told'

jest.setTimeout(180_000)

let desk: Desk
beforeAll(async () => void (desk = await openDesk()))
afterAll(() => desk.close())

type Json = Record<string, unknown>
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {})
const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : [])

async function exported(session: string, format: string, forks = false): Promise<TranscriptFile> {
  let text = ''
  for await (const piece of desk.client.exportAs(session, format, { forks })) text += piece
  return { name: `${session}.jsonl`, bytes: Buffer.from(text) }
}
const linesOf = ({ bytes }: TranscriptFile): Json[] =>
  bytes
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => record(JSON.parse(line)))
const toldBy = async (session: string): Promise<unknown> => told(known(await eventsOf(desk, session)))
const allTold = async (sessions: readonly string[]): Promise<string[]> =>
  (await Promise.all(sessions.map(toldBy))).map((one) => JSON.stringify(one)).sort()

describe.each(FIXTURES.map(({ file }) => file))('%s', (file) => {
  const name = file.replace(/[^a-z0-9]+/g, '-').slice(0, 40)
  let session: string
  beforeAll(async () => void ({ session } = await bring(desk, file)))

  it('as Claude Code: out and in again it says the same, in as many branches, with the same sub-agents', async () => {
    const out = await exported(session, 'claude-code', true)
    const again = await desk.client.importTranscript(out, { session: `${name}-cc` })
    expect(again.format).toBe('claude-code')
    expect(await toldBy(again.session)).toEqual(await toldBy(session))
    const [before, after] = [await familyOf(desk, session), await familyOf(desk, again.session)]
    expect(await allTold(after.forks)).toEqual(await allTold(before.forks))
    expect(await allTold(after.children)).toEqual(await allTold(before.children))
    expect((await exported(session, 'claude-code', true)).bytes.equals(out.bytes)).toBe(true)
  })

  it('as Claude Code: each line hangs on one before it, and calls and results stand as the API wants them', async () => {
    const lines = linesOf(await exported(session, 'claude-code'))
    const ids = new Set<unknown>()
    let open: string[] = []
    for (const line of lines) {
      if (line.type === 'summary') continue
      expect(ids.has(line.uuid)).toBe(false)
      expect(line.parentUuid === null || ids.has(line.parentUuid)).toBe(true)
      ids.add(line.uuid)
      if (line.isSidechain === true) continue
      expect(line).toMatchObject({
        sessionId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
      })
      const content = record(line.message).content
      const parts = list(content).map(record)
      const results = parts.filter(({ type }) => type === 'tool_result').map(({ tool_use_id }) => String(tool_use_id))
      for (const result of results) expect(open.splice(open.indexOf(result), 1)).toEqual([result])
      // Nothing stands between a call and its result.
      if (results.length === 0 && line.type !== 'system') expect(open).toEqual([])
      if (line.type === 'assistant') open = parts.filter(({ type }) => type === 'tool_use').map(({ id }) => String(id))
      for (const { type, signature } of parts) if (type === 'thinking') expect(signature).toMatch(/./)
      expect(typeof content === 'string' || parts.length > 0 || line.type === 'system').toBe(true)
    }
    expect(open).toEqual([])
  })

  it('as Codex: out and in again it says the same', async () => {
    const out = await exported(session, 'codex')
    const again = await desk.client.importTranscript(out, { session: `${name}-codex` })
    expect(again.format).toBe('codex')
    expect(await toldBy(again.session)).toEqual(await toldBy(session))
  })

  it('as Codex: it begins with what the session is, and every output follows its call', async () => {
    const [meta, ...lines] = linesOf(await exported(session, 'codex'))
    expect(meta).toMatchObject({
      type: 'session_meta',
      payload: { id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string, source: 'cli' },
    })
    const calls = new Set<unknown>()
    for (const { type, payload, timestamp } of lines) {
      expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/)
      const item = record(payload)
      if (type === 'response_item' && item.type === 'function_call') calls.add(item.call_id)
      if (type === 'response_item' && item.type === 'function_call_output')
        expect(calls.delete(item.call_id)).toBe(true)
    }
    expect(calls.size).toBe(0)
  })
})

it('signed thinking, encrypted reasoning and their models go out and come in verbatim', async () => {
  const replays = async (session: string): Promise<unknown[]> =>
    known(await eventsOf(desk, session)).flatMap((e) =>
      e.type === 'model_answered' && e.payload.replay ? [e.payload.replay] : [],
    )
  const claude = 'a032db5a-df02-44d7-ab1e-fb024213ecc4'
  const codex = '019e1625-789d-76c0-80ab-3724b5ddb799'
  expect(await replays('claude-code-api-error-signatures-jsonl-cc')).toEqual(await replays(claude))
  expect(await replays('codex-rollout-2026-05-11-11-26-55-jsonl-codex').then((all) => all.length)).toBeGreaterThan(20)
  // Also by the other's format.
  expect(
    await replays(`${'claude-code/api-error-signatures.jsonl'.replace(/[^a-z0-9]+/g, '-').slice(0, 40)}-codex`),
  ).toEqual(await replays(claude))
  // 25 answers that reasoned, and two that only say which phase they are of.
  expect((await replays(codex)).length).toBe(27)
})

it('a format that there is not is refused, and those that there are are named', async () => {
  await expect(exported('a032db5a-df02-44d7-ab1e-fb024213ecc4', 'docx')).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringMatching(/claude-code, codex/) as string,
  })
})
