/**
 * Import of a large Claude Code transcript, as a command does it, in a process of its own: 10 MB of real lines, a real one repeated with ids of
 * its own. The floor is reading the same lines as JSON.
 */
import { execFile } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { nodeArgs } from '../../dev/own-files'
import { createClientLog } from '../../log/client-log'
import { createPool } from '../../log/pool'
import type { DatabaseStack } from '../database'
import { measured } from '../measured'
import { atMost, type Options, type Outcome } from '../scenario'
import type { ImportMeasured } from '../transcript-import'

const MB = 1_000_000
const FIXTURE = path.join(__dirname, '../../../shared/fixtures/transcripts/claude-code/api-error-signatures.jsonl')
const UUID = /"(uuid|parentUuid|messageId|leafUuid|sourceToolAssistantUUID)":"([0-9a-f]{8})/g

/** Copy after copy, each hanging on the one before, until it is large enough. */
function longTranscript(bytes: number): Buffer {
  const lines = readFileSync(FIXTURE, 'utf8').trimEnd().split('\n')
  const out: string[] = []
  let size = 0
  let last = 'null'
  for (let copy = 0; size < bytes; copy++) {
    const tag = copy.toString(16).padStart(4, '0')
    for (const line of lines) {
      const own = line
        .replace(UUID, (_all, field: string, head: string) => `"${field}":"${tag}${head.slice(4)}`)
        .replace(/(toolu_|msg_|req_)[0-9A-Za-z]{4}/g, (_all, prefix: string) => `${prefix}${tag}`)
        .replace('"parentUuid":null', `"parentUuid":${last}`)
      out.push(own)
      size += Buffer.byteLength(own) + 1
    }
    const leaf = out.findLast((line) => /"type":"(?:user|assistant)"/.test(line)) ?? ''
    last = /"uuid":("[^"]+")/.exec(leaf)?.[1] ?? 'null'
  }
  return Buffer.from(`${out.join('\n')}\n`)
}

export async function transcripts(stack: DatabaseStack, { quick, say }: Options): Promise<Outcome> {
  const database = await stack.database()
  const log = createClientLog(createPool(database.writerUrl, { max: 2 }), { listen: false })
  const file = path.join(stack.folder, 'long.jsonl')
  try {
    const bytes = longTranscript(quick ? 2 * MB : 10 * MB)
    writeFileSync(file, bytes)
    const lines = bytes.toString('latin1').split('\n').length - 1
    const floor = await measured(() => {
      for (const line of bytes.toString('utf8').split('\n')) if (line !== '') JSON.parse(line)
      return Promise.resolve()
    })
    say(`transcripts: importing ${lines} lines, ${(bytes.length / MB).toFixed(1)} MB`)
    const run = async (): Promise<ImportMeasured> => {
      const args = [...nodeArgs('bench/transcript-import'), database.writerUrl, file]
      return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout) as ImportMeasured
    }
    const imported = await run()
    const again = await run()
    const verified = await log.verify({ space: 'default', session: 'long' }, { deep: true })
    const asExpected = imported.status === 'imported' && imported.forks === 0 && again.status === 'present'
    if (!verified.ok || !asExpected || verified.events < lines / 2)
      throw new Error(`it is not one legal session: ${JSON.stringify({ verified, imported, again })}`)
    const mb = (bytes.length / MB).toFixed(1)
    return {
      figures: [
        atMost(
          `import of a Claude Code transcript of ${mb} MB`,
          imported.seconds,
          3,
          ' s',
          ` (${imported.cpuSeconds.toFixed(2)} s of a core; its lines read as JSON: ${floor.seconds.toFixed(2)} s)`,
        ),
        atMost('memory of that import above the base', imported.memoryMb, 200, ' MB'),
      ],
      data: { bytes: bytes.length, lines, events: verified.head, floor, imported, again },
    }
  } finally {
    rmSync(file, { force: true })
    await log.close()
    await database.close()
  }
}
