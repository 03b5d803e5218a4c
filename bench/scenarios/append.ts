/**
 * Appends against plain INSERTs of the same payloads on the same connections, in turns, so that whatever else the machine does falls on
 * both: a person's message and an executor's event, one at a time, on 1 and on 16 connections; and an executor's batches of 100. What sealing
 * costs is measured against the same events in clear, by the same functions.
 */
import { randomBytes } from 'node:crypto'
import type { Pool } from 'pg'
import type { NewEvent } from '../../contract/events'
import type { ClientLog } from '../../contract/client-port'
import type { ExecutorLog } from '../../contract/ports'
import type { SessionRef } from '../../contract/ids'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { createPool } from '../../log/pool'
import { createVault } from '../../log/vault'
import type { DatabaseStack } from '../database'
import { AT_FIRST, BENCH_DEFINITION, message, step, type Place } from '../log-events'
import { atLeast, type Figure, type Options, type Outcome } from '../scenario'
import { percentile, round } from '../stats'

const BY = { actor: 'user:bench' }
const BATCH = 100
const REACH = new Map([
  [1, 0.6],
  [16, 0.85],
])

/** Of an encrypted session's events, against the same in clear. */
const SEALED_REACH = 0.8

/** What one connection writes to: events one by one, or a hundred at once. */
interface Lane {
  log(): Promise<void>
  plain(): Promise<void>
}
/** Events a second. */
type Rates = { ours: number[]; floor: number[] }

export async function append(stack: DatabaseStack, { quick, say }: Options): Promise<Outcome> {
  const figures: Figure[] = []
  const data: Record<string, unknown> = {}
  const [rounds, ms] = quick ? [2, 500] : [7, 3000]
  for (const connections of [1, 16]) {
    const bench = await open(stack, connections)
    try {
      for (const kind of ['message', 'event', 'batch'] as const) {
        say(`append: ${kind}, ${connections} connections`)
        const lanes = await Promise.all(Array.from({ length: connections }, () => bench.lane(kind)))
        const perCall = kind === 'batch' ? BATCH : 1
        const rates = await inTurns(lanes, rounds, ms, perCall)
        const [ours, floor] = [percentile(rates.ours, 0.5), percentile(rates.floor, 0.5)]
        data[`${kind}, ${connections} connections`] = {
          eventsPerSecond: rates.ours.map((n) => round(n, 0)),
          floor: rates.floor.map((n) => round(n, 0)),
        }
        const shown = ` (${round(ours, 0)} against ${round(floor, 0)} events/s)`
        const name = `append, 1 KB, ${connections} ${connections === 1 ? 'connection' : 'connections'}, ${kind === 'message' ? "a person's" : "an executor's"}, against plain INSERTs`
        if (kind !== 'batch')
          figures.push(atLeast(name, round(ours / floor, 2), REACH.get(connections) ?? 0, ' times', shown))
        else
          figures.push(
            atLeast(
              `append in batches of ${BATCH}, ${connections} connections`,
              ours,
              10_000,
              ' events/s',
              ` (plain unnest ${round(floor, 0)})`,
            ),
          )
      }
      say(`append: sealed, ${connections} connections`)
      const sealed = await Promise.all(Array.from({ length: connections }, () => bench.sealedLane()))
      const rates = await inTurns(sealed, rounds, ms, 1)
      const [ours, clear] = [percentile(rates.ours, 0.5), percentile(rates.floor, 0.5)]
      data[`sealed, ${connections} connections`] = {
        eventsPerSecond: rates.ours.map((n) => round(n, 0)),
        inClear: rates.floor.map((n) => round(n, 0)),
      }
      figures.push(
        atLeast(
          `append, 1 KB, ${connections} ${connections === 1 ? 'connection' : 'connections'}, an executor's in an encrypted session, against one in clear`,
          round(ours / clear, 2),
          SEALED_REACH,
          ' times',
          ` (${round(ours, 0)} against ${round(clear, 0)} events/s)`,
        ),
      )
      await bench.check()
    } finally {
      await bench.close()
    }
  }
  return { figures, data }
}

/** Round by round: ours, then the floor, each for so long on all lanes at once. The first round only warms up. */
async function inTurns(lanes: readonly Lane[], rounds: number, ms: number, perCall: number): Promise<Rates> {
  const rates: Rates = { ours: [], floor: [] }
  const run = async (call: (lane: Lane) => Promise<void>): Promise<number> => {
    let calls = 0
    const start = performance.now()
    await Promise.all(
      lanes.map(async (lane) => {
        for (; performance.now() - start < ms; calls++) await call(lane)
      }),
    )
    return (calls * perCall * 1000) / (performance.now() - start)
  }
  for (let round = 0; round <= rounds; round++) {
    const [ours, floor] = [await run((lane) => lane.log()), await run((lane) => lane.plain())]
    if (round === 0) continue
    rates.ours.push(ours)
    rates.floor.push(floor)
  }
  return rates
}

