/**
 * Temporal's program built with Go from tools/temporal/go.mod, kept at <user cache>/savefile/temporal/<version>/temporal.
 * Built under a name of its own and then renamed, so that one that is killed does no harm; one process builds, others wait for it: side by
 * side each would compile all of it.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { takeLock } from './lock'
import { packageRoot } from './own-files'
import { envWithoutSecrets } from './processes'
import type { OnProgress } from './progress'

const PACKAGE = 'github.com/temporalio/cli/cmd/temporal'

export interface BuildPlan {
  /** The folder of go.mod. */
  folder: string
  version: string
  /** Where the program is kept. */
  target: string
}

export function userCache(env: NodeJS.ProcessEnv): string {
  if (env['XDG_CACHE_HOME']) return env['XDG_CACHE_HOME']
  return path.join(env['HOME'] || homedir(), ...(process.platform === 'darwin' ? ['Library', 'Caches'] : ['.cache']))
}

export function buildPlan(env: NodeJS.ProcessEnv): BuildPlan {
  const folder = path.join(packageRoot(), 'tools', 'temporal')
  const version = /^\s*(?:require )?github\.com\/temporalio\/cli v(\S+)/m.exec(
    readFileSync(path.join(folder, 'go.mod'), 'utf8'),
  )?.[1]
  if (!version) throw new Error(`${folder}/go.mod names no version of github.com/temporalio/cli`)
  return { folder, version, target: path.join(userCache(env), 'savefile', 'temporal', version, 'temporal') }
}

/** What README.md of tools/temporal says; `-v` names each package as it is compiled. */
export function goArgs(output: string): string[] {
  return ['build', '-v', '-o', output, PACKAGE]
}

export type Built = { ok: true; program: string } | { ok: false; why: string }

/** Builds where it is not built yet: some three minutes on two cores. */
export async function builtProgram(env: NodeJS.ProcessEnv, onProgress: OnProgress): Promise<Built> {
  const plan = buildPlan(env)
  if (existsSync(plan.target)) return { ok: true, program: plan.target }
  const goVersion = versionOfGo(env)
  if (!goVersion) return { ok: false, why: 'there is no `go` on PATH (https://go.dev/dl)' }

  try {
    mkdirSync(path.dirname(plan.target), { recursive: true })
  } catch (error) {
    return {
      ok: false,
      why: `${path.dirname(plan.target)} cannot be made (${(error as Error).message}); set XDG_CACHE_HOME`,
    }
  }
  const release = await turnToBuild(plan.target, onProgress)
  if (!release) return { ok: true, program: plan.target }
  onProgress({
    what: 'Temporal',
    state: 'start',
    detail: `building ${plan.version} with ${goVersion}: once, some three minutes`,
  })
  const half = `${plan.target}.${process.pid}.${Date.now()}`
  try {
    const failure = await runGo(plan, half, env, onProgress)
    if (failure !== null) return { ok: false, why: failure }
    renameSync(half, plan.target)
    return { ok: true, program: plan.target }
  } finally {
    rmSync(half, { force: true })
    release()
  }
}

/** Ours to build: what ends our turn. Null: another process built it meanwhile. The turn of one that died passes on. */
async function turnToBuild(target: string, onProgress: OnProgress): Promise<(() => void) | null> {
  const began = Date.now()
  for (;;) {
    const lock = await takeLock(`${target}.lock`)
    if (existsSync(target)) {
      if (lock.held) lock.release()
      return null
    }
    if (lock.held) return lock.release
    const seconds = Math.round((Date.now() - began) / 1_000)
    const detail = `process ${lock.by.pid} builds it already; waiting for it, ${seconds} s`
    onProgress({ what: 'Temporal', state: 'progress', detail })
    await sleep(1_000)
  }
}

function versionOfGo(env: NodeJS.ProcessEnv): string | null {
  try {
    return execFileSync('go', ['version'], { env: goEnv(env), encoding: 'utf8', stdio: 'pipe', timeout: 30_000 })
      .trim()
      .replace(/^go version /, '')
  } catch {
    return null
  }
}

function goEnv(env: NodeJS.ProcessEnv): Record<string, string> {
  // A go.work of the user's, in a folder above, would replace our go.mod.
  return { ...envWithoutSecrets(env), GOWORK: 'off' }
}

/** @returns null when built, else what go said last. */
function runGo(
  plan: BuildPlan,
  output: string,
  env: NodeJS.ProcessEnv,
  onProgress: OnProgress,
): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn('go', goArgs(output), {
      cwd: plan.folder,
      env: goEnv(env),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const began = Date.now()
    const last: string[] = []
    let downloaded = 0
    let compiled = 0
    let doing = 'starting'
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n').filter((one) => one.trim())) {
        last.push(line)
        if (last.length > 12) last.shift()
        if (line.startsWith('go: downloading '))
          doing = `downloading (${++downloaded} modules so far): ${line.slice(16)}`
        else if (/^[\w.-]+(\/[\w.~-]+)*$/.test(line)) doing = `compiling (${++compiled} packages so far): ${line}`
      }
    })
    const ticker = setInterval(() => {
      const seconds = Math.round((Date.now() - began) / 1_000)
      onProgress({ what: 'Temporal', state: 'progress', detail: `building, ${seconds} s: ${doing}` })
    }, 1_000)
    const stop = () => child.kill('SIGTERM')
    process.once('exit', stop)
    const end = (why: string | null) => {
      clearInterval(ticker)
      process.removeListener('exit', stop)
      resolve(why)
    }
    child.once('error', (error) => end(error.message))
    child.once('exit', (code, signal) =>
      end(code === 0 ? null : `go build ended with ${code ?? signal}: ${last.join('\n')}`),
    )
  })
}
