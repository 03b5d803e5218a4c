/** Encrypted sessions in a real Postgres: what is stored, what is refused, what is left when the key is destroyed. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { randomUUID } from 'node:crypto'
import type { Keyring } from '../../contract/keys'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { createDeltaWriter } from '../../log/live'
import { createPool } from '../../log/pool'
import { createVault } from '../../log/vault'
import type { SessionRef } from '../../contract/ids'
import { emptyState } from '../../contract/state'
import {
  ANN,
  answer,
  finished,
  openLog,
  RUN,
  RUNNING,
  say,
  started,
  turnFinished,
  until,
  type TestLog,
} from './support'

const OLD = newOwnerKey()
const ring = keyringOf(OLD, 'test')
let log: TestLog
beforeAll(async () => void (log = await openLog({ keyring: ring, pollMs: 50 })))
afterAll(() => log.close())

const named = (name: string): SessionRef => ({ space: 'default', session: `${name}-${randomUUID().slice(0, 8)}` })
const stored = (ref: SessionRef): Promise<Record<string, unknown>[]> =>
  log.admin(
    `select seq, type, kid, convert_from(payload, 'UTF8') as payload from savefile.events where session_id = $1 order by seq`,
    [ref.session],
  )
const kidOf = async (ref: SessionRef): Promise<string> => (await log.client.info(ref))?.encryption?.kid ?? 'in clear'

/** A process of its own: its caches are empty. */
async function elsewhere<T>(
  keyring: Keyring | null,
  use: (other: {
    client: ReturnType<typeof createClientLog>
    executor: ReturnType<typeof createExecutorLog>
  }) => Promise<T>,
): Promise<T> {
  const pool = createPool(log.db.writerUrl, { max: 2 })
  const vault = createVault(pool, keyring)
  const executor = createExecutorLog(pool, { vault })
  const client = createClientLog(pool, { vault, listen: false })
  try {
    return await use({ client, executor })
  } finally {
    await executor.end()
    await client.close()
  }
}

/** A session with a call that ran, a draft, live text, evidence, a snapshot, a long text and a title. */
async function full(word: string): Promise<SessionRef> {
  const ref = named('full')
  const { definition } = log
  expect(
    await log.client.create(ref, ANN, { definition, encrypted: true, title: `${word} title`, labels: { team: 'red' } }),
  ).toEqual({ status: 'created' })
  await log.client.input(ref, ANN, 'first', say(`${word} message ${'long '.repeat(20_000)}`))
  expect(await log.executor.claim(ref, RUN)).toEqual({ status: 'claimed', epoch: 1 })
  const call = `${ref.session}:2.0`
  const blocks = answer(ref, 2, ['pay']).payload.blocks
  const said = answer(ref, 2, [], { blocks: [{ type: 'text', text: `${word} answer` }, ...blocks], stop: 'tool_calls' })
  await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'm' })
  expect(await log.executor.finishDraft(ref, 'model@2', 'm', said)).toBe('finished')
  expect(
    await log.executor.append(ref, 1, 2, [{ ...said, fromDraft: 'model@2' }, started(call)], RUNNING),
  ).toMatchObject({ status: 'appended', head: 4 })
  await log.executor.claimDraft(ref, 1, `tool@${call}`, { safe: false, token: 't' })
  const deltas = createDeltaWriter(log.pool, createVault(log.pool, ring))
  deltas.add({ ref, step: `tool@${call}`, token: 't', n: 0, kind: 'output', body: `${word} output` })
  await deltas.close()
  await log.executor.saveSnapshot(ref, 4, { ...emptyState, definition: `${word} snapshot` })
  await log.executor.finishDraft(ref, `tool@${call}`, 't', finished(call, `${word} result`))
  await log.executor.finishDraft(ref, `tool@${call}`, 'other', finished(call, `${word} evidence`))
  return ref
}

