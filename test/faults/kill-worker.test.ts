/**
 * One SIGKILL of a worker that has a session at every moment that matters: before, in and after a model call, between draft and mirror,
 * and in tools (L5, L8). Another worker goes on with all of them. Each moment is made exact by a lock that the test holds.
 */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { ToolSpec } from '../../contract/definition'
import { createWorld, ofType, readAll, until, type World } from '../support/world'
import { draftState, headOf, holdSeq, holdSession, holdStep, sayUnheard, type Gate } from './support/gate'

const PLAIN = ['session_created', 'message_received', 'model_answered', 'turn_finished']
const ONE_TOOL = [
  ...['session_created', 'message_received', 'model_answered', 'tool_started', 'tool_finished'],
  ...['model_answered', 'turn_finished'],
]
/** Says that it ran, and ends when it is let go. */
const WITNESS = 'echo "$SAVEFILE_IDEMPOTENCY_KEY" >> effects.txt; while [ ! -f go ]; do sleep 0.1; done'
const QUICK = 'echo "$SAVEFILE_IDEMPOTENCY_KEY" >> effects.txt'

const callOf = (command: string) => ({ tool: 'run_command', args: { command } })
const rules = [
  { when: { text: 'MIRROR', step: 0 }, say: { text: 'slow', firstByteMs: 2_000 } },
  { when: { text: 'COMMIT', step: 0 }, say: { text: 'slow', firstByteMs: 2_000 } },
  {
    when: { text: 'DURING', step: 0 },
    say: { text: 'four words of answer', fault: { kind: 'hang' as const, afterDeltas: 2 } },
  },
  { when: { text: 'TOOL', step: 0 }, say: { calls: [callOf(WITNESS)] } },
  { when: { text: 'RESULT', step: 0 }, say: { calls: [callOf(WITNESS)] } },
  { when: { text: 'BOTH', step: 0 }, say: { calls: [callOf(QUICK), callOf(WITNESS)] } },
  { say: { text: 'Done.' } },
]

let world: World
const sessions = new Map<string, { session: string; folder: string }>()
const of = (name: string): { session: string; folder: string } => {
  const found = sessions.get(name)
  if (!found) throw new Error(`no session ${name}`)
  return found
}
const requestsOf = (name: string) =>
  world.model.requests.filter((request) => JSON.stringify(request.body).includes(`${name}.`))
const effects = async (name: string): Promise<string[]> =>
  (await readFile(path.join(of(name).folder, 'effects.txt'), 'utf8').catch(() => '')).split('\n').filter(Boolean)

async function begin(name: string, tool: Partial<ToolSpec> = {}): Promise<string> {
  const folder = await world.workFolder()
  const base = world.definition()
  const tools = (base.tools ?? []).map((spec) => ({ ...spec, approval: 'allow' as const, ...tool }))
  const { session } = await world.client.create({ definition: { ...base, tools }, workFolder: folder })
  sessions.set(name, { session, folder })
  return session
}

beforeAll(async () => {
  world = await createWorld({ script: { name: 'kill', rules } })
  const { adminUrl } = world.db
  const gates: Gate[] = []
  const say = async (name: string): Promise<string> => {
    await world.client.send(of(name).session, `${name}.`)
    return of(name).session
  }
  // On a busy machine a beat may be late: were it taken for gone, the reconciler would nudge, and the run would look between two gates.
  const worker = await world.startWorker({ SAVEFILE_TTL_MS: '15000' })

  const before = await begin('BEFORE')
  gates.push(await holdStep(adminUrl, before, 'model@2'))
  await say('BEFORE')
  await begin('DURING')
  await say('DURING')
  await begin('COMMIT')
  await say('COMMIT')
  await until('COMMIT to be claimed', () => requestsOf('COMMIT').length === 1)
  gates.push(await holdSession(adminUrl, of('COMMIT').session))
  for (const name of ['MIRROR-lost', 'MIRROR-through']) {
    const session = await begin(name)
    await say(name)
    await until(`${name} to be claimed`, () => requestsOf(name).length === 1)
    await sayUnheard(adminUrl, session, 'more')
    gates.push(await holdSeq(adminUrl, session, 4))
  }
  await begin('TOOL-unsafe')
  await begin('TOOL-readonly', { readOnly: true })
  await begin('TOOL-idempotent', { idempotent: true })
  await begin('BOTH')
  for (const name of ['TOOL-unsafe', 'TOOL-readonly', 'TOOL-idempotent', 'BOTH']) await say(name)
  for (const name of ['TOOL-unsafe', 'TOOL-readonly', 'TOOL-idempotent'])
    await until(`the effect of ${name}`, async () => (await effects(name)).length === 1)
  await until('both effects', async () => (await effects('BOTH')).length === 2)
  await until('the result of the one that is over', async () => (await outcomes('BOTH')).length === 1)
  const quick = await begin('RESULT')
  await say('RESULT')
  await until('its effect', async () => (await effects('RESULT')).length === 1)
  await sayUnheard(adminUrl, quick, 'more')
  gates.push(await holdSeq(adminUrl, quick, 6))
  await writeFile(path.join(of('RESULT').folder, 'go'), '')
  const step = `tool@${quick}:2.0`
  await until('the tool’s draft', async () => (await draftState(adminUrl, quick, step)) === 'finished')
  const [claim, commit, lost, through, result] = gates
  await until('the model’s answer in the middle', () => requestsOf('DURING').length === 1)
  const finished = async (name: string) => (await draftState(adminUrl, of(name).session, 'model@2')) === 'finished'
  await until('both drafts', async () => (await finished('MIRROR-lost')) && (await finished('MIRROR-through')))
  for (const gate of [lost, through, result]) await gate?.standsAt('append')
  await commit?.standsAt('finish_and_append(')
  await claim?.standsAt('claim_draft(')

  await worker.kill('SIGKILL')
  await claim?.cutOff('claim_draft(')
  await commit?.cutOff('finish_and_append(')
  for (const gate of [lost, result]) await gate?.cutOff('append')
  for (const gate of gates) await gate.open()
  expect(await headOf(adminUrl, of('MIRROR-lost').session)).toBe(3)
  await until('the dead worker’s append', async () => (await headOf(adminUrl, of('MIRROR-through').session)) > 3)
  for (const name of ['TOOL-readonly', 'TOOL-idempotent']) await writeFile(path.join(of(name).folder, 'go'), '')
  await world.startWorker()
}, 180_000)
afterAll(() => world.close())

