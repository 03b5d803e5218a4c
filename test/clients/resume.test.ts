/**
 * Sessions exported as Claude Code's and Codex' own, opened and resumed by the real clients: what they send holds the whole conversation, in
 * its order; and what the clients write themselves is read. `npm run test:clients`, with SAVEFILE_TEST_CLAUDE_CODE and SAVEFILE_TEST_CODEX
 * naming the clients' programs. Without being asked for there are no such tests, only one that says so.
 */
import type { ProviderName } from '../../contract/definition'
import type { View } from '../../contract/provider-port'
import { startScriptedModel, type ScriptedModel } from '../../dev/scripted-model/server'
import type { KnownEvent } from '../../contract/events'
import { buildView } from '../../providers/view'
import { fixture, FIXTURES } from '../transcripts/support'
import { createWorld, readAll, type World } from '../support/world'
import { claudeCode, codex, missingFrom, piecesIn, piecesOf, type OtherClient } from './support'

jest.setTimeout(300_000)

const { SAVEFILE_TEST_CLAUDE_CODE, SAVEFILE_TEST_CODEX } = process.env
const CLIENTS = [
  { format: 'claude-code', binary: SAVEFILE_TEST_CLAUDE_CODE, open: claudeCode },
  { format: 'codex', binary: SAVEFILE_TEST_CODEX, open: codex },
].flatMap(({ binary, ...client }) => (binary ? [{ ...client, binary }] : []))

test('the real clients are run where they are named', () => {
  expect(CLIENTS.length).toBe([SAVEFILE_TEST_CLAUDE_CODE, SAVEFILE_TEST_CODEX].filter(Boolean).length)
})

const MODELS: Readonly<Record<ProviderName, string>> = {
  anthropic: 'claude-opus-4-8',
  'openai-responses': 'gpt-5.5',
  'openai-chat': 'qwen3',
}

async function made(world: World, provider: ProviderName): Promise<string> {
  const model = { provider, name: MODELS[provider], reasoning: { effort: 'low' as const } }
  const { session } = await world.client.create({
    definition: world.definition({ model }),
    workFolder: await world.workFolder(),
  })
  for (const text of ['TOOLS please', 'and "quoted" \u2028 ünï'])
    expect(await world.client.ask(session, text)).toMatchObject({ reason: 'done' })
  return session
}

const SCRIPT = {
  name: 'clients',
  rules: [
    {
      when: { text: 'TOOLS', step: 0 },
      say: {
        reasoning: 'Two at once.',
        text: 'I look.',
        calls: [
          { tool: 'list_files', args: { path: '.' } },
          { tool: 'read_file', args: { path: 'missing.txt' } },
        ],
      },
    },
    {
      when: { text: 'LOOK', step: 0, provider: 'anthropic' as const },
      say: {
        reasoning: 'A picture.',
        calls: [
          { tool: 'Read', args: { file_path: 'a.txt' } },
          { tool: 'Read', args: { file_path: 'b.png' } },
        ],
      },
    },
    {
      when: { text: 'LOOK', step: 0 },
      say: {
        reasoning: 'A picture.',
        calls: [
          { tool: 'exec_command', args: { cmd: 'cat a.txt' } },
          { tool: 'view_image', args: { path: 'b.png' } },
        ],
      },
    },
    { say: { reasoning: 'So it is.', text: 'So it is: {{last_user | first:1}}' } },
  ],
}