describe('an encrypted session', () => {
  it('reads as any other, by whoever has the key', async () => {
    const ref = await full('quay')
    const events = await log.read(ref)
    expect(events.map((e) => e.type)).toEqual(['session_created', 'message_received', 'model_answered', 'tool_started'])
    expect(JSON.parse(events[2]?.payload ?? '')).toMatchObject({ blocks: [{ text: 'quay answer' }, {}, {}] })
    expect((await log.client.info(ref))?.title).toBe('quay title')
    expect((await log.client.list('default', { prefix: ref.session }))[0]?.title).toBe('quay title')
    const { blocks } = JSON.parse(events[1]?.payload ?? '') as { blocks: { blob: { hash: string; bytes: number } }[] }
    const blob = await log.client.readBlob(ref, blocks[0]?.blob.hash ?? '')
    expect(Buffer.from(blob).toString()).toMatch(/^quay message long /)
    expect(blob.length).toBe(blocks[0]?.blob.bytes)
    const look = await log.executor.look(ref, 1, null)
    expect(look).toMatchObject({
      status: 'ok',
      snapshot: { seq: 4, state: { definition: 'quay snapshot' } },
      drafts: [{ payload: expect.stringContaining('quay result') }],
      evidence: [{ payload: expect.stringContaining('quay evidence') }],
    })
    const step = `tool@${ref.session}:2.0`
    expect((await log.executor.partial(ref, [step])).get(step)).toEqual([{ type: 'text', text: 'quay output' }])
    expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 4 })
  })

  it('streams and follows as any other', async () => {
    const ref = await log.begin()
    await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'm' })
    const stop = new AbortController()
    const seen: string[] = []
    const live = (async () => {
      for await (const delta of log.client.followLive(ref, { signal: stop.signal })) seen.push(delta.body)
    })()
    const writer = createDeltaWriter(log.pool, createVault(log.pool, ring))
    writer.add({ ref, step: 'model@2', token: 'm', n: 0, kind: 'text', body: 'sealed:not' })
    writer.add({ ref, step: 'model@2', token: 'm', n: 1, kind: 'text', body: ' really' })
    await writer.close()
    await until(() => seen.join('') === 'sealed:not really')
    stop.abort()
    await live
    for await (const event of log.client.follow(ref, { from: 2 })) {
      expect(JSON.parse(event.payload)).toMatchObject({ blocks: [{ text: 'go' }] })
      break
    }
  })

  it('says that it has no live text in clear, whatever the text looks like', async () => {
    const ref = named('clear')
    await log.client.create(ref, ANN, { definition: log.definition, title: 'sealed:title' })
    expect((await log.client.info(ref))?.title).toBe('sealed:title')
    await log.client.input(ref, ANN, 'first', say('sealed:AAAA'))
    await log.executor.claim(ref, RUN)
    await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'm' })
    const writer = createDeltaWriter(log.pool, createVault(log.pool, ring))
    writer.add({ ref, step: 'model@2', token: 'm', n: 0, kind: 'text', body: 'sealed:x' })
    await writer.close()
    expect((await log.executor.partial(ref, ['model@2'])).get('model@2')).toEqual([{ type: 'text', text: 'sealed:x' }])
    expect((await log.read(ref)).map((e) => e.kid)).toEqual([null, null])
  })

  it('keeps nothing in clear but labels: a marker in every content field is nowhere in the whole database', async () => {
    await full('zqmarkerzq')
    const tables = await log.admin(
      `select c.oid::regclass::text as name from pg_class c where c.relnamespace = 'savefile'::regnamespace and c.relkind = 'r'`,
    )
    const columns = (await log.admin(
      `select table_name, column_name, data_type from information_schema.columns where table_schema = 'savefile'`,
    )) as { table_name: string; column_name: string; data_type: string }[]
    let searched = 0
    const search = async (word: string): Promise<string[]> => {
      const found: string[] = []
      for (const { table_name, column_name, data_type } of columns) {
        // As text, as bytes that are text, and as hex: a dump would show either.
        const value = data_type === 'bytea' ? `encode(${column_name}, 'escape')` : `${column_name}::text`
        const rows = await log.admin(
          `select ${value} as value from savefile.${table_name} where ${column_name} is not null`,
        )
        searched += rows.length
        for (const row of rows) if (String(row['value']).includes(word)) found.push(`${table_name}.${column_name}`)
      }
      return found
    }
    expect(tables.length).toBeGreaterThan(10)
    expect(await search('zqmarkerzq')).toEqual([])
    expect(searched).toBeGreaterThan(100)
    // The search would find it: labels are in clear, and say so in the docs.
    expect(new Set(await search('"team":"red"'))).toEqual(new Set(['sessions.labels']))
  })

  it('sees that an input came twice, without reading it', async () => {
    const ref = await log.begin()
    expect(await log.client.input(ref, ANN, 'k', say('again'))).toMatchObject({ status: 'appended', seq: 3 })
    expect(await log.client.input(ref, ANN, 'k', say('again'))).toMatchObject({ status: 'duplicate', seq: 3 })
    expect(await log.client.input(ref, ANN, 'k', say('other'))).toEqual({ status: 'idempotency_conflict' })
    await elsewhere(ring, async ({ client }) =>
      expect(await client.input(ref, ANN, 'k', say('again'))).toMatchObject({ status: 'duplicate', seq: 3 }),
    )
  })

  it('has the key that its row names in every event, hashed with it', async () => {
    const ref = await log.begin()
    const kid = await kidOf(ref)
    expect((await stored(ref)).map((e) => e['kid'])).toEqual([kid, kid])
    expect((await stored(ref)).every((e) => String(e['payload']).startsWith('sealed:'))).toBe(true)
    const rows = await log.admin(
      `select bool_and(hash = savefile.event_hash(prev_hash, session_id, seq, type, v, at, actor, key, $2, payload)) as holds from savefile.events where session_id = $1`,
      [ref.session, kid],
    )
    expect(rows).toEqual([{ holds: true }])
  })
})

