/** Calls of an encrypted session on the host of a queue, which has a key for its own calls and none of the session's. */
import type { Pool } from 'pg'
import { randomUUID } from 'node:crypto'
import { parseDefinition } from '../../contract/definition'
import type { SessionRef } from '../../contract/ids'
import type { QueueLog } from '../../contract/ports'
import { INLINE_TEXT_BYTES } from '../../contract/limits'
import { newOwnerKey, keyringOf } from '../../log/keyring'
import { createPool } from '../../log/pool'
import { newQueueKey, openCall, queueKeysOf, sealCall } from '../../log/queue-key'
import { createQueueLog, createQueueOutput, type CallSealers } from '../../log/queue-log'
import { createClientLog } from '../../log/client-log'
import { createVault } from '../../log/vault'
import { ANN, answer, finished, openLog, RUNNING, started, turnFinished, IDLE, type TestLog } from './support'

const MARK = 'zqsecretzq'
const ring = keyringOf(newOwnerKey(), 'test')
const pair = newQueueKey()
const keys = queueKeysOf(pair.privateKey, 'test')

let log: TestLog
let hostPool: Pool
let sealers: CallSealers
let host: QueueLog
beforeAll(async () => {
  log = await openLog({ keyring: ring, pollMs: 50 })
  hostPool = createPool(log.db.executorUrl, { max: 2 })
  sealers = new Map()
  host = createQueueLog(hostPool, 600_000, { keys, sealers })
  await log.pool.query(`select savefile.set_queue_login('savefile_executor_login', 'default', 'sandbox')`)
})
afterAll(async () => {
  await hostPool.end()
  await log.close()
})

interface Open {
  ref: SessionRef
  call: string
  step: string
}

/** A session with one started call of the queue, and what it takes where the host finds it. */
async function open(): Promise<Open> {
  const tool = { name: 'pay', description: '', inputSchema: '{"type":"object"}', queue: 'sandbox' }
  const hash = await log.client.putDefinition(
    'default',
    parseDefinition({
      model: { provider: 'anthropic', name: 'scripted' },
      tools: [{ ...tool, approval: 'allow', queueKey: pair.publicKey }],
    }),
  )
  const ref = { space: 'default', session: `q-${randomUUID().slice(0, 8)}` }
  await log.client.create(ref, ANN, { definition: hash, encrypted: true })
  await log.client.input(ref, ANN, 'first', {
    type: 'message_received',
    payload: { blocks: [{ type: 'text', text: MARK }], delivery: 'queue' },
  })
  await log.executor.claim(ref, { cluster: 'c', run: 'r' })
  const call = `${ref.session}:2.0`
  await log.executor.append(ref, 1, 2, [answer(ref, 2, ['pay']), started(call)], RUNNING)
  await handOver(ref, call)
  return { ref, call, step: `tool@${call}` }
}

const handOver = (ref: SessionRef, id: string): Promise<void> =>
  log.executor.handOver(
    ref,
    1,
    {
      ...{ id, tool: 'pay', args: `{"to":"${MARK}"}`, idempotencyKey: 'k', timeoutMs: 5000 },
      ...{ workFolder: `/tmp/${MARK}`, safe: false },
    },
    { queue: 'sandbox', key: pair.publicKey },
  )

const claim = (of: Open, token = 't') => host.claimCall(of.ref, 1, of.step, token)
const result = (call: string, text = MARK) => finished(call, text)

/** Columns in which the word stands, in any row of any table. */
async function search(word: string): Promise<string[]> {
  const columns = await log.admin(
    `select table_name, column_name, data_type from information_schema.columns where table_schema = 'savefile'`,
  )
  const found: string[] = []
  for (const row of columns) {
    const { table_name, column_name, data_type } = row as Record<string, string>
    const value = data_type === 'bytea' ? `encode(${column_name}, 'escape')` : `${column_name}::text`
    const rows = await log.admin(`select 1 from savefile.${table_name} where strpos(${value}, $1) > 0 limit 1`, [word])
    if (rows.length > 0) found.push(`${table_name}.${column_name}`)
  }
  return found
}

