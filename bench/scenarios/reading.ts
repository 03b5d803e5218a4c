/**
 * Reading: a thousand events across 50 nested forks against a flat log of the same events; state and next step of a session of a million
 * events by a worker that has never seen it.
 */
import type { SessionRef } from '../../contract/ids'
import { nextStep } from '../../contract/next-step'
import type { ClientLog } from '../../contract/client-port'
import { emptyState } from '../../contract/state'
import { fold } from '../../activities/session-cache'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'
import { newToken, withToken } from '../../log/token-pool'
import type { BenchDatabase, DatabaseStack } from '../database'
import { BENCH_DEFINITION, message } from '../log-events'
import { makeLong } from '../long-log'
import { atMost, type Figure, type Options, type Outcome } from '../scenario'
import { p50p99, percentile, round } from '../stats'
import { progress } from './fork'

const BY = { actor: 'user:bench' }
const EVENTS = 1000
const DEPTH = 50

export async function reading(stack: DatabaseStack, options: Options): Promise<Outcome> {
  const database = await stack.database()
  const client = createClientLog(createPool(database.writerUrl, { max: 1 }), { listen: false })
  try {
    const [across, cold] = [await acrossForks(database, client, options), await coldStart(database, client, options)]
    return { figures: [...across.figures, ...cold.figures], data: { ...across.data, ...cold.data } }
  } finally {
    await client.close()
    await database.close()
  }
}

async function acrossForks(database: BenchDatabase, client: ClientLog, { quick, say }: Options): Promise<Outcome> {
  say('reading: making 50 nested forks')
  const definition = await client.putDefinition('default', BENCH_DEFINITION)
  const flat = { space: 'default', session: 'flat' }
  await client.create(flat, BY, { definition })
  for (let seq = 2; seq <= EVENTS; seq++) await client.input(flat, BY, `m${seq}`, message(seq))
  let deep: SessionRef = { space: 'default', session: 'deep0' }
  await client.create(deep, BY, { definition })
  for (let seq = 2, level = 0; seq <= EVENTS; seq++) {
    // The first event of each fork is `forked`: as many events as the flat log has.
    if (seq % (EVENTS / DEPTH) === 0 && level < DEPTH - 1) {
      const child = `deep${++level}`
      await client.fork(deep, seq - 1, child, BY, {})
      deep = { ...deep, session: child }
    } else await client.input(deep, BY, `m${seq}`, message(seq))
  }
  await database.admin.query('vacuum analyze')
  const token = newToken()
  await client.sharing.createToken('default', BY, { principal: 'reader', token })
  for (const [grant, ref] of [
    ['flat', flat],
    ['deep', deep],
  ] as const)
    await client.sharing.grant(ref, BY, { grant, principal: 'reader', rights: ['read'], forks: false })
  const member = createClientLog(withToken(createPool(database.memberUrl, { max: 1 }), token), {
    listen: false,
    byToken: true,
  })
  const read = async (ref: SessionRef, client: ClientLog): Promise<number> => {
    const start = performance.now()
    const events = await client.read(ref, { limit: EVENTS })
    if (events.length !== EVENTS) throw new Error(`${events.length} events`)
    return performance.now() - start
  }
  const [ofFlat, ofDeep, byToken, deepByToken]: [number[], number[], number[], number[]] = [[], [], [], []]
  for (let i = 0; i < (quick ? 10 : 100); i++) {
    const [a, b] = [await read(flat, client), await read(deep, client)]
    const [c, d] = [await read(flat, member), await read(deep, member)]
    if (i < 3) continue
    ofFlat.push(a)
    ofDeep.push(b)
    byToken.push(c)
    deepByToken.push(d)
  }
  await member.close()
  const ratio = percentile(ofDeep, 0.5) / percentile(ofFlat, 0.5)
  return {
    figures: [
      atMost(
        `read ${EVENTS} events across ${DEPTH} nested forks, against a flat log`,
        ratio,
        2,
        ' times',
        ` (p50 / p99 ${p50p99(ofDeep)} against ${p50p99(ofFlat)} ms)`,
      ),
      atMost(
        `the same by token, under row-level security, against a flat log by token`,
        percentile(deepByToken, 0.5) / percentile(byToken, 0.5),
        2,
        ' times',
        ` (p50 / p99 ${p50p99(deepByToken)} against ${p50p99(byToken)} ms)`,
      ),
    ],
    data: {
      'read across forks, p50 / p99 ms': p50p99(ofDeep),
      'read flat, p50 / p99 ms': p50p99(ofFlat),
      'read across forks by token, p50 / p99 ms': p50p99(deepByToken),
      'read flat by token, p50 / p99 ms': p50p99(byToken),
    },
  }
}

async function coldStart(database: BenchDatabase, client: ClientLog, { quick, say }: Options): Promise<Outcome> {
  const events = quick ? 20_000 : 1_000_000
  const ref = { space: 'default', session: 'long' }
  const { head } = await makeLong(database.admin, client, ref, events, progress(say))
  await client.input(ref, BY, 'go on', { ...message(1), payload: { ...message(1).payload, delivery: 'queue' } })
  const verified = await client.verify(ref)
  if (!verified.ok) throw new Error(`event ${verified.seq}: ${verified.why}`)
  const pool = createPool(database.writerUrl, { max: 1 })
  const executor = createExecutorLog(pool)
  const times: number[] = []
  let read = 0
  try {
    const claimed = await executor.claim(ref, { cluster: 'bench', run: 'bench' })
    if (claimed.status !== 'claimed') throw new Error(claimed.status)
    for (let i = 0; i < (quick ? 10 : 50); i++) {
      const start = performance.now()
      const look = await executor.look(ref, claimed.epoch, null)
      if (look.status !== 'ok') throw new Error(look.status)
      const { state } = fold(look.snapshot?.state ?? emptyState, look.events)
      const { run } = nextStep(state, {
        now: look.now,
        sha256: (text) => text,
        definition: () => BENCH_DEFINITION,
        drafts: new Map(),
        grace: false,
      })
      // The first ones only warm up the process.
      if (i >= 3) times.push(performance.now() - start)
      read = look.events.length
      if (run[0]?.step !== `model@${head + 1}`) throw new Error(`the next step is ${run[0]?.step}`)
    }
  } finally {
    await executor.end()
    await pool.end()
  }
  const figures: Figure[] = [
    atMost(
      `state and next step of a session of ${head + 1} events, cold, p50`,
      percentile(times, 0.5),
      20,
      ' ms',
      ` (p99 ${round(percentile(times, 0.99), 2)} ms, ${read} events read behind the snapshot)`,
    ),
  ]
  return { figures, data: { 'cold start, p50 / p99 ms': p50p99(times, 2), 'events behind the snapshot': read } }
}
