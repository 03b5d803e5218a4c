/** `npm start` and `npm test` in a fresh clone of what is committed, with the packages, the Temporal build and nothing else in place. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../../dev/own-files'
import { atMost, type Options, type Outcome } from '../scenario'
import type { Stack } from '../stack'

export async function commands(stack: Stack, { quick, say }: Options): Promise<Outcome> {
  const root = packageRoot()
  const folder = mkdtempSync(path.join(stack.folder, 'clone-'))
  execFileSync('git', ['clone', '--quiet', root, folder])
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  const start = await timed(folder, 'start')
  say(`commands: npm start took ${start.seconds} s`)
  execFileSync('npm', ['run', '--silent', 'savefile', '--', 'dev', '--stop'], { cwd: folder, stdio: 'ignore' })
  const figures = [atMost('npm start, everything in its caches', start.seconds, 60, ' s')]
  if (start.code !== 0) throw new Error(`npm start ended with ${start.code}:\n${start.output.slice(-2000)}`)
  if (quick) return { figures, data: {} }
  const test = await timed(folder, 'test')
  const tests = test.output.split('\n').filter((line) => /^Tests:|^Test Suites:/.test(line))
  say(`commands: npm test took ${test.seconds} s, ended with ${test.code}: ${tests.join(' ')}`)
  figures.push(atMost('npm test, everything in its caches', test.seconds, 300, ' s', `, exit code ${test.code}`))
  rmSync(folder, { recursive: true, force: true })
  return { figures, data: { tests } }
}

async function timed(cwd: string, script: string): Promise<{ seconds: number; code: number; output: string }> {
  const began = performance.now()
  const child = spawn('npm', ['run', '--silent', script], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'exit')) as [number | null]
  return { seconds: Math.round((performance.now() - began) / 100) / 10, code: code ?? -1, output }
}
