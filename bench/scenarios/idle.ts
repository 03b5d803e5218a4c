/** Cold start: 10,000 sessions lie idle in the log, each with a turn behind it; somebody writes to one that no worker remembers. */
import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import type { NewEvent, Payload } from '../../contract/events'
import type { ClientLog } from '../../contract/client-port'
import type { ExecutorLog } from '../../contract/ports'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'
import { p50p99, percentile, round } from '../stats'
import { atMost, type Options, type Outcome } from '../scenario'
import { workFolder, type BenchWorld, type Stack } from '../stack'
import { sayTurn } from '../turn-words'
import { checkSessions, createSessions, definition, logOf } from '../turns'

const SAMPLES = 200

export async function idle(stack: Stack, { quick, say }: Options): Promise<Outcome> {
  const world = await stack.world()
  const pool = createPool(world.writerUrl, { max: 16 })
  try {
    const sessions = await seed(world, pool, quick ? 500 : 10_000, workFolder(stack))
    say(`idle: ${sessions.length} sessions in the log`)
    await world.worker()
    const chosen = sessions.filter((_, i) => i % Math.floor(sessions.length / SAMPLES) === 0).slice(0, SAMPLES)
    const sent = new Map<string, number>()
    for (const session of chosen) {
      sent.set(session, (performance.timeOrigin + performance.now()) * 1000)
      const { seq } = await world.client.send(session, sayTurn({ steps: 0 }))
      await world.client.awaitTurn(session, seq)
    }
    await checkSessions(world, chosen)
    const times = (await logOf(world, chosen, true)).map((log) => {
      const [asked, answered] = log.slice(-3)
      const arrived = arrivalOf(answered?.payload ?? '{}')
      return {
        fromAppend: (arrived - (asked?.at ?? 0)) / 1000,
        fromSend: (arrived - (sent.get(asked?.session ?? '') ?? 0)) / 1000,
      }
    })
    // The first few warm a worker that has just started.
    const fromAppend = times.slice(10).map((t) => t.fromAppend)
    const fromSend = times.slice(10).map((t) => t.fromSend)
    const title = `append to first model call, ${sessions.length} idle sessions`
    return {
      figures: [
        atMost(`${title}, p50`, percentile(fromAppend, 0.5), 30, ' ms'),
        atMost(`${title}, p99`, percentile(fromAppend, 0.99), 80, ' ms'),
      ],
      data: {
        samples: fromAppend.length,
        fromAppendMs: p50p99(fromAppend),
        fromSendMs: p50p99(fromSend),
        worstMs: round(Math.max(...fromAppend)),
      },
    }
  } finally {
    await pool.end()
    await world.close()
  }
}

/** When the model got the request: its answer begins with it. */
function arrivalOf(payload: string): number {
  const [block] = (JSON.parse(payload) as Payload<'model_answered'>).blocks
  return Number(block?.type === 'text' ? block.text.split(' ')[0] : NaN)
}

/** A finished turn in each, through the log's own functions. */
async function seed(world: BenchWorld, pool: Pool, n: number, folder: string): Promise<string[]> {
  const hash = (await world.client.create({ definition: definition('regular'), workFolder: folder })).definition
  const log: ExecutorLog = createExecutorLog(pool)
  const people: ClientLog = createClientLog(pool, { listen: false })
  const sessions = await createSessions(world, n, 'regular', folder)
  const queue = [...sessions]
  const one = async (session: string): Promise<void> => {
    const ref = { space: 'default', session }
    const idle = { state: 'idle', dueAt: null } as const
    await people.input(ref, { actor: 'user:local' }, 'seed', {
      type: 'message_received',
      payload: { blocks: [{ type: 'text', text: sayTurn({ steps: 0 }) }], delivery: 'queue' },
    })
    const claimed = await log.claim(ref, { cluster: 'seed', run: randomUUID() })
    if (claimed.status !== 'claimed') throw new Error(claimed.status)
    const token = randomUUID()
    const step = 'model@2'
    await log.claimDraft(ref, claimed.epoch, step, { safe: true, token })
    await log.finishDraft(ref, step, token, answer(hash))
    const events = [
      { ...answer(hash), fromDraft: step },
      { type: 'turn_finished' as const, payload: { turn: 2, reason: 'done' as const } },
    ]
    const appended = await log.append(ref, claimed.epoch, 2, events, idle)
    if (appended.status !== 'appended') throw new Error(appended.status)
  }
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let session = queue.pop(); session !== undefined; session = queue.pop()) await one(session)
    }),
  )
  return sessions
}

function answer(definitionHash: string): NewEvent {
  return {
    type: 'model_answered',
    payload: {
      step: 'model@2',
      provider: 'anthropic',
      model: 'bench',
      blocks: [{ type: 'text', text: 'seeded '.repeat(140) }],
      stop: 'end',
      usage: { input: 1000, output: 250, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
      timings: { startedAt: 0, totalMs: 1 },
      manifest: { view: 1, definition: definitionHash, prev: 0, saw: [2], dropped: [], requestHash: '0'.repeat(64) },
      attempts: [],
    },
  }
}
