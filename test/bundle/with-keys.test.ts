/** Bundles that carry data keys, wrapped: read and gone on with where the owner's key is, and what that means for erasing. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { verifyBundle } from '../../client/bundles'
import type { SessionRef } from '../../contract/ids'
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { ANN, answer, IDLE, openLog, say, turnFinished, type TestLog } from '../log/support'
import { collect, exported, imported, inPieces, linesOf, ofLines } from './support'

const keyring = keyringOf(newOwnerKey(), 'test')
const folder = mkdtempSync(path.join(tmpdir(), 'savefile-keys-'))
let here: TestLog
let there: TestLog
beforeAll(async () => void ([here, there] = await Promise.all([openLog({ keyring }), openLog({ keyring })])))
afterAll(async () => {
  await Promise.all([here.close(), there.close()])
  rmSync(folder, { recursive: true, force: true })
})

const withKeys = (session: string): Promise<Buffer> =>
  collect(here.client.exportBundle({ space: 'default', session }, { withKeys: true }))

/** A session of four events, and a fork of it with words of its own. */
async function family(): Promise<{ ref: SessionRef; fork: SessionRef }> {
  const ref = await here.begin()
  await here.executor.append(ref, 1, 2, [answer(ref, 2), turnFinished(2)], IDLE)
  const fork = { space: 'default', session: `${ref.session}-f` }
  await here.client.fork(ref, 4, fork.session, ANN, { title: 'zqmarkerzq' })
  await here.client.input(fork, ANN, 'own', say('zqmarkerzq own'))
  return { ref, fork }
}

const locks = async (log: TestLog, ref: SessionRef): Promise<unknown[]> => [
  ...new Set((await log.client.read(ref)).map((event) => event.locked)),
]

test("is read and adopted where the owner's key is, with what it inherits, and goes on under the same key", async () => {
  const { fork } = await family()
  const bundle = await withKeys(fork.session)
  expect(bundle.includes('zqmarkerzq')).toBe(false)
  expect(await imported(there.client, bundle)).toMatchObject({ status: 'imported', keys: 2 })
  expect(await locks(there, fork)).toEqual([undefined])
  expect((await there.client.info(fork))?.title).toBe('zqmarkerzq')
  expect(await there.client.adopt(fork, ANN)).toMatchObject({ status: 'adopted' })
  expect(await there.client.input(fork, ANN, 'on', say('goes on'))).toMatchObject({ status: 'appended' })
  expect(await there.client.verify(fork)).toMatchObject({ ok: true })
  // Also where the same came without keys before: it opens then.
  const second = await family()
  await imported(there.client, await exported(here.client, second.fork.session))
  expect(await locks(there, second.fork)).toEqual(['key_missing'])
  expect(await imported(there.client, await withKeys(second.fork.session))).toMatchObject({
    status: 'present',
    keys: 2,
  })
  expect((await there.client.read(second.fork)).map((event) => event.kid).filter(Boolean).length).toBeGreaterThan(5)
  // Whoever has another owner's key sees what it saw before.
  const strangers = await openLog({ keyring: keyringOf(newOwnerKey(), 'test') })
  try {
    await imported(strangers.client, bundle)
    expect(await locks(strangers, fork)).toEqual(['key_missing'])
  } finally {
    await strangers.close()
  }
})

test('is of version 2, which whoever knows version 1 refuses; without keys it is what it always was', async () => {
  const { ref, fork } = await family()
  const plain = linesOf(await exported(here.client, fork.session))
  const keyed = linesOf(await withKeys(fork.session))
  expect(plain[0]).toContain('"version":1,')
  expect(keyed[0]).toContain('"version":2,')
  const rest = keyed.filter((line) => !line.startsWith('{"k":"key"'))
  expect(rest.slice(1, -1)).toEqual(plain.slice(1, -1))
  expect(keyed.length).toBe(plain.length + 2)
  const bundle = ofLines(keyed)
  expect(await verifyBundle(inPieces(bundle))).toMatchObject({ ok: true })
  const file = path.join(folder, 'keyed.jsonl')
  writeFileSync(file, bundle)
  const reader = path.join(__dirname, 'reader', 'savefile_bundle.py')
  expect(execFileSync('python3', [reader, file], { encoding: 'utf8' })).toContain('message_received')
  // Nothing of it is encrypted, or its key is gone: no keys, and so version 1.
  await here.client.erase(ref, ANN)
  await here.client.erase(fork, ANN)
  expect(linesOf(await withKeys(fork.session))[0]).toContain('"version":1,')
})

test('is refused where a key is out of place, twice, of another session, or in version 1', async () => {
  const { fork } = await family()
  const lines = linesOf(await withKeys(fork.session))
  const at = lines.findIndex((line) => line.startsWith('{"k":"key"'))
  const other = lines.findLastIndex((line) => line.startsWith('{"k":"key"'))
  const [key, another] = [lines[at] as string, lines[other] as string]
  const moved = (to: number, what: string): string[] => lines.toSpliced(to, 0, what)
  const wrong: [string[], RegExp][] = [
    [lines.with(0, (lines[0] as string).replace('"version":2', '"version":1')), /version 1 holds no keys/],
    [moved(at + 1, key), /right behind its session/],
    [moved(at + 2, key), /right behind its session/],
    [moved(at - 1, key), /right behind its session/],
    [lines.with(at, another), /not under the key that came with it/],
    [lines.with(at, key.replace(/"wrapped":"[^"]*"/, '"wrapped":"?"')), /wrapped/],
    [lines.with(at, key.replace(/"wrapped":"./, '"wrapped":"/')), /its bytes are not those/],
  ]
  for (const [changed, why] of wrong)
    await expect(imported(there.client, ofLines(changed))).rejects.toMatchObject({
      code: 'invalid_bundle',
      data: { why: expect.stringMatching(why) as string },
    })
  expect(await there.admin('select 1 from savefile.session_keys where session_id = $1', [fork.session])).toEqual([])
})

test('a key that was destroyed here comes back with no bundle, and an erasure that comes is carried out', async () => {
  const { ref, fork } = await family()
  const before = await withKeys(fork.session)
  await imported(there.client, before)
  expect(await locks(there, ref)).toEqual([undefined])
  // Erased here: the old bundle brings nothing back.
  await here.client.erase(ref, ANN)
  expect(await imported(here.client, before)).toMatchObject({ status: 'present' })
  expect(await locks(here, ref)).toEqual(['key_destroyed', undefined])
  // Erased there, before it ever had the key: no bundle brings one.
  const bare = await family()
  await imported(there.client, await exported(here.client, bare.ref.session))
  await there.client.erase(bare.ref, ANN)
  await imported(there.client, await withKeys(bare.ref.session))
  expect(await there.admin('select 1 from savefile.session_keys where session_id = $1', [bare.ref.session])).toEqual([])
  // The log that says so takes the key with it, there too.
  const moved = await family()
  await imported(there.client, await withKeys(moved.ref.session))
  expect(await locks(there, moved.ref)).toEqual([undefined])
  await here.client.erase(moved.ref, ANN)
  expect(await imported(there.client, await exported(here.client, moved.ref.session))).toMatchObject({ head: 6 })
  expect(
    await there.admin('select wrapped, destroyed_at > 0 as gone from savefile.session_keys where session_id = $1', [
      moved.ref.session,
    ]),
  ).toEqual([{ wrapped: null, gone: true }])
  expect(await there.client.verify(moved.ref)).toMatchObject({ ok: true, head: 6 })
})
