/** A bundle of an encrypted session: what is stored travels, and no key with it. */
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { ANN, answer, IDLE, openLog, say, turnFinished, type TestLog } from '../log/support'
import { exported, imported } from './support'

const key = newOwnerKey()
let here: TestLog
let there: TestLog
beforeAll(async () => {
  const keyring = keyringOf(key, 'test')
  ;[here, there] = await Promise.all([openLog({ keyring }), openLog({ keyring })])
})
afterAll(() => Promise.all([here.close(), there.close()]))

const rows = (log: TestLog, session: string) =>
  log.admin(
    `select seq, type, kid, encode(payload, 'hex') as payload, encode(hash, 'hex') as hash from savefile.events where session_id = $1 order by seq`,
    [session],
  )

test('comes back byte for byte and verifies; it is locked there, and erasing it where it came from changes no hash', async () => {
  const ref = await here.begin()
  await here.executor.append(ref, 1, 2, [answer(ref, 2), turnFinished(2)], IDLE)
  await here.client.input(ref, ANN, 'long', say('zqmarkerzq '.repeat(20_000)))
  const child = { space: 'default', session: `${ref.session}-f` }
  await here.client.fork(ref, 4, child.session, ANN, { title: 'zqmarkerzq title' })
  await here.client.input(child, ANN, 'own', say('zqmarkerzq own'))

  for (const { session } of [ref, child]) {
    const bundle = await exported(here.client, session)
    expect(bundle.includes('zqmarkerzq')).toBe(false)
    expect(await imported(there.client, bundle)).toMatchObject({ session })
    expect(await rows(there, session)).toEqual(await rows(here, session))
  }
  for (const one of [ref, child]) {
    expect(await there.client.verify(one)).toMatchObject({ ok: true })
    const events = await there.client.read(one)
    expect(new Set(events.map((event) => event.locked))).toEqual(new Set(['key_missing']))
    expect((await there.client.info(one))?.encryption).toEqual((await here.client.info(one))?.encryption)
    expect((await there.client.info(one))?.title).toBeNull()
  }

  await expect(there.client.adopt(ref, ANN)).rejects.toMatchObject({ code: 'key_missing' })

  await here.client.erase(ref, ANN)
  expect(await here.client.verify(child)).toMatchObject({ ok: true })
  // The erased log goes on where the copy stopped: the same hashes, two events more.
  expect(await imported(there.client, await exported(here.client, ref.session))).toMatchObject({
    status: 'fast_forwarded',
    head: 7,
  })
  expect(await rows(there, ref.session)).toEqual(await rows(here, ref.session))
  expect(await there.client.verify(ref)).toMatchObject({ ok: true, head: 7 })
})
