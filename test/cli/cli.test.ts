/** `savefile` as a real process over the real loop: what it prints where, and what its exit codes say. */
import { existsSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { ScriptInput } from '../../dev/scripted-model/script'
import { createWorld, until, type World } from '../support/world'
import { endAll, envOf, runCli, startCli, type CliOptions, type Ran } from './run-cli'

jest.setTimeout(120_000)

const script: ScriptInput = {
  name: 'cli',
  rules: [
    {
      when: { text: 'slow' },
      say: { text: 'one two three four five six seven eight nine ten '.repeat(50), deltaMs: 40 },
    },
    {
      when: { text: 'command', step: 0 },
      say: { text: 'I run it.', calls: [{ tool: 'run_command', args: { command: 'echo asked' } }] },
    },
    { when: { text: 'command' }, say: { text: 'I saw: {{step_result:0:0 | plain | chars:200}}' } },
    {
      when: { text: 'file', step: 0 },
      say: { calls: [{ tool: 'write_file', args: { path: 'made.txt', content: 'made' } }] },
    },
    { when: { text: 'file' }, say: { text: 'It is made.' } },
    {
      when: { text: 'busy' },
      say: { text: 'at last', fault: { kind: 'status', status: 429, retryAfter: 4, times: 1 } },
    },
    { when: { text: 'no key' }, say: { fault: { kind: 'status', status: 401, times: 1000 } } },
    { say: { text: 'hello there' } },
  ],
}

let world: World
let folder: string
const cli = (args: string[], options: CliOptions = {}): Promise<Ran> =>
  runCli(args, { cwd: folder, ...options, env: { ...envOf(world), ...options.env } })
const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

beforeAll(async () => {
  world = await createWorld({ script })
  await world.startWorker()
  folder = await mkdtemp(join(tmpdir(), 'savefile-cli-'))
})
afterAll(async () => {
  endAll()
  await world?.close()
})

const newSession = async (): Promise<string> =>
  (await world.client.create({ definition: world.definition(), workFolder: await world.workFolder() })).session

describe('run', () => {
  test('does a task in this folder to its end: answer on stdout, what happened on stderr', async () => {
    const ran = await cli(['run', 'make', 'a', 'file'])
    expect(ran).toMatchObject({ code: 0, stdout: 'It is made.\n' })
    expect(ran.stderr).toMatch(/write_file\(path: "made\.txt"/)
    expect(ran.stderr).toMatch(/■ turn done · 2 model calls/)
    expect(existsSync(join(folder, 'made.txt'))).toBe(true)

    expect(ran.stderr + ran.stdout).not.toMatch(/\u001b/)
  })

  test('with --json stdout has one value; a turn that fails has exit code 6', async () => {
    const ran = await cli(['run', '--json', 'no key'])
    expect(ran.code).toBe(6)
    expect(lines(ran.stdout)).toMatchObject([{ reason: 'failed', failure: { class: 'auth' } }])
  })

  test('a call that needs a yes: with --yes it runs, without anybody to ask it ends with 6 and says how to answer', async () => {
    expect(await cli(['run', '--yes', 'a command'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/asked/) as string,
    })
    const ran = await cli(['run', '--json', 'a command'])
    expect(ran.code).toBe(6)
    const [value] = lines(ran.stdout)
    expect(value).toMatchObject({ waiting: 'approval', calls: [{ short: '2.0', tool: 'run_command' }] })
    const session = String(value?.['session'])
    expect(ran.stderr).toContain(`savefile approve ${session.slice(0, 8)} 2.0`)

    expect(await cli(['approve', session.slice(0, 8), '2.0', '--json'])).toMatchObject({ code: 0 })
    expect(await cli(['approve', session, '2.0', '--deny'])).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringMatching(/^already_resolved/) as string,
    })
    expect((await world.client.awaitTurn(session, 2)).reason).toBe('done')
  })

  test('Ctrl-C interrupts the turn, waits for its end, and exits with 130', async () => {
    const running = startCli(['run', '--json', 'slow please'], { cwd: folder, env: envOf(world) })
    await until('live text', () => running.stderr().includes('one two'))
    running.child.kill('SIGINT')
    const ran = await running.done
    expect(ran.code).toBe(130)
    expect(lines(ran.stdout)).toMatchObject([
      { reason: 'interrupted', text: expect.stringMatching(/^one two/) as string },
    ])
  })

  test('takes a definition file, and says what is wrong with a bad one', async () => {
    const good = join(folder, 'good.json')
    await writeFile(good, JSON.stringify({ model: { provider: 'openai-chat', name: 'x' }, tools: ['read_file'] }))
    expect(await cli(['run', '--definition', good, 'hi'])).toMatchObject({ code: 0, stdout: 'hello there\n' })
    const bad = join(folder, 'bad.json')
    await writeFile(bad, JSON.stringify({ model: { provider: 'openai-chat', name: '' } }))
    expect(await cli(['run', '--definition', bad, 'hi'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/model\.name/) as string,
    })
    expect(await cli(['run', '--work-folder', 'missing', 'hi'])).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^work_folder_missing/m) as string,
    })
  })
})

