/** Checkpoints, compactions and custody by token: what the database takes of a caller who has nothing but SQL. */
import { ANN, answer, IDLE, say, turnFinished } from './support'
import { openShared, type Shared } from './sharing'

let shared: Shared
let token: string
beforeAll(async () => {
  shared = await openShared(async (s) => {
    token = await s.token('owner')
    await s.grant(s.session, 'owner', ['own'])
  })
  const { log, session } = shared
  await log.executor.claim(session, { cluster: 'c', run: 'r' })
  const head = (await log.client.info(session))?.head ?? 0
  const opener = 2 // it inherits a turn that its parent has open
  await log.executor.append(session, 1, head, [answer(session, opener), turnFinished(opener)], IDLE)
})
afterAll(() => shared.close())

const end = async (): Promise<number> =>
  (await shared.log.client.read(shared.session)).findLast(({ type }) => type === 'turn_finished')?.seq ?? 0
const bad = { code: '22023' }

/** Each is told what is wrong with it, and nothing is written. */
async function wrongs(hi: number): Promise<unknown[]> {
  const right = { lo: 1, hi, blocks: [{ type: 'text', text: 'in short' }], method: 'given' }
  return [
    { ...right, hi: hi - 1 },
    { ...right, hi: hi + 100 },
    { ...right, hi: '1' },
    { ...right, lo: 2 },
    { ...right, blocks: [] },
    { ...right, blocks: [{ type: 'reasoning', text: 'hm' }] },
    { ...right, blocks: [{ type: 'file', blob: { hash: `sha256:${'a'.repeat(64)}`, bytes: 1, mediaType: 'x/y' } }] },
    { ...right, method: 'guessed' },
    { ...right, step: 'checkpoint@2' },
    { ...right, attempts: [] },
    { ...right, usage: { input: -1, output: 1 } },
    { ...right, usage: { input: 1, output: 1, more: 1 } },
    { ...right, costUsdMicros: 'much' },
    { ...right, provider: 1 },
  ]
}

test('a checkpoint stands for all up to the end of a turn, in the words of people, or it is refused', async () => {
  const { session, sql } = shared
  const hi = await end()
  const give = (payload: unknown): Promise<Record<string, unknown>[]> =>
    sql(
      token,
      `select status from savefile.member_input('default', $1, 'user:forged', 'cp', 'checkpoint_made', 1, null, $2, null)`,
      [...[session.session, JSON.stringify(payload)]],
    )
  for (const payload of await wrongs(hi)) await expect(give(payload)).rejects.toMatchObject(bad)
  const usage = { input: 1, output: 2 }
  const right = { lo: 1, hi, blocks: [{ type: 'text', text: 'in short' }], method: 'model', usage, provider: 'p' }
  expect(await give(right)).toEqual([{ status: 'appended' }])
  expect(await shared.log.client.verify(session, { deep: true })).toMatchObject({ ok: true })
  expect((await shared.log.read(session)).at(-1)).toMatchObject({ type: 'checkpoint_made', actor: 'user:owner' })
})

test('a compaction says of itself what its arguments say, and begins with a checkpoint that would be taken', async () => {
  const { session, sql, log } = shared
  const hi = await end()
  const checkpoint = { lo: 1, hi, blocks: [{ type: 'text', text: 'in short' }], method: 'given' }
  const origin = { kind: 'compaction', session: session.session, lo: 1, hi }
  const make = (name: string, created: unknown, given: unknown = checkpoint): Promise<Record<string, unknown>[]> =>
    sql(
      token,
      `select savefile.member_create_compaction('default', $1, 'user:forged', $2, null, '{}', 1, $3, $4, 1, $5) as status`,
      [name, log.definition, JSON.stringify(created), session.session, JSON.stringify(given)],
    )
  const right = { definition: log.definition, origin }
  for (const payload of [
    { ...right, definition: `sha256:${'1'.repeat(64)}` },
    { ...right, origin: { kind: 'new' } },
    { ...right, origin: { ...origin, session: 'other' } },
    { ...right, origin: { ...origin, hi: hi - 1 } },
    { ...right, more: 1 },
  ])
    await expect(make('no', payload)).rejects.toMatchObject(bad)
  for (const given of await wrongs(hi)) await expect(make('no', right, given)).rejects.toMatchObject(bad)
  await expect(make('NO', right)).rejects.toMatchObject(bad)
  expect(await make('yes', right)).toEqual([{ status: 'created' }])
  expect(await log.client.verify({ space: 'default', session: 'yes' }, { deep: true })).toMatchObject({ ok: true })
  expect(await log.client.info({ space: 'default', session: 'no' })).toBeNull()
})

test('custody is taken from the head that is there, and names no file that the session does not refer to', async () => {
  const { session, sql, log } = shared
  // As after an import: what was granted before it was moved away counts still.
  await log.admin(`update savefile.sessions set custody = 'inert' where session_id = $1`, [session.session])
  const { head = 0, headHash = '' } = (await log.client.info(session)) ?? {}
  const adopt = (payload: unknown, at = head): Promise<Record<string, unknown>[]> =>
    sql(token, `select status from savefile.member_adopt('default', $1, 'user:forged', $2, 2, $3)`, [
      ...[session.session, at, JSON.stringify(payload)],
    ])
  const right = { head, hash: headHash }
  const blob = { hash: `sha256:${'a'.repeat(64)}`, bytes: 1, mediaType: 'x/y' }
  for (const payload of [
    { ...right, head: head - 1 },
    { ...right, hash: 'b'.repeat(64) },
    { ...right, why: 1 },
    { ...right, more: 1 },
    { ...right, original: [{ name: 'a', blob }] },
    { ...right, original: {} },
  ])
    await expect(adopt(payload)).rejects.toMatchObject(bad)
  expect(await adopt({ ...right, head: head - 1 }, head - 1)).toEqual([{ status: 'head_moved' }])
  expect(await adopt({ ...right, why: 'moved' })).toEqual([{ status: 'adopted' }])
  expect((await log.read(session)).at(-1)).toMatchObject({ type: 'custody_taken', actor: 'user:owner' })
  expect(await log.client.input(session, ANN, 'on', say('on'))).toMatchObject({ status: 'appended' })
})

test('an import takes the space: who owns a session, and no more, writes no row of it', async () => {
  const begin = `select status from savefile.member_import_begin('default', $1, false, null, null, null, null, '{}', 1, 'x', 1)`
  for (const name of [shared.session.session, 'new']) {
    await expect(shared.sql(token, begin, [name])).rejects.toMatchObject({ code: 'SF403' })
    await expect(
      shared.sql(token, `select savefile.member_import_end('default', $1, false, 1, 'x')`, [name]),
    ).rejects.toMatchObject({ code: 'SF403' })
  }
  const landlord = await shared.token('landlord', { rights: ['own'] })
  await expect(shared.sql(landlord, begin.replace("'default'", "'elsewhere'"), ['new'])).rejects.toMatchObject({
    code: 'SF403',
  })
})
