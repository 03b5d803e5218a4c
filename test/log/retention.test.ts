/** Retention in a real Postgres: what goes, what stays, and that it loses every race with who writes. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SessionRef } from '../../contract/ids'
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { ANN, answer, IDLE, openLog, say, turnFinished, type TestLog } from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog({ keyring: keyringOf(newOwnerKey(), 'test') })))
afterAll(() => log.close())

const begin = async (encrypted: boolean): Promise<SessionRef> => {
  const ref = { space: 'default', session: `s${randomUUID().slice(0, 8)}` }
  await log.client.create(ref, ANN, { definition: log.definition, encrypted })
  return ref
}
const send = (ref: SessionRef, hash: string, bytes: number) =>
  log.client.input(ref, ANN, randomUUID(), {
    type: 'message_received',
    payload: { blocks: [{ type: 'file', blob: { hash, bytes, mediaType: 'text/plain' } }], delivery: 'queue' },
  })
const there = (ref: SessionRef, hash: string): Promise<boolean> =>
  log.client.readBlob(ref, hash).then(
    () => true,
    (error: { code?: string }) => {
      expect(error.code).toBe('blob_not_found')
      return false
    },
  )
/** Everything is as old as if a day had passed. */
const age = async (): Promise<void> => {
  await log.admin('update savefile.blob_refs set touched_at = touched_at - 86400000000')
  await log.admin(`alter table savefile.blobs disable trigger immutable`)
  await log.admin('update savefile.blobs set created_at = created_at - 86400000000')
  await log.admin(`alter table savefile.blobs enable always trigger immutable`)
  await log.admin('update savefile.sessions set updated_at = updated_at - 86400000000')
  await log.admin('update savefile.session_keys set created_at = created_at - 86400000000')
}
const HOUR = { olderThanMs: 3_600_000 }

describe.each([true, false])('encrypted: %s', (encrypted) => {
  it('drops a blob whose event never came, keeps one that an event refers to, and nothing that is young', async () => {
    const ref = await begin(encrypted)
    const lost = await log.client.writeBlob(ref, Buffer.from(`lost ${ref.session}`), 'text/plain')
    const kept = await log.client.writeBlob(ref, Buffer.from(`kept ${ref.session}`), 'text/plain')
    expect(await send(ref, kept.hash, kept.bytes)).toMatchObject({ status: 'appended' })
    await log.client.retain('default', HOUR)
    expect([await there(ref, lost.hash), await there(ref, kept.hash)]).toEqual([true, true])
    await age()
    expect(await log.client.retain('default', { ...HOUR, dryRun: true })).toMatchObject({ references: 1, blobs: 0 })
    expect(await there(ref, lost.hash)).toBe(true)
    expect(await log.client.retain('default', HOUR)).toMatchObject({ references: 1, blobs: 1 })
    expect([await there(ref, lost.hash), await there(ref, kept.hash)]).toEqual([false, true])
    expect(await log.client.retain('default', HOUR)).toMatchObject({ references: 0, blobs: 0 })
    expect(await send(ref, lost.hash, lost.bytes).catch((error: { code: string }) => error.code)).toBe('blob_not_found')
  })

  it('sweeps the rows of a turn that is over, under a new epoch', async () => {
    const ref = await begin(encrypted)
    await log.client.input(ref, ANN, 'first', say('go'))
    await log.executor.claim(ref, { cluster: 'c', run: 'r' })
    await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'm' })
    await log.executor.finishDraft(ref, 'model@2', 'm', answer(ref, 2))
    const events = [{ ...answer(ref, 2), fromDraft: 'model@2' }, turnFinished(2)]
    expect(await log.executor.append(ref, 1, 2, events, IDLE)).toMatchObject({ status: 'appended' })
    await age()
    expect((await log.client.retain('default', HOUR)).drafts).toBeGreaterThan(0)
    expect(await log.admin('select 1 from savefile.drafts where session_id = $1', [ref.session])).toEqual([])
    expect(await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'frozen' })).toEqual({
      status: 'stale_epoch',
    })
  })

  it('keeps what it cannot judge: a step runs', async () => {
    const ref = await begin(encrypted)
    await log.client.input(ref, ANN, 'first', say('go'))
    await log.executor.claim(ref, { cluster: 'c', run: 'r' })
    await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'm' })
    const early = await log.client.writeBlob(ref, Buffer.from(`early ${ref.session}`), 'text/plain')
    await age()
    expect((await log.client.retain('default', HOUR)).kept).toBeGreaterThan(0)
    expect(await there(ref, early.hash)).toBe(true)
  })
})

it('drops the blobs of a session that was erased', async () => {
  const ref = await begin(true)
  const { hash, bytes } = await log.client.writeBlob(ref, Buffer.from('a face'), 'image/png')
  await send(ref, hash, bytes)
  await log.client.retain('default', HOUR)
  await log.client.erase(ref, ANN)
  await age()
  await log.client.retain('default', HOUR)
  expect(await log.admin('select 1 from savefile.blobs where hash = $1', [hash])).toEqual([])
})

it('loses every race: with many connections that store and refer, no event ever lacks its blob', async () => {
  let over = false
  const dropped = { references: 0, blobs: 0 }
  // A grace of a moment, as no operator would set it: longer than between a blob and its event, no more.
  const collectors = Array.from({ length: 3 }, async () => {
    while (!over) {
      const done = await log.client.retain('default', { olderThanMs: 1500 })
      dropped.references += done.references
      dropped.blobs += done.blobs
    }
  })
  const writers = Array.from({ length: 10 }, async (_, w) => {
    const ref = await begin(w % 2 === 0)
    const sent: string[] = []
    for (let i = 0; i < 25; i++) {
      // Few contents, so that the same blob comes, goes, and comes again; every third is never referred to.
      const bytes = Buffer.from(`content ${i % 5}`)
      const { hash } = await log.client.writeBlob(ref, bytes, 'text/plain')
      await sleep(Math.random() * 120)
      if (i % 3 === 2) continue
      expect(await send(ref, hash, bytes.length)).toMatchObject({ status: 'appended' })
      sent.push(hash)
    }
    return { ref, sent }
  })
  const written = await Promise.all(writers)
  await sleep(2000)
  over = true
  await Promise.all(collectors)
  await log.client.retain('default', { olderThanMs: 0 })
  for (const { ref, sent } of written)
    for (const hash of new Set(sent)) expect([hash, await there(ref, hash)]).toEqual([hash, true])
}, 60_000)
