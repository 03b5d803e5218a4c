/** Real transcripts, each as a session in a real Postgres: legal to the last event, nothing lost, and the report exact. */
import { collect, inPieces } from '../bundle/support'
import { openLog } from '../log/support'
import { REPORTS } from './reports'
import { bring, eventsOf, fixture, FIXTURES, known, openDesk, type Desk } from './support'
import { textsIn, textsOf } from './texts'

jest.setTimeout(120_000)

let desk: Desk
beforeAll(async () => void (desk = await openDesk()))
afterAll(() => desk.close())

const logOf = async (session: string) => known(await eventsOf(desk, session))

describe.each(FIXTURES.map(({ file }) => file))('%s', (file) => {
  let sessions: string[]
  it('is a session whose every event may follow the one before; its forks and children too', async () => {
    const result = await bring(desk, file)
    sessions = [result.session, ...result.forks, ...result.children]
    for (const session of sessions)
      expect({ session, ...(await desk.client.verify(session, { deep: true })) }).toMatchObject({ ok: true })
    expect(await desk.client.info(result.session)).toMatchObject({ custody: 'live' })
    const { types, notes, forks, children } = result
    const counts: Record<string, number> = {}
    for (const { kind, count } of notes) counts[kind] = (counts[kind] ?? 0) + count
    const { missing: _, ...expected } = REPORTS[file] ?? { missing: 0 }
    expect({ types, notes: counts, forks: forks.length, children: children.length }).toEqual(expected)
  })

  it('has every word of the transcript, once', async () => {
    const files = [file, ...(FIXTURES.find((one) => one.file === file)?.others ?? [])]
    const there = textsIn(files.map((name) => fixture(name).bytes.toString('utf8')))
    const here = await textsOf(desk, sessions)
    // What the report says of words that have no place: see reports.ts.
    const missing = REPORTS[file]?.missing ?? 0
    expect(there.filter((text) => !here.includes(text)).length).toBe(missing)
    expect(new Set(here).size).toBeGreaterThan(5)
  })

  it('keeps the transcript byte for byte, and the log names it', async () => {
    const [session = ''] = sessions
    const custody = (await logOf(session)).findLast((event) => event.type === 'custody_taken')
    const original = custody?.type === 'custody_taken' ? (custody.payload.original ?? []) : []
    expect(original[0]?.name).toBe(file.split('/')[1])
    const bytes = await desk.client.blob(session, original[0]?.blob.hash ?? '')
    expect(Buffer.from(bytes).equals(fixture(file).bytes)).toBe(true)
  })
})