describe('without the key', () => {
  it('events are there and locked, a title is not, and live text is not', async () => {
    const ref = await full('pier')
    for (const keyring of [null, keyringOf(newOwnerKey(), 'test')]) {
      await elsewhere(keyring, async ({ client }) => {
        const events = await client.read(ref)
        expect(events.map((e) => e.locked)).toEqual(Array(4).fill('key_missing'))
        expect(events[0]?.payload).toMatch(/^sealed:/)
        expect(await client.info(ref)).toMatchObject({ title: null, labels: { team: 'red' }, head: 4 })
        expect(await client.verify(ref)).toMatchObject({ ok: true, head: 4 })
      })
    }
  })

  it('nothing is written, and the error says what to set', async () => {
    const ref = await log.begin()
    await elsewhere(null, async ({ client, executor }) => {
      const refused = { code: 'key_missing', message: expect.stringContaining('SAVEFILE_KEY_FILE') }
      await expect(client.input(ref, ANN, 'k', say('in clear'))).rejects.toMatchObject(refused)
      await expect(client.writeBlob(ref, Buffer.from('in clear'), 'text/plain')).rejects.toMatchObject(refused)
      await expect(executor.append(ref, 1, 2, [turnFinished(2)], RUNNING)).rejects.toMatchObject(refused)
      await executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'm' })
      await expect(executor.finishDraft(ref, 'model@2', 'm', answer(ref, 2))).rejects.toMatchObject(refused)
      await expect(executor.saveSnapshot(ref, 2, emptyState)).rejects.toMatchObject(refused)
      const create = client.create(named('no'), ANN, { definition: log.definition, encrypted: true })
      await expect(create).rejects.toMatchObject({ code: 'key_missing' })
    })
    expect((await log.read(ref)).length).toBe(2)
    expect(await log.admin('select 1 from savefile.draft_deltas where session_id = $1', [ref.session])).toEqual([])
  })

  it('live text in clear is refused by the database too, with the whole batch', async () => {
    const ref = await log.begin()
    const write = (body: string): Promise<unknown> =>
      log.pool.query('select savefile.write_deltas($1, $2, $3, $4, $5, $6, $7)', [
        ['default'],
        [ref.session],
        ['model@2'],
        ['m'],
        [0],
        ['text'],
        [body],
      ])
    await expect(write('in clear')).rejects.toMatchObject({ code: 'SFKEY' })
  })

  it('an executor does not advance: it is told that the session is locked', async () => {
    const ref = await full('dock')
    await elsewhere(null, async ({ executor }) => {
      expect(await executor.look(ref, 1, null)).toMatchObject({ status: 'locked', why: 'key_missing', head: 4 })
      await expect(executor.claimDraft(ref, 1, 'model@4', { safe: true, token: 'm', from: 1 })).rejects.toMatchObject({
        code: 'key_missing',
      })
    })
  })

  it('a payload under the key of another session is refused by the database', async () => {
    const [ref, other] = [await log.begin(), await log.begin()]
    const [sealed] = await stored(other)
    const forged = log.pool.query(
      `select * from savefile.input('default', $1, 'user:ann', 'k', 'message_received', 1, null, $2, null)`,
      [ref.session, sealed?.['payload']],
    )
    await expect(forged).rejects.toMatchObject({ code: 'SFKEY' })
    const clear = named('clear')
    await log.client.create(clear, ANN, { definition: log.definition })
    const intoClear = log.pool.query(
      `select * from savefile.input('default', $1, 'user:ann', 'k', 'message_received', 1, null, $2, null)`,
      [clear.session, sealed?.['payload']],
    )
    await expect(intoClear).rejects.toMatchObject({ code: 'SFKEY' })
  })

  it('what was moved within a session does not open, and is called a corrupt log', async () => {
    const ref = await log.begin()
    await log.client.input(ref, ANN, 'k', say('second'))
    const [created, message] = await stored(ref)
    expect([created?.['type'], message?.['type']]).toEqual(['session_created', 'message_received'])
    await log.pool.query(
      `select * from savefile.input('default', $1, 'user:ann', 'x', 'message_received', 1, null, $2, null)`,
      [ref.session, created?.['payload']],
    )
    await expect(log.read(ref)).rejects.toMatchObject({ code: 'corrupt_log' })
  })
})

