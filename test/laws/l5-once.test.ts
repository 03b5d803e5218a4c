/**
 * L5 (and L8) under real concurrency: executors that race, crash and freeze over one Postgres. Once a result is taken nobody pays or acts
 * again; a tool that is not declared safe runs at most once whatever happens; what nobody saw the end of is said to be unknown.
 * The same with real processes: test/faults/kill-worker, frozen-worker, postgres-away.
 */
import fc from 'fast-check'
import type { SessionRef } from '../../contract/ids'
import { ANN, openLog, say, type TestLog } from '../log/support'
import { counts, DEFINITION, live, resultsOf, stateOf, type Fate } from './support/lives'

let log: TestLog
let definition: string
let n = 0
beforeAll(async () => {
  log = await openLog()
  definition = await log.client.putDefinition('default', DEFINITION)
})
afterAll(() => log.close())

async function begin(): Promise<SessionRef> {
  const ref = { space: 'default', session: `once-${n++}` }
  await log.client.create(ref, ANN, { definition })
  await log.client.input(ref, ANN, 'first', say('go'))
  return ref
}

const fates = fc.array(
  fc.constantFrom<Fate>('well', 'dies claimed', 'dies done', 'sleeps claimed', 'sleeps done', 'does it twice'),
  { maxLength: 6 },
)

test('however executors race, die and sleep: the turn ends, once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fates, { minLength: 1, maxLength: 4 }), async (runs) => {
      const ref = await begin()
      const count = counts()
      await Promise.all(runs.map((run) => live(log, ref, count, [...run])))
      // Whatever they left, one that comes after them goes on.
      for (let tries = 0; (await stateOf(log, ref)).turn !== null && tries < 20; tries++) await live(log, ref, count)

      expect(count.broken).toEqual([])
      expect((await stateOf(log, ref)).turn).toBeNull()
      expect(await log.client.verify(ref)).toMatchObject({ ok: true })
      const pay = `tool@${ref.session}:2.0`
      expect(count.done.get(pay) ?? 0).toBeLessThanOrEqual(1)
      const events = await log.read(ref)
      expect(events.filter(({ type }) => type === 'model_answered')).toHaveLength(2)
      expect(resultsOf(events)).toHaveLength(2)
      // Never a guess: done and taken is ok, done or claimed and not taken is unknown.
      const [result] = resultsOf(events).filter(({ tool }) => tool === 'pay')
      expect(result?.outcome).toBe(count.committed.has(pay) ? 'ok' : 'unknown')
    }),
    { numRuns: 40 },
  )
}, 120_000)

test('an append that fails costs nothing that was received: the answer is kept, and not paid for again', async () => {
  const ref = await begin()
  const count = counts()
  const only = `${ref.session.replace(/\W/g, '_')}_only`
  await log.admin(
    `create function savefile.${only}() returns trigger language plpgsql as 'begin raise exception ''no room''; end'`,
  )
  await log.admin(`create trigger ${only} before insert on savefile.events for each row
    when (new.session_id = '${ref.session}' and new.type = 'tool_started') execute function savefile.${only}()`)
  await expect(live(log, ref, count)).rejects.toThrow('no room')
  expect(count.broken).toEqual([expect.stringContaining('no room')])
  const drafts = await log.admin('select step, state from savefile.drafts where session_id = $1', [ref.session])
  expect(drafts).toEqual([{ step: 'model@2', state: 'finished' }])
  await log.admin(`drop trigger ${only} on savefile.events`)
  await live(log, ref, count)
  expect(count.done.get('model@2')).toBe(1)
  expect((await stateOf(log, ref)).turn).toBeNull()
  expect(await log.client.verify(ref)).toMatchObject({ ok: true })
})
