/** A log that grows while somebody goes through it: nobody's fault, and no break in the chain. */
import { openLog, say, ANN, type TestLog } from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

it('verify stops at the head that it began with, whatever is said meanwhile', async () => {
  const ref = await log.begin()
  const fork = { space: 'default', session: `${ref.session}-f` }
  for (let i = 0; i < 20; i++) await log.client.input(ref, ANN, `before-${i}`, say(`${i}`))
  const parentHead = (await log.client.info(ref))?.head ?? 0
  await log.client.fork(ref, parentHead, fork.session, ANN, {})

  for (const session of [ref, fork]) {
    const head = (await log.client.info(session))?.head ?? 0
    let grown: Promise<unknown> | undefined
    // Called once the first stretch is read, before what comes after it.
    const seen: number[] = []
    let going = true
    const growth = (async () => {
      for (let i = 0; going; i++) await log.client.input(session, ANN, `meanwhile-${i}`, say('more'))
    })()
    for (let round = 0; round < 15; round++) {
      const verified = await log.client.verify(session, {
        onProgress: (events) => {
          seen.push(events)
          grown ??= log.client.input(session, ANN, 'in the middle', say('in the middle'))
        },
      })
      expect(verified).toMatchObject({ ok: true })
      expect(verified.ok && verified.events === verified.head && verified.head >= head).toBe(true)
    }
    going = false
    await Promise.all([growth, grown])
    expect(seen.length).toBeGreaterThan(0)
    expect((await log.client.info(session))?.head).toBeGreaterThan(head)
  }
})