describe('send, show, tail, verify, fork, ls', () => {
  test('a question under a key is asked once; everything can be looked at by a short id', async () => {
    const session = await newSession()
    const short = session.slice(0, 10)
    const ask = (): Promise<Ran> => cli(['send', short, '--wait', '--key', 'q1', '--json', '-'], { input: 'hi\nthere' })
    const [first] = lines((await ask()).stdout)
    const [second] = lines((await ask()).stdout)
    expect(first).toMatchObject({ session, key: 'q1', reason: 'done', text: 'hello there', answerSeq: 3 })
    expect(second).toEqual(first)

    const [shown] = lines((await cli(['show', short, '--json'])).stdout)
    expect(shown).toMatchObject({
      info: { session, head: 4, state: 'idle' },
      approvals: [],
      events: [{ seq: 1 }, { seq: 2 }, { seq: 3 }, { seq: 4 }],
    })
    expect((await cli(['show', short])).stdout).toMatch(/agent +hello there/)
    expect(lines((await cli(['tail', short, '-n', '2', '--json'])).stdout).map((e) => e['type'])).toEqual([
      'model_answered',
      'turn_finished',
    ])
    expect(await cli(['verify', short])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok +4 events/) as string,
    })

    const forked = await cli(['fork', `${short}@2`, '--id', 'a-fork'])
    expect(forked).toMatchObject({ code: 0, stdout: 'a-fork\n' })
    expect(lines((await cli(['ls', 'a-fork', '--json'])).stdout)).toMatchObject([
      { session: 'a-fork', parent: { session, seq: 2 } },
    ])
    expect((await cli(['ls'])).stdout).toMatch(/a-fork/)
  })

  test('tail -f prints what comes, until Ctrl-C', async () => {
    const session = await newSession()
    const running = startCli(['tail', '-f', session, '--json'], { cwd: folder, env: envOf(world) })
    await until('the first event', () => running.stdout().includes('session_created'))
    await world.client.send(session, 'hi')
    await until('the turn to end', () => running.stdout().includes('turn_finished'))
    running.child.kill('SIGINT')
    expect((await running.done).code).toBe(130)
    expect(lines(running.stdout()).map((e) => e['seq'])).toEqual([1, 2, 3, 4])
  })

  test('interrupt stops a turn', async () => {
    const session = await newSession()
    const { seq } = await world.client.send(session, 'slow please')
    expect(await cli(['interrupt', session])).toMatchObject({ code: 0, stdout: 'interrupted as event 3\n' })
    expect((await world.client.awaitTurn(session, seq)).reason).toBe('interrupted')
  })

  test('interrupt says where nothing was running', async () => {
    const session = await newSession()
    expect((await cli(['interrupt', session])).stdout).toMatch(/^nothing was running/)
    expect(lines((await cli(['interrupt', session, '--json'])).stdout)).toMatchObject([
      { stopped: expect.any(Boolean) },
    ])
  })

  test('a step that is tried again says so while it waits, in tail -f and in run, once', async () => {
    const session = await newSession()
    const running = startCli(['tail', '-f', session], { cwd: folder, env: envOf(world) })
    await until('the first event', () => running.stdout().includes('created'))
    const { seq } = await world.client.send(session, 'busy')
    expect((await world.client.awaitTurn(session, seq)).text).toBe('at last')
    await until('the end to be shown', () => running.stdout().includes('at last'))
    running.child.kill('SIGINT')
    const { stderr } = await running.done
    expect(stderr.match(/rate limited, trying again in \d s \(attempt 1 failed\)/g)).toHaveLength(1)
    expect(await world.client.stalled(session)).toBeNull()
  })

  test('a log that was changed is found: exit code 1, and where', async () => {
    const session = await newSession()
    await world.client.send(session, 'hi')
    const admin = new Client({ connectionString: world.db.adminUrl })
    await admin.connect()
    await admin.query('alter table savefile.events disable trigger all')
    await admin.query(
      `update savefile.events set payload = convert_to(replace(convert_from(payload, 'utf8'), 'hi', 'ho'), 'utf8') where session_id = $1 and seq = 2`,
      [session],
    )
    await admin.query('alter table savefile.events enable trigger all')
    await admin.end()
    const ran = await cli(['verify', session, '--json'])
    expect(ran.code).toBe(1)
    expect(lines(ran.stdout)).toMatchObject([{ ok: false, seq: 2 }])
  })
})

