/** Bundles in memory, and what a database holds, for comparison. */
import { Client } from 'pg'
import type { ClientLog } from '../../contract/client-port'

export async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** In pieces whose ends fall anywhere. */
export async function* inPieces(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export const exported = (log: ClientLog, session: string, space = 'default'): Promise<Buffer> =>
  collect(log.exportBundle({ space, session }))

export const imported = (log: ClientLog, bundle: Uint8Array, space = 'default') =>
  log.importBundle(space, inPieces(bundle))

export const linesOf = (bundle: Buffer): string[] => bundle.toString('utf8').split('\n').slice(0, -1)
export const ofLines = (lines: readonly string[]): Buffer => Buffer.from(lines.map((line) => `${line}\n`).join(''))

/** How many rows every table has: what a refused import must leave as it was. */
export async function rowCounts(adminUrl: string): Promise<Record<string, number>> {
  const client = new Client({ connectionString: adminUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      `select c.relname as name from pg_class c where c.relnamespace = 'savefile'::regnamespace and c.relkind = 'r' order by 1`,
    )
    const counts: Record<string, number> = {}
    for (const { name } of rows) {
      const { rows: counted } = await client.query<{ n: number }>(`select count(*)::int as n from savefile.${name}`)
      counts[name] = counted[0]?.n ?? 0
    }
    return counts
  } finally {
    await client.end()
  }
}
