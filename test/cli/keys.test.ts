/** key new, erase, rekey and retention as real commands, the owner key in a file. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { keyringOf, newOwnerKey } from '../../log/keyring'
import { ANN, openLog, type TestLog } from '../log/support'
import { endAll, runCli } from './run-cli'

jest.setTimeout(300_000)

const key = newOwnerKey()
let log: TestLog
let folder: string
beforeAll(async () => {
  log = await openLog({ keyring: keyringOf(key, 'test') })
  folder = await mkdtemp(path.join(tmpdir(), 'savefile-keys-'))
  await writeFile(path.join(folder, 'keys'), `${key}\n`, { mode: 0o600 })
})
afterAll(async () => {
  endAll()
  await log.close()
  await rm(folder, { recursive: true, force: true })
})

const cli = (args: string[], keys: string | null = 'keys') =>
  runCli(args, {
    env: {
      SAVEFILE_DATABASE_URL: log.db.writerUrl,
      TEMPORAL_ADDRESS: '127.0.0.1:1',
      ...(keys === null ? {} : { SAVEFILE_KEY_FILE: path.join(folder, keys) }),
    },
  })

test('a session is shown with the key and locked without, and erase asks, names the forks, and is final', async () => {
  const { session } = await log.begin('secret')
  await log.client.fork({ space: 'default', session }, 2, 'secret-fork', ANN, {})
  const checkpoint = { lo: 1, hi: 2, blocks: [{ type: 'text' as const, text: 'short' }], method: 'given' as const }
  const compaction = { session, lo: 1, hi: 2, checkpoint }
  await log.client.create({ space: 'default', session: 'in-short' }, ANN, { definition: log.definition, compaction })
  expect((await cli(['show', session])).stdout).toContain('go')
  expect(await cli(['show', session], null)).toMatchObject({ code: 0, stdout: expect.stringContaining('key not here') })
  const refused = await cli(['erase', session])
  expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('secret-fork') })
  expect(refused.stderr).toContain('in-short (a summary of secret, in clear)')
  expect((await log.client.info({ space: 'default', session }))?.encryption?.erased).toBe(false)
  const erased = await cli(['erase', session, '--yes', '--json'])
  expect(JSON.parse(erased.stdout)).toMatchObject({
    session,
    seq: 4,
    sharers: [{ session: 'secret-fork', sharedTo: 2 }],
    keepers: [{ session: 'in-short', how: 'compaction', of: 'secret', encrypted: false }],
  })
  expect((await cli(['show', session])).stdout).toContain('erased')
  expect(await cli(['verify', session])).toMatchObject({ code: 0 })
  const clear = { space: 'default', session: 'in-clear' }
  await log.client.create(clear, ANN, { definition: log.definition })
  expect(await cli(['erase', 'in-clear', '--yes'])).toMatchObject({ code: 4 })
})

test('a new key is one line on stdout, and rekey wraps the others with it', async () => {
  await log.begin('kept')
  const made = await cli(['key', 'new'], null)
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^savefile-key-1:\S+\n$/) })
  await writeFile(path.join(folder, 'both'), `${made.stdout}${key}\n`, { mode: 0o600 })
  expect(await cli(['rekey'], 'both')).toMatchObject({ code: 0, stdout: expect.stringMatching(/wrapped anew/) })
  await writeFile(path.join(folder, 'young'), made.stdout, { mode: 0o600 })
  expect((await cli(['show', 'kept'], 'young')).stdout).toContain('go')
  expect(await cli(['retention', '--dry-run', '--json'], 'young')).toMatchObject({ code: 0 })
  expect(await cli(['retention', '--older-than', 'soon'])).toMatchObject({ code: 2 })
})