test('its host is given what the call takes, and what it leaves becomes the result, sealed as the rest of the log', async () => {
  const of = await open()
  expect(await claim(of)).toMatchObject({
    claim: { status: 'claimed', attempt: 1 },
    call: {
      ...{ tool: 'pay', args: `{"to":"${MARK}"}`, idempotencyKey: 'k', timeoutMs: 5000 },
      ...{ workFolder: `/tmp/${MARK}`, safe: false },
    },
  })
  const output = createQueueOutput(hostPool, sealers)
  output.add({ ref: of.ref, step: of.step, token: 't', n: 0, kind: 'output', body: `${MARK} so far` })
  await output.close()
  expect(await log.executor.partial(of.ref, [of.step])).toEqual(
    new Map([[of.step, [{ type: 'text', text: `${MARK} so far` }]]]),
  )
  const blob = await host.writeBlob(of.ref, of.step, 't', Buffer.from(`${MARK} file`), 'text/plain')
  const long = `${MARK}${'x'.repeat(INLINE_TEXT_BYTES)}`
  const event = result(of.call, long)
  event.payload.blocks.push({ type: 'file', blob, name: 'a.txt' })
  expect(await host.finishDraft(of.ref, of.step, 't', event)).toBe('finished')
  // Nothing of it is in clear, from the arguments to the result, and the host's keys are in no table either.
  expect(await search(MARK)).toEqual([])

  const look = await log.executor.look(of.ref, 1, null)
  const [draft] = look.status === 'ok' ? look.drafts : []
  expect(draft).toMatchObject({ state: 'finished', type: 'tool_finished', byHost: true })
  const payload = JSON.parse(draft?.payload ?? '') as typeof event.payload
  expect(await log.executor.append(of.ref, 1, 4, [{ type: 'tool_finished', payload }], RUNNING)).toMatchObject({
    status: 'appended',
  })
  expect(await search(MARK)).toEqual([])
  const [stored] = (await log.read(of.ref)).slice(-1)
  const { blocks } = JSON.parse(stored?.payload ?? '') as typeof event.payload
  const [text, file] = blocks
  const read = async (block: typeof text): Promise<string> =>
    Buffer.from(
      await log.client.readBlob(of.ref, block && 'blob' in block && block.blob ? block.blob.hash : ''),
    ).toString()
  expect([await read(text), await read(file)]).toEqual([long, `${MARK} file`])

  // The log itself has only the session's own seal, so that whoever reads it elsewhere need know of no other.
  const envelopes = await log.admin(
    `select distinct encode(substring(decode(encode(substring(payload from 8 for 12), 'escape'), 'base64') from 1 for 4), 'hex') as head
     from savefile.events where session_id = $1 and kid is not null`,
    [of.ref.session],
  )
  expect(envelopes).toEqual([{ head: '53464501' }])
})

test('whoever has not the private key of the queue claims nothing, and so does whoever has another', async () => {
  const of = await open()
  for (const others of [new Map(), queueKeysOf(newQueueKey().privateKey, 'test')]) {
    const stranger = createQueueLog(hostPool, 600_000, { keys: others })
    expect(await stranger.claimCall(of.ref, 1, of.step, 'x')).toEqual({ claim: { status: 'key_missing' } })
  }
  expect(await log.admin('select 1 from savefile.drafts where session_id = $1', [of.ref.session])).toEqual([])
  expect(await claim(of)).toMatchObject({ claim: { status: 'claimed' } })
})

test('what is sealed for a host opens with its key, for its call, and unchanged', () => {
  const place = { session: 's', call: 's:2.0' }
  const call = { tool: 'pay', args: '{}', idempotencyKey: null, timeoutMs: 1, workFolder: null, safe: true }
  const sealed = sealCall(pair.publicKey, place, call, { kid: 'k', key: Buffer.alloc(32, 1) })
  const key = keys.get(pair.publicKey)
  if (!key) throw new Error('no key')
  expect(openCall(key, place, sealed)).toEqual({ call, with: { kid: 'k', key: Buffer.alloc(32, 1) } })
  const corrupt = expect.objectContaining({ code: 'corrupt_log' }) as Error
  expect(() => openCall(key, { ...place, call: 's:2.1' }, sealed)).toThrow(corrupt)
  expect(() => openCall(key, { ...place, session: 'r' }, sealed)).toThrow(corrupt)
  for (const at of [0, 40, sealed.length - 1]) {
    const changed = Buffer.from(sealed)
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
    expect(() => openCall(key, place, changed)).toThrow(corrupt)
  }
  expect(() => queueKeysOf('savefile-queue-key-1:c2hvcnQ', 'f')).toThrow('Line 1 of f is no private key')
})

