/** What a command can find and do, under every confinement that holds on this host. */
import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import {
  confinementsHere,
  detectConfinement,
  hostOf,
  rememberConfinement,
  type Confinement,
} from '../../tools/confinement'
import { createRunCommand } from '../../tools/run-command'
import { runTool } from '../../tools/run-tool'
import { alive, newContext, newFolder, removeFolders, textsOf, until, type TestContext } from './context'

const SECRET = 'sk-ant-planted-0f3a'
const host = hostOf(process.env)

/** A folder that each of the users may write. */
function openFolder(): string {
  const folder = newFolder()
  chmodSync(folder, 0o777)
  return folder
}

async function each(test: (confinement: Confinement, context: TestContext) => Promise<void>): Promise<void> {
  const all = await confinementsHere(host, openFolder())
  const runs = all.map((confinement) =>
    test(confinement, newContext(openFolder())).catch((cause: unknown) => {
      throw new Error(`under ${confinement.kind} (${confinement.prefix.join(' ')})`, { cause })
    }),
  )
  await Promise.all(runs)
}

/** The confinement again, for another folder: bubblewrap names the folder in its arguments. */
async function sameKind(confinement: Confinement, folder: string): Promise<Confinement> {
  const found = (await confinementsHere(host, folder)).find(
    (one) => one.kind === confinement.kind && one.user?.uid === confinement.user?.uid,
  )
  if (!found) throw new Error(`${confinement.kind} does not hold for ${folder}`)
  return found
}

const under = (confinement: Confinement) =>
  createRunCommand({ host, confine: (folder) => sameKind(confinement, folder) })

const run = (confinement: Confinement, context: TestContext, command: string, timeoutSeconds = 30) => {
  const tool = under(confinement)
  return runTool(tool, tool.spec, JSON.stringify({ command, timeoutSeconds }), context)
}

afterAll(removeFolders)

