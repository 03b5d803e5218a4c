/** A database that was dumped and restored has the same logs, and they go on. */
import { loginUrl, urlOf, withClient } from '../../dev/database'
import type { SessionRef } from '../../contract/ids'
import type { ClientLog } from '../../contract/client-port'
import { createClientLog } from '../../log/client-log'
import { createExecutorLog } from '../../log/executor-log'
import { migrate } from '../../log/migrate'
import { createPool } from '../../log/pool'
import {
  answer,
  finished,
  requested,
  say,
  started,
  turnFinished,
  ANN,
  DEFINITION,
  IDLE,
  LONG_TTL_MS,
  RUN,
  RUNNING,
} from '../log/support'
import { createDatabase, TEST_PASSWORD } from '../support/database'
import { emptyDatabase, findPostgresWithDump, logins, startPostgresOf } from './programs'

const bin = findPostgresWithDump()
const space = 'default'

interface Log {
  client: ClientLog
  executor: ReturnType<typeof createExecutorLog>
  close(): Promise<void>
}

function open(writerUrl: string): Log {
  const pool = createPool(writerUrl, { max: 5 })
  const client = createClientLog(pool, { listen: false })
  const executor = createExecutorLog(pool, { ttlMs: LONG_TTL_MS })
  return {
    client,
    executor,
    async close() {
      await executor.end()
      await client.close()
    },
  }
}

/** A session in the middle of a step, one that waits for an approval, one that is closed, and a fork of it. */
async function fill({ client, executor }: Log): Promise<SessionRef[]> {
  const definition = await client.putDefinition(space, DEFINITION)
  const refs = ['running', 'waiting', 'closed', 'fork'].map((session) => ({ space, session }))
  const [running, waiting, closed, fork] = refs as [SessionRef, SessionRef, SessionRef, SessionRef]
  for (const ref of [running, waiting, closed]) {
    await client.create(ref, ANN, { definition })
    await client.input(ref, ANN, 'first', say('go'))
    await executor.claim(ref, RUN)
  }
  await executor.claimDraft(running, 1, 'model@2', { safe: true, token: 't' })
  await executor.finishDraft(running, 'model@2', 't', answer(running, 2))
  await executor.append(waiting, 1, 2, [answer(waiting, 2, ['pay']), requested(`${waiting.session}:2.0`)], RUNNING)
  await executor.append(closed, 1, 2, [answer(closed, 2), turnFinished(2)], IDLE)
  await client.writeBlob(closed, Buffer.from('a blob'), 'text/plain')
  await client.input(closed, ANN, 'end', { type: 'session_closed', payload: {} })
  await client.fork(closed, 4, fork.session, ANN, {})
  return refs
}

async function compare(before: Log, after: Log, refs: SessionRef[]): Promise<void> {
  for (const ref of refs) {
    expect(await after.client.read(ref)).toEqual(await before.client.read(ref))
    expect(await after.client.info(ref)).toEqual(await before.client.info(ref))
    expect(await after.client.verify(ref)).toMatchObject({ ok: true })
  }
}

/** Where the original may still run, the copy is another's until its owner is silent, or by order; then each step goes on where it was. */
async function goOn({ client, executor }: Log): Promise<void> {
  const elsewhere = { cluster: 'c2', run: 'r2' }
  const running = { space, session: 'running' }
  expect(await executor.claim(running, elsewhere)).toMatchObject({ status: 'owned_elsewhere' })
  expect(await executor.claim(running, elsewhere, { takeover: true })).toEqual({ status: 'claimed', epoch: 2 })
  // The answer that was paid for before the dump is taken, not made again.
  expect(await executor.claimDraft(running, 2, 'model@2', { safe: true, token: 'u' })).toEqual({ status: 'finished' })
  const promoted = [{ ...answer(running, 2), fromDraft: 'model@2' }, turnFinished(2)]
  expect(await executor.append(running, 2, 2, promoted, IDLE)).toMatchObject({ status: 'appended', head: 4 })
  const waiting = { space, session: 'waiting' }
  const call = `${waiting.session}:2.0`
  const allow = { type: 'approval_resolved', payload: { call, decision: 'allow', scope: 'once' } } as const
  expect(await client.input(waiting, ANN, 'ok', allow)).toMatchObject({ status: 'appended', seq: 5 })
  await executor.claim(waiting, elsewhere, { takeover: true })
  const rest = [started(call), finished(call), answer(waiting, 7), turnFinished(2)]
  expect(await executor.append(waiting, 2, 5, rest, IDLE)).toMatchObject({ status: 'appended', head: 9 })
  for (const ref of [running, waiting]) expect(await client.verify(ref)).toMatchObject({ ok: true })
}

if (bin) {
  it('pg_dump and pg_restore: the copy verifies event by event, and its sessions go on', async () => {
    const server = await startPostgresOf(bin)
    try {
      await emptyDatabase(server.url, 'original')
      await migrate(loginUrl(server.url, 'original', 'owner', TEST_PASSWORD))
      await logins(server.url)
      const before = open(loginUrl(server.url, 'original', 'writer', TEST_PASSWORD))
      const refs = await fill(before)
      const file = `${server.folder}/savefile.dump`
      server.run('pg_dump', ['--format=custom', `--file=${file}`, `--dbname=${urlOf(server.url, 'original')}`])
      await emptyDatabase(server.url, 'copy')
      server.run('pg_restore', ['--exit-on-error', `--dbname=${urlOf(server.url, 'copy')}`, file])
      const after = open(loginUrl(server.url, 'copy', 'writer', TEST_PASSWORD))
      await compare(before, after, refs)
      await goOn(after)
      await before.close()
      await after.close()
    } finally {
      server.close()
    }
  })
} else {
  it('without pg_dump on this machine: tables copied with COPY verify event by event, and their sessions go on', async () => {
    const [original, copy] = [await createDatabase(), await createDatabase()]
    const before = open(original.writerUrl)
    const refs = await fill(before)
    await withClient(original.adminUrl, async (from) => {
      const { rows } = await from.query<{ name: string }>(
        `select relname as name from pg_class where relnamespace = 'savefile'::regnamespace and relkind = 'r' and relpersistence = 'p' and relname <> 'migrations'`,
      )
      await withClient(copy.adminUrl, async (to) => {
        await to.query('set session_replication_role = replica')
        for (const { name } of rows) {
          const at = (
            await from.query<{ at: string }>(
              `select current_setting('data_directory') || '/${original.name}.${name}' as at`,
            )
          ).rows[0]?.at
          await from.query(`copy savefile.${name} to '${at}'`)
          await to.query(`copy savefile.${name} from '${at}'`)
        }
      })
    })
    const after = open(copy.writerUrl)
    await compare(before, after, refs)
    await goOn(after)
    await before.close()
    await after.close()
    await original.drop()
    await copy.drop()
  })
}
