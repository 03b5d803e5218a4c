/** The client on a real database, without a worker: what is refused, what is accepted, and that Temporal is not needed for it. */
import { mkdtemp, realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../../client/connect'
import type { Client } from '../../client/types'
import type { DefinitionInput } from '../../contract/definition'
import { createDatabase, type TestDatabase } from '../support/database'

const definition: DefinitionInput = { model: { provider: 'anthropic', name: 'test' } }
/** Nothing listens there. */
const NO_TEMPORAL = { address: '127.0.0.1:1' }

let database: TestDatabase
let client: Client
beforeAll(async () => {
  database = await createDatabase()
  client = await connect({ databaseUrl: database.writerUrl, temporal: NO_TEMPORAL, principal: 'jan' })
})
afterAll(async () => {
  await client?.disconnect()
  await database?.drop()
})

const code = (wanted: string) => expect.objectContaining({ code: wanted })
const newSession = async (): Promise<string> => (await client.create({ definition })).session

describe('create', () => {
  test('gives a random id, or takes one that the caller chose, once', async () => {
    expect(await newSession()).toMatch(/^[a-z0-9]{25}$/)
    await client.create({ definition, session: 'mine' })
    await expect(client.create({ definition, session: 'mine' })).rejects.toThrow(code('session_exists'))
    await expect(client.create({ definition, session: 'Not Mine' })).rejects.toThrow(code('invalid_input'))
  })

  test('names the field of a definition that does not validate', async () => {
    const bad = { model: { provider: 'anthropic', name: 'x' }, limits: { steps: 0 } } as DefinitionInput
    await expect(client.create({ definition: bad })).rejects.toThrow(/limits\.steps/)
  })

  test('takes the hash of a stored definition, and refuses one that is not there', async () => {
    const { definition: hash } = await client.create({ definition })
    expect((await client.create({ definition: hash })).definition).toBe(hash)
    await expect(client.create({ definition: `sha256:${'0'.repeat(64)}` })).rejects.toThrow(
      code('definition_not_found'),
    )
  })

  test('stores the absolute path of the work folder, which must be there', async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'savefile-client-')))
    const { session } = await client.create({ definition, workFolder: join(folder, '.', 'x', '..') })
    expect((await client.read(session))[0]).toMatchObject({ type: 'session_created', payload: { workFolder: folder } })
    const missing = client.create({ definition, workFolder: join(folder, 'missing') })
    await expect(missing).rejects.toThrow(code('work_folder_missing'))
    await expect(missing).rejects.toThrow(/mkdir -p/)
  })
})

describe('send', () => {
  test('is committed while Temporal is away, and says that it was not told', async () => {
    const session = await newSession()
    const began = Date.now()
    const sent = await client.send(session, 'hello')
    expect(sent).toMatchObject({ session, seq: 2, duplicate: false, nudged: false })
    // Two seconds, and what a loaded machine adds: not the minute that an unbounded call waits.
    expect(Date.now() - began).toBeLessThan(15_000)
    expect((await client.tail(session, 1))[0]).toMatchObject({
      actor: 'user:jan',
      payload: { blocks: [{ type: 'text', text: 'hello' }] },
    })
    expect((await client.info(session)).dueAt).not.toBeNull()
  })

  test('happens once under one key; another content under it is refused', async () => {
    const session = await newSession()
    const first = await client.send(session, 'hello', { key: 'k1' })
    expect(await client.send(session, 'hello', { key: 'k1' })).toMatchObject({ seq: first.seq, duplicate: true })
    await expect(client.send(session, 'other', { key: 'k1' })).rejects.toThrow(code('idempotency_conflict'))
    await expect(client.send(session, 'x', { key: 'with space' })).rejects.toThrow(code('invalid_input'))
    expect((await client.info(session)).head).toBe(2)
  })

  test('replaces NUL and lone surrogates and records how many', async () => {
    const session = await newSession()
    await client.send(session, 'a\0b\ud800c')
    expect((await client.tail(session, 1))[0]?.payload).toEqual({
      blocks: [{ type: 'text', text: 'a\ufffdb\ufffdc', normalised: 2 }],
      delivery: 'queue',
    })
  })

  test('keeps a long text and attachments as blobs', async () => {
    const session = await newSession()
    const long = 'ä'.repeat(100_000)
    await client.send(session, [long, { type: 'image', bytes: Buffer.from('png'), mediaType: 'image/png' }])
    const [event] = await client.tail(session, 1)
    if (!event || event.unknown || event.type !== 'message_received') throw new Error('no message')
    const [text, image] = event.payload.blocks
    if (text?.type !== 'text' || !text.blob || image?.type !== 'image') throw new Error('no blobs')
    expect(text.text).toBe('')
    expect(Buffer.from(await client.blob(session, text.blob.hash)).toString()).toBe(long)
    expect(Buffer.from(await client.blob(session, image.blob.hash)).toString()).toBe('png')
  })

  test('refuses what is empty, too large, no block, and what names no session', async () => {
    const session = await newSession()
    await expect(client.send(session, ' \n')).rejects.toThrow(code('invalid_input'))
    await expect(client.send(session, 'x'.repeat(65 * 1024 * 1024))).rejects.toThrow(code('too_large'))
    await expect(client.send(session, [{ type: 'video' } as never])).rejects.toThrow(code('invalid_input'))
    await expect(client.send(session, [{ type: 'structured', json: '{' }])).rejects.toThrow(code('invalid_input'))
    await expect(client.send('nothere', 'x')).rejects.toThrow(code('session_not_found'))
    await expect(client.send('nothere', 'x'.repeat(100_000))).rejects.toThrow(code('session_not_found'))
    await expect(client.send('no such id', 'x')).rejects.toThrow(code('session_not_found'))
    expect((await client.info(session)).head).toBe(1)
  })

  test('is refused once the session is closed', async () => {
    const session = await newSession()
    await client.close(session, { reason: 'enough' })
    await expect(client.send(session, 'x')).rejects.toThrow(code('session_closed'))
    expect((await client.info(session)).state).toBe('closed')
  })
})

