/** The database, or the importer, dies in the middle of an import: nothing of it is there, and the same again works. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { builtArgs } from '../support/built'
import { createClientLog } from '../../log/client-log'
import { createPool } from '../../log/pool'
import { ownPostgres, type OwnPostgres } from '../faults/support/servers'
import { openLog, say, ANN, type TestLog } from '../log/support'
import { exported, inPieces, linesOf, rowCounts } from './support'

let here: TestLog
let there: OwnPostgres
let bundle: Buffer
let session: string
let empty: Record<string, number>
const folder = mkdtempSync(path.join(tmpdir(), 'savefile-crash-'))
/** Three imports of two thousand events with fsync on, on a machine that does other things too. */
jest.setTimeout(180_000)

beforeAll(async () => {
  ;[here, there] = await Promise.all([openLog(), ownPostgres()])
  const ref = await here.begin()
  session = ref.session
  for (let i = 0; i < 40; i++)
    await Promise.all(
      Array.from({ length: 50 }, (_, k) => here.client.input(ref, ANN, `${i}.${k}`, say('x'.repeat(500), 'steer'))),
    )
  bundle = await exported(here.client, session)
  empty = await rowCounts(there.db.adminUrl)
}, 180_000)
afterAll(async () => {
  await here.close()
  await there.db.drop()
  rmSync(folder, { recursive: true, force: true })
})

/** Two thirds of the bundle, then `then`, then the rest. */
async function* interrupted(then: () => Promise<void>): AsyncGenerator<Uint8Array> {
  const at = Math.floor((bundle.length * 2) / 3)
  yield* inPieces(bundle.subarray(0, at))
  await then()
  yield* inPieces(bundle.subarray(at))
}

const log = () => createClientLog(createPool(there.db.writerUrl), { listen: false })

test('the database crashes', async () => {
  const client = log()
  await expect(
    client.importBundle(
      'default',
      interrupted(() => there.crash()),
    ),
  ).rejects.toMatchObject({ code: 'database_unreachable' })
  await client.close()
  await there.startAgain()
  expect(await rowCounts(there.db.adminUrl)).toEqual(empty)
})

test('the importer is killed', async () => {
  const child = spawn(process.execPath, [...builtArgs('cli/main'), 'import', '-'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, SAVEFILE_DATABASE_URL: there.db.writerUrl },
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  child.stdin.on('error', () => undefined) // its end is the point
  child.stdin.write(bundle.subarray(0, Math.floor((bundle.length * 2) / 3)))
  const observer = createPool(there.db.adminUrl, { max: 1 })
  // Its transaction has written: a row of it is locked.
  for (let seen = false; !seen;) {
    const { rows } = await observer.query(
      `select from pg_stat_activity where state = 'idle in transaction' and query like '%import_events%'`,
    )
    seen = rows.length > 0
  }
  child.kill('SIGKILL')
  await ended
  for (let open = true; open;) {
    const { rows } = await observer.query(
      `select from pg_stat_activity where usename <> current_user and state is distinct from 'idle' and datname = current_database()`,
    )
    open = rows.length > 0
  }
  await observer.end()
  expect(await rowCounts(there.db.adminUrl)).toEqual(empty)
})

test('whoever aborts it, or whose bytes fail, leaves nothing; and then it comes in as if nothing had been', async () => {
  const client = log()
  const stop = new AbortController()
  await expect(
    client.importBundle(
      'default',
      interrupted(() => Promise.resolve(stop.abort(new Error('enough')))),
      { signal: stop.signal },
    ),
  ).rejects.toThrow('enough')
  await expect(
    client.importBundle(
      'default',
      interrupted(() => Promise.reject(new Error('the disk'))),
    ),
  ).rejects.toThrow('the disk')
  expect(await rowCounts(there.db.adminUrl)).toEqual(empty)
  writeFileSync(path.join(folder, 'whole.jsonl'), bundle)
  expect(await client.importBundle('default', inPieces(bundle))).toMatchObject({ status: 'imported', events: 2002 })
  expect(await exported(client, session)).toEqual(bundle)
  expect(linesOf(bundle)).toHaveLength(2006)
  await client.close()
})
