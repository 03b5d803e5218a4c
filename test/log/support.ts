/** A log in a database of its own, and short ways to write the events of a turn. */
import { randomUUID } from 'node:crypto'
import { Client, type Pool } from 'pg'
import { parseDefinition, type Definition } from '../../contract/definition'
import type { NewEvent, Payload, StoredEvent } from '../../contract/events'
import type { SessionRef } from '../../contract/ids'
import type { Keyring } from '../../contract/keys'
import type { ClientLog, InputEvent } from '../../contract/client-port'
import type { ExecutorLog } from '../../contract/ports'
import { createClientLog, type ClientLogOptions } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { createPool } from '../../log/pool'
import { createVault } from '../../log/vault'
import { createDatabase, type TestDatabase } from '../support/database'

export const ANN = { actor: 'user:ann' }
export const BOB = { actor: 'user:bob' }
export const RUN = { cluster: 'c1', run: 'r1' }
export const IDLE = { state: 'idle', dueAt: null } as const
export const RUNNING = { state: 'running', dueAt: 9_000_000_000_000_000 } as const
/** Long enough that no test outlives it. */
export const LONG_TTL_MS = 600_000

const schema = '{"type":"object"}'
export const DEFINITION: Definition = parseDefinition({
  model: { provider: 'anthropic', name: 'scripted' },
  tools: [
    { name: 'pay', description: '', inputSchema: schema, approval: 'ask' },
    { name: 'wait', description: '', inputSchema: schema, approval: 'allow', deferred: true },
  ],
})

export interface TestLog {
  db: TestDatabase
  pool: Pool
  client: ClientLog
  executor: ExecutorLog
  /** A holder counts as gone at once. */
  impatient: ExecutorLog
  definition: string
  /** As superuser. */
  admin(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** A session with one message, claimed: epoch 1, head 2. */
  begin(name?: string): Promise<SessionRef>
  read(ref: SessionRef): Promise<StoredEvent[]>
  close(): Promise<void>
}

/** With a keyring its sessions are encrypted. */
export async function openLog({
  keyring = null,
  ...options
}: ClientLogOptions & { keyring?: Keyring | null } = {}): Promise<TestLog> {
  const db = await createDatabase()
  const pool = createPool(db.writerUrl, { max: 20 })
  const vault = createVault(pool, keyring)
  const client = createClientLog(pool, { vault, ...options })
  const executor = createExecutorLog(pool, { ttlMs: LONG_TTL_MS, vault })
  const impatient = createExecutorLog(pool, { ttlMs: 0, vault })
  const definition = await client.putDefinition('default', DEFINITION)
  return {
    db,
    pool,
    client,
    executor,
    impatient,
    definition,
    async admin(sql, values) {
      const admin = new Client({ connectionString: db.adminUrl })
      await admin.connect()
      try {
        return (await admin.query<Record<string, unknown>>(sql, values)).rows
      } finally {
        await admin.end()
      }
    },
    async begin(name = `s${randomUUID().slice(0, 8)}`) {
      const ref = { space: 'default', session: name }
      expect(await client.create(ref, ANN, { definition, encrypted: keyring !== null })).toEqual({ status: 'created' })
      expect(await client.input(ref, ANN, 'first', say('go'))).toMatchObject({ status: 'appended', seq: 2 })
      expect(await executor.claim(ref, RUN)).toEqual({ status: 'claimed', epoch: 1 })
      return ref
    },
    read: (ref) => client.read(ref),
    async close() {
      await executor.end()
      await impatient.end()
      await client.close()
      await db.drop()
    },
  }
}

export function say(text: string, delivery: 'queue' | 'steer' | 'interrupt' = 'queue'): InputEvent {
  return { type: 'message_received', payload: { blocks: [{ type: 'text', text }], delivery } }
}

type Answer = Extract<NewEvent, { type: 'model_answered' }>
type Finished = Extract<NewEvent, { type: 'tool_finished' }>

export function answer(
  ref: SessionRef,
  due: number,
  tools: string[] = [],
  more: Partial<Payload<'model_answered'>> = {},
): Answer {
  const calls = tools.map((name, i) => ({
    type: 'tool_call' as const,
    call: `${ref.session}:${due}.${i}`,
    name,
    args: '{}',
  }))
  return {
    type: 'model_answered',
    payload: {
      step: `model@${due}`,
      provider: 'anthropic',
      model: 'scripted',
      blocks: [{ type: 'text', text: 'well' }, ...calls],
      stop: tools.length > 0 ? 'tool_calls' : 'end',
      usage: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
      timings: { startedAt: 1, totalMs: 1 },
      manifest: { view: 1, definition: `sha256:${'0'.repeat(64)}`, prev: 0, saw: [due], dropped: [], requestHash: '' },
      attempts: [],
      ...more,
    },
  }
}

export function started(call: string, tool = 'pay'): NewEvent {
  return { type: 'tool_started', payload: { call, tool, queue: null, idempotencyKey: 'k' } }
}

export function finished(call: string, text = 'paid', tool = 'pay'): Finished {
  return { type: 'tool_finished', payload: { call, tool, outcome: 'ok', blocks: [{ type: 'text', text }] } }
}

export function requested(call: string): NewEvent {
  return { type: 'approval_requested', payload: { call, tool: 'pay', rule: 'ask' } }
}

export function approval(call: string, decision: 'allow' | 'deny' = 'allow'): InputEvent {
  return { type: 'approval_resolved', payload: { call, decision, scope: 'once' } }
}

export function turnFinished(turn: number): NewEvent {
  return { type: 'turn_finished', payload: { turn, reason: 'done' } }
}

/** Polls for a fact. */
export async function until<T>(
  fact: () => Promise<T | undefined | false> | T | undefined | false,
  ms = 20_000,
): Promise<T> {
  const deadline = Date.now() + ms
  for (;;) {
    const found = await fact()
    if (found !== undefined && found !== false) return found
    if (Date.now() > deadline) throw new Error(`not so within ${ms} ms: ${fact.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
