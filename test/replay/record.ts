/**
 * Records histories into test/replay/histories/, by hand: `npx tsx test/replay/record.ts`. One that is there stays as it is: a kept history
 * says that runs which were open before a change still replay after it. For another behaviour record another name.
 */
import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { freePort, processId, stopProcess, waitUntil, accepts } from '../../dev/processes'
import { resolveTemporal } from '../../dev/temporal'
import { serverArgs } from '../../dev/temporal-server'
import { ownPostgres } from '../faults/support/servers'
import { withTemporal } from '../faults/support/temporal'
import { createWorld, until, type World } from '../support/world'
import { toKept } from './kept-history'

const FOLDER = path.join(__dirname, 'histories')
/** So that a run continues as new within a small history. */
const SUGGEST_AFTER_EVENTS = 40

const write = (n: number): object => ({ tool: 'write_file', args: { path: `${n}.txt`, content: 'x' } })
const run = (command: string): object => ({ tool: 'run_command', args: { command } })
const rules = [
  { when: { text: 'tools', step: 0 }, say: { calls: [write(1), run('sleep 0.2'), run('sleep 0.4')] } },
  { when: { text: 'approval', step: 0 }, say: { calls: [run('true')] } },
  { when: { text: 'interrupt', step: 0 }, say: { calls: [run('sleep 30')] } },
  { when: { text: 'failure' }, say: { fault: { kind: 'status', status: 400 } } },
  { when: { text: 'long' }, say: { text: 'Done.', calls: [run('true')], loop: 12 } },
  { say: { text: 'Done.' } },
]

type Play = (world: World, session: string) => Promise<void>
const PLAYS: Record<string, { approval: 'allow' | 'ask'; play: Play }> = {
  'plain-turn': { approval: 'allow', play: async (w, s) => void (await w.client.ask(s, 'hello')) },
  tools: { approval: 'allow', play: async (w, s) => void (await w.client.ask(s, 'tools')) },
  approval: {
    approval: 'ask',
    play: async (w, s) => {
      const { seq } = await w.client.send(s, 'approval')
      await until('the prompt', async () => (await w.client.approvals(s)).length === 1)
      await w.client.approve(s)
      await w.client.awaitTurn(s, seq)
    },
  },
  interrupt: {
    approval: 'allow',
    play: async (w, s) => {
      const { seq } = await w.client.send(s, 'interrupt')
      await until('the tool', async () => (await w.sound(s)).includes('tool_started'))
      await w.client.interrupt(s, 'something else')
      await w.client.awaitTurn(s, seq)
      await until(
        'the next turn',
        async () => (await w.sound(s)).filter((type) => type === 'turn_finished').length === 2,
      )
    },
  },
  failure: { approval: 'allow', play: async (w, s) => void (await w.client.ask(s, 'failure')) },
  'continue-as-new': { approval: 'allow', play: async (w, s) => void (await w.client.ask(s, 'long')) },
}

async function record(world: World, name: string): Promise<void> {
  const file = path.join(FOLDER, `${name}.json`)
  const play = PLAYS[name]
  if (existsSync(file) || !play) return
  const base = world.definition()
  const tools = (base.tools ?? []).map((spec) => ({ ...spec, approval: play.approval }))
  const { session } = await world.client.create({
    definition: { ...base, tools },
    workFolder: await world.workFolder(),
  })
  await play.play(world, session)
  await withTemporal(world, async (client) => {
    const over = async (): Promise<boolean> =>
      (await client.workflow.getHandle(session).describe()).status.name !== 'RUNNING'
    await until(`${name} to be over`, over)
    const runs = []
    for await (const { runId } of client.workflow.list({ query: `WorkflowId = '${session}'` })) runs.unshift(runId)
    const [first] = runs
    const history = await client.workflow.getHandle(session, first).fetchHistory()
    writeFileSync(file, `${JSON.stringify({ workflowId: session, history: toKept(history) })}\n`)
    process.stderr.write(`${name}: ${history.events?.length} events\n`)
  })
}

async function main(): Promise<void> {
  const found = await resolveTemporal({ ...process.env, TEMPORAL_ADDRESS: '' }, () => undefined)
  if (found.from === 'environment') throw new Error('a server of its own is needed')
  const port = await freePort()
  const limit = ['--dynamic-config-value', `limit.historyCount.suggestContinueAsNew=${SUGGEST_AFTER_EVENTS}`]
  const child = spawn(found.program, [...serverArgs({ port, uiPort: null, namespace: 'default' }), ...limit], {
    stdio: 'ignore',
    cwd: tmpdir(),
  })
  const id = child.pid === undefined ? null : processId(child.pid)
  const postgres = await ownPostgres()
  await waitUntil(() => accepts('127.0.0.1', port, 500), 30_000)
  const world = await createWorld({
    script: { name: 'record', rules } as never,
    temporalAddress: `127.0.0.1:${port}`,
    db: postgres.db,
  })
  try {
    await world.startWorker({ SAVEFILE_RECONCILE_MS: '3600000' })
    for (const name of Object.keys(PLAYS)) await record(world, name)
  } finally {
    await world.close()
    if (id) await stopProcess(id, 'SIGTERM', 5_000)
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`)
    process.exit(1)
  },
)