describe('forks of an encrypted session', () => {
  it('have a key of their own, and read what they inherit with their parent’s', async () => {
    const parent = await full('mole')
    const child = named('child')
    expect(await log.client.fork(parent, 3, child.session, ANN, { title: 'mole fork' })).toEqual({ status: 'created' })
    expect(await kidOf(child)).not.toBe(await kidOf(parent))
    await log.client.input(child, ANN, 'k', say('own words'))
    const events = await log.read(child)
    expect(new Set(events.map((e) => e.kid)).size).toBe(2)
    expect(events.map((e) => e.locked)).toEqual(Array(5).fill(undefined))
    const { blocks } = JSON.parse(events[1]?.payload ?? '') as { blocks: { blob: { hash: string } }[] }
    expect(Buffer.from(await log.client.readBlob(child, blocks[0]?.blob.hash ?? '')).toString()).toMatch(
      /^mole message/,
    )
    expect(await log.client.verify(child)).toMatchObject({ ok: true, head: 5 })
  })

  it('are in clear only where somebody says so; a fork of one in clear may be encrypted', async () => {
    const parent = await log.begin()
    const clear = named('clear')
    await log.client.fork(parent, 2, clear.session, ANN, { encrypted: false })
    await log.client.input(clear, ANN, 'k', say('open words'))
    expect((await log.read(clear)).map((e) => e.kid !== null)).toEqual([true, true, false, false])
    const again = named('again')
    await log.client.fork(clear, 4, again.session, ANN, { encrypted: true })
    expect((await log.read(again)).map((e) => e.kid !== null)).toEqual([true, true, false, false, true])
    const inherits = named('inherits')
    await log.client.fork(clear, 4, inherits.session, ANN, {})
    expect((await log.client.info(inherits))?.encryption).toBeNull()
  })
})

