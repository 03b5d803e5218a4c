/** The database is killed in the middle of appends and forks: nothing acknowledged is lost, nothing is half there, no log has a gap. */
import type { SessionRef } from '../../contract/ids'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'
import { answer, say, turnFinished, until, ANN, DEFINITION, IDLE, RUN } from '../log/support'
import { ownPostgres } from './support/servers'

const space = 'default'
const ROUNDS = 3

it('kill -9 in the middle of appends and forks: all that was acknowledged is there, and every log verifies', async () => {
  const postgres = await ownPostgres()
  const client = createClientLog(createPool(postgres.db.writerUrl, { max: 16 }), { listen: false })
  const executor = createExecutorLog(createPool(postgres.db.writerUrl, { max: 4 }), { ttlMs: 0 })
  try {
    const definition = await client.putDefinition(space, DEFINITION)
    const shared = { space, session: 'shared' }
    const turns = { space, session: 'turns' }
    for (const ref of [shared, turns]) await client.create(ref, ANN, { definition })
    /** As the database answered: what is where. */
    const said: { ref: SessionRef; seq: number; key: string }[] = []
    const sessions: SessionRef[] = [shared, turns]
    let finishedTurns = 0
    let n = 0

    for (let round = 0; round < ROUNDS; round++) {
      let down = false
      const asked: { ref: SessionRef; key: string }[] = []
      const untilKilled = async (act: () => Promise<void>): Promise<void> => {
        while (!down)
          await act().catch((error: unknown) => {
            down = true
            expect(error).toMatchObject({ code: 'database_unreachable' })
          })
      }
      const speak = (ref: () => SessionRef) => async () => {
        const what = { ref: ref(), key: `k${++n}` }
        asked.push(what)
        const { status, seq } = (await client.input(what.ref, ANN, what.key, say(what.key, 'steer'))) as {
          status: string
          seq: number
        }
        expect(status).toBe('appended')
        said.push({ ...what, seq })
      }
      /** Any but the one that an executor plays turns on. */
      const any = (): SessionRef => sessions.filter((ref) => ref !== turns)[n % (sessions.length - 1)] ?? shared
      const fork = async (): Promise<void> => {
        n++
        const parent = any()
        const child = { space, session: `fork${n}` }
        const head = (await client.info(parent))?.head ?? 1
        expect(await client.fork(parent, 1 + (n % head), child.session, ANN, {})).toEqual({ status: 'created' })
        sessions.push(child)
      }
      const play = async (): Promise<void> => {
        const opened = (await client.input(turns, ANN, `t${++n}`, say('go'))) as { seq: number; head: number }
        const claimed = await executor.claim(turns, { ...RUN, run: `r${round}` })
        if (claimed.status !== 'claimed') throw new Error(claimed.status)
        const prev = (await client.tail(turns, 4)).findLast(({ type }) => type === 'model_answered')?.seq ?? 0
        const manifest = { ...answer(turns, opened.seq).payload.manifest, prev }
        const events = [answer(turns, opened.seq, [], { manifest }), turnFinished(opened.seq)]
        expect(await executor.append(turns, claimed.epoch, opened.head, events, IDLE)).toMatchObject({
          status: 'appended',
        })
        finishedTurns++
      }
      const before = said.length
      const writers = [
        ...Array.from({ length: 6 }, () => untilKilled(speak(() => shared))),
        ...Array.from({ length: 4 }, () => untilKilled(speak(any))),
        ...Array.from({ length: 3 }, () => untilKilled(fork)),
        untilKilled(play),
      ]
      const turnsBefore = finishedTurns
      await until(() => said.length - before > 100 && finishedTurns > turnsBefore, 60_000)
      await postgres.kill()
      await Promise.all(writers)
      await postgres.startAgain()

      for (const { ref, seq, key } of said)
        expect((await client.read(ref, { from: seq, to: seq }))[0]).toMatchObject({ key: `p:${key}` })
      // Whoever was not answered asks again, with the same key: it happens once.
      for (const { ref, key } of asked) {
        const again = await client.input(ref, ANN, key, say(key, 'steer'))
        expect(['appended', 'duplicate']).toContain(again.status)
      }
      for (const ref of sessions) {
        const verified = await client.verify(ref)
        expect({ ...ref, ...verified }).toMatchObject({ ok: true })
        expect((await client.read(ref, { limit: 100_000 })).map(({ seq }) => seq)).toEqual(
          Array.from({ length: verified.ok ? verified.head : 0 }, (_, i) => i + 1),
        )
      }
      const types = (await client.read(turns, { limit: 100_000 })).map(({ type }) => type)
      // An append of two is there whole or not at all.
      expect(types.filter((type) => type === 'turn_finished')).toHaveLength(
        types.filter((type) => type === 'model_answered').length,
      )
      expect(types.filter((type) => type === 'turn_finished').length).toBeGreaterThanOrEqual(finishedTurns)
    }
  } finally {
    await executor.end()
    await client.close()
    await postgres.db.drop()
  }
}, 180_000)
