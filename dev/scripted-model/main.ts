/**
 * The scripted model server as a process of its own, which tests kill and start again:
 *   main.ts --script file.json [--port n] [--host 127.0.0.1] [--journal file.jsonl]
 * Its start line, with the address, goes to stdout; what it does goes to stderr. Ends at SIGTERM and SIGINT with 0, wrong usage with 2.
 */
import { parseArgs } from 'node:util'
import { startScriptedModel } from './server'

const USAGE = 'usage: main.ts --script file.json [--port n] [--host 127.0.0.1] [--journal file.jsonl]'

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      script: { type: 'string' },
      port: { type: 'string', default: '0' },
      host: { type: 'string' },
      journal: { type: 'string' },
    },
  })
  const port = Number(values.port)
  if (values.script === undefined || !Number.isInteger(port) || port < 0 || port > 65_535) throw new TypeError(USAGE)
  let started = false
  const server = await startScriptedModel({
    script: values.script,
    port,
    host: values.host,
    journal: values.journal,
    keepBodies: false,
    log: (line) => {
      ;(started ? process.stderr : process.stdout).write(`${line}\n`)
      started = true
    },
  })
  const stop = (): void => void server.close().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  // parseArgs and the usage line throw TypeErrors.
  process.exit(error instanceof TypeError ? 2 : 1)
})
