/** share, grants, revoke, token as real commands: one user with the trusted login, one with a token. */
import type { TestDatabase } from '../support/database'
import { openLog, type TestLog } from '../log/support'
import { endAll, runCli } from './run-cli'

/** A dozen processes one after the other, on a machine that may be busy. */
jest.setTimeout(300_000)

let log: TestLog
let db: TestDatabase
beforeAll(async () => {
  log = await openLog()
  db = log.db
})
afterAll(async () => {
  endAll()
  await log.close()
})

const owner = (...args: string[]) =>
  runCli(args, { env: { SAVEFILE_DATABASE_URL: db.writerUrl, TEMPORAL_ADDRESS: '127.0.0.1:1' } })
const holder = (token: string, ...args: string[]) =>
  runCli(args, {
    env: { SAVEFILE_DATABASE_URL: db.memberUrl, SAVEFILE_TOKEN: token, TEMPORAL_ADDRESS: '127.0.0.1:1' },
  })

it('a token is printed once, alone on stdout; what it opens follows the grants, at once', async () => {
  const { session } = await log.begin('shared')
  const made = await owner('token', 'create', 'alice', '--expires', '90d', '--label', 'laptop')
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^svf_[A-Za-z0-9_-]{43}\n$/) })
  const token = made.stdout.trim()
  expect(made.stderr).not.toContain(token)
  expect(await holder(token, 'show', session)).toMatchObject({ code: 3 })

  const shared = await owner('share', session, '--with', 'alice', '--rights', 'read,approve', '--json')
  const { grant } = JSON.parse(shared.stdout) as { grant: string }
  expect((await holder(token, 'show', session, '--json')).stdout).toContain('"type":"granted"')
  const refused = await holder(token, 'send', session, 'x')
  expect(refused).toMatchObject({ code: 4, stdout: '', stderr: expect.stringContaining('"extend"') })
  expect(refused.stderr).not.toContain(token)
  expect((await owner('grants', session)).stdout).toMatch(new RegExp(`^${grant} +alice +read,approve`))
  expect(await owner('revoke', session, grant)).toMatchObject({ code: 0 })
  expect(await holder(token, 'show', session)).toMatchObject({ code: 3 })
  expect((await owner('grants', session)).stdout).toContain('revoked')
  const listed = await owner('token', 'ls')
  expect(listed.stdout).toMatch(/^t[0-9a-f]{12} +alice +until .* laptop\n$/)
  const id = listed.stdout.split(' ')[0] ?? ''
  expect(await owner('token', 'revoke', id)).toMatchObject({ code: 0 })
  expect(await holder(token, 'ls')).toMatchObject({ code: 4, stderr: expect.stringContaining('forbidden') })
})

it('a share link is a token of one grant', async () => {
  const { session } = await log.begin('linked')
  const made = await owner('share', session, '--link', '--expires', '7d')
  expect(made.stdout).toMatch(/^svf_/)
  const listed = await holder(made.stdout.trim(), 'ls', '--json')
  expect(JSON.parse(listed.stdout)).toMatchObject({ session })
})

it('says what is wrong with what it is given', async () => {
  const { session } = await log.begin('wrong')
  const wrong = [
    ['share', session],
    ['share', session, '--with', 'a', '--rights', 'all'],
    ['share', session, '--with', 'a', '--expires', 'soon'],
    ['token', 'create', 'link:g1'],
  ]
  const [unknown, ...ran] = await Promise.all([owner('revoke', session, 'g0'), ...wrong.map((args) => owner(...args))])
  expect(unknown).toMatchObject({ code: 3 })
  for (const one of ran) expect(one).toMatchObject({ code: 2, stdout: '' })
})