test('a host is believed about its own call and in its own words: all else is an outcome that nobody knows', async () => {
  const wrong = [
    { ...result('another:2.0'), type: 'tool_finished' as const },
    { ...result('', MARK), payload: { tool: 'pay', outcome: 'ok' } },
    { type: 'tool_finished' as const, payload: { ...result('').payload, outcome: 'denied' } },
    { type: 'tool_finished' as const, payload: { ...result('').payload, tool: 'other' } },
    {
      type: 'tool_finished' as const,
      payload: {
        ...result('').payload,
        blocks: [{ type: 'file', blob: { hash: `sha256:${'a'.repeat(64)}`, bytes: 1, mediaType: 'text/plain' } }],
      },
    },
  ]
  for (const [i, event] of wrong.entries()) {
    const of = await open()
    const payload = i === 0 ? event.payload : { ...event.payload, call: of.call }
    await claim(of)
    expect(await host.finishDraft(of.ref, of.step, 't', { type: 'tool_finished', payload } as never)).toBe('finished')
    const look = await log.executor.look(of.ref, 1, null)
    const [draft] = look.status === 'ok' ? look.drafts : []
    expect(JSON.parse(draft?.payload ?? '')).toMatchObject({ call: of.call, tool: 'pay', outcome: 'unknown' })
  }
  // Sealed with nothing, with another call's key, or as another call's.
  const [one, other] = [await open(), await open()]
  await claim(one, 'one')
  await claim(other, 'other')
  const finish = (payload: string): Promise<unknown> =>
    hostPool.query(`select savefile.executor_finish('default', $1, $2, 'one', 1, $3)`, [
      one.ref.session,
      one.call,
      payload,
    ])
  const bad = { code: '22023' }
  await expect(finish(JSON.stringify(result(one.call).payload))).rejects.toMatchObject(bad)
  await expect(finish(sealers.get('other')?.text('event:tool_finished', '{}') ?? '')).rejects.toMatchObject(bad)
  await expect(finish('sealed:AAAA')).rejects.toMatchObject(bad)
  await finish(sealers.get('one')?.text('blob', '{}') ?? '')
  const look = await log.executor.look(one.ref, 1, null)
  expect(look.status === 'ok' && JSON.parse(look.drafts[0]?.payload ?? '')).toMatchObject({ outcome: 'unknown' })
})

test("what comes late is evidence, and what was handed over goes with the call's draft", async () => {
  const of = await open()
  await claim(of, 'frozen')
  await log.executor.close(of.ref, 1, [{ step: of.step, token: 'frozen', outcome: 'unknown' }])
  expect(await host.finishDraft(of.ref, of.step, 'frozen', result(of.call))).toBe('refused')
  const look = await log.executor.look(of.ref, 1, null)
  const evidence = look.status === 'ok' ? look.evidence : []
  expect(evidence.map(({ payload }) => JSON.parse(payload) as unknown)).toEqual([result(of.call).payload])
  const { payload } = result(of.call)
  const unknown = { type: 'tool_finished' as const, payload: { ...payload, outcome: 'unknown' as const, blocks: [] } }
  await log.executor.append(of.ref, 1, 4, [unknown], RUNNING, evidence)
  expect((await log.read(of.ref)).map(({ type }) => type)).toContain('result_arrived_late')
  const left = (): Promise<unknown[]> =>
    log.admin('select 1 from savefile.queue_calls where session_id = $1', [of.ref.session])
  expect(await left()).toHaveLength(1)
  await log.executor.append(of.ref, 1, 6, [answer(of.ref, 6), turnFinished(2)], IDLE)
  await log.client.input(of.ref, ANN, 'again', {
    type: 'message_received',
    payload: { blocks: [{ type: 'text', text: 'again' }], delivery: 'queue' },
  })
  await log.executor.claim(of.ref, { cluster: 'c', run: 'another' })
  await log.pool.query('select savefile.sweep(1000)')
  expect(await left()).toEqual([])
})

test('erased, neither the host nor its key opens anything of it', async () => {
  const of = await open()
  const fork = { space: 'default', session: `${of.ref.session}-f` }
  await claim(of)
  await host.finishDraft(of.ref, of.step, 't', result(of.call))
  await log.client.fork(of.ref, 4, fork.session, ANN, { encrypted: true })
  await log.executor.claim(fork, { cluster: 'c', run: 'r' })
  await handOver(fork, of.call)
  await log.client.erase(of.ref, ANN)
  expect(
    await log.admin('select 1 from savefile.queue_calls where session_id like $1', [`${of.ref.session}%`]),
  ).toEqual([])
  expect(await claim(of, 'u')).toEqual({ claim: { status: 'call_not_found' } })
})

test('live text of a host is read as all other live text, by whoever has the owner key', async () => {
  const of = await open()
  await claim(of)
  const output = createQueueOutput(hostPool, sealers)
  const pool = createPool(log.db.writerUrl, { max: 2 })
  const client = createClientLog(pool, { vault: createVault(pool, ring), listen: false, pollMs: 20 })
  try {
    output.add({ ref: of.ref, step: of.step, token: 't', n: 0, kind: 'output', body: `${MARK} live` })
    await output.flush()
    for await (const { body } of client.followLive(of.ref)) {
      expect(body).toBe(`${MARK} live`)
      break
    }
  } finally {
    await output.close()
    await client.close()
  }
})