interface Bench {
  lane(kind: 'message' | 'event' | 'batch'): Promise<Lane>
  /** An executor's events in an encrypted session; the floor is the same in one in clear. */
  sealedLane(): Promise<Lane>
  /** Every session that was written to verifies. */
  check(): Promise<void>
  close(): Promise<void>
}

async function open(stack: DatabaseStack, connections: number): Promise<Bench> {
  const database = await stack.database()
  await database.admin.query(
    `create table public.plain (space text, session text, seq bigint, type text, payload text, primary key (space, session, seq));
     grant insert on public.plain to savefile_writer`,
  )
  const pool = createPool(database.writerUrl, { max: connections })
  // Nobody follows, so nobody is told: telling is of another scenario.
  const vault = createVault(pool, keyringOf(newOwnerKey(), 'bench'))
  const client = createClientLog(pool, { listen: false, vault })
  const executor = createExecutorLog(pool, { vault })
  const definition = await client.putDefinition('default', BENCH_DEFINITION)
  const sessions: SessionRef[] = []
  const begin = async (encrypted: boolean): Promise<SessionRef> => {
    const ref = { space: 'default', session: `b${randomBytes(8).toString('hex')}` }
    sessions.push(ref)
    await client.create(ref, BY, { definition, encrypted })
    await client.input(ref, BY, 'first', message(0))
    await executor.claim(ref, { cluster: 'bench', run: 'bench' })
    return ref
  }

  return {
    async lane(kind) {
      const ref = await begin(false)
      if (kind === 'message') return messages(pool, client, ref)
      return appends(pool, executor, ref, definition, kind === 'batch' ? BATCH : 1)
    },
    async sealedLane() {
      const [sealed, clear] = [await begin(true), await begin(false)]
      const { log } = appends(pool, executor, sealed, definition, 1)
      return { log, plain: appends(pool, executor, clear, definition, 1).log }
    },
    async check() {
      for (const ref of sessions) {
        const verified = await client.verify(ref)
        if (!verified.ok) throw new Error(`${ref.session}: event ${verified.seq}: ${verified.why}`)
      }
    },
    async close() {
      await executor.end()
      await client.close()
      await database.close()
    },
  }
}

const INSERT = 'insert into public.plain values ($1, $2, $3, $4, $5)'

function messages(pool: Pool, client: ClientLog, ref: SessionRef): Lane {
  let n = 2
  let plain = 0
  return {
    async log() {
      const { status } = await client.input(ref, BY, `m${++n}`, message(n))
      if (status !== 'appended') throw new Error(status)
    },
    async plain() {
      const { type, payload } = message(++plain)
      await pool.query(INSERT, [ref.space, ref.session, plain, type, JSON.stringify(payload)])
    },
  }
}

function appends(pool: Pool, executor: ExecutorLog, ref: SessionRef, definition: string, size: number): Lane {
  /** The next events of an endless turn. */
  const source = (): (() => NewEvent[]) => {
    let place: Place = AT_FIRST
    const ready: NewEvent[] = []
    return () => {
      while (ready.length < size) {
        const { events, then } = step(ref.session, definition, place)
        ready.push(...events)
        place = then
      }
      return ready.splice(0, size)
    }
  }
  const [next, nextPlain] = [source(), source()]
  const outlook = { state: 'running', dueAt: (Date.now() + 3_600_000) * 1000 } as const
  let head = AT_FIRST.head
  let plain = 0
  return {
    async log() {
      const appended = await executor.append(ref, 1, head, next(), outlook)
      if (appended.status !== 'appended' || appended.head !== head + size) throw new Error(appended.status)
      head = appended.head
    },
    async plain() {
      const events = nextPlain()
      const first = plain
      plain += size
      if (size === 1)
        return void (await pool.query(INSERT, [
          ref.space,
          ref.session,
          plain,
          events[0]?.type,
          JSON.stringify(events[0]?.payload),
        ]))
      await pool.query(
        'insert into public.plain select $1, $2, $3 + n, t, p from unnest($4::text[], $5::text[]) with ordinality u (t, p, n)',
        [
          ref.space,
          ref.session,
          first,
          events.map(({ type }) => type),
          events.map(({ payload }) => JSON.stringify(payload)),
        ],
      )
    },
  }
}
