/** run_command as a model meets it, under the best confinement of this host. */
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { MAX_KEPT_BYTES } from '../../tools/capture'
import { hostOf, rememberConfinement } from '../../tools/confinement'
import { createRunCommand } from '../../tools/run-command'
import { runTool } from '../../tools/run-tool'
import { newContext, newFolder, removeFolders, textsOf, until, type TestContext } from './context'

afterAll(removeFolders)

const host = hostOf(process.env)
const tool = createRunCommand({ host, confine: rememberConfinement(host) })
let context: TestContext

beforeEach(() => {
  const folder = newFolder()
  chmodSync(folder, 0o777)
  context = newContext(folder)
})

const run = (command: string, more: object = {}) =>
  runTool(tool, tool.spec, JSON.stringify({ command, ...more }), context)

describe('run_command', () => {
  it('gives stdout and stderr in the order they were written, and streams them', async () => {
    const result = await run('for i in 1 2 3; do echo out$i; echo err$i >&2; done')
    expect(result).toEqual({ outcome: 'ok', blocks: [{ type: 'text', text: 'out1\nerr1\nout2\nerr2\nout3\nerr3\n' }] })
    expect(context.live.join('')).toBe('out1\nerr1\nout2\nerr2\nout3\nerr3\n')
    expect(textsOf(await run('true'))).toBe('[no output]')
  })

  it('a failing command is an error with its exit code and its output', async () => {
    const result = await run('echo why; exit 3')
    expect(result).toMatchObject({ outcome: 'error', code: 'exit_3' })
    expect(textsOf(result)).toBe('why\n\n[Exit code 3.]')
    expect(await run('kill -9 $$')).toMatchObject({ outcome: 'error', code: 'exit_137' })
    expect(await run('no-such-program-here')).toMatchObject({ code: 'exit_127' })
  })

  it('has no input, its work folder as HOME, the call and its idempotency key', async () => {
    expect(textsOf(await run('cat; echo end; pwd; echo "$HOME $SAVEFILE_CALL $SAVEFILE_IDEMPOTENCY_KEY $TERM"'))).toBe(
      `end\n${context.workFolder}\n${context.workFolder} s1:2.0 key-1 dumb\n`,
    )
  })

  it('keeps bytes that are not UTF-8 as they are, and shows them as U+FFFD', async () => {
    const result = await run(`printf 'caf\\351 \\000 ok'; head -c 40000 /dev/zero | tr '\\0' x; printf '\\377'`)
    expect(textsOf(result)).toMatch(/^caf\uFFFD \uFFFD okx+/)
    const file = result.blocks.find((block) => block.type === 'file')
    if (file?.type !== 'file') throw new Error('a file is expected')
    expect(file.blob.mediaType).toBe('application/octet-stream')
    const kept = Buffer.from(context.blobs.get(file.blob.hash)!)
    expect(kept.subarray(0, 9)).toEqual(Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x20, 0, 0x20, 0x6f, 0x6b]))
    expect(kept.at(-1)).toBe(0xff)
    expect(context.live.join('')).not.toContain('\0')
  })

  it('a character cut between two writes is one character live', async () => {
    await run(`printf '\\303'; sleep 0.3; printf '\\274'`)
    expect(context.live.join('')).toBe('ü')
  })

  it('of a huge output keeps 10 MB, counts the rest, and shows head and tail', async () => {
    const result = await run('echo FIRST; head -c 15000000 /dev/zero | tr "\\0" a; echo; echo LAST; exit 1')
    expect(result.code).toBe('exit_1')
    const text = textsOf(result)
    expect(text.length).toBeLessThan(31_000)
    expect(text).toMatch(/^FIRST\n/)
    expect(text).toMatch(/LAST\n\n\[Exit code 1\.\]$/)
    expect(text).toContain('what was kept of it is in the log')
    const file = result.blocks.find((block) => block.type === 'file')
    if (file?.type !== 'file') throw new Error('a file is expected')
    expect(file.blob.bytes).toBeLessThan(MAX_KEPT_BYTES + 100)
    expect(Buffer.from(context.blobs.get(file.blob.hash)!).toString()).toContain(
      `[... ${15_000_012 - MAX_KEPT_BYTES} of 15000012 bytes were not kept ...]`,
    )
    expect(context.live.join('').length).toBeLessThan(1_200_000)
  })

  it('one that writes without end is bounded in memory and ended in time', async () => {
    const before = process.memoryUsage().rss
    expect(await run('yes', { timeoutSeconds: 2 })).toMatchObject({ outcome: 'error', code: 'timeout' })
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
  })

  it('its own time and the time of its spec both end it', async () => {
    const own = await run('echo a; sleep 60', { timeoutSeconds: 1 })
    expect(textsOf(own)).toBe('a\n\n[Stopped with its children: it took longer than 1 s.]')
    const specs = await runTool(tool, { timeoutMs: 500 }, '{"command":"echo b; sleep 60"}', context)
    expect(specs).toMatchObject({ outcome: 'error', code: 'timeout' })
    expect(textsOf(specs)).toBe('b\n\n[Stopped: it took longer than 0.5 s.]')
  })

  it('cancelled before any output says so', async () => {
    const running = run('sleep 60')
    await until(() => true, 'begun')
    context.abort()
    expect(await running).toMatchObject({ outcome: 'cancelled', blocks: [{ type: 'text', text: '[Cancelled.]' }] })
  })

  it('runs in a folder below, and in no other', async () => {
    mkdirSync(join(context.workFolder, 'sub'))
    symlinkSync('/', join(context.workFolder, 'root'))
    expect(textsOf(await run('pwd', { cwd: 'sub' }))).toBe(`${context.workFolder}/sub\n`)
    for (const cwd of ['..', '/', 'root', 'root/etc'])
      expect(await run('pwd', { cwd })).toMatchObject({ code: 'outside_work_folder' })
    expect(await run('pwd', { cwd: 'none' })).toMatchObject({ code: 'not_found' })
  })

  it('without a work folder nothing runs', async () => {
    const result = await runTool(tool, tool.spec, '{"command":"echo x"}', { ...context, workFolder: null })
    expect(result).toMatchObject({ outcome: 'error', code: 'work_folder_missing' })
    expect(context.live).toEqual([])
  })

  it('refuses what the system could not start', () => {
    expect(tool.problem(JSON.stringify({ command: 'a\0b' }))).toContain('NUL')
    expect(tool.problem(JSON.stringify({ command: 'ä'.repeat(100_000) }))).toContain('write a script file')
    expect(tool.problem('{"command":"x","timeoutSeconds":0}')).toContain('timeoutSeconds')
  })
})

describe('a confinement that fails after it was found', () => {
  it('says why, and the command does not run', async () => {
    const broken = {
      kind: 'bwrap',
      says: '',
      ownProcessTable: true,
      prefix: ['/bin/sh', '-c', 'echo "wrapper: no namespaces" >&2; exit 1', 'sh'],
    } as const
    const failing = createRunCommand({
      host,
      confine: () => Promise.resolve({ ...broken, prefix: [...broken.prefix] }),
    })
    const result = await failing.run('{"command":"echo ran"}', context)
    expect(result).toMatchObject({ outcome: 'error', code: 'exit_1' })
    expect(textsOf(result)).toContain('wrapper: no namespaces')
    expect(textsOf(result)).not.toContain('ran\n')
    const absent = createRunCommand({
      host,
      confine: () => Promise.resolve({ ...broken, prefix: ['/no/such/wrapper'] }),
    })
    expect(await absent.run('{"command":"echo ran"}', context)).toMatchObject({ outcome: 'error', code: 'cannot_run' })
  })
})
