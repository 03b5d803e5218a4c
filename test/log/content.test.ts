/** What goes in and what comes out: odd characters, long texts, blobs, definitions. */
import { MAX_BLOB_BYTES } from '../../contract/limits'
import { openLog, answer, finished, say, ANN, IDLE, type TestLog } from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

const payloadOf = async (ref: Parameters<TestLog['read']>[0], seq: number) =>
  JSON.parse((await log.read(ref))[seq - 1]?.payload ?? 'null') as Record<string, never>

describe('text that no store can hold', () => {
  it('is replaced in a message, and counted', async () => {
    const ref = await log.begin()
    expect(await log.client.input(ref, ANN, 'k', say('a\0b\ud800c\udc00d 🙂'))).toMatchObject({ status: 'appended' })
    expect(await payloadOf(ref, 3)).toMatchObject({
      blocks: [{ type: 'text', text: 'a\ufffdb\ufffdc\ufffdd 🙂', normalised: 3 }],
    })
    // The same again is the same still.
    expect(await log.client.input(ref, ANN, 'k', say('a\0b\ud800c\udc00d 🙂'))).toMatchObject({ status: 'duplicate' })
  })

  it('is replaced in titles, labels, notes and a tool’s result', async () => {
    const ref = { space: 'default', session: 'odd' }
    await log.client.create(ref, ANN, { definition: log.definition, title: 'a\0b', labels: { 'k\0': 'v\udfff' } })
    expect(await log.client.info(ref)).toMatchObject({ title: 'a\ufffdb', labels: { 'k\ufffd': 'v\ufffd' } })
    expect(await payloadOf(ref, 1)).toMatchObject({ title: 'a\ufffdb', labels: { 'k\ufffd': 'v\ufffd' } })
    const one = await log.begin()
    await log.executor.claimDraft(one, 1, 'tool@c', { safe: false, token: 'a' })
    await log.executor.finishDraft(one, 'tool@c', 'a', finished('c', 'bin\0ary'))
    const look = await log.executor.look(one, 1, 2)
    expect(look.status === 'ok' && JSON.parse(look.drafts[0]?.payload ?? '')).toMatchObject({
      blocks: [{ text: 'bin\ufffdary', normalised: 1 }],
    })
  })
})

describe('a long text', () => {
  it('of a message becomes a blob, and comes back', async () => {
    const ref = await log.begin()
    const text = 'long 🙂 '.repeat(20_000)
    await log.client.input(ref, ANN, 'k', say(text))
    const payload = await payloadOf(ref, 3)
    const block = (payload['blocks'] as unknown as { text: string; blob: { hash: string; bytes: number } }[])[0]
    expect(block).toMatchObject({ type: 'text', text: '', blob: { bytes: Buffer.byteLength(text) } })
    expect(Buffer.from(await log.executor.readBlob(ref, block?.blob.hash ?? '')).toString()).toBe(text)
    expect(await log.client.input(ref, ANN, 'k', say(text))).toMatchObject({ status: 'duplicate', seq: 3 })
    expect(await log.client.input({ ...ref, session: 'nobody' }, ANN, 'k', say(text))).toEqual({
      status: 'session_not_found',
    })
  })

  it('of a draft is a blob from the start, so that promoting it moves a hash', async () => {
    const ref = await log.begin()
    const event = answer(ref, 2)
    event.payload.blocks = [{ type: 'text', text: 'x'.repeat(100_000) }]
    await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'a' })
    await log.executor.finishDraft(ref, 'model@2', 'a', event)
    await log.executor.append(ref, 1, 2, [{ ...event, fromDraft: 'model@2' }], IDLE)
    expect(await payloadOf(ref, 3)).toMatchObject({
      blocks: [{ text: '', blob: { bytes: 100_000, mediaType: 'text/plain; charset=utf-8' } }],
    })
  })
})

describe('blobs', () => {
  it('are what was written, by hash, once; large ones too', async () => {
    const ref = await log.begin()
    const bytes = Buffer.alloc(5_000_000, 'ab\0\xff', 'latin1')
    const [one, two] = [
      await log.client.writeBlob(ref, bytes, 'application/octet-stream'),
      await log.executor.writeBlob(ref, bytes, 'text/plain'),
    ]
    expect(two.hash).toBe(one.hash)
    expect(bytes.equals(await log.client.readBlob(ref, one.hash))).toBe(true)
    // A view of a larger buffer is only itself.
    const view = await log.client.writeBlob(ref, new Uint8Array(bytes.buffer, bytes.byteOffset + 1, 3), 'text/plain')
    expect(Buffer.from(await log.client.readBlob(ref, view.hash))).toEqual(bytes.subarray(1, 4))
  })

  it('are refused where they are too large, or the session is not there', async () => {
    const ref = await log.begin()
    await expect(log.client.writeBlob(ref, new Uint8Array(MAX_BLOB_BYTES + 1), 'x/y')).rejects.toMatchObject({
      code: 'too_large',
    })
    await expect(log.client.writeBlob({ ...ref, session: 'nobody' }, new Uint8Array(1), 'x/y')).rejects.toMatchObject({
      code: 'session_not_found',
    })
    await expect(log.client.readBlob(ref, `sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({ code: 'blob_not_found' })
  })

  it('are another space’s own', async () => {
    const ref = await log.begin()
    const { hash } = await log.client.writeBlob(ref, Buffer.from('mine'), 'text/plain')
    const definition = await log.client.putDefinition('other', await log.client.definition('default', log.definition))
    await log.client.create({ space: 'other', session: ref.session }, ANN, { definition })
    await expect(log.client.readBlob({ space: 'other', session: ref.session }, hash)).rejects.toMatchObject({
      code: 'blob_not_found',
    })
  })
})

describe('definitions', () => {
  it('are named by their bytes, the same again is the same, and each space has its own', async () => {
    const definition = await log.client.definition('default', log.definition)
    expect(await log.client.putDefinition('default', definition)).toBe(log.definition)
    expect(await log.client.putDefinition('default', { ...definition, system: 'x' })).not.toBe(log.definition)
    await expect(log.client.definition('nowhere', log.definition)).rejects.toMatchObject({
      code: 'definition_not_found',
    })
    await expect(log.client.putDefinition('default', { ...definition, tools: 7 } as never)).rejects.toMatchObject({
      code: 'invalid_definition',
    })
    expect(
      await log.client.create({ space: 'default', session: 'n1' }, ANN, { definition: `sha256:${'0'.repeat(64)}` }),
    ).toEqual({ status: 'definition_not_found' })
  })
})

describe('list', () => {
  it('is newest first, by prefix, in pages', async () => {
    const names = ['page-a', 'page-b', 'page-c', 'page-d', 'page-e']
    for (const session of names)
      await log.client.create({ space: 'default', session }, ANN, {
        definition: log.definition,
        labels: { at: session },
      })
    await log.client.input({ space: 'default', session: 'page-b' }, ANN, 'k', say('newest now'))
    const first = await log.client.list('default', { prefix: 'page-', limit: 3 })
    expect(first.map((s) => s.session)).toEqual(['page-b', 'page-e', 'page-d'])
    const last = first.at(-1)
    if (!last) throw new Error('no page')
    const second = await log.client.list('default', { prefix: 'page-', limit: 3, before: last })
    expect(second.map((s) => s.session)).toEqual(['page-c', 'page-a'])
    expect(second[1]).toMatchObject({ labels: { at: 'page-a' }, state: 'idle', parent: null, epoch: 0 })
    expect(await log.client.list('default', { prefix: 'page_' })).toEqual([])
    expect(await log.client.list('nowhere')).toEqual([])
  })
})
