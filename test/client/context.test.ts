/** What a model was and would be sent, and going on with another one: from the log alone, on a real Postgres. No executor runs here. */
import { createHash } from 'node:crypto'
import { createClient } from '../../client/client'
import type { Client } from '../../client/types'
import type { Block } from '../../contract/blocks'
import { VIEW_VERSION, type Payload } from '../../contract/events'
import { createEncoder } from '../../providers/encode'
import { newlyDropped } from '../../providers/view'
import { answer, ANN, finished, openLog, say, started, RUN, RUNNING, type TestLog } from '../log/support'

const encoder = createEncoder()
const THINKING = '{"type":"thinking","thinking":"hm 12345678901234567890","signature":"c2lnbmF0dXJl"}'
let log: TestLog
let client: Client
beforeAll(async () => {
  log = await openLog()
  client = createClient({
    ...{ encoder, log: log.client, space: 'default', actor: 'user:ann' },
    nudge: () => Promise.resolve({ nudged: true }),
    disconnect: () => Promise.resolve(),
  })
})
afterAll(() => log.close())

/** Appends the answer to what is due, with the manifest that a worker would write. */
async function answered(session: string, due: number, tools: string[] = [], thinking = false): Promise<number> {
  const ref = { space: 'default', session }
  const { body, provider, model, platform, dropped, seq } = await client.context(session)
  const { definition: hash } = await client.info(session)
  const before = (await client.read(session)).findLast((e) => !e.unknown && e.type === 'model_answered')
  const last = before?.type === 'model_answered' && !before.unknown ? before.payload.manifest : undefined
  const base = { view: VIEW_VERSION, definition: hash, prev: before?.seq ?? 0, saw: await unseen(session) }
  const made = answer(ref, due, tools)
  const thought: Block[] = thinking ? [{ type: 'reasoning', text: 'hm' }] : []
  const blocks = [...thought, ...made.payload.blocks]
  const replay = {
    provider,
    platform,
    model,
    format: 1,
    blocks: blocks.map((b) => (b.type === 'reasoning' ? THINKING : null)),
  }
  const payload: Payload<'model_answered'> = {
    ...{ ...made.payload, provider: provider, blocks },
    ...(thinking ? { replay } : {}),
    manifest: {
      ...{ ...base, requestHash: createHash('sha256').update(body).digest('hex') },
      dropped: newlyDropped(dropped, last, base),
    },
  }
  const { epoch } = await claimed(session)
  const appended = await log.executor.append(ref, epoch, seq, [{ type: 'model_answered', payload }], RUNNING)
  if (appended.status !== 'appended') throw new Error(appended.status)
  return appended.head
}

async function claimed(session: string): Promise<{ epoch: number }> {
  const claim = await log.executor.claim({ space: 'default', session }, RUN)
  if (claim.status !== 'claimed') throw new Error(claim.status)
  return claim
}

/** What no manifest names yet. */
async function unseen(session: string): Promise<number[]> {
  const events = await client.read(session)
  const named = new Set(
    events.flatMap((e) => (!e.unknown && e.type === 'model_answered' ? e.payload.manifest.saw : [])),
  )
  return events.flatMap((e) =>
    ['message_received', 'tool_finished'].includes(e.type) && !named.has(e.seq) ? [e.seq] : [],
  )
}

async function told(session: string, text: string): Promise<number> {
  return (await client.send(session, text, { delivery: 'steer' })).seq
}

async function ran(session: string, call: string): Promise<number> {
  const { epoch } = await claimed(session)
  const { head } = await client.info(session)
  const events = [started(call, 'wait'), finished(call, 'waited', 'wait')]
  const appended = await log.executor.append({ space: 'default', session }, epoch, head, events, RUNNING)
  if (appended.status !== 'appended') throw new Error(appended.status)
  return appended.head
}

test('the request of an answer is rebuilt from the log, and is what was sent; of another event it is what would be', async () => {
  const { session } = await log.begin()
  const first = await answered(session, 2, ['wait'], true)
  const result = await ran(session, `${session}:2.0`)
  const second = await answered(session, result)
  const [one, two] = [await client.context(session, { at: first }), await client.context(session, { at: second })]
  expect(one).toMatchObject({
    made: first,
    same: true,
    provider: 'anthropic',
    platform: 'api.anthropic.com',
    counted: 1,
  })
  expect(two).toMatchObject({ made: second, same: true, why: null })
  expect(JSON.parse(two.body)).toMatchObject({ model: 'scripted', messages: { length: 3 } })
  expect(two.body).toContain(THINKING)
  expect((await client.context(session, { at: result })).body).toBe(two.body)
  expect((await client.context(session, { at: result })).made).toBeNull()
  expect(two.parts.map(({ what, seq }) => [what, seq])).toEqual([
    ['system', null],
    ['tools', null],
    ['user', 2],
    ['assistant', first],
    ['results', result],
  ])
  expect(two.tokens).toBe(two.parts.reduce((sum, part) => sum + part.tokens, 0))
  await expect(client.context(session, { at: 99 })).rejects.toMatchObject({ code: 'invalid_input' })
})