describe('erasing', () => {
  it('names who keeps what it says: compactions of it and of its forks, its sub-agents, and the same of those', async () => {
    const ref = await log.begin()
    const [fork, short, shorter, kid, other] = ['fork', 'short', 'shorter', 'kid', 'other'].map(named) as [
      SessionRef,
      SessionRef,
      SessionRef,
      SessionRef,
      SessionRef,
    ]
    const compact = async (of: SessionRef, to: SessionRef, encrypted: boolean): Promise<void> => {
      const blocks = [{ type: 'text' as const, text: 'in short' }]
      const compaction = {
        session: of.session,
        lo: 1,
        hi: 2,
        checkpoint: { lo: 1, hi: 2, blocks, method: 'given' as const },
      }
      await log.client.create(to, ANN, { definition: log.definition, encrypted, compaction })
    }
    expect(await log.client.keepers(ref)).toEqual([])
    await log.client.fork(ref, 2, fork.session, ANN, {})
    await compact(fork, short, true)
    await compact(short, shorter, false)
    await log.client.create(kid, ANN, { definition: log.definition, encrypted: true })
    await log.executor.append(
      ref,
      1,
      2,
      [{ type: 'child_started', payload: { child: kid.session, task: [] } }],
      RUNNING,
    )
    await log.client.create(other, ANN, { definition: log.definition, encrypted: true })
    const keepers = [
      { session: short.session, how: 'compaction', of: fork.session, encrypted: true },
      { session: shorter.session, how: 'compaction', of: short.session, encrypted: false },
      { session: kid.session, how: 'child', of: ref.session, encrypted: true },
    ]
    expect(await log.client.keepers(ref)).toEqual(keepers)
    expect(await log.client.keepers(fork)).toEqual(keepers.slice(0, 2))
    await log.client.erase(kid, ANN)
    expect(await log.client.keepers(ref)).toEqual(keepers.slice(0, 2))
  })

  it('leaves a chain that verifies, and nothing that anybody can read', async () => {
    const ref = await full('weir')
    const child = named('child')
    await log.client.fork(ref, 3, child.session, ANN, {})
    await log.client.input(child, ANN, 'k', say('the fork has words of its own'))
    await log.executor.claim(child, RUN)
    await log.executor.saveSnapshot(child, 5, { ...emptyState, definition: 'weir in a snapshot' })
    expect(await log.client.sharers(ref)).toEqual([{ session: child.session, sharedTo: 3 }])

    expect(await log.client.erase(ref, ANN, 'asked by the customer')).toEqual({ status: 'erased', seq: 6, head: 6 })
    expect(await log.client.erase(ref, ANN)).toEqual({ status: 'erased', seq: 6, head: 6 })
    const events = await log.read(ref)
    expect(events.map((e) => [e.type, e.locked ?? ''])).toEqual([
      ['session_created', 'key_destroyed'],
      ['message_received', 'key_destroyed'],
      ['model_answered', 'key_destroyed'],
      ['tool_started', 'key_destroyed'],
      ['session_closed', ''],
      ['key_destroyed', ''],
    ])
    expect(JSON.parse(events[5]?.payload ?? '')).toEqual({ kid: events[0]?.kid, why: 'asked by the customer' })
    expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 6 })
    expect(await log.client.verify(child)).toMatchObject({ ok: true, head: 5 })
    expect(await log.client.info(ref)).toMatchObject({ state: 'closed', title: null, encryption: { erased: true } })

    const inherited = await log.read(child)
    expect(inherited.map((e) => e.locked ?? '')).toEqual(['key_destroyed', 'key_destroyed', 'key_destroyed', '', ''])
    for (const table of ['drafts', 'evidence', 'draft_deltas', 'snapshots'])
      expect(
        await log.admin(`select 1 from savefile.${table} where session_id in ($1, $2)`, [ref.session, child.session]),
      ).toEqual([])
    expect(await log.admin('select wrapped from savefile.session_keys where session_id = $1', [ref.session])).toEqual([
      { wrapped: null },
    ])
    await elsewhere(ring, async ({ executor }) =>
      expect(await executor.look(child, 1, null)).toMatchObject({ status: 'locked', why: 'key_destroyed' }),
    )
    await expect(log.client.fork(ref, 2, 'from-nothing', ANN, {})).rejects.toMatchObject({ code: 'key_destroyed' })
    expect(
      await log.client.input(ref, ANN, 'late', say('x')).catch((error: unknown) => (error as { code: string }).code),
    ).toBe('key_destroyed')
  })

  it('is refused where there is no key, and changes nothing', async () => {
    const ref = named('clear')
    await log.client.create(ref, ANN, { definition: log.definition })
    expect(await log.client.erase(ref, ANN)).toEqual({ status: 'not_encrypted' })
    expect(await log.client.erase(named('nobody'), ANN)).toEqual({ status: 'session_not_found' })
    expect((await log.client.info(ref))?.head).toBe(1)
  })

  it('fences out whoever executes: what comes late is refused and nothing of it stays', async () => {
    const ref = await log.begin()
    // Another process, which has the key in its memory still.
    await elsewhere(ring, async ({ executor }) => {
      await executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'm' })
      expect(await executor.look(ref, 1, null)).toMatchObject({ status: 'ok' })
      await log.client.erase(ref, ANN)
      expect(await executor.finishDraft(ref, 'model@2', 'm', answer(ref, 2))).toBe('refused')
      expect(await executor.append(ref, 1, 2, [turnFinished(2)], RUNNING)).toEqual({ status: 'closed' })
      expect(await executor.claim(ref, RUN)).toEqual({ status: 'closed' })
    })
    expect(await log.admin('select 1 from savefile.drafts where session_id = $1', [ref.session])).toEqual([])
  })

  it('is whole or not at all, however many come at once, while others append', async () => {
    const ref = await log.begin()
    const sends = Array.from({ length: 30 }, (_, i) =>
      log.client
        .input(ref, ANN, `k${i}`, say(`message ${i}`))
        .catch((error: unknown) => ({ status: (error as { code: string }).code })),
    )
    const erases = Array.from({ length: 5 }, () => log.client.erase(ref, ANN))
    const ends = await Promise.all(erases)
    expect(new Set(ends.map((end) => JSON.stringify(end))).size).toBe(1)
    for (const { status } of await Promise.all(sends)) expect(['appended', 'closed', 'key_destroyed']).toContain(status)
    expect(await log.client.verify(ref)).toMatchObject({ ok: true })
    expect((await log.read(ref)).filter((e) => e.locked === undefined).map((e) => e.type)).toEqual([
      'session_closed',
      'key_destroyed',
    ])
  })
})