describe('confinement', () => {
  it('finds at least the way of this host that its parts promise, and none comes last', async () => {
    const kinds = (await confinementsHere(host, openFolder())).map((one) => one.kind)
    expect(kinds.at(-1)).toBe('none')
    if (process.getuid?.() === 0 && process.platform === 'linux') expect(kinds).toContain('other_user')
    const best = await detectConfinement(host)
    expect(best.kind).toBe(kinds[0])
    expect(best.says).toContain('run_command runs')
  })

  it('falls back where the other user may not write the work folder, and says as whom it runs', async () => {
    if (process.getuid?.() !== 0) return expect((await detectConfinement(host)).user).toBeUndefined()
    const mine = newFolder()
    chmodSync(mine, 0o700)
    const best = await detectConfinement(host, mine)
    expect(best.user).toBeUndefined()
    expect(best.says).toMatch(/as root/)
    chownSync(mine, 65_534, 65_534)
    expect((await detectConfinement(host, mine)).user?.uid).toBe(65_534)
  })

  it('tries a work folder once', async () => {
    const confine = rememberConfinement(host)
    const folder = openFolder()
    expect(confine(folder)).toBe(confine(folder))
    await confine(folder)
  })

  it('gives no secret of the worker away: environment, process table, parents', async () => {
    // This process's own first environment has the key only if it was started with it: so the whole test runs in such a child.
    const folder = openFolder()
    const probe = join(__dirname, 'secret-probe.ts')
    const child = spawn(process.execPath, ['--import', 'tsx', probe, folder], {
      env: { ...process.env, ANTHROPIC_API_KEY: SECRET },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(code).toBe(0)
    const results = JSON.parse(out) as { kind: string; env: string; proc: string; uid: string }[]
    const kinds = (await confinementsHere(host, folder)).map((one) => one.kind)
    expect(results.map((one) => one.kind)).toEqual(kinds)
    for (const { kind, env, proc } of results) {
      expect(env).not.toContain(SECRET)
      expect(
        env
          .split('\n')
          .map((line) => line.split('=')[0])
          .filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name!))
          .sort(),
      ).toEqual(['HOME', 'LANG', 'PATH', 'SAVEFILE_CALL', 'SAVEFILE_IDEMPOTENCY_KEY', 'TERM', 'TMPDIR'])
      // Without a confinement it is there to be found: that is what `none` says of itself, and that the search above can find it.
      if (kind === 'none') expect(proc).toContain('found')
      else expect(proc).toBe('nothing')
    }
  })

  it('writes its work folder and, in bubblewrap, nothing else', async () => {
    const elsewhere = mkdtempSync('/var/tmp/savefile-elsewhere-')
    chmodSync(elsewhere, 0o777)
    await each(async (confinement, context) => {
      const result = await run(
        confinement,
        context,
        `echo hi > mine && cat mine; touch ${elsewhere}/${confinement.kind}; ls -d "$HOME"; pwd`,
      )
      const text = textsOf(result)
      expect(text).toContain('hi')
      expect(text).toContain(context.workFolder)
      expect(readFileSync(join(context.workFolder, 'mine'), 'utf8')).toBe('hi\n')
      if (confinement.user) expect(statSync(join(context.workFolder, 'mine')).uid).toBe(confinement.user.uid)
      expect(existsSync(join(elsewhere, confinement.kind))).toBe(confinement.kind !== 'bwrap')
      if (confinement.kind === 'bwrap') expect(text).toContain('Read-only file system')
    })
    rmSync(elsewhere, { recursive: true })
  })

  it('hides the home folder in bubblewrap, and leaves the programs below it', async () => {
    const home = mkdtempSync('/var/tmp/savefile-home-')
    chmodSync(home, 0o755)
    writeFileSync(join(home, '.netrc'), SECRET)
    mkdirSync(join(home, '.tools/bin'), { recursive: true })
    writeFileSync(join(home, '.tools/bin/greet'), '#!/bin/sh\necho greetings\n', { mode: 0o755 })
    const context = newContext(openFolder())
    const other = { ...host, home, path: `${host.path}:${home}/.tools/bin` }
    for (const confinement of await confinementsHere(other, context.workFolder)) {
      const tool = createRunCommand({ host: other, confine: () => Promise.resolve(confinement) })
      const text = textsOf(await tool.run(JSON.stringify({ command: `cat ${home}/.netrc; greet` }), context))
      expect(text.includes(SECRET)).toBe(confinement.kind !== 'bwrap')
      if (!confinement.user || confinement.kind !== 'bwrap') expect(text).toContain('greetings')
    }
    rmSync(home, { recursive: true })
  })

  it('ends the whole group at the timeout, and where the process table is its own also what left the group', async () => {
    await each(async (confinement, context) => {
      const mark = `3${Math.floor(Math.random() * 1e8)}`
      const command = `sleep ${mark} & (sleep ${mark}; true) & ${confinement.ownProcessTable ? `setsid sleep ${mark} &` : ''} echo started; wait`
      const result = await run(confinement, context, command, 1)
      expect(result).toMatchObject({ outcome: 'error', code: 'timeout' })
      expect(textsOf(result)).toContain('started')
      await until(() => sleeping(mark) === 0, `no sleep ${mark} left`)
    })
  })

  it('lets a command end in order at SIGTERM, and kills one that will not after 2 s', async () => {
    await each(async (confinement, context) => {
      const polite = await run(confinement, context, `trap 'echo bye; exit 0' TERM; echo up; sleep 60 & wait $!`, 1)
      expect(textsOf(polite)).toContain('bye')
      const began = Date.now()
      const stubborn = await run(confinement, context, `trap '' TERM; echo up; while :; do sleep 1; done`, 1)
      expect(stubborn).toMatchObject({ outcome: 'error', code: 'timeout' })
      expect(Date.now() - began).toBeGreaterThan(2_500)
    })
  })

  it('ends what a command leaves in the background, and does not wait for it', async () => {
    await each(async (confinement, context) => {
      const mark = `4${Math.floor(Math.random() * 1e8)}`
      const result = await run(confinement, context, `sleep ${mark} & echo done`)
      expect(result).toMatchObject({ outcome: 'ok' })
      await until(() => sleeping(mark) === 0, `no sleep ${mark} left`)
    })
  })

  it('an interrupt gives cancelled with the partial output, at once', async () => {
    await each(async (confinement, context) => {
      const mark = `5${Math.floor(Math.random() * 1e8)}`
      const running = run(confinement, context, `echo first part; sleep ${mark}`)
      await until(() => context.live.join('').includes('first part'), 'output is streamed')
      context.abort()
      const result = await running
      expect(result.outcome).toBe('cancelled')
      expect(textsOf(result)).toContain('first part')
      await until(() => sleeping(mark) === 0, `no sleep ${mark} left`)
    })
  })

  it('does not outlive a worker that was killed by SIGKILL', async () => {
    const folder = openFolder()
    for (const confinement of await confinementsHere(host, folder)) {
      const mark = `6${Math.floor(Math.random() * 1e8)}`
      const command = `sleep ${mark} & ${confinement.ownProcessTable ? `setsid sleep ${mark} &` : ''} sleep ${mark}`
      const probe = join(__dirname, 'killed-worker.ts')
      const user = String(confinement.user?.uid ?? -1)
      const worker = spawn(process.execPath, ['--import', 'tsx', probe, folder, confinement.kind, user, command], {
        stdio: ['ignore', 'ignore', 'inherit'],
      })
      const ended = new Promise((resolve) => worker.on('exit', resolve))
      await until(
        () => sleeping(mark) === (confinement.ownProcessTable ? 3 : 2),
        `${confinement.kind}: the command runs`,
      )
      worker.kill('SIGKILL')
      await ended
      expect(alive(worker.pid!)).toBe(false)
      await until(() => sleeping(mark) === 0, `${confinement.kind}: no sleep ${mark} left`, 5_000)
    }
  })
})

/** How many processes of this host sleep for so long: the number marks ours. */
function sleeping(mark: string): number {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${mark}\0`
    } catch {
      return false
    }
  }).length
}
