/**
 * What row-level security costs a read: 1,000 events of 1 KB, flat and across 50 nested forks, as the writer and by token.
 * `npx tsx test/log/measure-sharing.ts <writer url> <member url> <admin url>` against a migrated database that may be filled.
 */
import { Client, Pool } from 'pg'
import { newToken, tokenHash, withToken } from '../../log/token-pool'

const [writerUrl = '', memberUrl = '', adminUrl = ''] = process.argv.slice(2)
const ROUNDS = 40
const SQL = 'select * from savefile.read_events($1, $2, $3, $4, $5)'

async function fill(admin: Client): Promise<void> {
  await admin.query(`
    insert into savefile.sessions (space_id, session_id, created_at, definition, updated_at, head, head_at, head_hash)
      select 'm', 'flat' || i, i, 'd', i, 1000, i, '\\x00' from generate_series(1, 1000) i;
    insert into savefile.lineage select 'm', 'flat' || i, 'flat' || i, 1, 9223372036854775807 from generate_series(1, 1000) i;
    insert into savefile.events select 'm', 'flat1', s, 't', 1, s, 'a', 'p:' || s, null, convert_to(repeat('x', 1024), 'UTF8'), sha256('x'), sha256('x') from generate_series(1, 1000) s;
    insert into savefile.sessions (space_id, session_id, created_at, definition, updated_at, head, head_at, head_hash)
      select 'm', 'nest' || i, i, 'd', i, i * 20, i, '\\x00' from generate_series(1, 50) i;
    insert into savefile.lineage select 'm', 'nest' || i, 'nest' || j, (j - 1) * 20 + 1, case when j = i then 9223372036854775807 else j * 20 end from generate_series(1, 50) i, generate_series(1, 50) j where j <= i;
    insert into savefile.events select 'm', 'nest' || i, (i - 1) * 20 + s, 't', 1, s, 'a', 'p:' || s, null, convert_to(repeat('x', 1024), 'UTF8'), sha256('x'), sha256('x') from generate_series(1, 50) i, generate_series(1, 20) s;
    insert into savefile.grants (space_id, grant_id, session_id, seq, principal, rights, forks, granted_at, granted_by)
      select 'm', 'g' || s.session_id, s.session_id, 1, 'many', '{read}', false, 1, 'a' from savefile.sessions s where space_id = 'm';
    insert into savefile.reach (space_id, session_id, grant_id) select 'm', s.session_id, 'g' || s.session_id from savefile.sessions s where space_id = 'm';
    insert into savefile.grants (space_id, grant_id, session_id, seq, principal, rights, forks, granted_at, granted_by) values
      ('m', 'oneflat', 'flat1', 1, 'one', '{read}', false, 1, 'a'), ('m', 'onenest', 'nest50', 1, 'one', '{read}', false, 1, 'a');
    insert into savefile.reach (space_id, session_id, grant_id) values ('m', 'flat1', 'oneflat'), ('m', 'nest50', 'onenest');
    analyze`)
}

async function p50(pool: Pick<Pool, 'query'>, session: string): Promise<string> {
  const times: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const begin = performance.now()
    const { rows } = await pool.query(SQL, ['m', session, 1, 1000, 1e9])
    if (rows.length !== 1000) throw new Error(`${rows.length} rows of ${session}`)
    times.push(performance.now() - begin)
  }
  return (times.sort((a, b) => a - b)[ROUNDS / 2] ?? 0).toFixed(1)
}

async function main(): Promise<void> {
  const admin = new Client({ connectionString: adminUrl })
  await admin.connect()
  await fill(admin)
  const tokens = new Map<string, string>()
  for (const who of ['one', 'many', 'lord']) {
    const token = newToken()
    tokens.set(who, token)
    await admin.query(`select savefile.create_token('m', 'user:x', $1, $2, $3, null, null)`, [
      who,
      who === 'lord' ? ['own'] : [],
      tokenHash(token),
    ])
  }
  await admin.end()
  const writer = new Pool({ connectionString: writerUrl, max: 1 })
  const member = new Pool({ connectionString: memberUrl, max: 1 })
  const as = (who: string) => withToken(member, tokens.get(who) ?? '')
  for (let round = 0; round < 2; round++)
    for (const session of ['flat1', 'nest50'])
      console.log(
        `${session}: writer ${await p50(writer, session)} ms, two grants ${await p50(as('one'), session)}, a thousand grants ${await p50(as('many'), session)}, owner of the space ${await p50(as('lord'), session)}`,
      )
  await writer.end()
  await member.end()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