describe("the owner's keys", () => {
  it('are rotated without touching the log', async () => {
    const ref = await log.begin()
    const before = await stored(ref)
    const young = newOwnerKey()
    await elsewhere(keyringOf(`${young}\n${OLD}`, 'test'), async ({ client }) => {
      const done = await client.rekey('default')
      expect(done).toMatchObject({ already: 0, missing: 0 })
      expect(done.rewrapped).toBeGreaterThan(0)
      expect(await client.rekey('default')).toMatchObject({ rewrapped: 0, already: done.rewrapped })
    })
    expect(await stored(ref)).toEqual(before)
    await elsewhere(keyringOf(young, 'test'), async ({ client }) => {
      expect((await client.read(ref)).every((e) => !e.locked)).toBe(true)
    })
    await elsewhere(keyringOf(OLD, 'test'), async ({ client }) => {
      expect((await client.read(ref)).every((e) => e.locked === 'key_missing')).toBe(true)
      expect(await client.rekey('default')).toMatchObject({ rewrapped: 0, already: 0 })
    })
    // Back, for the tests that follow.
    await elsewhere(keyringOf(`${OLD}\n${young}`, 'test'), ({ client }) => client.rekey('default'))
  })

  it('may be a service’s: content never goes there, and while it is away nothing is lost', async () => {
    const inner = keyringOf(newOwnerKey(), 'test')
    const bodies: string[] = []
    let away = false
    const server = createServer((request, response) => {
      void text(request).then(async (body) => {
        bodies.push(body)
        if (away) return response.writeHead(503).end()
        const { op, bytes, owner, place } = JSON.parse(body) as {
          op: string
          bytes: string
          owner: string
          place: { kid: string; session: string }
        }
        const given = Buffer.from(bytes, 'base64')
        const out =
          op === 'wrap'
            ? (await inner.wrap(given, place)).wrapped
            : await inner.unwrap({ owner, wrapped: given }, place)
        return response.end(Buffer.from(out ?? []).toString('base64'))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const ask = async (body: object): Promise<Buffer> => {
      const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
        method: 'POST',
        body: JSON.stringify(body),
      })
      if (!answer.ok) throw new Error(`the key management service says ${answer.status}`)
      return Buffer.from(await answer.text(), 'base64')
    }
    const service: Keyring = {
      owner: inner.owner,
      wrap: async (dataKey, place) => ({
        owner: inner.owner,
        wrapped: await ask({ op: 'wrap', bytes: Buffer.from(dataKey).toString('base64'), place }),
      }),
      unwrap: ({ owner, wrapped }, place) =>
        ask({ op: 'unwrap', owner, bytes: Buffer.from(wrapped).toString('base64'), place }),
    }
    try {
      const ref = named('kms')
      await elsewhere(service, async ({ client }) => {
        await client.create(ref, ANN, { definition: log.definition, encrypted: true, title: 'zqsecret' })
        await client.input(ref, ANN, 'k', say('zqsecret words'))
        expect(JSON.parse((await client.read(ref))[1]?.payload ?? '')).toMatchObject({
          blocks: [{ text: 'zqsecret words' }],
        })
      })
      expect(bodies.length).toBeGreaterThan(1)
      expect(bodies.join()).not.toContain('zqsecret')
      away = true
      await elsewhere(service, async ({ client }) => {
        await expect(client.read(ref)).rejects.toMatchObject({ code: 'keyring_failed' })
        await expect(client.input(ref, ANN, 'k2', say('later'))).rejects.toMatchObject({ code: 'keyring_failed' })
        away = false
        expect(await client.input(ref, ANN, 'k2', say('later'))).toMatchObject({ status: 'appended', seq: 3 })
      })
    } finally {
      server.close()
    }
  })
})

test('a tool of a queue of its own is refused in an encrypted session, unless it says for whose key its calls are sealed', async () => {
  const ref = await log.begin()
  const definition = await log.client.putDefinition('default', {
    ...(await log.client.definition('default', log.definition)),
    tools: [
      { name: 'far', description: '', inputSchema: '{"type":"object"}', approval: 'allow', queue: 'sandbox' } as never,
    ],
  })
  const refused = { code: 'invalid_definition', message: expect.stringContaining('says no queueKey') }
  await expect(log.client.create(named('no'), ANN, { definition, encrypted: true })).rejects.toMatchObject(refused)
  const payload = { definition, from: log.definition, changed: ['tools'] }
  await expect(log.client.input(ref, ANN, 'd', { type: 'definition_changed', payload })).rejects.toMatchObject(refused)
  await expect(log.client.fork(ref, 2, 'no', ANN, { definition })).rejects.toMatchObject(refused)
})

test('many events in one append have the key too, each in its slot', async () => {
  const ref = await log.begin()
  const names = Array.from({ length: 12 }, () => 'wait')
  const said = answer(ref, 2, names)
  const calls = said.payload.blocks.flatMap((block) => (block.type === 'tool_call' ? [block.call] : []))
  const events = [said, ...calls.map((call) => started(call, 'wait'))]
  expect(await log.executor.append(ref, 1, 2, events, RUNNING)).toMatchObject({ status: 'appended', head: 15 })
  const kid = await kidOf(ref)
  expect(new Set((await stored(ref)).map((e) => e['kid']))).toEqual(new Set([kid]))
  expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 15 })
  expect((await log.read(ref)).filter((e) => JSON.parse(e.payload).call).length).toBe(12)
  await elsewhere(null, async ({ executor }) => {
    const more = calls.map((call) => finished(call, 'in clear', 'wait'))
    await expect(executor.append(ref, 1, 15, more, RUNNING)).rejects.toMatchObject({ code: 'key_missing' })
  })
})