test('a request that is not what was sent says so', async () => {
  const { session } = await log.begin()
  const first = await answered(session, 2)
  await log.admin('alter table savefile.events disable trigger all')
  await log.admin(
    `update savefile.events set payload = convert_to(replace(convert_from(payload, 'UTF8'), '"text":"go"', '"text":"no"'), 'UTF8') where session_id = $1 and seq = 2`,
    [session],
  )
  await log.admin('alter table savefile.events enable trigger all')
  expect(await client.context(session, { at: first })).toMatchObject({
    same: false,
    why: expect.stringMatching(/version/) as never,
  })
})

test('as another provider: its encoding, and what it would not be sent', async () => {
  const { session } = await log.begin()
  const first = await answered(session, 2, ['wait'], true)
  await ran(session, `${session}:2.0`)
  const chat = await client.context(session, { as: { provider: 'openai-chat', model: 'gpt-4o' } })
  expect(chat).toMatchObject({ provider: 'openai-chat', model: 'gpt-4o', platform: 'api.openai.com', same: null })
  expect(chat.dropped).toEqual([{ seq: first, what: 'reasoning', why: 'made by another provider: anthropic' }])
  expect(chat.parts.find(({ seq }) => seq === first)?.dropped).toHaveLength(1)
  expect((JSON.parse(chat.body) as { messages: { role: string }[] }).messages.map(({ role }) => role)).toEqual([
    'user',
    'assistant',
    'tool',
  ])
  await expect(client.context(session, { as: { provider: 'openai-chat' } })).rejects.toMatchObject({
    code: 'invalid_input',
  })
})

test('a dry run says what would be dropped and changes nothing; the first answer says the same; and back again it is as it was', async () => {
  const { session } = await log.begin()
  const first = await answered(session, 2, ['wait'], true)
  await ran(session, `${session}:2.0`)
  const before = await client.context(session)
  const head = (await client.info(session)).head
  const to = { model: { provider: 'openai-chat' as const, name: 'gpt-4o' } }
  const { report, seq } = await client.migrate(session, { ...to, dryRun: true })
  expect(seq).toBeNull()
  expect((await client.info(session)).head).toBe(head)
  expect(report).toMatchObject({
    from: { provider: 'anthropic', model: 'scripted' },
    to: { provider: 'openai-chat', model: 'gpt-4o', platform: 'api.openai.com' },
    dropped: [{ what: 'reasoning', why: 'made by another provider: anthropic', seqs: [first] }],
  })

  const migrated = await client.migrate(session, { ...to, why: 'cheaper' })
  expect(migrated).toMatchObject({ session, report })
  const changed = (await client.read(session)).at(-1)
  expect(changed).toMatchObject({ type: 'definition_changed', payload: { changed: ['model'], why: 'cheaper' } })
  const there = await answered(session, head)
  const [event] = await client.read(session, { from: there, to: there })
  if (event?.type !== 'model_answered' || event.unknown) throw new Error('no answer')
  expect(event.payload.manifest.dropped).toEqual([
    { seq: first, what: 'reasoning', why: 'made by another provider: anthropic' },
  ])

  await client.migrate(session, { model: { provider: 'anthropic', name: 'scripted' } })
  await told(session, 'and now?')
  const back = await client.context(session)
  const cut = before.body.lastIndexOf(',"cache_control"')
  expect(
    back.body
      .slice(back.body.indexOf('"messages"'))
      .startsWith(before.body.slice(before.body.indexOf('"messages"'), cut)),
  ).toBe(true)
  expect(back.body).toContain(THINKING)
})

test('on a fork the session itself stays with its model; what is one vendor’s alone is not taken along', async () => {
  const { session } = await log.begin()
  const own = await client.definition((await client.info(session)).definition)
  const model = {
    ...own.model,
    provider: 'openai-chat' as const,
    compat: 'vllm' as const,
    serverTools: ['{"type":"x"}'],
  }
  await client.changeDefinition(session, { ...own, model })
  const {
    session: fork,
    report,
    seq,
  } = await client.migrate(session, {
    model: { provider: 'anthropic', name: 'claude-opus-5-5' },
    fork: { title: 'the other' },
  })
  expect(report.leftOut).toEqual(['compat', 'serverTools'])
  expect(fork).not.toBe(session)
  expect(seq).toBe((await client.info(fork)).head)
  expect((await client.definition((await client.info(fork)).definition)).model).toEqual({
    ...own.model,
    provider: 'anthropic',
    name: 'claude-opus-5-5',
  })
  expect((await client.definition((await client.info(session)).definition)).model).toEqual(model)
  await expect(client.migrate(session, {})).rejects.toMatchObject({ code: 'invalid_input' })
})

test('a message that waits for the next turn is not shown yet; a session that is not there is not found', async () => {
  const { session } = await log.begin()
  await log.client.input({ space: 'default', session }, ANN, 'k', say('later'))
  expect((await client.context(session)).body).not.toContain('later')
  await expect(client.context('nobody')).rejects.toMatchObject({ code: 'session_not_found' })
})
