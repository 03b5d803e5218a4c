/**
 * Import of a large Claude Code transcript: 10 MB of real lines, a real one repeated with ids of its own. The floor is reading the same lines
 * as JSON. Memory is what the process holds above what it held before.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createClient } from '../../client/client'
import { createClientLog } from '../../log/client-log'
import { createPool } from '../../log/pool'
import type { DatabaseStack } from '../database'
import { measured } from '../measured'
import { atMost, type Options, type Outcome } from '../scenario'

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
  const target = quick ? 2 * MB : 10 * MB
  const database = await stack.database()
  const log = createClientLog(createPool(database.writerUrl, { max: 4 }), { listen: false })
  const client = createClient({
    log,
    nudge: () => Promise.resolve({ nudged: false, why: 'a bench' }),
    space: 'default',
    actor: 'user:bench',
    disconnect: () => log.close(),
  })
  try {
    let bytes: Buffer | null = longTranscript(target)
    const size = bytes.length
    const lines = bytes.toString('latin1').split('\n').length - 1
    // What is measured is a file that is read, as the command does; another import before it warms nothing but the code.
    await client.importTranscript({ name: 'warm.jsonl', bytes: readFileSync(FIXTURE) }, { session: 'warm' })
    const floor = await measured(() => {
      for (const line of (bytes as Buffer).toString('utf8').split('\n')) if (line !== '') JSON.parse(line)
      return Promise.resolve()
    })
    say(`transcripts: importing ${lines} lines, ${(size / MB).toFixed(1)} MB`)
    let result: Awaited<ReturnType<typeof client.importTranscript>> | undefined
    const imported = await measured(async () => {
      result = await client.importTranscript({ name: 'long.jsonl', bytes: bytes as Buffer }, { session: 'long' })
    })
    const again = await measured(() =>
      client.importTranscript({ name: 'long.jsonl', bytes: bytes as Buffer }, { session: 'long' }),
    )
    bytes = null
    const verified = await log.verify({ space: 'default', session: 'long' }, { deep: true })
    if (!verified.ok || result?.status !== 'imported' || result.forks.length > 0 || verified.events < lines / 2)
      throw new Error(`it is not one legal session: ${JSON.stringify({ verified, forks: result?.forks })}`)
    const mb = (size / MB).toFixed(1)
    return {
      figures: [
        atMost(
          `import of a Claude Code transcript of ${mb} MB`,
          imported.seconds,
          3,
          ' s',
          ` (its lines read as JSON: ${floor.seconds.toFixed(2)} s)`,
        ),
        atMost('memory of that import above the base', imported.memoryMb, 200, ' MB'),
      ],
      data: { bytes: size, lines, events: verified.head, floor, imported, again },
    }
  } finally {
    await client.disconnect()
    await database.close()
  }
}
