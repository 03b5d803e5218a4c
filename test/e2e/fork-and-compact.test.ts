/** Forks at many events of a turn that has everything, and summaries, over the real loop. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SUMMARY_REQUEST } from '../../contract/compaction'
import { errorCode } from '../../contract/errors'
import { parseDefinition } from '../../contract/definition'
import { createWorld, ofType, readAll, type World } from '../support/world'

jest.setTimeout(180_000)

const SUMMARY = 'Write the summary that takes its place'
let world: World
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'forks',
      rules: [
        { when: { text: SUMMARY, model: 'mute' }, say: { text: '' } },
        { when: { text: SUMMARY, model: 'broken' }, say: { fault: { kind: 'status', status: 400, times: 1000 } } },
        { when: { text: SUMMARY }, say: { text: 'SUMMARY: files were written.' } },
        {
          when: { text: 'rich', step: 0 },
          say: {
            calls: [
              { tool: 'write_file', args: { path: 'a.txt', content: 'a' } },
              { tool: 'read_file', args: { path: 'a.txt' } },
              { tool: 'run_command', args: { command: 'echo ran >> log.txt' } },
            ],
          },
        },
        { when: { text: 'rich' }, say: { text: 'rich is done' } },
        {
          when: { text: 'long' },
          say: {
            loop: 6,
            calls: [{ tool: 'list_files', args: { path: '.' } }],
            text: 'long is done',
            usage: { input: 9000, output: 10 },
          },
        },
        { when: {}, say: { text: 'fine' } },
      ],
    },
  })
  await world.startWorker()
})
afterAll(() => world.close())

const bodies = (text: string) => world.model.requests.filter((r) => JSON.stringify(r.body).includes(text))

test('a fork at every event of a turn with parallel tools and an approval goes on to its end', async () => {
  const { client } = world
  const workFolder = await world.workFolder()
  const { session } = await client.create({ definition: world.definition(), workFolder })
  const turn = await client.ask(session, 'rich', { onApproval: () => Promise.resolve({ decision: 'allow' }) })
  expect(turn.reason).toBe('done')
  const before = await readAll(client, session)
  expect(before.length).toBeGreaterThanOrEqual(12)
  const points = before.map((event) => event.seq).slice(0, 13)
  const ends = await Promise.all(
    points.map(async (at) => {
      const fork = await client.fork(session, { at, folder: at % 2 === 0 ? 'copy' : 'share' })
      const { seq } = await client.send(fork.session, 'and now this')
      const end = await client.awaitTurn(fork.session, seq, {
        onApproval: () => Promise.resolve({ decision: 'allow' }),
      })
      const types = await world.sound(fork.session)
      return { fork: fork.session, reason: end.reason, types }
    }),
  )
  for (const { reason, types } of ends) {
    expect(reason).toBe('done')
    expect(types.filter((type) => type === 'forked')).toHaveLength(1)
  }
  expect(await readAll(client, session)).toEqual(before)
  // An open approval was asked again, and what was allowed in the parent too: nothing unsafe ran twice unasked.
  const unsafe = await Promise.all(
    ends.map(async ({ fork }) => {
      const own = (await readAll(client, fork)).filter((event) => event.session === fork)
      const calls = new Set(ofType(own, 'approval_resolved').map((e) => e.payload.call))
      return ofType(own, 'tool_started').filter((e) => e.payload.tool === 'run_command' && !calls.has(e.payload.call))
    }),
  )
  expect(unsafe.flat()).toEqual([])
  expect(bodies('This session was forked here').length).toBeGreaterThan(0)
  for (const { fork } of ends) {
    const { workFolder: own } = ofType(await readAll(client, fork), 'forked')[0]?.payload ?? {}
    if (own) await rm(own, { recursive: true })
  }
})

test('what was started and has no end is unknown in a fork, or runs there by order; safe calls run again', async () => {
  const { client } = world
  const workFolder = await world.workFolder()
  const command = parseDefinition(world.definition()).tools.find((tool) => tool.name === 'run_command')
  if (!command) throw new Error('run_command is a built-in tool')
  const tools = [
    ...parseDefinition(world.definition()).tools.filter((t) => t.name !== command.name),
    { ...command, approval: 'allow' as const },
  ]
  const { session } = await client.create({ definition: world.definition({ tools }), workFolder })
  await client.ask(session, 'rich')
  const events = await readAll(client, session)
  const started = ofType(events, 'tool_started').at(-1)?.seq ?? 0
  const outcomes = async (open: 'rule' | 'rerun') => {
    const fork = await client.fork(session, { at: started, open, folder: 'share' })
    const { seq } = await client.send(fork.session, 'go on')
    await client.awaitTurn(fork.session, seq)
    await world.sound(fork.session)
    return ofType(await readAll(client, fork.session), 'tool_finished')
      .map((e) => [e.payload.tool, e.payload.outcome])
      .sort()
  }
  expect(await outcomes('rule')).toEqual([
    ['read_file', 'ok'],
    ['run_command', 'unknown'],
    ['write_file', 'ok'],
  ])
  expect(await outcomes('rerun')).toEqual([
    ['read_file', 'ok'],
    ['run_command', 'ok'],
    ['write_file', 'ok'],
  ])
  expect(await readFile(join(workFolder, 'log.txt'), 'utf8')).toBe('ran\nran\n')
})

test('checkpoints are made on the way, shorten what the model is sent, and leave the log whole', async () => {
  const { client } = world
  const workFolder = await world.workFolder()
  const definition = world.definition({ compaction: { atTokens: 5000, keepSteps: 1 } })
  const { session } = await client.create({ definition, workFolder })
  expect(await client.ask(session, 'long')).toMatchObject({ reason: 'done', text: 'fine' })
  await world.sound(session)
  const events = await readAll(client, session)
  const [made] = ofType(events, 'checkpoint_made')
  expect(made?.payload).toMatchObject({ method: 'model', lo: 1, blocks: [{ text: 'SUMMARY: files were written.' }] })
  const after = ofType(events, 'model_answered').find((e) => e.seq > (made?.seq ?? 0))
  expect(after?.payload.manifest.saw).toContain(made?.seq)
  const request = bodies('SUMMARY: files were written.').at(-1)
  expect(JSON.stringify(request?.body)).not.toContain('"text":"long"')
  expect(ofType(events, 'message_received')[0]?.payload.blocks).toEqual([{ type: 'text', text: 'long' }])
})

test('a summary that fails or is empty changes nothing: the turn goes on without', async () => {
  const { client } = world
  for (const name of ['mute', 'broken']) {
    const definition = world.definition({ compaction: { atTokens: 5000, keepSteps: 0, model: { name } } })
    const { session } = await client.create({ definition, workFolder: await world.workFolder() })
    expect(await client.ask(session, 'long')).toMatchObject({ reason: 'done', text: 'long is done' })
    expect(await world.sound(session)).not.toContain('checkpoint_made')
  }
})

test('compact begins a new log with a summary; the raw one stays as it is; without a summary nothing is made', async () => {
  const { client } = world
  const { session } = await client.create({ definition: world.definition(), workFolder: await world.workFolder() })
  await client.ask(session, 'remember the word pomegranate')
  const before = await readAll(client, session)
  for (const name of ['mute', 'broken'])
    expect(
      errorCode(await client.compact(session, { session: `none-${name}`, model: { name } }).catch((e: unknown) => e)),
    ).toBe('summary_failed')
  expect(errorCode(await client.info('none-mute').catch((e: unknown) => e))).toBe('session_not_found')
  const compact = await client.compact(session, { title: 'shorter' })
  expect(compact).toMatchObject({ head: 2, title: 'shorter', compactedFrom: session, parent: null })
  const [created] = ofType(await readAll(client, compact.session), 'session_created')
  expect(created?.payload.origin).toEqual({ kind: 'compaction', session, lo: 1, hi: before.length })
  expect(await client.ask(compact.session, 'what now')).toMatchObject({ reason: 'done', text: 'fine' })
  const request = JSON.stringify(bodies('what now').at(-1)?.body)
  expect(request).toContain('SUMMARY: files were written.')
  expect(request).not.toContain('pomegranate')
  await world.sound(compact.session)
  expect(await readAll(client, session)).toEqual(before)
  const given = await client.compact(compact.session, { summary: 'by hand' })
  expect(ofType(await readAll(client, given.session), 'checkpoint_made')[0]?.payload).toMatchObject({ method: 'given' })
  const root = await client.family(given.session)
  expect(root.info.session).toBe(session)
  expect(root.forks.map((f) => f.info.session)).toContain(compact.session)
})

test('a checkpoint by hand: the next request begins with it, and a fork before it does not know it', async () => {
  const { client } = world
  const { session } = await client.create({ definition: world.definition() })
  await client.ask(session, 'first words')
  const made = await client.checkpoint(session)
  expect(made).toMatchObject({ lo: 1, hi: 4, seq: 5 })
  await client.ask(session, 'after the checkpoint')
  expect(JSON.stringify(bodies('after the checkpoint').at(-1)?.body)).not.toContain('first words')
  const fork = await client.fork(session, { at: 4 })
  await client.ask(fork.session, 'in the fork')
  expect(JSON.stringify(bodies('in the fork').at(-1)?.body)).toContain('first words')
  await world.sound(session)
  expect(SUMMARY_REQUEST).toContain(SUMMARY)
})
