/**
 * npm run bench -- [scenario…] [--quick] [--profile]
 * Runs the scenarios (all by default) one after the other and writes each one's outcome to bench/results/<scenario>.json and the whole to
 * bench/results/summary.md. `--quick`: short, and nothing is written. `--profile`: workers write CPU profiles into ./bench-profiles.
 * Exits 1 where a run fails its checks; a figure that is not reached is said, and is no failure.
 */
import { parseArgs } from 'node:util'
import { loadavg } from 'node:os'
import { startDatabaseStack } from './database'
import { keep, tableOf } from './report'
import type { Options, Outcome, Scenario } from './scenario'
import { append } from './scenarios/append'
import { bundle } from './scenarios/bundle'
import { commands } from './scenarios/commands'
import { followers } from './scenarios/followers'
import { fork } from './scenarios/fork'
import { history } from './scenarios/history'
import { idle } from './scenarios/idle'
import { kill } from './scenarios/kill'
import { live } from './scenarios/live'
import { longTurn } from './scenarios/long-turn'
import { many } from './scenarios/many'
import { parse } from './scenarios/parse'
import { reading } from './scenarios/reading'
import { steps } from './scenarios/steps'
import { transcripts } from './scenarios/transcripts'
import { streams } from './scenarios/streams'
import { views } from './scenarios/views'
import { wal } from './scenarios/wal'
import { where } from './scenarios/where'
import { startStack } from './stack'

const whole = (run: Extract<Scenario, { on: 'stack' }>['run']): Scenario => ({ on: 'stack', run })
const log = (run: Extract<Scenario, { on: 'database' }>['run']): Scenario => ({ on: 'database', run })

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  steps: whole(steps),
  history: whole(history),
  'long-turn': whole(longTurn),
  idle: whole(idle),
  many: whole(many),
  kill: whole(kill),
  live: whole(live),
  streams: whole(streams),
  views: { on: 'nothing', run: views },
  wal: whole(wal),
  commands: whole(commands),
  where: whole(where),
  append: log(append),
  fork: log(fork),
  reading: log(reading),
  followers: log(followers),
  bundle: log(bundle),
  parse: { on: 'nothing', run: parse },
  transcripts: log(transcripts),
}
const say = (line: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, profile: { type: 'boolean', default: false } },
  })
  const names = positionals.length > 0 ? positionals : Object.keys(SCENARIOS)
  const unknown = names.filter((name) => !(name in SCENARIOS))
  if (unknown.length > 0)
    throw new Error(`There is no scenario ${unknown.join(', ')}; there are ${Object.keys(SCENARIOS).join(', ')}.`)
  for (const name of names) {
    const scenario = SCENARIOS[name]
    if (!scenario) continue
    const load = loadavg().map((n) => Number(n.toFixed(2)))
    const began = Date.now()
    const outcome = await play(scenario, { quick: values.quick, say }, values.profile)
    process.stdout.write(`${tableOf(outcome.figures)}\n`)
    process.stdout.write(`${JSON.stringify(outcome.data, null, 2)}\n`)
    if (!values.quick) await keep(name, outcome, { load, seconds: Math.round((Date.now() - began) / 1000) })
  }
}

/** On servers of its own: what one scenario leaves in them is not another's. */
async function play(scenario: Scenario, options: Options, profile: boolean): Promise<Outcome> {
  if (scenario.on === 'nothing') return scenario.run(options)
  if (scenario.on === 'database') {
    const database = await startDatabaseStack(say)
    return scenario.run(database, options).finally(() => database.close())
  }
  const profiling = profile ? ['--cpu-prof', `--cpu-prof-dir=${process.cwd()}/bench-profiles`] : []
  const stack = await startStack(say, profiling)
  return scenario.run(stack, options).finally(() => stack.close())
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
