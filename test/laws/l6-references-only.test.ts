/**
 * L6: Temporal carries references only. A marker is planted in every content field; sessions go through success, failure, retries,
 * timeouts, interrupts, approvals, a killed worker and errors that quote content; then all that Temporal knows is searched.
 * Allowed there: ids (space, session, call, epoch, task queue, run), numbers, enum words.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { connect } from '../../client/connect'
import type { Client } from '../../client/types'
import type { DefinitionInput } from '../../contract/definition'
import { ask } from '../faults/support/gate'
import { withTemporal } from '../faults/support/temporal'
import { createWorld, ofType, readAll, until, type World } from '../support/world'
import { exportOpen, exportQueue, find, textsOf } from './support/temporal-export'

const FIELDS = [
  ...[
    'system',
    'definition',
    'description',
    'toolname',
    'model',
    'title',
    'labelkey',
    'labelvalue',
    'folder',
    'filename',
    'principal',
  ],
  ...[
    'message',
    'key',
    'steer',
    'interrupt',
    'answer',
    'reasoning',
    'argument',
    'output',
    'note',
    'deny',
    'edited',
    'why',
    'closed',
  ],
  ...[
    'refused',
    'limited',
    'partial',
    'snapshot',
    'attempts',
    'missing',
    'slowtool',
    'unknowntool',
    'toolong',
    'fallback',
  ],
] as const
const M = Object.fromEntries(FIELDS.map((field) => [field, `zq${field}${randomBytes(4).toString('hex')}`])) as Record<
  (typeof FIELDS)[number],
  string
>
const markers = Object.values(M)
const command = (text: string, more: object = {}) => ({ tool: 'run_command', args: { command: text, ...more } })
const error = (type: string, message: string) => ({ type: 'error', error: { type, message } })

const rules = [
  {
    when: { text: 'ALL', step: 0 },
    say: {
      ...{ reasoning: M.reasoning, text: M.answer },
      calls: [
        { tool: 'write_file', args: { path: M.filename, content: M.argument } },
        command(`echo ${M.output}`),
        command(`echo ${M.argument} >&2; exit 3`),
        { tool: M.toolname, args: { x: M.argument } },
        { tool: M.unknowntool, args: {} },
        { tool: 'read_file', args: { path: M.missing } },
      ],
    },
  },
  {
    when: { text: 'REFUSED' },
    say: { fault: { kind: 'status' as const, status: 400, body: error('invalid_request_error', M.refused) } },
  },
  {
    when: { text: 'TOOLONG', provider: 'anthropic' as const },
    say: {
      fault: {
        kind: 'status' as const,
        status: 400,
        body: error('invalid_request_error', `prompt is too long: ${M.toolong}`),
      },
    },
  },
  {
    when: { text: 'LIMITED' },
    say: {
      text: M.answer,
      fault: { kind: 'status' as const, status: 429, retryAfter: 3, body: error('rate_limit_error', M.limited) },
    },
  },
  {
    when: { text: 'STOPPED', step: 0 },
    say: { text: `${M.partial} and more`, fault: { kind: 'hang' as const, afterDeltas: 1 } },
  },
  { when: { text: 'KILLED', step: 0 }, say: { text: M.answer, fault: { kind: 'hang' as const, afterDeltas: 1 } } },
  {
    when: { text: 'TIMEOUT', step: 0 },
    say: { calls: [command(`echo ${M.slowtool}; sleep 60`, { timeoutSeconds: 1 })] },
  },
  { say: { text: M.answer } },
]

let world: World
let client: Client
const exported = new Map<string, unknown>()
const keep = (found: Map<string, unknown>): void =>
  found.forEach((value, where) => exported.set(`${exported.size} ${where}`, value))

function definition(approval: 'allow' | 'ask'): DefinitionInput {
  const base = world.definition()
  const own = {
    name: M.toolname,
    description: M.description,
    inputSchema: '{"type":"object"}',
    approval: 'allow' as const,
  }
  const tools = [...(base.tools ?? []).map((spec) => ({ ...spec, approval })), own]
  return {
    ...base,
    ...{ model: { provider: 'anthropic', name: M.model }, name: M.definition, system: M.system, tools },
    fallbacks: { models: [{ provider: 'openai-chat', name: M.fallback }], on: ['context_exceeded'] },
  }
}

async function begin(approval: 'allow' | 'ask' = 'allow'): Promise<string> {
  const workFolder = path.join(await world.workFolder(), M.folder)
  await mkdir(workFolder)
  await writeFile(path.join(workFolder, M.filename), M.argument)
  const labels = { [M.labelkey]: M.labelvalue }
  return (await client.create({ definition: definition(approval), title: M.title, labels, workFolder })).session
}
const done = (session: string, seq: number) => client.awaitTurn(session, seq, { timeoutMs: 90_000 })
const attemptOf = (session: string): Promise<number> =>
  withTemporal(world, async (temporal) => {
    const { raw } = await temporal.workflow.getHandle(session).describe()
    return raw.pendingActivities?.[0]?.attempt ?? 0
  })

async function approvals(): Promise<void> {
  const session = await begin('ask')
  const { seq } = await client.send(session, `ALL ${M.message}`, { key: M.key })
  await until('the prompts', async () => (await client.approvals(session)).length === 4)
  await until('the run to say so', async () => {
    const open = await exportOpen(world, session)
    keep(open)
    return textsOf([...open])
      .join()
      .includes('waiting for an approval')
  })
  const [first, second, third, fourth] = await client.approvals(session)
  await client.approve(session, first?.call, { note: M.note })
  await client.approve(session, second?.call, { args: JSON.stringify({ command: `echo ${M.edited}` }) })
  await client.deny(session, third?.call, { note: M.deny })
  await client.approve(session, fourth?.call)
  expect((await done(session, seq)).reason).toBe('done')
  await client.changeDefinition(session, { ...definition('allow'), system: `${M.system} again` }, { why: M.why })
  await client.ask(session, M.message, { timeoutMs: 90_000 })
  const fork = await client.fork(session, { title: M.title })
  await client.ask(fork.session, M.message, { timeoutMs: 90_000 })
  await client.close(session, { reason: M.closed })
}

async function failures(): Promise<void> {
  const refused = await begin()
  expect((await done(refused, (await client.send(refused, 'REFUSED')).seq)).reason).toBe('failed')
  const long = await begin()
  expect((await done(long, (await client.send(long, 'TOOLONG')).seq)).reason).toBe('done')
  const limited = await begin()
  const { seq } = await client.send(limited, 'LIMITED')
  await until('the retry', async () => (await attemptOf(limited)) === 2)
  keep(await exportOpen(world, limited))
  await done(limited, seq)
  const slow = await begin()
  await done(slow, (await client.send(slow, 'TIMEOUT')).seq)
}

async function interrupts(): Promise<void> {
  const session = await begin()
  const { seq } = await client.send(session, 'STOPPED')
  await until('the stream', () => world.model.requests.some((r) => JSON.stringify(r.body).includes('STOPPED')))
  await client.send(session, M.steer, { delivery: 'steer' })
  await client.interrupt(session, M.interrupt)
  expect((await done(session, seq)).reason).toBe('interrupted')
  await until(
    'the next turn',
    async () => (await world.sound(session)).filter((t) => t === 'turn_finished').length === 2,
  )
}

/** Rows that make our own code throw errors which quote them: in a local activity (advance) and in a regular one (callModel). */
async function bugs(): Promise<void> {
  const session = await begin()
  const { adminUrl } = world.db
  const snapshot = `insert into savefile.snapshots (space_id, session_id, reducer_version, seq, state)
    select 'default', $1, v, 1, $2 from generate_series(1, 5) v`
  await ask(adminUrl, snapshot, [session, M.snapshot])
  const { seq } = await client.send(session, 'BUG')
  await until('advance to have failed', () =>
    withTemporal(world, async (temporal) => {
      const { events } = await temporal.workflow.getHandle(session).fetchHistory()
      return (events ?? []).some((event) => event.markerRecordedEventAttributes?.failure)
    }),
  )
  await ask(
    adminUrl,
    `insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, attempts, state, beat_at)
     values ('default', $1, 'model@2', 2, 1, 1, 'gone', 0, $2, 'running', 0)`,
    [session, `${M.attempts}]`],
  )
  await ask(adminUrl, 'delete from savefile.snapshots where session_id = $1', [session])
  await until('callModel to have failed', async () => (await attemptOf(session)) >= 2)
  keep(await exportOpen(world, session))
  await ask(adminUrl, `update savefile.drafts set attempts = '[]', beat_at = 0 where session_id = $1`, [session])
  expect((await done(session, seq)).reason).toBe('done')
}

