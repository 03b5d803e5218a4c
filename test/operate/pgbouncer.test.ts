/** PgBouncer in transaction mode works for everything but LISTEN: whatever a connection had is gone with the transaction. */
import type { Pool } from 'pg'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'
import { answer, openLog, say, turnFinished, ANN, IDLE, RUN } from '../log/support'
import { createDatabase } from '../support/database'
import { createWorld } from '../support/world'
import { withClient } from '../../dev/database'
import { findPgBouncer, startPgBouncer } from './programs'

const program = findPgBouncer()
const POOL = 3

/** What both checks do: a whole turn of the log, and a follower that only polls. */
async function turn(
  pool: Pool,
  definitionFrom: (client: ReturnType<typeof createClientLog>) => Promise<string>,
): Promise<void> {
  const client = createClientLog(pool, { listen: false, pollMs: 50 })
  const executor = createExecutorLog(pool)
  const definition = await definitionFrom(client)
  const refs = Array.from({ length: 8 }, (_, i) => ({ space: 'default', session: `pooled${i}` }))
  await Promise.all(
    refs.map(async (ref) => {
      await client.create(ref, ANN, { definition })
      const followed = (async () => {
        for await (const event of client.follow(ref)) if (event.type === 'turn_finished') return event.seq
        return 0
      })()
      await client.input(ref, ANN, 'first', say('go'))
      expect(await executor.claim(ref, RUN)).toEqual({ status: 'claimed', epoch: 1 })
      expect(await executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 't' })).toMatchObject({
        status: 'claimed',
      })
      expect(await executor.beat([{ ref, step: 'model@2', token: 't' }])).toEqual([])
      expect(await executor.finishDraft(ref, 'model@2', 't', answer(ref, 2))).toBe('finished')
      expect(await executor.look(ref, 1, null)).toMatchObject({
        status: 'ok',
        head: 2,
        drafts: [{ state: 'finished' }],
      })
      const events = [{ ...answer(ref, 2), fromDraft: 'model@2' }, turnFinished(2)]
      expect(await executor.append(ref, 1, 2, events, IDLE)).toMatchObject({ status: 'appended', head: 4 })
      expect(await followed).toBe(4)
      expect(await client.verify(ref)).toMatchObject({ ok: true, head: 4 })
    }),
  )
  await executor.end()
  await client.close()
}

if (program) {
  it('client and worker play whole turns through it, and followers poll', async () => {
    const db = await createDatabase()
    const pooler = await startPgBouncer(program, db.writerUrl, POOL)
    const world = await createWorld({
      db,
      databaseUrl: pooler.through(db.writerUrl),
      script: {
        name: 'pooled',
        rules: [
          {
            when: { step: 0 },
            say: { text: 'I write.', calls: [{ tool: 'write_file', args: { path: 'a.txt', content: 'x' } }] },
          },
          { when: { step: 1 }, say: { text: 'Done.' } },
        ],
      },
    })
    try {
      await world.startWorker()
      const sessions = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const workFolder = await world.workFolder()
          const { session } = await world.client.create({ definition: world.definition(), workFolder })
          expect((await world.client.ask(session, 'go')).reason).toBe('done')
          return session
        }),
      )
      for (const session of sessions) expect((await world.sound(session)).at(-1)).toBe('turn_finished')
      // It was used, and shared: more clients than connections to the server.
      const { rows } = await withClient(db.adminUrl, (admin) =>
        admin.query<{ n: number }>(
          `select count(*)::int as n from pg_stat_activity where datname = $1 and usename = 'savefile_writer_login'`,
          [db.name],
        ),
      )
      expect(rows[0]?.n).toBeGreaterThan(0)
      expect(rows[0]?.n).toBeLessThanOrEqual(POOL)
    } finally {
      await world.close()
      await pooler.close()
    }
  })

  it('every function of a turn works through it, of eight sessions at once', async () => {
    const log = await openLog()
    const pooler = await startPgBouncer(program, log.db.writerUrl, POOL)
    await turn(createPool(pooler.through(log.db.writerUrl), { max: 20 }), () => Promise.resolve(log.definition))
    await pooler.close()
    await log.close()
  })
} else {
  it('without PgBouncer on this machine: a whole turn works with every statement on a connection of its own', async () => {
    const log = await openLog()
    const pool = createPool(log.db.writerUrl, { max: POOL })
    Object.assign(pool.options, { maxUses: 1 })
    await turn(pool, () => Promise.resolve(log.definition))
    await log.close()
  })
}
