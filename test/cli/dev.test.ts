/** `savefile dev` and everything after it, in a new folder, as a newcomer has it: nothing set, no key. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endAll, runCli, startCli, type Ran } from './run-cli'
import { until } from '../support/world'

jest.setTimeout(240_000)

const home = mkdtempSync(join(tmpdir(), 'savefile-newcomer-'))
const within = join(home, 'within')
mkdirSync(within)
const cli = (...args: string[]): Promise<Ran> =>
  runCli(args, { cwd: within, env: { TEMPORAL_CONFIG_FILE: '/nonexistent.toml' } })

afterAll(async () => {
  endAll()
  await cli('dev', 'stop')
  rmSync(home, { recursive: true, force: true })
})

test('dev in the background, a task, its timeline, and all of it gone and back again', async () => {
  const env = { TEMPORAL_CONFIG_FILE: '/nonexistent.toml' }
  expect((await runCli(['dev', 'status'], { cwd: home, env })).code).toBe(5)
  const up = await runCli(['dev', '--background'], { cwd: home, env })
  expect(up).toMatchObject({ code: 0, stdout: expect.stringMatching(/^log +postgres:.*\*\*\*@/) as string })
  expect(up.stderr).toMatch(/✓ Temporal/)

  const ran = await cli('run', '--work-folder', within, 'write a short report')
  expect(ran).toMatchObject({ code: 0, stdout: expect.stringMatching(/scripted demonstration/) as string })
  expect(readFileSync(join(within, 'REPORT.md'), 'utf8')).toMatch(/^# /)
  expect((await cli('doctor')).code).toBe(0)
  const [session] = (await cli('ls', '--json')).stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { session: string; head: number })

  expect(await cli('dev', 'stop')).toMatchObject({ code: 0, stdout: 'stopped\n' })
  expect(await cli('ls')).toMatchObject({ code: 1, stderr: expect.stringMatching(/savefile dev/) as string })
  expect(existsSync(join(home, '.savefile', 'dev.json'))).toBe(true)

  // In the foreground this time: it finds the project's folder, and Ctrl-C stops it.
  const foreground = startCli(['dev', '--json'], { cwd: within, env })
  await until(
    `the stack to be up\n${foreground.stderr()}`,
    () => foreground.stdout().includes('"state":"ready"'),
    120_000,
  )
  expect(await cli('verify', session?.session ?? '', '--json')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`"head":${session?.head}`) as string,
  })
  foreground.child.kill('SIGINT')
  expect((await foreground.done).code).toBe(0)
  expect((await cli('dev', 'status', '--json')).stdout).toBe('{"state":"stopped"}\n')
})
