import type { StoredEvent } from '../../contract/events'
import type { SessionRef } from '../../contract/ids'
import { createClientLog } from '../../log/client-log'
import { createPool } from '../../log/pool'
import { openLog, answer, say, turnFinished, until, ANN, IDLE, type TestLog } from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog({ pollMs: 60_000 })))
afterAll(() => log.close())

/** Follows in the background. */
function watch(client: TestLog['client'], ref: SessionRef, from?: number) {
  const seen: StoredEvent[] = []
  const stop = new AbortController()
  const done = (async () => {
    for await (const event of client.follow(ref, { from, signal: stop.signal })) seen.push(event)
  })()
  return {
    seen,
    seqs: () => seen.map((e) => e.seq),
    async end() {
      stop.abort()
      await done
    },
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const listening = (test: TestLog): Promise<boolean> =>
  until(
    async () =>
      (
        await test.admin(`select from pg_stat_activity where datname = $1 and application_name = 'savefile listen'`, [
          test.db.name,
        ])
      ).length > 0,
  )

it('gives what is there, then what comes, told by NOTIFY', async () => {
  const ref = await log.begin()
  const all = watch(log.client, ref)
  const late = watch(log.client, ref, 3)
  await until(() => all.seen.length === 2)
  await listening(log)
  // Polling would take a minute.
  await log.client.input(ref, ANN, 'k', say('x'))
  await until(() => all.seen.length === 3 && late.seen.length === 1)
  await log.executor.append(ref, 1, 3, [answer(ref, 2), turnFinished(2)], IDLE)
  await until(() => all.seen.length === 5 && late.seen.length === 3)
  expect(all.seqs()).toEqual(range(1, 5))
  expect(late.seqs()).toEqual(range(3, 5))
  expect(all.seen).toEqual(await log.read(ref))
  await all.end()
  await late.end()
})

it('has no gap and no repeat while its connections are killed under load', async () => {
  const own = await openLog({ pollMs: 200 })
  const refs = await Promise.all([own.begin(), own.begin(), own.begin()])
  const followers = refs.flatMap((ref) => [watch(own.client, ref), watch(own.client, ref, 10)])
  await listening(own)
  const writer = createClientLog(createPool(own.db.writerUrl))
  const kill = `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid() and application_name in ('savefile', 'savefile listen')`
  for (let i = 0; i < 40; i++) {
    for (const ref of refs)
      // The writer is killed too: its key makes the event happen once.
      await until(
        async () => (await writer.input(ref, ANN, `k${i}`, say('x', 'steer')).catch(() => undefined)) !== undefined,
      )
    if (i % 10 === 5) await own.admin(kill, [own.db.name])
  }
  await until(() => followers.every(({ seen }) => seen.at(-1)?.seq === 42))
  followers.forEach((f, i) => expect(f.seqs()).toEqual(range(i % 2 === 0 ? 1 : 10, 42)))
  // It listens again: polls apart, the next event comes at once.
  await listening(own)
  for (const follower of followers) await follower.end()
  await writer.close()
  await own.close()
})

it('needs no LISTEN: polling alone finds everything', async () => {
  const polled = await openLog({ listen: false, pollMs: 30 })
  const ref = await polled.begin()
  const follower = watch(polled.client, ref)
  for (let i = 0; i < 5; i++) await polled.client.input(ref, ANN, `k${i}`, say('x'))
  await until(() => follower.seen.length === 7)
  expect(follower.seqs()).toEqual(range(1, 7))
  expect(
    await polled.admin(`select from pg_stat_activity where datname = $1 and application_name = 'savefile listen'`, [
      polled.db.name,
    ]),
  ).toEqual([])
  await follower.end()
  await polled.close()
})

it('reads a fork through its lineage', async () => {
  const ref = await log.begin()
  const fork = { ...ref, session: `${ref.session}-f` }
  await log.client.fork(ref, 2, fork.session, ANN, {})
  const follower = watch(log.client, fork)
  await until(() => follower.seen.length === 3)
  await listening(log)
  await log.client.input(fork, ANN, 'k', say('x'))
  await until(() => follower.seen.length === 4)
  expect(follower.seen.map((e) => e.session)).toEqual([ref.session, ref.session, fork.session, fork.session])
  await follower.end()
})

it('ends with its signal, with the log, and says where there is no session', async () => {
  const own = await openLog()
  const ref = await own.begin()
  const follower = watch(own.client, ref)
  await until(() => follower.seen.length === 2)
  await own.close()
  await follower.end()
  const aborted = new AbortController()
  aborted.abort()
  for await (const event of log.client.follow(ref, { signal: aborted.signal }))
    throw new Error(`unexpected ${event.seq}`)
  const nobody = log.client.follow({ ...ref, session: 'nobody' })[Symbol.asyncIterator]()
  await expect(nobody.next()).rejects.toMatchObject({ code: 'session_not_found' })
})
