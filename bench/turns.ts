/** Sessions that play turns, and what came of them. Every one that is counted is checked: seqs, keys, chain. */
import type { DefinitionInput } from '../contract/definition'
import { waitUntil } from '../dev/processes'
import { builtinSpecs } from '../tools/builtin'
import type { BenchWorld, Floor, Stack } from './stack'
import { kilobyteTools } from './scripted-provider'
import { sayTurn, type TurnWords } from './turn-words'

/** The same file tool, once as a regular activity and once in process. */
export type ToolKind = 'regular' | 'in-process'

export function definition(kind: ToolKind): DefinitionInput {
  const max = Number.MAX_SAFE_INTEGER
  return {
    model: { provider: 'anthropic', name: 'bench' },
    tools: [
      ...builtinSpecs()
        .filter(({ name }) => name === 'read_file')
        .map((tool) => ({ ...tool, local: kind === 'in-process' })),
      ...kilobyteTools.map(({ spec }) => spec),
    ],
    limits: { steps: 1_000_000, tokens: max, usdMicros: max },
  }
}

/** The tool that a worker with BENCH_SCRIPTED has for it. */
export const scriptedTool = (kind: ToolKind): string => (kind === 'in-process' ? 'kilobyte_here' : 'kilobyte')

/** At most so many at once; in order. */
export async function mapLimited<T, R>(items: readonly T[], limit: number, run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await run(items[i] as T)
  }
  await Promise.all(Array.from({ length: limit }, lane))
  return results
}

export async function createSessions(
  world: BenchWorld,
  n: number,
  kind: ToolKind,
  workFolder: string,
): Promise<string[]> {
  const made = Array.from({ length: n }, () => ({ definition: definition(kind), workFolder }))
  return mapLimited(made, 16, async (options) => (await world.client.create(options)).session)
}

/** Sends to all, and waits until every turn is over by asking Postgres now and then: followers would compete for the cores. */
export async function playTurns(
  world: BenchWorld,
  sessions: readonly string[],
  words: Partial<TurnWords>,
  patienceMs = 900_000,
): Promise<void> {
  const seqs = await mapLimited(sessions, 64, async (session) => (await world.client.send(session, sayTurn(words))).seq)
  const ended = async (): Promise<boolean> => {
    const { rows } = await world.admin.query<{ n: string }>(
      `select count(*) as n from unnest($1::text[], $2::bigint[]) u (session_id, seq)
       join savefile.sessions s using (session_id) where s.finished_seq > u.seq`,
      [sessions, seqs],
    )
    return Number(rows[0]?.n) === sessions.length
  }
  if (!(await waitUntil(() => later(ended), patienceMs))) throw new Error('the turns did not end in time')
}

/** waitUntil looks every 20 ms; a look in ten is enough. */
async function later(fact: () => Promise<boolean>): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 180))
  return fact()
}

export interface LogRow {
  session: string
  seq: number
  type: string
  /** Microseconds. */
  at: number
  payload: string
}

export async function logOf(world: BenchWorld, sessions: readonly string[], withPayload = false): Promise<LogRow[][]> {
  const { rows } = await world.admin.query<{
    session_id: string
    seq: string
    type: string
    at: string
    payload: string
  }>(
    `select session_id, seq, type, at, ${withPayload ? `convert_from(payload, 'UTF8')` : `''`} as payload
     from savefile.events where session_id = any ($1) order by session_id, seq`,
    [sessions],
  )
  const bySession = new Map<string, LogRow[]>()
  for (const { session_id: session, seq, type, at, payload } of rows) {
    const list = bySession.get(session) ?? []
    bySession.set(session, list)
    list.push({ session, seq: Number(seq), type, at: Number(at), payload })
  }
  return [...bySession.values()]
}

/** Milliseconds from each tool result to the next of the same session: a whole step each. The first of a turn, which is cold, is left out. */
export function stepTimes(logs: readonly LogRow[][]): number[] {
  return logs.flatMap((log) => gaps(log.filter(({ type }) => type === 'tool_finished').map(({ at }) => at / 1000)))
}

export function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((at, i) => at - (times[i] ?? at))
}

/** Steps a second, from the first message to the end of the last turn. */
export function throughput(logs: readonly LogRow[][]): number {
  const turns = logs.map((log) => log.slice(log.findLastIndex(({ type }) => type === 'message_received')))
  const from = Math.min(...turns.map((turn) => turn[0]?.at ?? Infinity))
  const to = Math.max(...turns.map((turn) => turn.at(-1)?.at ?? 0))
  const steps = turns.reduce((sum, turn) => sum + turn.filter(({ type }) => type === 'tool_finished').length, 0)
  return steps / ((to - from) / 1e6)
}

/** @throws where a chain does not verify, a seq is missing, a key is there twice, or a turn ended otherwise than done. */
export async function checkSessions(world: BenchWorld, sessions: readonly string[]): Promise<void> {
  for (const one of await mapLimited(sessions, 8, (session) => world.client.verify(session, { deep: true })))
    if (!one.ok) throw new Error(`a chain does not verify: ${JSON.stringify(one)}`)
  const { rows } = await world.admin.query<{ session_id: string }>(
    `select session_id from savefile.events where session_id = any ($1) group by session_id
     having count(*) <> max(seq) or count(distinct key) <> count(*)
       or count(*) filter (where type = 'model_failed' or type = 'turn_finished' and position('"reason":"done"' in convert_from(payload, 'UTF8')) = 0) > 0`,
    [sessions],
  )
  if (rows.length > 0)
    throw new Error(`${rows.length} sessions are not as they should be, ${rows[0]?.session_id} for one`)
}

export interface FloorRun {
  times: number[]
  perSecond: number
}

/** The floor's workflows, run like the sessions of a turn. */
export async function runFloor(stack: Stack, floor: Floor, n: number, steps: number): Promise<FloorRun> {
  const began = performance.now()
  const handles = await Promise.all(
    Array.from({ length: n }, (_, i) => {
      const workflowId = `${floor.taskQueue}-${began}-${i}`
      return stack.temporalClient.workflow.start('floor', {
        taskQueue: floor.taskQueue,
        workflowId,
        args: [workflowId, steps],
      })
    }),
  )
  await Promise.all(handles.map((handle) => handle.result()))
  const seconds = (performance.now() - began) / 1000
  return { times: (await floor.report()).flatMap(gaps), perSecond: (n * steps) / seconds }
}