describe('chat from a pipe', () => {
  test('each line waits for the turn before it; an approval takes the next line', async () => {
    const ran = await cli(['chat', '--work-folder', folder], { input: 'hi\na command\ny\nhi again\n' })
    expect(ran.code).toBe(0)
    const order = ['hello there', 'may this run: run_command', 'allowed 5.0', 'asked', 'hi again', 'hello there']
    let at = 0
    for (const piece of order) {
      const found = ran.stdout.indexOf(piece, at)
      expect({ piece, found: found >= 0 }).toEqual({ piece, found: true })
      at = found + 1
    }
  })

  test('comes back to a session that waits, and ends with 6 where nobody answers', async () => {
    const session = await newSession()
    const { seq } = await world.client.send(session, 'a command')
    await world.client.awaitTurn(session, seq, { onApproval: 'return' })
    expect((await cli(['chat', session])).code).toBe(6)
    expect((await cli(['chat', session], { input: 'n not now\n' })).code).toBe(0)
    expect((await world.client.awaitTurn(session, seq)).text).toMatch(/not now/)
  })
})

describe('errors', () => {
  test('each kind has its exit code, a code word on stderr, and nothing on stdout', async () => {
    const cases: [string[], number, RegExp, CliOptions?][] = [
      [['show', 'nothere'], 3, /^session_not_found: .*savefile ls/],
      [['show'], 2, /For example:\n {2}\$ savefile show/],
      [['nonsense'], 2, /unknown command/],
      [['tail', 'x', '-n', 'many'], 2, /invalid_input/],
      [['ls', '--space', 'No Space'], 2, /invalid_input/],
      [['ls'], 5, /^database_unreachable/, { env: { SAVEFILE_DATABASE_URL: 'postgres://me:s3cret@127.0.0.1:1/x' } }],
      [['ls'], 1, /savefile dev.*SAVEFILE_DATABASE_URL/s, { env: { SAVEFILE_DATABASE_URL: '' } }],
      [['reconcile'], 5, /^temporal_unreachable/, { env: { TEMPORAL_ADDRESS: '127.0.0.1:1' } }],
    ]
    const ran = await Promise.all(cases.map(([args, , , options]) => cli(args, options)))
    for (const [i, [args, code, stderr]] of cases.entries()) {
      expect({ args, ...ran[i] }).toMatchObject({
        args,
        code,
        stdout: '',
        stderr: expect.stringMatching(stderr) as string,
      })
      expect(ran[i]?.stderr).not.toMatch(/s3cret/)
    }
  })

  test('with --json an error is one JSON line on stderr', async () => {
    const ran = await cli(['show', 'nothere', '--json'])
    expect(ran).toMatchObject({ code: 3, stdout: '' })
    expect(lines(ran.stderr)).toMatchObject([{ error: { code: 'session_not_found', data: { session: 'nothere' } } }])
  })

  test('a prefix of several is refused with the candidates', async () => {
    for (const session of ['same-one', 'same-two'])
      await world.client.create({ session, definition: world.definition() })
    expect(await cli(['show', 'same-'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/same-one, same-two|same-two, same-one/) as string,
    })
  })
})

describe('doctor, reconcile', () => {
  test('doctor looks at everything and prints no key', async () => {
    const ran = await cli(['doctor', '--json'])
    const checks = new Map(lines(ran.stdout).map((c) => [c['name'], c['status']]))
    for (const name of ['Node', 'Postgres', 'schema', 'role', 'Temporal', 'namespace', 'search attributes', 'workers'])
      expect([name, checks.get(name)]).toEqual([name, 'ok'])
    expect(ran.code).toBe(0)
    expect(ran.stdout + ran.stderr).not.toMatch(/a-key-that-is-never-printed/)
  })

  test('doctor says what is missing, and exits with 5', async () => {
    const ran = await cli(['doctor', '--json'], {
      env: { SAVEFILE_DATABASE_URL: 'postgres://me:s3cret@127.0.0.1:1/x', TEMPORAL_ADDRESS: '127.0.0.1:1' },
    })
    expect(ran.code).toBe(5)
    const missing = lines(ran.stdout).filter((c) => c['status'] === 'missing')
    expect(missing.map((c) => c['name'])).toEqual(['Postgres', 'Temporal'])
    for (const check of missing) expect(check['todo']).toBeTruthy()
    expect(ran.stdout).not.toMatch(/s3cret/)
  })

  test('reconcile says how many it woke', async () => {
    expect(lines((await cli(['reconcile', '--json'])).stdout)).toMatchObject([
      { nudged: expect.any(Number) as number, replaced: 0 },
    ])
  })
})