/** The turn ends, and the log is sound; gives its types. */
async function goesOn(name: string): Promise<string[]> {
  const { session } = of(name)
  const end = await world.client.awaitTurn(session, 2, { timeoutMs: 90_000 })
  expect(end.reason).toBe('done')
  return world.sound(session)
}
const attemptsOf = async (name: string): Promise<string[]> =>
  ofType(await readAll(world.client, of(name).session), 'model_answered')[0]?.payload.attempts.map((a) => a.outcome) ??
  []
const outcomes = async (name: string): Promise<string[]> =>
  ofType(await readAll(world.client, of(name).session), 'tool_finished').map((event) => event.payload.outcome)

test('before the call was claimed: it is made once', async () => {
  expect(await goesOn('BEFORE')).toEqual(PLAIN)
  expect(await attemptsOf('BEFORE')).toEqual(['answered'])
  expect(requestsOf('BEFORE')).toHaveLength(1)
}, 120_000)

test('in the call: it is made again, answered once, and the attempt that vanished is told', async () => {
  expect(await goesOn('DURING')).toEqual(PLAIN)
  expect(await attemptsOf('DURING')).toEqual(['vanished', 'answered'])
  expect(requestsOf('DURING').map((request) => request.whole)).toEqual([false, true])
}, 120_000)

test('with the answer received, and its commit under way and lost: it is made again, and the attempt is told', async () => {
  expect(await goesOn('COMMIT')).toEqual(PLAIN)
  expect(await attemptsOf('COMMIT')).toEqual(['vanished', 'answered'])
  expect(requestsOf('COMMIT').map((request) => request.whole)).toEqual([true, true])
}, 120_000)

/** The message that moved the head on is answered by the next turn. */
const TWO_TURNS = ['session_created', 'message_received', 'message_received', ...PLAIN.slice(2), ...PLAIN.slice(2)]
const bothTurns = async (name: string): Promise<string[]> => {
  await goesOn(name)
  expect((await world.client.awaitTurn(of(name).session, 3, { timeoutMs: 90_000 })).reason).toBe('done')
  return world.sound(of(name).session)
}

test('between draft and mirror, whose append never happened: the answer is not paid for again', async () => {
  expect(await bothTurns('MIRROR-lost')).toEqual(TWO_TURNS)
  expect(requestsOf('MIRROR-lost')).toHaveLength(2)
}, 120_000)

test('in the mirror, whose append came through after the death: nothing is appended twice', async () => {
  expect(await bothTurns('MIRROR-through')).toEqual(TWO_TURNS)
  expect(requestsOf('MIRROR-through')).toHaveLength(2)
}, 120_000)

test('in an unsafe tool: its outcome is unknown, it is not run again, and the model is told', async () => {
  expect(await goesOn('TOOL-unsafe')).toEqual(ONE_TOOL)
  expect(await outcomes('TOOL-unsafe')).toEqual(['unknown'])
  expect(await effects('TOOL-unsafe')).toHaveLength(1)
  const [, second] = requestsOf('TOOL-unsafe')
  expect(JSON.stringify(second?.body)).toContain('not known')
}, 120_000)

test.each(['TOOL-readonly', 'TOOL-idempotent'])(
  'in a tool that is declared safe (%s): run again under the same key',
  async (name) => {
    expect(await goesOn(name)).toEqual(ONE_TOOL)
    expect(await outcomes(name)).toEqual(['ok'])
    const keys = await effects(name)
    expect(keys).toHaveLength(2)
    expect(new Set(keys).size).toBe(1)
  },
  120_000,
)

test('with a tool’s result in its draft: the result counts, the tool is not run again', async () => {
  const types = await goesOn('RESULT')
  expect(types.filter((type) => type !== 'message_received').slice(0, 6)).toEqual(
    ONE_TOOL.filter((type) => type !== 'message_received'),
  )
  expect(await outcomes('RESULT')).toEqual(['ok'])
  expect(await effects('RESULT')).toHaveLength(1)
}, 120_000)

test('with two tools at once, one of them over: its result stays, the other is unknown, neither runs again', async () => {
  await goesOn('BOTH')
  expect((await outcomes('BOTH')).sort()).toEqual(['ok', 'unknown'])
  expect(await effects('BOTH')).toHaveLength(2)
}, 120_000)
