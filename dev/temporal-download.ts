/**
 * The Temporal program that the SDK downloads. The SDK offers no download alone, only a server started with it, waits without a limit for
 * a network that drops packets, and forgets its file after a day. So it runs in a process of its own, which is killed, with the server
 * that it may have started, as soon as the file is there or nothing has come for a few seconds; the file is kept with the builds.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { userCache, type Built } from './temporal-build'
import { envWithoutSecrets } from './processes'
import type { OnProgress } from './progress'

/** No byte for so long, and the download counts as refused. A name that does not resolve is known at once. */
const SILENCE_MS = 8_000

const SCRIPT = `
const { Runtime, DefaultLogger } = require('@temporalio/worker')
Runtime.install({ logger: new DefaultLogger('ERROR') })
require('@temporalio/testing').TestWorkflowEnvironment.createLocal({
  server: { executable: { type: 'cached-download', downloadDir: process.argv[1], ttl: '3650 days' }, log: { format: 'json', level: 'never' } },
}).then((env) => env.teardown()).catch((error) => { console.error(String(error.message)); process.exit(1) })
`

/** Where the SDK keeps it: in our cache folder, where we tell it to, and in the temporary folder, its default. */
function downloadPlan(env: NodeJS.ProcessEnv): { folder: string; candidates: [string, string] } {
  const { version } = createRequire(__filename)('@temporalio/testing/package.json') as { version: string }
  const name = `temporal-sdk-typescript-${version}`
  const folder = path.join(userCache(env), 'savefile', 'temporal')
  return { folder, candidates: [path.join(folder, name), path.join(env['TMPDIR'] || tmpdir(), name)] }
}

/** The file where the SDK left it, or null. */
export function cachedDownload(env: NodeJS.ProcessEnv): string | null {
  return downloadPlan(env).candidates.find((file) => existsSync(file) && statSync(file).size > 0) ?? null
}

/** The file where the SDK left it, else a download that gives up in seconds. */
export async function downloadedProgram(
  env: NodeJS.ProcessEnv,
  onProgress: OnProgress,
  silenceMs = SILENCE_MS,
): Promise<Built> {
  const there = cachedDownload(env)
  if (there) return { ok: true, program: there }
  const { folder, candidates } = downloadPlan(env)
  const [target] = candidates
  const half = `${target}.downloading`
  onProgress({ what: 'Temporal', state: 'start', detail: "asking for the SDK's download of its server" })
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    return { ok: false, why: `${folder} cannot be made: ${(error as Error).message}` }
  }

  const child = spawn(process.execPath, ['-e', SCRIPT, folder], {
    cwd: __dirname,
    env: envWithoutSecrets(env),
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  const killAll = () => {
    try {
      if (child.pid) process.kill(-child.pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  process.once('exit', killAll)
  let said = ''
  let over = false
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.once('close', () => (over = true))
  child.once('error', (error) => {
    said = error.message
    over = true
  })
  const began = Date.now()
  let heard = began
  let told = began
  let bytes = 0
  while (!over && !existsSync(target) && Date.now() - heard < silenceMs) {
    await sleep(100)
    const size = existsSync(half) ? statSync(half).size : 0
    if (size !== bytes) heard = Date.now()
    bytes = size
    if (Date.now() - told < 1_000) continue
    told = Date.now()
    onProgress({
      what: 'Temporal',
      state: 'progress',
      detail: `downloading, ${Math.round((told - began) / 1_000)} s, ${(bytes / 1e6).toFixed(0)} MB`,
    })
  }
  killAll()
  process.removeListener('exit', killAll)
  if (existsSync(target)) return { ok: true, program: target }
  // Left behind, it would make the SDK wait a minute for whoever it thinks is downloading.
  if (bytes > 0) rmSync(half, { force: true })
  return { ok: false, why: over ? reason(said) : `nothing came from temporal.download for ${silenceMs / 1_000} s` }
}

function reason(said: string): string {
  return (
    said
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/\(https:[^)]*\)/, '(https://temporal.download)') || 'the SDK gave no reason'
  )
}