describe('what a transcript has', () => {
  it('branches: a fork at the event that its first line hangs on', async () => {
    const session = '86cc3044-7515-43f1-9c25-1444738c64c9'
    const [fork] = (await desk.client.family(session)).forks
    const log = await logOf(fork?.info.session ?? '')
    const own = log.findIndex((event) => event.type === 'forked')
    // Line 118, which both go on from; the branch is lines 119 and 120, what was typed and printed at the client's end.
    expect(log[own - 1]).toMatchObject({
      type: 'message_received',
      payload: { blocks: [{ text: expect.stringContaining('<local-command-caveat>') as string }] },
    })
    expect(log.slice(own + 1).map(({ type }) => type)).toEqual([
      'message_received',
      'message_received',
      'message_received',
      'interrupted',
      'turn_finished',
    ])
    expect(log[own + 1]).toMatchObject({ payload: { blocks: [{ text: expect.stringContaining('/exit') as string }] } })
  })

  it('sub-agents: children, with a log of their own that the parent only refers to', async () => {
    const log = await logOf('e9fb405b-169f-40eb-9396-7e75076f045d')
    const started = log.find((event) => event.type === 'child_started')
    const child = 'a485154-e9fb405b-169f-40eb-9396-7e75076f045d'
    expect(started).toMatchObject({
      payload: { child, task: [{ text: expect.stringContaining('Analyze the existing CLI') as string }] },
    })
    const [created, first] = await logOf(child)
    expect(created).toMatchObject({
      type: 'session_created',
      payload: { origin: { kind: 'import', format: 'claude-code' } },
    })
    expect(first).toMatchObject({ type: 'message_received', at: Date.parse('2026-01-14T19:20:13.501Z') * 1000 })
  })

  it('compactions: a checkpoint where the summary stood, and the log stays whole', async () => {
    const log = await logOf('0cf3db51-1c73-43bb-8d05-dc02739514a5')
    const [checkpoint] = log.filter((event) => event.type === 'checkpoint_made')
    expect(checkpoint).toMatchObject({
      payload: {
        method: 'model',
        lo: 1,
        blocks: [{ text: expect.stringMatching(/^This session is being continued/) as string }],
      },
    })
    const pi = (await logOf('ffae836b-9420-4060-ac13-7745215f90ff')).filter((event) => event.type === 'checkpoint_made')
    // What pi keeps beside its summary (from entry 293, 551 on) stays in the view.
    expect(pi.map(({ seq, payload }) => seq - (payload as { hi: number }).hi > 50)).toEqual([true, true])
  })

  it('signed reasoning: kept as its adapter writes it, for the platform that its ids name', async () => {
    const replays = async (session: string) =>
      (await logOf(session)).flatMap((event) =>
        event.type === 'model_answered' && event.payload.replay ? [event.payload.replay] : [],
      )
    const signed = await replays('a032db5a-df02-44d7-ab1e-fb024213ecc4')
    expect(signed).toHaveLength(56)
    expect(signed[0]).toMatchObject({
      provider: 'anthropic',
      platform: 'api.anthropic.com',
      model: 'claude-sonnet-4-5-20250929',
      format: 1,
    })
    expect(JSON.parse(signed[0]?.blocks[0] ?? '')).toEqual({
      type: 'thinking',
      thinking: expect.stringContaining('The user is asking me to review') as string,
      signature: expect.stringMatching(/^EuUECkYICxgCKkAptA0/) as string,
    })
    // msg_bdrk_: these signatures are another platform's.
    expect(new Set((await replays('e9fb405b-169f-40eb-9396-7e75076f045d')).map(({ platform }) => platform))).toEqual(
      new Set(['bedrock']),
    )
    const codex = await replays('019e1625-789d-76c0-80ab-3724b5ddb799')
    expect(codex[0]).toMatchObject({ provider: 'openai-responses', platform: 'api.openai.com', model: 'gpt-5.5' })
    expect(JSON.parse(codex[0]?.blocks[0] ?? '')).toEqual({
      type: 'reasoning',
      summary: [],
      encrypted_content: expect.stringMatching(/^gAAAA/) as string,
    })
  })

  it('usage, cost and times, as the client wrote them', async () => {
    const pi = (await logOf('ffae836b-9420-4060-ac13-7745215f90ff')).find((event) => event.type === 'model_answered')
    expect(pi).toMatchObject({
      at: Date.parse('2025-12-08T22:41:09.389Z') * 1000,
      payload: { usage: { input: 2775, output: 141 }, costUsdMicros: 17_400, manifest: { prev: 0 } },
    })
    const codex = (await logOf('019e1625-789d-76c0-80ab-3724b5ddb799')).find((event) => event.type === 'model_answered')
    expect(codex).toMatchObject({ payload: { usage: { input: 18_703, output: 167, reasoning: 62 } } })
  })

  it('failures: an answer of the client that tells of one is none', async () => {
    const log = await logOf('a032db5a-df02-44d7-ab1e-fb024213ecc4')
    expect(log.filter((event) => event.type === 'model_failed')).toMatchObject([
      { payload: { class: 'overloaded', message: expect.stringContaining('API Error: 500') as string } },
    ])
  })

  it('a definition: the last model, the instructions where they are there, the tools by name, each asking first', async () => {
    const definitionOf = async (session: string) => desk.client.definition((await desk.client.info(session)).definition)
    expect(await definitionOf('86cc3044-7515-43f1-9c25-1444738c64c9')).toMatchObject({
      system: '',
      model: { provider: 'anthropic', name: 'claude-sonnet-4-5-20250929' },
      tools: expect.arrayContaining([
        expect.objectContaining({ name: 'Bash', approval: 'ask', inputSchema: '{"type":"object"}' }),
      ]) as unknown,
    })
    const codex = await definitionOf('019e1625-789d-76c0-80ab-3724b5ddb799')
    expect(codex).toMatchObject({ model: { provider: 'openai-responses', name: 'gpt-5.5' } })
    expect(codex.system).toMatch(/^You are Codex[\s\S]*<permissions instructions>/)
  })
})

it('an imported transcript leaves in a bundle as it is, its original included', async () => {
  const bundle = await collect(desk.client.exportBundle('e9fb405b-169f-40eb-9396-7e75076f045d'))
  const there = await openLog()
  try {
    const result = await there.client.importBundle('default', inPieces(bundle))
    expect(result.sessions.map(({ session, status }) => [session.slice(0, 8), status])).toEqual([
      ['e9fb405b', 'imported'],
      ['a485154-', 'imported'],
    ])
    expect(bundle.toString('utf8')).toContain('"mediaType":"application/jsonl"')
  } finally {
    await there.close()
  }
})
