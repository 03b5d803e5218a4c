/**
 * L4: every append by an executor carries its epoch, and the database refuses a stale one. Many claim and append at once over one Postgres;
 * what was accepted came from whoever held the lease then, in order. People need no lease.
 */
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'
import { ANN, IDLE, LONG_TTL_MS, openLog, RUN, say, turnFinished, answer, type TestLog } from '../log/support'

let log: TestLog
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

test('racing runs: what is accepted is in the order of the leases, one lease a run, and nobody appends under another', async () => {
  const ref = await log.begin()
  const accepted: { epoch: number; seqs: number[] }[] = []
  const epochs: number[] = [1]
  const refused: string[] = []
  const runs = Array.from({ length: 6 }, async (_, run) => {
    // Connections of its own, as another process has.
    const pool = createPool(log.db.writerUrl, { max: 2 })
    const executor = createExecutorLog(pool, { ttlMs: LONG_TTL_MS })
    try {
      for (let life = 0; life < 8; life++) {
        const claimed = await executor.claim(ref, { cluster: RUN.cluster, run: `run-${run}-${life}` })
        if (claimed.status !== 'claimed') throw new Error(claimed.status)
        epochs.push(claimed.epoch)
        for (let i = 0; i < 4; i++) {
          const head = (await log.client.info(ref))?.head ?? 0
          // A turn of its own: the message opens it, the executor ends it.
          const said = await log.client.input(ref, ANN, `${run}-${life}-${i}`, say('again', 'steer'))
          const at = 'head' in said ? said.head : head
          const done = await executor.append(ref, claimed.epoch, at, [], IDLE)
          if (done.status === 'appended') accepted.push({ epoch: claimed.epoch, seqs: [at] })
          else refused.push(done.status)
          if (done.status === 'stale_epoch') break
        }
      }
    } finally {
      await executor.end()
      await pool.end()
    }
  })
  await Promise.all(runs)
  expect([...epochs].sort((a, b) => a - b)).toEqual(Array.from({ length: 49 }, (_, i) => i + 1))
  const inOrder = [...accepted].sort((a, b) => (a.seqs[0] ?? 0) - (b.seqs[0] ?? 0)).map(({ epoch }) => epoch)
  expect(inOrder).toEqual([...inOrder].sort((a, b) => a - b))
  expect(accepted.length).toBeGreaterThan(0)
  expect(refused).toContain('stale_epoch')
  expect(await log.client.verify(ref)).toMatchObject({ ok: true })
})

test('a stale epoch can neither append, nor claim a step, nor close one, nor set what is due; its lease does not come back', async () => {
  const ref = await log.begin()
  expect(await log.executor.claim(ref, { cluster: RUN.cluster, run: 'another' })).toEqual({
    status: 'claimed',
    epoch: 2,
  })
  const [before] = await log.admin('select * from savefile.sessions where session_id = $1', [ref.session])
  expect(await log.executor.append(ref, 1, 2, [answer(ref, 2), turnFinished(2)], IDLE)).toEqual({
    status: 'stale_epoch',
  })
  expect(await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 't' })).toEqual({
    status: 'stale_epoch',
  })
  expect(await log.executor.close(ref, 1, [{ step: 'model@2', token: null, outcome: 'cancelled' }])).toBe('stale_epoch')
  expect(await log.executor.look(ref, 1, null)).toEqual({ status: 'stale_epoch' })
  await log.executor.setOutlook(ref, 1, IDLE)
  const [after] = await log.admin('select * from savefile.sessions where session_id = $1', [ref.session])
  expect(after).toEqual(before)
  expect(await log.admin('select * from savefile.drafts where session_id = $1', [ref.session])).toEqual([])
})

test('people append whoever holds the lease, or nobody', async () => {
  const ref = await log.begin()
  for (const run of ['a', 'b', 'c']) {
    expect(await log.client.input(ref, ANN, run, say(run))).toMatchObject({ status: 'appended' })
    await log.executor.claim(ref, { cluster: RUN.cluster, run })
  }
  expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 5 })
})
