/**
 * Bundles of a large session: export, verify of the database and of the file, import into an empty database. The floor is COPY of the same
 * rows out, and plain INSERTs of the same rows, a thousand a statement. Memory is what the process holds above what it held before.
 */
import { createReadStream, createWriteStream, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Pool } from 'pg'
import { verifyBundle } from '../../client/bundles'
import { pack } from '../../log/bundle/packing'
import { createClientLog } from '../../log/client-log'
import { createPool } from '../../log/pool'
import type { DatabaseStack } from '../database'
import { makeLong } from '../long-log'
import { measured, type Measured } from '../measured'
import { atLeast, atMost, type Options, type Outcome } from '../scenario'
import { progress } from './fork'

const REF = { space: 'default', session: 'long' }
export async function bundle(stack: DatabaseStack, { quick, say }: Options): Promise<Outcome> {
  const events = quick ? 20_000 : 1_000_000
  const [from, to] = [await stack.database(), await stack.database()]
  const here = createClientLog(createPool(from.writerUrl, { max: 4 }), { listen: false })
  const there = createClientLog(createPool(to.writerUrl, { max: 4 }), { listen: false })
  const file = path.join(stack.folder, 'long.jsonl')
  const packed = `${file}.gz`
  try {
    say(`bundle: making a session of ${events} events`)
    const { head } = await makeLong(from.admin, here, REF, events, progress(say))
    await from.admin.query('vacuum analyze')
    const write = (name: string, compress: boolean) =>
      measured(async () => {
        await pipeline(
          Readable.from(pack(here.exportBundle(REF), compress ? 'gzip' : 'none'), { objectMode: false }),
          createWriteStream(name),
        )
      })
    const verified = async (run: () => Promise<{ ok: boolean }>) =>
      measured(async () => {
        const result = await run()
        if (!result.ok) throw new Error(`it does not verify: ${JSON.stringify(result)}`)
      })
    const ofDatabase = await verified(() => here.verify(REF))
    say('bundle: export')
    const exported = await write(file, false)
    const exportedPacked = await write(packed, true)
    const ofFile = await verified(() => verifyBundle(createReadStream(file, { highWaterMark: 256 * 1024 })))
    const deep = await verified(() => here.verify(REF, { deep: true }))
    say('bundle: import')
    const imported = await measured(async () => {
      const result = await there.importBundle('default', createReadStream(file, { highWaterMark: 256 * 1024 }))
      if (result.events !== head) throw new Error(`imported ${result.events} of ${head} events`)
    })
    await verified(() => there.verify(REF))
    const floor = await floorOf(from.adminUrl, say)
    const rate = (m: { seconds: number }): number => Math.round(head / m.seconds)
    const cpuRate = (m: Measured): number => Math.round(head / m.cpuSeconds)
    return {
      figures: [
        atLeast(
          'verify a database, events a second of one core',
          cpuRate(ofDatabase),
          100_000,
          '/s',
          ` (${rate(ofDatabase)}/s by the clock)`,
        ),
        atLeast(
          'verify a bundle, events a second of one core',
          cpuRate(ofFile),
          100_000,
          '/s',
          ` (${rate(ofFile)}/s by the clock)`,
        ),
        atLeast(
          'export, events a second',
          rate(exported),
          30_000,
          '/s',
          ` (gzip ${rate(exportedPacked)}/s; COPY of the rows ${floor.copy}/s)`,
        ),
        atLeast('import, events a second', rate(imported), 15_000, '/s', ` (plain INSERTs ${floor.insert}/s)`),
        atMost('memory of an export above the base', exported.memoryMb, 200, ' MB'),
        atMost('memory of an import above the base', imported.memoryMb, 200, ' MB'),
        atMost('memory of a verify above the base', Math.max(ofDatabase.memoryMb, ofFile.memoryMb), 200, ' MB'),
      ],
      data: {
        events: head,
        bytes: statSync(file).size,
        packedBytes: statSync(packed).size,
        ofDatabase,
        ofFile,
        deep,
        exported,
        exportedPacked,
        imported,
        floor,
      },
    }
  } finally {
    rmSync(file, { force: true })
    rmSync(packed, { force: true })
    await here.close()
    await there.close()
    await from.close()
    await to.close()
  }
}

/** The same rows: out by COPY, and into a plain table with the same two indexes by INSERTs of a thousand rows, in one transaction. */
async function floorOf(adminUrl: string, say: (line: string) => void): Promise<{ copy: number; insert: number }> {
  say('bundle: the floor')
  const pool = new Pool({ connectionString: adminUrl, max: 1 })
  try {
    const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from savefile.events')
    const n = rows[0]?.n ?? 0
    const began = performance.now()
    await pool.query(`copy savefile.events to program 'cat > /dev/null' (format binary)`)
    const copied = performance.now()
    await pool.query(
      'create table public.plain (like savefile.events, primary key (space_id, session_id, seq), unique (space_id, session_id, key))',
    )
    const client = await pool.connect()
    let spent = 0
    try {
      await client.query('begin')
      for (let at = 0; at < n; at += 1000) {
        const page = await client.query<Record<string, unknown>>(
          'select * from savefile.events where seq > $1 and seq <= $2 order by seq',
          [at, at + 1000],
        )
        const columns = Object.keys(page.rows[0] ?? {})
        const begin = performance.now()
        await client.query(
          `insert into public.plain select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bytea[], $12::bytea[])`,
          columns.map((name) => page.rows.map((row) => row[name])),
        )
        spent += performance.now() - begin
      }
      const begin = performance.now()
      await client.query('commit')
      spent += performance.now() - begin
    } finally {
      client.release()
    }
    return { copy: Math.round(n / ((copied - began) / 1000)), insert: Math.round(n / (spent / 1000)) }
  } finally {
    await pool.end()
  }
}
