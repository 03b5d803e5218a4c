/** ask, approvals and interrupts over the real loop: real Postgres, Temporal, worker process; a scripted model. */
import { connect } from '../../client/connect'
import type { Client } from '../../client/types'
import type { ScriptInput } from '../../dev/scripted-model/script'
import { createWorld, ofType, readAll, until, type World } from '../support/world'

const script: ScriptInput = {
  name: 'ask',
  rules: [
    {
      when: { text: 'slow' },
      say: { text: 'one two three four five six seven eight nine ten '.repeat(20), deltaMs: 40 },
    },
    { when: { text: 'no key' }, say: { fault: { kind: 'status', status: 401, times: 1000 } } },
    {
      when: { text: 'command', step: 0 },
      say: { text: 'I run it.', calls: [{ tool: 'run_command', args: { command: 'echo asked' } }] },
    },
    { when: { text: 'command' }, say: { text: 'I saw: {{step_result:0:0 | plain | chars:200}}' } },
    { when: { text: 'look', step: 0 }, say: { calls: [{ tool: 'list_files', args: { path: '.' } }] } },
    { when: { text: 'person', step: 0 }, say: { calls: [{ tool: 'ask_person', args: { question: 'how many?' } }] } },
    { when: { text: 'person' }, say: { text: 'They say: {{step_result:0:0 | plain | chars:200}}' } },
    { say: { text: 'hello there' } },
  ],
}

let world: World
let client: Client
beforeAll(async () => {
  world = await createWorld({ script })
  client = world.client
  await world.startWorker()
})
afterAll(() => world?.close())

const newSession = async (change: Parameters<World['definition']>[0] = {}): Promise<string> =>
  (await client.create({ definition: world.definition(change), workFolder: await world.workFolder() })).session
const code = (wanted: string) => expect.objectContaining({ code: wanted })

describe('ask', () => {
  test('gives the answer of the turn that handled the message', async () => {
    const session = await newSession()
    const answer = await client.ask(session, 'hi', { key: 'q1' })
    expect(answer).toMatchObject({
      waiting: null,
      session,
      key: 'q1',
      seq: 2,
      turn: 2,
      reason: 'done',
      text: 'hello there',
      answerSeq: 3,
    })
    expect(answer.usage.input).toBeGreaterThan(0)
    const second = await client.ask(session, 'and again')
    expect(second).toMatchObject({ turn: second.seq, text: 'hello there' })
    await world.sound(session)
  })

  test('called again with the same key, also by another process, it pays nothing and gives the same answer', async () => {
    const session = await newSession()
    const stop = new AbortController()
    const given = client.ask(session, 'slow please', { key: 'once', signal: stop.signal })
    await until('the message to be there', async () => (await client.info(session)).head >= 2)
    stop.abort(new Error('the caller died'))
    await expect(given).rejects.toThrow('the caller died')

    const other = await connect({
      databaseUrl: world.db.writerUrl,
      temporal: { address: world.temporalAddress, taskQueue: world.taskQueue },
    })
    try {
      const resumed = await other.ask(session, 'slow please', { key: 'once' })
      expect(resumed).toMatchObject({ seq: 2, turn: 2, reason: 'done' })
      expect(await client.ask(session, 'slow please', { key: 'once' })).toMatchObject({
        answerSeq: resumed.answerSeq,
        text: resumed.text,
      })
    } finally {
      await other.disconnect()
    }
    expect(ofType(await readAll(client, session), 'model_answered')).toHaveLength(1)
  })

  test('a turn that fails, or reaches a limit, is an answer with that reason', async () => {
    const failed = await client.ask(await newSession(), 'no key')
    expect(failed).toMatchObject({ reason: 'failed', answerSeq: null, failure: { class: 'auth' } })
    const limited = await client.ask(await newSession({ limits: { steps: 1 } }), 'look')
    expect(limited).toMatchObject({ reason: 'limit', limit: 'steps' })
  })

  test('an interrupt ends it, and what had been streamed is given', async () => {
    const session = await newSession()
    const asked = client.ask(session, 'slow please')
    for await (const delta of client.followLive(session)) if (delta.kind === 'text') break
    await client.interrupt(session)
    const answer = await asked
    expect(answer).toMatchObject({ reason: 'interrupted' })
    expect(answer.text).toMatch(/^one/)
    await world.sound(session)
  })

  test('a message sent while a turn runs is answered by the next turn', async () => {
    const session = await newSession()
    const first = client.ask(session, 'slow please')
    await until('the first to be there', async () => (await client.info(session)).head >= 2)
    const second = await client.ask(session, 'hi')
    expect(second).toMatchObject({ turn: second.seq, text: 'hello there' })
    expect((await first).turn).toBe(2)
  })
})

