import { randomUUID } from 'node:crypto'
import type { SessionRef } from '../../contract/ids'
import type { Delta } from '../../contract/ports'
import { createDueLog } from '../../log/due'
import { createDeltaWriter } from '../../log/live'
import { openLog, answer, turnFinished, until, IDLE, RUNNING, type TestLog } from './support'

let log: TestLog
beforeAll(async () => void (log = await openLog({ pollMs: 60_000 })))
afterAll(() => log.close())

function watch(ref: SessionRef) {
  const seen: Delta[] = []
  const stop = new AbortController()
  const done = (async () => {
    for await (const delta of log.client.followLive(ref, { signal: stop.signal })) seen.push(delta)
  })()
  return { seen, text: () => seen.map((d) => d.body).join(''), end: () => (stop.abort(), done) }
}

const delta = (ref: SessionRef, n: number, body: string, more: Partial<Delta> = {}): Delta => ({
  ref,
  step: 'model@2',
  token: 'a',
  n,
  kind: 'text',
  body,
  ...more,
})

it('brings every chunk once and in order, those of a moment as one piece, from the first of what runs, over many streams', async () => {
  const writer = createDeltaWriter(log.pool)
  const refs = await Promise.all(Array.from({ length: 10 }, () => log.begin()))
  for (const ref of refs) await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'a' })
  for (const ref of refs) writer.add(delta(ref, 0, 'early '))
  await writer.flush()
  const watched = refs.map(watch)
  const twice = watch(refs[0] as SessionRef)
  await until(() => [...watched, twice].every(({ seen }) => seen.length === 1))
  for (let n = 1; n <= 200; n++) {
    for (const ref of refs) writer.add(delta(ref, n, `${n} `))
    if (n % 40 === 0) await writer.flush()
  }
  await writer.close()
  const expected = `early ${Array.from({ length: 200 }, (_, i) => `${i + 1} `).join('')}`
  await until(() => [...watched, twice].every(({ text }) => text().length >= expected.length))
  for (const { seen, text } of [...watched, twice]) {
    expect(text()).toBe(expected)
    const ns = seen.map(({ n }) => n)
    expect(ns).toEqual([...new Set(ns)].sort((a, b) => a - b))
    expect(ns).toEqual(expect.arrayContaining([0, 1, 41, 81, 121, 161]))
    expect(ns.length).toBeLessThan(100)
  }
  for (const w of [...watched, twice]) await w.end()
})

it('tells attempts apart, and leaves out what had ended before', async () => {
  const writer = createDeltaWriter(log.pool)
  const ref = await log.begin()
  await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'a' })
  writer.add(delta(ref, 0, 'lost'))
  await writer.flush()
  await log.impatient.claimDraft(ref, 1, 'model@2', { safe: true, token: 'b' })
  const watched = watch(ref)
  writer.add(delta(ref, 0, 'kept', { token: 'b' }))
  await writer.flush()
  await until(() => watched.seen.length === 1)
  expect(watched.seen).toMatchObject([{ token: 'b', body: 'kept' }])
  await watched.end()
})

it('is kept until the next answer of its session, and gone after it', async () => {
  const writer = createDeltaWriter(log.pool)
  const ref = await log.begin()
  const left = async () =>
    (await log.admin('select step from savefile.draft_deltas where session_id = $1 order by step', [ref.session])).map(
      (r) => r['step'],
    )
  writer.add(delta(ref, 0, 'one'))
  writer.add(delta(ref, 0, 'out', { step: 'tool@x', kind: 'output' }))
  await writer.flush()
  await log.executor.append(ref, 1, 2, [answer(ref, 2)], RUNNING)
  expect(await left()).toEqual(['model@2'])
  writer.add(delta(ref, 0, 'two', { step: 'model@9' }))
  await writer.flush()
  await log.executor.append(ref, 1, 3, [answer(ref, 9)], IDLE)
  expect(await left()).toEqual(['model@9'])
})

it('goes once its session has nothing to do, and stays while a step of it runs', async () => {
  const writer = createDeltaWriter(log.pool)
  const due = createDueLog(log.pool)
  const [over, runs] = [await log.begin(), await log.begin()]
  await log.executor.claimDraft(runs, 1, 'model@2', { safe: true, token: 'a' })
  for (const ref of [over, runs]) writer.add(delta(ref, 0, 'text'))
  await writer.flush()
  await log.executor.append(over, 1, 2, [answer(over, 2), turnFinished(2)], IDLE)
  const left = async (ref: SessionRef) =>
    (await log.admin('select step from savefile.draft_deltas where session_id = $1', [ref.session])).length
  expect([await left(over), await left(runs)]).toEqual([1, 1])
  await due.takeDue(0, 1000)
  expect([await left(over), await left(runs)]).toEqual([0, 1])
})

it('partial gives what the present attempt has streamed, as blocks', async () => {
  const writer = createDeltaWriter(log.pool)
  const ref = await log.begin()
  await log.executor.claimDraft(ref, 1, 'model@2', { safe: true, token: 'a' })
  await log.executor.claimDraft(ref, 1, 'tool@x', { safe: true, token: 't' })
  writer.add(delta(ref, 0, 'from before', { token: 'older' }))
  writer.add(delta(ref, 0, 'hm, ', { kind: 'reasoning' }))
  writer.add(delta(ref, 1, 'yes', { kind: 'reasoning' }))
  writer.add(delta(ref, 2, 'It ', {}))
  writer.add(delta(ref, 3, 'is\0', {}))
  writer.add(delta(ref, 0, 'line', { step: 'tool@x', token: 't', kind: 'output' }))
  await writer.close()
  expect(await log.executor.partial(ref, ['model@2', 'tool@x', 'tool@y'])).toEqual(
    new Map([
      [
        'model@2',
        [
          { type: 'reasoning', text: 'hm, yes' },
          { type: 'text', text: 'It is\uFFFD' },
        ],
      ],
      ['tool@x', [{ type: 'text', text: 'line' }]],
    ]),
  )
})

it('a writer whose Postgres is away loses text and nothing else', async () => {
  const own = await openLog()
  const writer = createDeltaWriter(own.pool)
  const ref = await own.begin()
  await own.close()
  writer.add(delta(ref, 0, randomUUID()))
  await writer.close()
})
