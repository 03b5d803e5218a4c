/**
 * L1: from the log alone a safe next step follows. What is not in the log (snapshots, drafts of model calls, live text, Temporal's run) may
 * be taken away at any point: the step costs more, and means the same. The log here is one that real processes wrote.
 */
import { createHash } from 'node:crypto'
import { parseDefinition } from '../../contract/definition'
import type { KnownEvent } from '../../contract/events'
import { nextStep } from '../../contract/next-step'
import { reduce } from '../../contract/reduce'
import { emptyState, type State } from '../../contract/state'
import { ask } from '../faults/support/gate'
import { withTemporal } from '../faults/support/temporal'
import { createWorld, readAll, until, type World } from '../support/world'

const rules = [
  {
    when: { text: 'WORK', step: 0 },
    say: {
      calls: [
        { tool: 'write_file', args: { path: 'a.txt', content: 'a' } },
        { tool: 'run_command', args: { command: 'echo b' } },
      ],
    },
  },
  { when: { text: 'SLOW', step: 0 }, say: { text: 'a b c d', fault: { kind: 'hang' as const, afterDeltas: 2 } } },
  { say: { text: 'Done.' } },
]

let world: World
let events: KnownEvent[]
let definition: ReturnType<typeof parseDefinition>

beforeAll(async () => {
  world = await createWorld({ script: { name: 'l1', rules } })
  await world.startWorker()
  definition = parseDefinition(world.definition())
  const { session } = await world.client.create({ definition, workFolder: await world.workFolder() })
  await world.client.ask(session, 'WORK', { onApproval: () => Promise.resolve({ decision: 'allow' }) })
  await world.client.ask(session, 'more')
  events = (await readAll(world.client, session)) as unknown as KnownEvent[]
}, 120_000)
afterAll(() => world.close())

const after = (from: State, more: readonly KnownEvent[]): State =>
  more.reduce((state, event) => {
    const reduced = reduce(state, event)
    if (!reduced.ok) throw new Error(`${event.seq}: ${reduced.refusal}`)
    return reduced.state
  }, from)

/** With nothing but the log: no draft row knows better. */
const next = (state: State) =>
  nextStep(state, {
    now: (events.at(-1)?.at ?? 0) + 1,
    sha256: (text) => createHash('sha256').update(text).digest('hex'),
    definition: () => definition,
    drafts: new Map(),
    grace: false,
  })

test('every prefix of a log has a next step, the same each time; a state kept on the way gives the same', () => {
  expect(events.length).toBeGreaterThan(12)
  for (let seq = 1; seq <= events.length; seq++) {
    const whole = after(emptyState, events.slice(0, seq))
    const decided = next(whole)
    expect(next(whole)).toEqual(decided)
    for (const at of [1, Math.floor(seq / 2), seq - 1]) {
      const kept = JSON.parse(JSON.stringify(after(emptyState, events.slice(0, at)))) as State
      expect(after(kept, events.slice(at, seq))).toEqual(whole)
    }
    // What it decides can follow, and leads somewhere: something to append or to run, or somebody to wait for.
    expect(decided.events.length + decided.run.length > 0 || decided.waiting !== 'steps').toBe(true)
    const idle = decided.events.length === 0 && decided.run.length === 0 && decided.closes.length === 0
    if (idle && decided.waiting === 'nothing') expect(decided.state.turn).toBeNull()
  }
})

test('in a model call all but the log is taken away: it is made again, and the turn ends as it would have', async () => {
  const { session } = await world.client.create({ definition })
  const { seq } = await world.client.send(session, 'SLOW')
  await until('the call', () => world.model.requests.some((r) => JSON.stringify(r.body).includes('SLOW')))
  for (const worker of world.workers) await worker.kill('SIGKILL')
  await withTemporal(world, (client) => client.workflow.getHandle(session).terminate('lost'))
  for (const table of ['drafts', 'draft_deltas', 'snapshots'])
    await ask(world.db.adminUrl, `delete from savefile.${table} where session_id = $1`, [session])
  await world.startWorker()
  expect((await world.client.awaitTurn(session, seq, { timeoutMs: 90_000 })).reason).toBe('done')
  expect(await world.sound(session)).toEqual(['session_created', 'message_received', 'model_answered', 'turn_finished'])
}, 120_000)