describe('approvals', () => {
  test('the wait ends with what is pending; answered by the short id, it goes on', async () => {
    const session = await newSession()
    const waiting = await client.ask(session, 'a command', { key: 'k', onApproval: 'return' })
    if (waiting.waiting === null) throw new Error('it did not wait')
    expect(waiting.calls).toMatchObject([
      { call: `${session}:2.0`, short: '2.0', tool: 'run_command', args: '{"command":"echo asked"}' },
    ])
    expect(await client.approve(session, '2.0')).toMatchObject({ call: `${session}:2.0`, duplicate: false })
    const answer = await client.ask(session, 'a command', { key: 'k' })
    expect(answer.text).toMatch(/asked/)
  })

  test('the first answer counts: the same again is a duplicate, another is refused', async () => {
    const session = await newSession()
    const { seq } = await client.send(session, 'a command')
    await client.awaitTurn(session, seq, { onApproval: 'return' })
    const answers = await Promise.allSettled([client.approve(session), client.deny(session)])
    expect(answers.map((a) => a.status).sort()).toEqual(['fulfilled', 'rejected'])
    const [winner] = ofType(await readAll(client, session), 'approval_resolved')
    const again = { decision: winner?.payload.decision ?? 'allow' }
    expect(await client.resolve(session, '2.0', again)).toMatchObject({ duplicate: true, seq: winner?.seq })
    const other = again.decision === 'allow' ? 'deny' : 'allow'
    await expect(client.resolve(session, '2.0', { decision: other })).rejects.toThrow(code('already_resolved'))
    expect((await client.awaitTurn(session, seq)).reason).toBe('done')
  })

  test('a callback answers, with other arguments or with a reason for no', async () => {
    const session = await newSession()
    const edited = await client.ask(session, 'a command', {
      onApproval: async () => ({ decision: 'allow', args: '{"command":"echo edited"}' }),
    })
    expect(edited.text).toMatch(/edited/)
    const denied = await client.ask(session, 'a command', {
      onApproval: async () => ({ decision: 'deny', note: 'not on a Friday' }),
    })
    expect(denied.text).toMatch(/not on a Friday/)
  })

  test('what a callback throws ends the wait, not the turn', async () => {
    const session = await newSession()
    const failing = client.ask(session, 'a command', {
      key: 'k',
      onApproval: () => Promise.reject(new Error('no tty')),
    })
    await expect(failing).rejects.toThrow('no tty')
    expect(await client.approvals(session)).toHaveLength(1)
  })

  test('a fork asks anew for what was allowed before it', async () => {
    const session = await newSession()
    const { seq } = await client.send(session, 'a command')
    await client.awaitTurn(session, seq, { onApproval: 'return' })
    const [asked] = await client.approvals(session)
    const allowed = await client.approve(session)
    await client.awaitTurn(session, seq)
    // Quiet: the script answers what was said last, which would else be the note on the fork's folder.
    const fork = await client.fork(session, { at: allowed.seq, quiet: true })
    expect(await client.approvals(fork.session)).toMatchObject([{ call: asked?.call }])
    await client.deny(fork.session)
    expect((await client.awaitTurn(fork.session, seq)).text).toMatch(/denied|Not run/)
    await world.sound(fork.session)
  })
})

test('a deferred call waits for whoever finishes it', async () => {
  const tool = {
    name: 'ask_person',
    description: 'asks',
    inputSchema: '{"type":"object"}',
    deferred: true,
    approval: 'allow' as const,
  }
  const session = await newSession({ tools: [tool] })
  const asked = client.ask(session, 'person')
  await until('the call to be handed out', async () => (await client.info(session)).state === 'waiting_result')
  expect(await client.finishCall(session, '2.0', { outcome: 'ok', content: 'forty-two', key: 'r1' })).toMatchObject({
    duplicate: false,
  })
  expect((await asked).text).toMatch(/forty-two/)
  await expect(client.finishCall(session, '2.0', { outcome: 'ok', content: 'other' })).rejects.toThrow(
    code('already_resolved'),
  )
})