/** What Savefile's own views say beside the conversation. */
const NOTES = /^user: \[(?:What came before was cut short|This session was forked here|The user interrupted)/
/** What the clients put where there is nothing to send. */
const FILLER = ['assistant: No response requested.', 'assistant: (no text)']
const madeOf = (pieces: readonly string[]): string[] =>
  pieces.filter((piece) => /^(?:assistant|call|result)/.test(piece) && !FILLER.includes(piece))

for (const { format, binary, open } of CLIENTS)
  describe(format, () => {
    let world: World
    /** What was signed for Savefile's request is not bound to the client's. */
    let model: ScriptedModel
    let other: OtherClient
    beforeAll(async () => {
      world = await createWorld({ script: SCRIPT })
      await world.startWorker()
      model = await startScriptedModel({ script: { ...SCRIPT, bindReplay: 'none' }, trustReplay: true })
      other = await open({ binary, model })
      process.stderr.write(`${format}: ${await other.version()}\n`)
    })
    afterAll(async () => {
      await other?.close()
      await model?.close()
      await world?.close()
    })

    const exported = async (session: string, forks = false): Promise<string> => {
      let text = ''
      for await (const piece of world.client.exportAs(session, format, { forks })) text += piece
      return text
    }
    const viewOf = async (session: string): Promise<View> => {
      const events = (await readAll(world.client, session)).filter((event) => !event.unknown) as unknown as KnownEvent[]
      const seen = new Set(events.flatMap((e) => (e.type === 'model_answered' ? e.payload.manifest.saw : [])))
      const late = events.flatMap(({ seq, type }) =>
        !seen.has(seq) && /^(message_received|interrupted|tool_finished)$/.test(type) ? [seq] : [],
      )
      const { definition } = await world.client.info(session)
      return buildView(events, await world.client.definition(definition), late)
    }
    const goesOn = async (session: string, forks = false): Promise<void> => {
      const { said, sent } = await other.resume(await exported(session, forks), 'GO ON')
      const taken = sent.filter(({ status }) => status === 200)
      const [first] = taken
      const shown = piecesIn(first?.body ?? {})
      const wanted = [...piecesOf(await viewOf(session)), 'user: GO ON'].filter((piece) => !NOTES.test(piece))
      expect(wanted.length).toBeGreaterThan(3)
      expect(missingFrom(shown, wanted).map((piece) => piece.slice(0, 300))).toEqual([])
      // And nothing twice, or that nobody said.
      expect(madeOf(shown)).toEqual(madeOf(wanted))
      expect(said).toMatch(/So it is/)
      expect(sent.filter(({ status }) => status !== 200).length).toBe(0)
    }

    test.each(Object.keys(MODELS) as ProviderName[])('a session made here, by %s', async (provider) => {
      const session = await made(world, provider)
      await goesOn(session)
    })

    test('a fork, with the session that it branched off', async () => {
      const session = await made(world, 'anthropic')
      const fork = await world.client.fork(session, { at: 5 })
      await world.client.ask(fork.session, 'another way')
      await goesOn(fork.session)
      await goesOn(session, true)
    })

    test('a session whose fork goes on from its end', async () => {
      const session = await made(world, 'anthropic')
      const fork = await world.client.fork(session)
      await world.client.ask(fork.session, 'what only the fork says')
      await goesOn(session, true)
    })

    test('a summary, and what it leaves beside it', async () => {
      const session = await made(world, 'anthropic')
      const [first] = (await readAll(world.client, session)).filter(({ type }) => type === 'turn_finished')
      await world.client.checkpoint(session, { at: first?.seq, summary: 'SUMMARY: much was said.' })
      await world.client.ask(session, 'after it')
      await goesOn(session)
    })

    if (format === 'claude-code')
      test('its own compaction, which leaves messages beside the summary', async () => {
        const { file, runs } = await other.begin(['LOOK at it', 'and then?', '/compact', 'after it'])
        const { session } = await world.client.importTranscript(file, { session: `compacted-${format}` })
        const sent = piecesIn(runs.at(-1)?.sent.at(-1)?.body ?? {})
        expect(madeOf(piecesOf(await viewOf(session))).slice(0, -1)).toEqual(madeOf(sent))
        await goesOn(session)
      })

    test('its own transcript, with images from a tool, imported, exported, and gone on with', async () => {
      const { file, others } = await other.begin(['LOOK at it', 'and then?'])
      const imported = await world.client.importTranscript(file, { others, session: `own-${format}` })
      await goesOn(imported.session)
    })

    test.each(FIXTURES.map(({ file }) => file))('imported from %s', async (name) => {
      const others = FIXTURES.find(({ file }) => file === name)?.others ?? []
      const { session } = await world.client.importTranscript(fixture(name), {
        others: others.map(fixture),
        session: `x-${format}-${name.replace(/[^a-z0-9]+/gi, '-').toLowerCase()}`.slice(0, 60),
      })
      await goesOn(session, format === 'claude-code')
    })
  })
