/**
 * Each right against each operation, in the session that it was granted for, its fork, its parent, and sessions that it says nothing of; by
 * raw SQL as a login that has nothing but its token.
 */
import type { Right } from '../../contract/events'
import { ELSEWHERE, OPERATIONS, openShared, newToken, type Outcome, type Shared } from './sharing'

const RIGHTS: Right[] = ['read', 'extend', 'approve', 'fork', 'own']
const tokens = new Map<string, string>()
let shared: Shared

/** The right that each operation takes; any one of several. */
const TAKES: Readonly<Record<string, Right[]>> = {
  readEvents: ['read'],
  readWhole: ['read'],
  seeRow: ['read'],
  extend: ['extend'],
  approve: ['approve'],
  fork: ['fork'],
  changeDefinition: ['own'],
  grant: ['own'],
  listGrants: ['own'],
  putBlob: ['extend', 'approve'],
}
const READS = ['readEvents', 'readWhole', 'seeRow']

/** To approve or to fork is to see; to own is all. */
const full = (right: Right | null): Right[] =>
  right === null ? [] : right === 'own' ? RIGHTS : right === 'approve' || right === 'fork' ? ['read', right] : [right]

function expected(operation: string, right: Right | null): Outcome {
  const has = full(right)
  if (TAKES[operation]?.some((needed) => has.includes(needed))) return 'yes'
  return has.length === 0 || READS.includes(operation) ? 'absent' : 'forbidden'
}

async function matrixOf(token: string, at: 'parent' | 'session' | 'fork' | 'other' | 'foreign') {
  const found: Record<string, Outcome> = {}
  for (const [name, run] of Object.entries(OPERATIONS)) found[name] = await run(shared, token, shared[at])
  return found
}
const expectedOf = (right: Right | null) =>
  Object.fromEntries(Object.keys(OPERATIONS).map((operation) => [operation, expected(operation, right)]))

beforeAll(async () => {
  shared = await openShared(async (s) => {
    for (const right of RIGHTS) {
      tokens.set(right, await s.token(right))
      await s.grant(s.session, right, [right])
      tokens.set(`${right}+forks`, await s.token(`${right}+forks`))
      await s.grant(s.session, `${right}+forks`, [right], { forks: true })
      const link = newToken()
      tokens.set(`${right} link`, link)
      await s.grant(s.session, null, [right], { link })
    }
    tokens.set('nothing', await s.token('nothing'))
    tokens.set('of the space', await s.token('landlord', { rights: ['own'] }))
    tokens.set('of another space', await s.token('stranger', { space: ELSEWHERE, rights: ['own'] }))
  })
})
afterAll(() => shared.close())

const token = (name: string): string => tokens.get(name) ?? ''

describe.each(RIGHTS)('%s', (right) => {
  it.each([right, `${right}+forks`, `${right} link`])(
    'lets %s do what it says in the session, and nothing else',
    async (name) => {
      expect(await matrixOf(token(name), 'session')).toEqual(expectedOf(right))
    },
  )

  it('reaches a fork that was made since only where it covers forks', async () => {
    expect(await matrixOf(token(right), 'fork')).toEqual(expectedOf(null))
    expect(await matrixOf(token(`${right} link`), 'fork')).toEqual(expectedOf(null))
    expect(await matrixOf(token(`${right}+forks`), 'fork')).toEqual(expectedOf(right))
  })

  it.each(['other', 'foreign'] as const)('opens nothing of the %s session', async (at) => {
    for (const name of [right, `${right}+forks`, `${right} link`])
      expect(await matrixOf(token(name), at)).toEqual(expectedOf(null))
  })

  it('opens the parent’s events up to the fork, and nothing else of it', async () => {
    const sees = full(right).includes('read')
    for (const name of [right, `${right}+forks`, `${right} link`]) {
      expect(await matrixOf(token(name), 'parent')).toEqual({
        ...expectedOf(null),
        readEvents: sees ? 'yes' : 'absent',
      })
      const rows = await shared.sql(
        token(name),
        `select seq from savefile.events where session_id = 'parent' order by seq`,
      )
      expect(rows.map((row) => Number(row['seq']))).toEqual(sees ? [1, 2, 3, 4] : [])
      expect(await shared.sql(token(name), `select from savefile.lineage where session_id = 'parent'`)).toEqual([])
      expect(
        await shared.sql(token(name), `select from savefile.session_definitions where session_id = 'parent'`),
      ).toHaveLength(sees ? 1 : 0)
    }
  })
})

it('a token without a grant opens nothing, nor does no token', async () => {
  for (const at of ['session', 'fork', 'parent', 'other', 'foreign'] as const)
    expect(await matrixOf(token('nothing'), at)).toEqual(expectedOf(null))
  for (const table of [
    'events',
    'sessions',
    'lineage',
    'definitions',
    'session_definitions',
    'blobs',
    'blob_refs',
    'draft_deltas',
  ])
    for (const presented of [null, '', 'svf_forged', token('nothing')])
      expect(await shared.sql(presented, `select from savefile.${table}`)).toEqual([])
})

it('who owns a space may do everything in it, and nothing in another', async () => {
  for (const at of ['session', 'fork', 'parent', 'other'] as const) {
    const found = await matrixOf(token('of the space'), at)
    expect({ ...found, listGrants: 'yes' }).toEqual(expectedOf('own'))
  }
  expect(await matrixOf(token('of the space'), 'foreign')).toEqual(expectedOf(null))
  for (const at of ['session', 'fork', 'parent', 'other'] as const)
    expect(await matrixOf(token('of another space'), at)).toEqual(expectedOf(null))
  expect(await matrixOf(token('of another space'), 'foreign')).toMatchObject({
    readEvents: 'yes',
    extend: 'yes',
    grant: 'yes',
  })
})

it('what is written is in the name of whoever holds the token, whatever the caller says', async () => {
  const actors = await shared.log.admin(
    `select distinct actor from savefile.events where type in ('message_received', 'forked', 'granted') order by 1`,
  )
  expect(actors.map((row) => row['actor'])).not.toContain('user:forged')
  expect(actors.map((row) => row['actor'])).toEqual(
    expect.arrayContaining(['user:extend', 'user:own', 'user:own+forks', 'user:landlord']),
  )
})
