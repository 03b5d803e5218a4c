/**
 * Going on with another model through Temporal, in place and on forks, against the server that checks what it is sent and binds what it signs
 * to its prefix: no request is refused, no text is lost, the report is exact, and every request is put together again from the log.
 */
import { isRecord } from '../../dev/scripted-model/json'
import type { MigrationReport } from '../../client/migrate'
import type { ProviderName } from '../../contract/definition'
import { createWorld, ofType, readAll, type World } from '../support/world'

jest.setTimeout(240_000)

const MODELS: Readonly<Record<ProviderName, string>> = {
  anthropic: 'claude-test',
  'openai-responses': 'responses-test',
  'openai-chat': 'chat-test',
}
const NAMES = Object.keys(MODELS) as ProviderName[]
const PAIRS = NAMES.flatMap((a) => NAMES.flatMap((b): [ProviderName, ProviderName][] => (a === b ? [] : [[a, b]])))
const HOST = '127.0.0.1'

let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'migration',
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
          when: { text: 'WRITE', step: 0 },
          say: { reasoning: 'This needs a yes.', calls: [{ tool: 'run_command', args: { command: 'echo ran' } }] },
        },
        { say: { reasoning: 'So it is.', text: 'answer to {{last_user | first:1}}' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

const model = (provider: ProviderName) => ({ provider, name: MODELS[provider] })
async function begin(a: ProviderName): Promise<string> {
  const definition = world.definition({ model: model(a) })
  return (await world.client.create({ definition, workFolder: await world.workFolder() })).session
}

/** What must hold of a session whatever it went through. */
async function whole(session: string, said: string[]): Promise<void> {
  const types = await world.sound(session)
  expect(types).not.toContain('model_failed')
  const events = await readAll(world.client, session)
  const answers = ofType(events, 'model_answered')
  for (const { seq, payload } of answers) {
    expect(payload.attempts).toHaveLength(1)
    const { same, hash, dropped } = await world.client.context(session, { at: seq })
    expect({ seq, same }).toEqual({ seq, same: true })
    expect(hash).toBe(payload.manifest.requestHash)
    // The manifest says all of it, or what no earlier one said.
    for (const one of payload.manifest.dropped) expect(dropped).toContainEqual(one)
  }
  const last = answers.at(-1)
  const sent = world.model.requests.find(({ hash }) => hash === last?.payload.manifest.requestHash)
  const texts = textsIn(sent?.body).join('\n')
  const before = answers
    .slice(0, -1)
    .flatMap(({ payload }) => payload.blocks.flatMap((b) => (b.type === 'text' ? [b.text] : [])))
  for (const text of [...said, ...before]) expect(texts).toContain(text)
  for (const { payload } of ofType(events, 'tool_finished'))
    for (const block of payload.blocks) if (block.type === 'text') expect(texts).toContain(block.text)
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(textsIn)
  return isRecord(value) ? Object.values(value).flatMap(textsIn) : []
}

/** The first answer behind `head` says what the report said, of everything up to there. */
async function saidSo(session: string, head: number, report: MigrationReport): Promise<void> {
  const first = ofType(await readAll(world.client, session), 'model_answered').find(({ seq }) => seq > head)
  const said = first?.payload.manifest.dropped.filter(({ seq }) => seq <= head) ?? []
  const expected = report.dropped.flatMap(({ what, why, seqs }) => seqs.map((seq) => ({ seq, what, why })))
  const order = (all: { seq: number; what: string; why: string }[]) => all.map((one) => JSON.stringify(one)).sort()
  expect(order(said.map(({ seq, what, why }) => ({ seq, what, why })))).toEqual(order(expected))
}

test('there and back in place, for every ordered pair: between turns, and in the middle of one', async () => {
  await Promise.all(
    PAIRS.map(async ([a, b]) => {
      const { client } = world
      const session = await begin(a)
      await client.ask(session, `TOOLS one of ${session}`)
      const { head } = await client.info(session)
      const to = { model: model(b), platform: HOST }
      const dry = await client.migrate(session, { ...to, dryRun: true })
      expect((await client.info(session)).head).toBe(head)
      const { report } = await client.migrate(session, to)
      expect(report).toEqual(dry.report)
      await client.ask(session, `TOOLS two of ${session}`)
      await saidSo(session, head, report)

      // In the middle of a turn, while a call waits for a person and somebody says something.
      const waiting = await client.ask(session, `WRITE three of ${session}`, { onApproval: 'return' })
      if (waiting.waiting !== 'approval') throw new Error('nobody was asked')
      const back = await client.migrate(session, { model: model(a), platform: HOST })
      await client.send(session, `meanwhile in ${session}`, { delivery: 'steer' })
      await client.approve(session)
      expect((await client.awaitTurn(session, waiting.seq)).reason).toBe('done')
      await saidSo(session, back.seq ?? 0, back.report)
      const said = ['TOOLS one', 'TOOLS two', 'WRITE three', 'meanwhile in'].map((text) =>
        text.startsWith('mean') ? `${text} ${session}` : `${text} of ${session}`,
      )
      await whole(session, said)
      const answers = ofType(await readAll(client, session), 'model_answered')
      expect([...new Set(answers.map(({ payload }) => payload.provider))].sort()).toEqual([a, b].sort())
      expect(answers.at(-1)?.payload.provider).toBe(a)
    }),
  )
})

test('on forks of every provider’s session, at events in the middle of its turn: each goes on with each other provider', async () => {
  await Promise.all(
    NAMES.map(async (a) => {
      const { client } = world
      const session = await begin(a)
      await client.ask(session, `TOOLS first of ${session}`)
      const before = await readAll(client, session)
      const at = [2, 3, 5, before.length]
      await Promise.all(
        NAMES.filter((b) => b !== a).flatMap((b) =>
          at.map(async (seq) => {
            const fork = { at: seq, folder: 'share' as const }
            const migrated = await client.migrate(session, { model: model(b), fork, platform: HOST })
            await client.ask(migrated.session, `second of ${migrated.session}`, {
              onApproval: () => Promise.resolve({ decision: 'allow' }),
            })
            await whole(migrated.session, [`TOOLS first of ${session}`])
            await saidSo(migrated.session, seq, migrated.report)
          }),
        ),
      )
      expect(await readAll(client, session)).toEqual(before)
    }),
  )
})

test('no request of any of these sessions was refused', () => {
  expect(world.model.requests.length).toBeGreaterThan(80)
  expect(world.model.requests.filter(({ rule, status }) => rule === null || status !== 200)).toEqual([])
})
