/** bench/results/: a JSON file a scenario, and the newest of each in summary.md. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import path from 'node:path'
import { format } from 'prettier'
import { packageRoot } from '../dev/own-files'
import type { Figure, Outcome } from './scenario'

const FOLDER = path.join(packageRoot(), 'bench', 'results')

interface Kept extends Outcome {
  scenario: string
  /** Of its end, UTC. */
  at: string
  commit: string
  machine: string
  /** Averages of 1, 5 and 15 minutes before it began. */
  load: number[]
  seconds: number
}

export async function keep(scenario: string, outcome: Outcome, run: Pick<Kept, 'load' | 'seconds'>): Promise<void> {
  const { length } = cpus()
  const machine = `${length} x ${cpus()[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform} ${release()}, Node ${process.versions.node}`
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: FOLDER, encoding: 'utf8' }).trim()
  const at = `${new Date().toISOString().slice(0, 16)}Z`
  const kept: Kept = { scenario, at, commit, machine, ...run, ...outcome }
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(
    path.join(FOLDER, `${scenario}.json`),
    await format(JSON.stringify(kept), { parser: 'json', printWidth: 120 }),
  )
  writeFileSync(path.join(FOLDER, 'summary.md'), summary())
}

function summary(): string {
  const all = readdirSync(FOLDER)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8')) as Kept)
  const machines = [...new Set(all.map(({ machine }) => machine))]
  return [
    '# Figures',
    '',
    'Written by `npm run bench`; `bench/README.md` says how each is measured. The newest run of each scenario.',
    '',
    ...machines.map((machine) => `Machine: ${machine}.`),
    '',
    tableOf(all.flatMap(({ figures }) => figures)),
    '',
    '| scenario | when | commit | load before (1, 5, 15 min) | took |',
    '|---|---|---|---|---|',
    ...all.map((k) => `| ${k.scenario} | ${k.at} | ${k.commit} | ${k.load.join(', ')} | ${k.seconds} s |`),
    '',
  ].join('\n')
}

export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map(
    ({ figure, reach, is, reached }) => `| ${figure} | ${reach} | ${is} | ${reached ? 'yes' : 'no'} |`,
  )
  return ['| figure | reach | is | reached |', '|---|---|---|---|', ...rows].join('\n')
}
