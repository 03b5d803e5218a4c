/** An encrypted session through real workers: a turn with a tool and an approval, a killed worker, a fork; then its key is destroyed. */
import { Client } from 'pg'
import type { LogEvent } from '../../client/log-events'
import { newOwnerKey } from '../../log/keyring'
import { createWorld, ofType, readAll, type World } from '../support/world'

const MARK = 'zqmarkerzq'
/** Written out: what the tool says does not stand in its arguments, and is marked all the same. */
const COMMAND = `echo ${MARK} | tee ${MARK}.txt`

let world: World
beforeAll(async () => {
  world = await createWorld({
    ownerKey: newOwnerKey(),
    script: {
      name: 'encrypted',
      rules: [
        {
          when: { step: 0 },
          say: { text: `${MARK} first`, calls: [{ tool: 'run_command', args: { command: COMMAND } }] },
        },
        { when: { step: 1 }, say: { text: `one ${MARK} two three four five six seven`, deltaMs: 400 } },
      ],
    },
  })
})
afterAll(() => world.close())

const lockOf = (event: LogEvent): string | undefined => (event.unknown ? event.locked : undefined)

/** Columns in which the word stands, as text or as bytes, in any row of any table. */
async function search(word: string): Promise<string[]> {
  const admin = new Client({ connectionString: world.db.adminUrl })
  await admin.connect()
  try {
    const { rows: columns } = await admin.query<{ table_name: string; column_name: string; data_type: string }>(
      `select table_name, column_name, data_type from information_schema.columns where table_schema = 'savefile'`,
    )
    const found: string[] = []
    for (const { table_name, column_name, data_type } of columns) {
      const value = data_type === 'bytea' ? `encode(${column_name}, 'escape')` : `${column_name}::text`
      const { rowCount } = await admin.query(`select 1 from savefile.${table_name} where strpos(${value}, $1) > 0`, [
        word,
      ])
      if (rowCount) found.push(`${table_name}.${column_name}`)
    }
    return found.sort()
  } finally {
    await admin.end()
  }
}

test('a turn with a tool and an approval outlives its worker, nothing of it is in clear, and erased it still verifies', async () => {
  const { client } = world
  const worker = await world.startWorker()
  const { session, encryption } = await client.create({
    definition: world.definition(),
    workFolder: await world.workFolder(),
    title: `${MARK} title`,
    labels: { team: 'zqlabelzq' },
  })
  expect(encryption).toMatchObject({ erased: false })
  const turn = client.ask(session, `${MARK} please`, {
    onApproval: ({ args }) => {
      expect(args).toContain(COMMAND)
      return Promise.resolve({ decision: 'allow', note: `${MARK} note` })
    },
  })
  for await (const delta of client.followLive(session)) if (delta.body.includes('two')) break
  // In the middle of the second model call: its live text is there, and in no table in clear.
  expect(await search(MARK)).toEqual([])
  await worker.kill('SIGKILL')
  await world.startWorker()
  expect(await turn).toMatchObject({ reason: 'done', text: `one ${MARK} two three four five six seven` })

  const types = await world.sound(session)
  expect(types).toEqual(
    expect.arrayContaining(['approval_requested', 'approval_resolved', 'tool_started', 'turn_finished']),
  )
  const [finished] = ofType(await readAll(client, session), 'tool_finished')
  expect(JSON.stringify(finished?.payload.blocks)).toContain(MARK)
  const fork = await client.fork(session, { title: `${MARK} fork` })
  expect(
    await client.ask(fork.session, `${MARK} again`, { onApproval: () => Promise.resolve({ decision: 'allow' }) }),
  ).toMatchObject({
    reason: 'done',
  })
  await world.sound(fork.session)
  expect(await search(MARK)).toEqual([])
  // The search finds what is there: labels are in clear, as the docs say.
  expect(await search('zqlabelzq')).toEqual(['sessions.labels'])

  const { head } = await client.info(session)
  expect(await client.erase(session, { why: 'asked to' })).toEqual({ session, seq: head + 2 })
  expect(await client.verify(session)).toMatchObject({ ok: true, head: head + 2 })
  const left = await client.read(session)
  expect(left.slice(0, head).map(lockOf)).toEqual(Array(head).fill('key_destroyed'))
  expect(left.slice(head).map((event) => event.type)).toEqual(['session_closed', 'key_destroyed'])
  expect((await client.info(session)).title).toBeNull()
  const whole = await client.verify(fork.session)
  expect(whole).toMatchObject({ ok: true, head: (await client.info(fork.session)).head })
  // The fork has its own words still, and lost what it inherited.
  const inherited = await client.read(fork.session)
  expect(inherited.filter((event) => lockOf(event) === 'key_destroyed').length).toBe(head)
  expect(ofType(inherited.slice(head), 'model_answered').length).toBe(2)
}, 120_000)
