/** Everything survives a restart of Postgres: calls in between fail with a clear error, those after it succeed, followers go on. */
import { mkdtempSync, chmodSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startPostgres, type RunningPostgres } from '../../dev/postgres'
import { createClientLog } from '../../log/client-log'
import { migrate } from '../../log/migrate'
import { createPool } from '../../log/pool'
import { say, until, ANN, DEFINITION } from './support'

let folder: string
let server: RunningPostgres
const start = (port?: number) =>
  startPostgres({
    dataDir: path.join(folder, 'pg'),
    password: 'test',
    fsync: false,
    onProgress: () => undefined,
    ...(port ? { port } : {}),
  })

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'savefile-restart-'))
  chmodSync(folder, 0o711)
  server = await start()
  await migrate(server.url)
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

it('a pool, a follower and a live follower go on after it', async () => {
  const client = createClientLog(createPool(server.url), { pollMs: 100 })
  const ref = { space: 'default', session: 's' }
  await client.create(ref, ANN, { definition: await client.putDefinition('default', DEFINITION) })
  const stop = new AbortController()
  const seqs: number[] = []
  const following = (async () => {
    for await (const event of client.follow(ref, { signal: stop.signal })) seqs.push(event.seq)
  })()
  const live = client.followLive(ref, { signal: stop.signal })[Symbol.asyncIterator]().next()
  await until(() => seqs.length === 1)

  const { port } = server
  await server.stop()
  await expect(client.input(ref, ANN, 'while away', say('x'))).rejects.toMatchObject({
    code: 'database_unreachable',
    message: expect.stringContaining(`127.0.0.1:${port}`),
  })
  await expect(client.readBlob(ref, `sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({ code: 'database_unreachable' })
  server = await start(port)

  expect(await client.input(ref, ANN, 'back', say('x'))).toMatchObject({ status: 'appended', seq: 2 })
  await until(() => seqs.length === 2)
  expect(seqs).toEqual([1, 2])
  stop.abort()
  await following
  expect(await live).toEqual({ done: true, value: undefined })
  await client.close()
})
