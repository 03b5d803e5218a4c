/** Imports one transcript in a process of its own, and prints what that took: as JSON on stdout. Arguments: the writer's URL, the file. */
import { readFileSync } from 'node:fs'
import { createTranscripts } from '../client/transcripts'
import { createClientLog } from '../log/client-log'
import { createPool } from '../log/pool'

export interface ImportMeasured {
  status: string
  forks: number
  seconds: number
  cpuSeconds: number
  /** Of the process, above what it held when it was connected and had read nothing. */
  memoryMb: number
}

async function main(): Promise<void> {
  const [url = '', file = ''] = process.argv.slice(2)
  const log = createClientLog(createPool(url, { max: 4 }), { listen: false })
  const { importTranscript } = createTranscripts({
    log,
    space: 'default',
    by: { actor: 'user:bench' },
    encrypted: false,
    nudge: () => Promise.resolve(),
  })
  await log.info({ space: 'default', session: 'long' })
  const base = process.memoryUsage().rss
  const cpu = process.cpuUsage()
  const began = performance.now()
  const bytes = readFileSync(file)
  const { status, forks } = await importTranscript({ name: 'long.jsonl', bytes }, { session: 'long' })
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const memoryMb = (process.resourceUsage().maxRSS * 1024 - base) / 2 ** 20
  const measured: ImportMeasured = { status, forks: forks.length, seconds, cpuSeconds: (user + system) / 1e6, memoryMb }
  process.stdout.write(`${JSON.stringify(measured)}\n`)
  await log.close()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
