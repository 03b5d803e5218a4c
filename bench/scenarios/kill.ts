/**
 * How soon a session goes on when its worker is killed with SIGKILL, in a model call and in a mirror (its append stands at a lock of ours,
 * and its connection is cut). Another worker is there. Several sessions at each kill.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { waitUntil } from '../../dev/processes'
import { percentile, round } from '../stats'
import { atMost, type Figure, type Options, type Outcome } from '../scenario'
import { workFolder, type BenchWorld, type Stack } from '../stack'
import { sayTurn } from '../turn-words'
import { checkSessions, createSessions } from '../turns'

const AT_ONCE = 6
const LIMITS = { fast: { call: 3, mirror: 4 }, default: { call: 20, mirror: 20 } }

export async function kill(stack: Stack, { quick, say }: Options): Promise<Outcome> {
  const figures: Figure[] = []
  const data: Record<string, unknown> = {}
  for (const profile of ['fast', 'default'] as const) {
    const rounds = quick ? 1 : profile === 'fast' ? 4 : 2
    for (const where of ['call', 'mirror'] as const) {
      const seconds: number[] = []
      for (let i = 0; i < rounds; i++) seconds.push(...(await oneKill(stack, profile, where)))
      say(`kill: ${profile}, in a ${where}: ${seconds.map((s) => round(s)).join(', ')} s`)
      const title = `goes on after kill -9 in a ${where === 'call' ? 'model call' : 'mirror'}, ${profile} profile, p50`
      figures.push(atMost(title, percentile(seconds, 0.5), LIMITS[profile][where], ' s'))
      data[`${profile} ${where}`] = { samples: seconds.length, worst: round(Math.max(...seconds), 2) }
    }
  }
  return { figures, data }
}

async function oneKill(stack: Stack, profile: 'fast' | 'default', where: 'call' | 'mirror'): Promise<number[]> {
  const world = await stack.world()
  const gate = new Client({ connectionString: world.adminUrl })
  try {
    const victim = await world.worker({
      SAVEFILE_PROFILE: profile,
      ...(where === 'mirror' ? { BENCH_MODEL_MS: '6000' } : {}),
    })
    const sessions = await createSessions(world, AT_ONCE, 'regular', workFolder(stack))
    const ms = 60_000
    await Promise.all(sessions.map((session) => world.client.send(session, sayTurn({ steps: 1, ms }))))
    await until('all calls to run', async () => (await drafts(world, 'running')) === AT_ONCE)
    // Answers at once: what counts is when it begins.
    const starting = world.worker({ SAVEFILE_PROFILE: profile, BENCH_MODEL_MS: '0' })
    await gate.connect()
    if (where === 'mirror') {
      await gate.query('begin')
      await gate.query('select from savefile.sessions where session_id = any ($1) for update', [sessions])
      await until('all appends to stand at the lock', async () => (await standing(world)).length >= AT_ONCE)
    }
    await starting
    // So that a heartbeat may have been long ago, or just now.
    if (where === 'call') await sleep(1_000 + Math.random() * 2_000)
    const killedAt = Date.now()
    await victim.kill('SIGKILL')
    if (where === 'mirror') {
      for (const pid of await standing(world)) await world.admin.query('select pg_terminate_backend($1)', [pid])
      await gate.query('rollback')
    }
    const sql =
      where === 'call'
        ? `select claimed_at as at from savefile.drafts where session_id = any ($1) and step = 'model@2' and attempt > 1`
        : `select at from savefile.events where session_id = any ($1) and type = 'model_answered' and key = 'x:model@2'`
    const wentOn = async (): Promise<number[]> =>
      (await world.admin.query<{ at: string }>(sql, [sessions])).rows.map(({ at }) => Number(at) / 1000)
    await until('all sessions to go on', async () => (await wentOn()).length === AT_ONCE)
    const times = (await wentOn()).map((at) => (at - killedAt) / 1000)
    await until('all turns to end', async () => {
      const { rows } = await world.admin.query<{ n: string }>(
        'select count(*) as n from savefile.sessions where finished_seq > 0',
      )
      return Number(rows[0]?.n) === AT_ONCE
    })
    await checkSessions(world, sessions)
    return times
  } finally {
    await gate.end()
    await world.close()
  }
}

async function until(what: string, fact: () => Promise<boolean>): Promise<void> {
  if (!(await waitUntil(fact, 120_000))) throw new Error(`waited in vain for ${what}`)
}

async function drafts(world: BenchWorld, state: string): Promise<number> {
  const { rows } = await world.admin.query<{ n: string }>(
    'select count(*) as n from savefile.drafts where state = $1',
    [state],
  )
  return Number(rows[0]?.n)
}

/** Backends whose append waits for a lock. */
async function standing(world: BenchWorld): Promise<number[]> {
  const { rows } = await world.admin.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%append(%'`,
  )
  return rows.map(({ pid }) => pid)
}