async function killed(): Promise<void> {
  const session = await begin()
  const { seq } = await client.send(session, 'KILLED')
  await until('the call', () => world.model.requests.some((r) => JSON.stringify(r.body).includes('KILLED')))
  for (const worker of world.workers) await worker.kill('SIGKILL')
  await world.startWorker(SETTINGS)
  await until(
    'the second attempt',
    async () => (await attemptOf(session)) >= 2 || (await world.sound(session)).length > 2,
  )
  keep(await exportOpen(world, session))
  expect((await done(session, seq)).reason).toBe('done')
}

const SETTINGS = { SAVEFILE_PROFILE_JSON: JSON.stringify({ backoffMs: [100] }) }

beforeAll(async () => {
  world = await createWorld({ script: { name: 'markers', rules } })
  const temporal = { address: world.temporalAddress, taskQueue: world.taskQueue }
  client = await connect({ databaseUrl: world.db.writerUrl, temporal, principal: M.principal })
  await world.startWorker(SETTINGS)
  await Promise.all([approvals(), failures(), interrupts(), bugs()])
  await killed()
  const known = await client.list()
  await until('every run to be listed', async () => {
    const all = await exportQueue(world)
    const listed = known.every(({ session }) => [...all.keys()].some((where) => where.startsWith(`${session}/`)))
    if (listed) keep(all)
    return listed
  })
}, 180_000)
afterAll(async () => {
  await client.disconnect()
  await world.close()
})