describe('approvals of what is not there', () => {
  test('are refused with a reason', async () => {
    const session = await newSession()
    await expect(client.approve(session)).rejects.toThrow(code('not_requested'))
    await expect(client.approve(session, '2.0')).rejects.toThrow(code('call_not_found'))
    await expect(client.approve(session, '2.0', { args: '[1]' })).rejects.toThrow(code('invalid_input'))
    await expect(client.finishCall(session, '2.0', { outcome: 'ok', content: 'x' })).rejects.toThrow(
      code('call_not_found'),
    )
  })
})

describe('definitions, forks, finding', () => {
  test('changeDefinition says what changed, and does nothing for the same one', async () => {
    const session = await newSession()
    expect(await client.changeDefinition(session, definition)).toMatchObject({ changed: [], seq: null })
    const changed = await client.changeDefinition(session, { ...definition, system: 'be brief' }, { why: 'too long' })
    expect(changed).toMatchObject({ changed: ['system'], seq: 2 })
    expect((await client.info(session)).definition).toBe(changed.definition)
  })

  test('a fork shares the events before it', async () => {
    const session = await newSession()
    await client.send(session, 'one')
    await client.send(session, 'two')
    const fork = await client.fork(session, { at: 2, session: 'forked-one' })
    expect(fork).toMatchObject({ session: 'forked-one', parent: { session, seq: 2 } })
    expect((await client.read('forked-one')).map((e) => e.type)).toEqual([
      'session_created',
      'message_received',
      'forked',
    ])
    await expect(client.fork(session, { at: 99 })).rejects.toThrow(code('invalid_input'))
    await expect(client.fork(session, { session: 'forked-one' })).rejects.toThrow(code('session_exists'))
    await expect(client.fork('nothere')).rejects.toThrow(code('session_not_found'))
    expect(await client.verify('forked-one')).toMatchObject({ ok: true, events: 3 })
  })

  test('find takes the beginning of an id, and an exact id before longer ones', async () => {
    for (const session of ['twin', 'twin-a', 'twin-b']) await client.create({ definition, session })
    expect(await client.find('twin-a')).toBe('twin-a')
    expect(await client.find('twin')).toBe('twin')
    await expect(client.find('twin-')).rejects.toThrow(code('ambiguous_id'))
    await expect(client.find('xyz')).rejects.toThrow(code('session_not_found'))
    expect((await client.list({ prefix: 'twin' })).map((row) => row.session).sort()).toEqual([
      'twin',
      'twin-a',
      'twin-b',
    ])
  })
})

describe('follow and waiting', () => {
  test('follow gives what is there and what comes, until the loop is left', async () => {
    const session = await newSession()
    await client.send(session, 'one')
    const seen: string[] = []
    for await (const event of client.follow(session)) {
      seen.push(`${event.seq} ${event.type}`)
      if (event.seq === 2) await client.send(session, 'two')
      if (event.seq === 3) break
    }
    expect(seen).toEqual(['1 session_created', '2 message_received', '3 message_received'])
  })

  test('ask ends at its timeout or signal, and the message stays, once', async () => {
    const session = await newSession()
    const ask = (timeoutMs: number): Promise<unknown> => client.ask(session, 'hello', { key: 'q', timeoutMs })
    await expect(ask(100)).rejects.toThrow(code('timeout'))
    await expect(ask(100)).rejects.toThrow(code('timeout'))
    const stop = new AbortController()
    const waiting = client.ask(session, 'hello', { key: 'q', signal: stop.signal })
    setTimeout(() => stop.abort(new Error('enough')), 50)
    await expect(waiting).rejects.toThrow('enough')
    expect((await client.info(session)).head).toBe(2)
    await expect(client.awaitTurn(session, 9)).rejects.toThrow(code('invalid_input'))
    await expect(client.awaitTurn(session, 1)).rejects.toThrow(code('invalid_input'))
  })
})

describe('connect', () => {
  test('refuses a space and a principal that cannot be one', async () => {
    const databaseUrl = database.writerUrl
    await expect(connect({ databaseUrl, space: 'A B' })).rejects.toThrow(code('invalid_input'))
    await expect(connect({ databaseUrl, principal: 'a b' })).rejects.toThrow(code('invalid_input'))
  })
})