test('a result that somebody brings is judged by the call, which is read with the key', async () => {
  const ref = await log.begin()
  const manifest = { ...answer(ref, 2).payload.manifest, definition: log.definition }
  const said = answer(ref, 2, ['wait', 'pay'], { manifest })
  const [wait, pay] = [`${ref.session}:2.0`, `${ref.session}:2.1`]
  const events = [said, started(wait, 'wait'), started(pay)]
  expect(await log.executor.append(ref, 1, 2, events, RUNNING)).toMatchObject({ status: 'appended' })
  expect(await log.client.input(ref, ANN, 'a', finished(pay))).toEqual({ status: 'call_not_found' })
  expect(await log.client.input(ref, ANN, 'b', finished(wait, 'back', 'wait'))).toMatchObject({ status: 'appended' })
})

test('a compaction is sealed with a key of its own, its summary included', async () => {
  const of = await full('weir')
  const ref = named('short')
  const checkpoint = {
    lo: 1,
    hi: 3,
    blocks: [{ type: 'text' as const, text: 'weir summary' }],
    method: 'given' as const,
  }
  const compaction = { session: of.session, lo: 1, hi: 3, checkpoint }
  const made = { definition: log.definition, encrypted: true, title: 'weir short', compaction }
  expect(await log.client.create(ref, ANN, made)).toEqual({ status: 'created' })
  const kid = await kidOf(ref)
  expect(kid).not.toBe(await kidOf(of))
  expect((await stored(ref)).map((e) => [e['type'], e['kid']])).toEqual([
    ['session_created', kid],
    ['checkpoint_made', kid],
  ])
  expect(JSON.parse((await log.read(ref))[1]?.payload ?? '')).toMatchObject({ blocks: [{ text: 'weir summary' }] })
  expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 2 })
})