test('every marker went through a log or a database: none was left out of what is searched for', async () => {
  const sessions = await client.list()
  const logs = await Promise.all(sessions.map(({ session }) => readAll(client, session)))
  const definitions = await Promise.all(sessions.map(({ definition: hash }) => client.definition(hash)))
  const all = textsOf([logs, sessions, definitions]).join('\n')
  // In columns and rows that the client does not give out, or that the test wrote and took away.
  const elsewhere: string[] = [M.snapshot, M.attempts, M.limited, M.key]
  expect(markers.filter((marker) => !all.includes(marker) && !elsewhere.includes(marker))).toEqual([])
  const outcomes = logs.flatMap((log) => ofType(log, 'tool_finished').map((event) => event.payload.outcome))
  expect([...new Set(outcomes)].sort()).toEqual(['denied', 'error', 'ok'])
})

test('none of them is anywhere in Temporal', () => {
  expect(exported.size).toBeGreaterThan(40)
  expect(find(markers, exported)).toEqual([])
})

test('failures were there to be searched: activities, local ones, retries that waited', () => {
  const texts = textsOf([...exported.values()]).join('\n')
  for (const word of ['rate_limited', 'SyntaxError', 'savefile-reconcile', 'waiting for an approval'])
    expect(texts).toContain(word)
})

test('the search would find a leak: in a signal, a failure, a summary, a reason', async () => {
  const planted = ['zqplantedsignal', 'zqplantedreason', 'zqplantedmemo', 'zqplantedsummary']
  const id = `${world.taskQueue}-leak`
  const leaky = await withTemporal(world, async (temporal) => {
    const handle = await temporal.workflow.start('session', {
      ...{ workflowId: id, taskQueue: `${world.taskQueue}-nobody`, args: [] },
      ...{ memo: { what: planted[2] }, staticSummary: `a ${planted[3]}` },
    })
    await handle.signal('nudge', { deep: [planted[0]] })
    await handle.terminate(`for ${planted[1]}`)
    return [await handle.fetchHistory(), await handle.describe()]
  })
  expect(find(planted, new Map([['leak', leaky]])).map(({ marker }) => marker)).toEqual(planted)
  // JSON of a history has its payloads in base64.
  const base64 = JSON.stringify({ data: Buffer.from(JSON.stringify({ leak: planted[0] })).toString('base64') })
  expect(find(planted, new Map([['json', JSON.parse(base64)]]))).toHaveLength(1)
})
