/**
 * npm run bench -- [scenario…] [--quick] [--profile]
 * Runs the scenarios (all by default) one after the other and writes each one's outcome to bench/results/<scenario>.json and the whole to
 * bench/results/summary.md. `--quick`: short, and nothing is written. `--profile`: workers write CPU profiles into ./bench-profiles.
 * Exits 1 where a run fails its checks; a figure that is not reached is said, and is no failure.
 */
import { parseArgs } from 'node:util'
import { loadavg } from 'node:os'
import { keep, tableOf } from './report'
import type { Scenario } from './scenario'
import { commands } from './scenarios/commands'
import { history } from './scenarios/history'
import { idle } from './scenarios/idle'
import { kill } from './scenarios/kill'
import { live } from './scenarios/live'
import { longTurn } from './scenarios/long-turn'
import { many } from './scenarios/many'
import { steps } from './scenarios/steps'
import { wal } from './scenarios/wal'
import { where } from './scenarios/where'
import { startStack } from './stack'

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  steps,
  history,
  'long-turn': longTurn,
  idle,
  many,
  kill,
  live,
  wal,
  commands,
  where,
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
    // Servers of its own for each: what one leaves in them is not another's.
    const stack = await startStack(
      say,
      values.profile ? ['--cpu-prof', `--cpu-prof-dir=${process.cwd()}/bench-profiles`] : [],
    )
    try {
      const began = Date.now()
      const outcome = await scenario(stack, { quick: values.quick, say })
      process.stdout.write(`${tableOf(outcome.figures)}\n`)
      process.stdout.write(`${JSON.stringify(outcome.data, null, 2)}\n`)
      if (!values.quick) await keep(name, outcome, { load, seconds: Math.round((Date.now() - began) / 1000) })
    } finally {
      await stack.close()
    }
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
