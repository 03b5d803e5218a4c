/**
 * L8: a tool that started and whose end nobody saw is `unknown`, said to the model, never run again unless declared safe; what turns up later
 * is evidence. With real processes: test/faults/kill-worker and frozen-worker.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SessionRef } from '../../contract/ids'
import { ANN, openLog, say, until, type TestLog } from '../log/support'
import { counts, DEFINITION, live, resultsOf, stateOf, type Counts, type Fate } from './support/lives'

let log: TestLog
let definition: string
let n = 0
beforeAll(async () => {
  log = await openLog()
  definition = await log.client.putDefinition('default', DEFINITION)
})
afterAll(() => log.close())

async function begin(): Promise<SessionRef> {
  const ref = { space: 'default', session: `unknown-${n++}` }
  await log.client.create(ref, ANN, { definition })
  await log.client.input(ref, ANN, 'first', say('go'))
  return ref
}

/** The calls of the answer: `pay` is not safe, `look` is. */
const stepOf = (ref: SessionRef, tool: 'pay' | 'look'): string => `tool@${ref.session}:2.${tool === 'pay' ? 0 : 1}`

async function afterDeath(fates: Fate[]): Promise<{ ref: SessionRef; count: Counts }> {
  const ref = await begin()
  const count = counts()
  await live(log, ref, count, fates)
  for (let tries = 0; (await stateOf(log, ref)).turn !== null && tries < 20; tries++) await live(log, ref, count)
  expect(count.broken).toEqual([])
  return { ref, count }
}

test.each<Fate>(['dies claimed', 'dies done'])(
  'a tool whose executor %s: unknown, and the model is told',
  async (fate) => {
    const { ref, count } = await afterDeath(['well', fate, 'well'])
    const events = await log.read(ref)
    const [pay] = resultsOf(events).filter(({ tool }) => tool === 'pay')
    expect(pay?.outcome).toBe('unknown')
    expect(JSON.stringify(pay?.blocks)).toContain('not known')
    expect(count.done.get(stepOf(ref, 'pay')) ?? 0).toBe(fate === 'dies done' ? 1 : 0)
    // The next answer saw it.
    const [, second] = events.filter(({ type }) => type === 'model_answered')
    const result = events.find(({ type, payload }) => type === 'tool_finished' && payload.includes('"unknown"'))
    expect((JSON.parse(second?.payload ?? '{}') as { manifest: { saw: number[] } }).manifest.saw).toContain(result?.seq)
  },
)

test('a read-only tool whose executor died is run again', async () => {
  const { ref, count } = await afterDeath(['well', 'well', 'dies done'])
  const [look] = resultsOf(await log.read(ref)).filter(({ tool }) => tool === 'look')
  expect(look).toMatchObject({ outcome: 'ok', blocks: [{ text: 'time 2' }] })
  expect(count.done.get(stepOf(ref, 'look'))).toBe(2)
})

test('a call that was handed out and never claimed is not unknown: it never began, and runs', async () => {
  const ref = await begin()
  const count = counts()
  // Dies in the other call, before this one was claimed or after: what matters is that no claim means no guess.
  await live(log, ref, count, ['well', 'dies claimed', 'dies claimed'])
  await log.admin('delete from savefile.drafts where session_id = $1 and step = $2', [ref.session, stepOf(ref, 'pay')])
  for (let tries = 0; (await stateOf(log, ref)).turn !== null && tries < 20; tries++) await live(log, ref, count)
  const [pay] = resultsOf(await log.read(ref)).filter(({ tool }) => tool === 'pay')
  expect(pay?.outcome).toBe('ok')
  expect(count.done.get(stepOf(ref, 'pay'))).toBe(1)
})

test('a result that comes after its call was given up is evidence, once, and changes nothing', async () => {
  const ref = await begin()
  const count = counts()
  const unknown = async (): Promise<boolean> =>
    resultsOf(await log.read(ref)).some(({ outcome }) => outcome === 'unknown')
  count.sleep = async () => void (await until(unknown))
  const sleeper = live(log, ref, count, ['well', 'sleeps done'])
  await until(() => count.done.has(stepOf(ref, 'pay')))
  while (!(await unknown())) await Promise.all([live(log, ref, count), sleep(5)])
  await sleeper
  for (let i = 0; i < 2; i++) await live(log, ref, count)
  const events = await log.read(ref)
  expect(events.filter(({ type }) => type === 'result_arrived_late')).toHaveLength(1)
  expect(
    resultsOf(events)
      .filter(({ tool }) => tool === 'pay')
      .map(({ outcome }) => outcome),
  ).toEqual(['unknown'])
  expect(count.done.get(stepOf(ref, 'pay'))).toBe(1)
  expect((await stateOf(log, ref)).turn).toBeNull()
  expect(await log.client.verify(ref)).toMatchObject({ ok: true })
})
