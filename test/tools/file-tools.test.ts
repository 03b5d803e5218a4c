/** What the file tools do with real files. */
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { TOOL_OUTPUT_CHARS } from '../../contract/limits'
import { editFile } from '../../tools/edit-file'
import { compileGlob } from '../../tools/glob'
import { listFiles } from '../../tools/list-files'
import { readFile } from '../../tools/read-file'
import { searchFiles } from '../../tools/search-files'
import { writeFile } from '../../tools/write-file'
import { newContext, removeFolders, textsOf, type TestContext } from './context'

afterAll(removeFolders)

let context: TestContext
beforeEach(() => {
  context = newContext()
})

const put = (path: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(join(context.workFolder, path)), { recursive: true })
  writeFileSync(join(context.workFolder, path), content)
}
const get = (path: string): string => readFileSync(join(context.workFolder, path), 'utf8')
const ask = async (tool: typeof readFile, args: object) => {
  const result = await tool.run(JSON.stringify(args), context)
  return { outcome: result.outcome, code: result.code, text: textsOf(result), blocks: result.blocks }
}

describe('read_file', () => {
  it('gives lines with their numbers', async () => {
    put('a.txt', 'one\ntwo\r\n\nlast')
    expect((await ask(readFile, { path: 'a.txt' })).text).toBe('   1\tone\n   2\ttwo\n   3\t\n   4\tlast')
  })

  it('reads a window and says where to go on', async () => {
    put('a.txt', Array.from({ length: 10 }, (_, i) => `l${i + 1}\n`).join(''))
    expect((await ask(readFile, { path: 'a.txt', offset: 3, limit: 2 })).text).toBe(
      '   3\tl3\n   4\tl4\n[lines 3 to 4 of 10 lines; go on with offset 5]',
    )
    expect((await ask(readFile, { path: 'a.txt', offset: 9, limit: 5 })).text).toBe(
      '   9\tl9\n  10\tl10\n[lines 9 to 10 of 10 lines]',
    )
    expect((await ask(readFile, { path: 'a.txt', offset: 11 })).text).toBe(
      '[the file has 10 lines: there is no line 11]',
    )
    put('empty', '')
    expect((await ask(readFile, { path: 'empty' })).text).toBe('[the file is empty]')
  })

  it('windows together are the file, however long: nothing is lost where the room ends', async () => {
    const lines = Array.from({ length: 5_000 }, (_, i) => `line ${i + 1} ${'x'.repeat(i % 50)}`)
    put('big.txt', `${lines.join('\n')}\n`)
    const got: string[] = []
    for (let offset = 1; offset <= lines.length;) {
      const { text, blocks } = await ask(readFile, { path: 'big.txt', offset, limit: 10_000 })
      expect(text.length).toBeLessThanOrEqual(TOOL_OUTPUT_CHARS)
      expect(blocks).toHaveLength(1)
      const shown = text.split('\n').filter((line) => line.includes('\t'))
      got.push(...shown.map((line) => line.slice(line.indexOf('\t') + 1)))
      const more = /go on with offset (\d+)/.exec(text)
      offset = more ? Number(more[1]) : lines.length + 1
      expect(offset).toBe(got.length + 1)
    }
    expect(got).toEqual(lines)
  })

  it('cuts long lines, refuses binary files, replaces bytes that are not UTF-8', async () => {
    put('long.txt', `${'a'.repeat(3_000_000)}\nshort`)
    expect((await ask(readFile, { path: 'long.txt' })).text).toMatch(
      /^ {3}1\ta{2000} \[\.\.\. the line has 3000000 characters\]\n {3}2\tshort$/,
    )
    put('bin', new Uint8Array([0x7f, 0x45, 0, 1]))
    expect(await ask(readFile, { path: 'bin' })).toMatchObject({
      outcome: 'error',
      code: 'binary_file',
      text: expect.stringContaining('bin is a binary file'),
    })
    put('latin1.txt', new Uint8Array([0x63, 0x61, 0x66, 0xe9]))
    expect((await ask(readFile, { path: 'latin1.txt' })).text).toBe('   1\tcaf\uFFFD')
    put('late-nul.txt', `${'a\n'.repeat(10_000)}\0`)
    expect((await ask(readFile, { path: 'late-nul.txt', offset: 10_001 })).blocks[0]).toMatchObject({ normalised: 1 })
  })

  it('says that a file is missing, or is a folder', async () => {
    expect(await ask(readFile, { path: 'no' })).toMatchObject({
      outcome: 'error',
      code: 'not_found',
      text: expect.not.stringContaining(context.workFolder),
    })
    expect(await ask(readFile, { path: 'no/deep' })).toMatchObject({ code: 'not_found' })
    mkdirSync(join(context.workFolder, 'dir'))
    expect(await ask(readFile, { path: 'dir' })).toMatchObject({ code: 'is_folder' })
  })
})

describe('list_files', () => {
  beforeEach(() => {
    put('src/a.ts', '')
    put('src/deep/er/b.ts', '')
    put('.git/config', '')
    put('node_modules/x/index.js', '')
    put('node_modules/x/node_modules/y/index.js', '')
    put('.savefile-0123456789abcdef.tmp', '')
    symlinkSync('src', join(context.workFolder, 'link'))
  })

  it('gives one path a line, leaves out .git and node_modules, and says so', async () => {
    const { text } = await ask(listFiles, {})
    expect(text).toBe('link@\nsrc/\nsrc/a.ts\nsrc/deep/\n[depth 2; .git and node_modules are not listed]')
    expect((await ask(listFiles, { path: 'src', depth: 9 })).text).toContain('src/deep/er/b.ts\n')
    expect((await ask(listFiles, { path: 'node_modules/x' })).text).toContain('node_modules/x/index.js')
  })

  it('is bounded', async () => {
    for (let i = 0; i < 2_100; i++) put(`many/f${i}`, '')
    const { text } = await ask(listFiles, { path: 'many' })
    expect(text).toContain('[stopped at 2000 entries')
  })

  it('says that a folder is empty', async () => {
    mkdirSync(join(context.workFolder, 'empty'))
    expect((await ask(listFiles, { path: 'empty' })).text).toContain('[the folder is empty]')
  })
})

describe('search_files', () => {
  it('gives path:line: text, within path and glob', async () => {
    put('src/a.ts', 'const one = 1\nconst two = 2\n')
    put('src/b.js', 'let ONE = 1\n')
    put('node_modules/x.ts', 'const one\n')
    expect((await ask(searchFiles, { pattern: 'one|two' })).text).toBe(
      'src/a.ts:1: const one = 1\nsrc/a.ts:2: const two = 2\n[2 matches in 2 files]',
    )
    expect((await ask(searchFiles, { pattern: '\\bone\\b', ignoreCase: true, path: 'src', glob: '*.js' })).text).toBe(
      'src/b.js:1: let ONE = 1\n[1 match in 1 files]',
    )
    expect((await ask(searchFiles, { pattern: 'two', path: 'src/a.ts' })).text).toContain('src/a.ts:2: const two = 2')
    expect((await ask(searchFiles, { pattern: 'nowhere' })).text).toBe('[0 matches in 2 files]')
  })

  it('a catastrophic pattern is ended and said, and does not hold this process meanwhile', async () => {
    put('a.txt', `${'a'.repeat(40)}b\n`)
    let ticks = 0
    const timer = setInterval(() => ticks++, 10)
    const began = Date.now()
    const { outcome, text } = await ask(searchFiles, { pattern: '^(a+)+$' })
    clearInterval(timer)
    expect(outcome).toBe('ok')
    expect(text).toMatch(/the pattern took too long \(first in a\.txt\)/)
    // It would take days; held, this process would have seen one tick or none.
    expect(Date.now() - began).toBeLessThan(30_000)
    expect(ticks).toBeGreaterThan(3)
  })

  it('is bounded in hits and in the length of a line, and says what it did not look at', async () => {
    put('many.txt', 'hit\n'.repeat(500))
    expect((await ask(searchFiles, { pattern: 'hit' })).text).toContain('stopped at 200 matches')
    put('many.txt', `${'x'.repeat(5_000)}needle${'y'.repeat(5_000)}`)
    const { text } = await ask(searchFiles, { pattern: 'needle' })
    expect(text).toMatch(/^many\.txt:1: \.\.\.x+needley+\.\.\.\n/)
    expect(text.length).toBeLessThan(500)
    put('bin', new Uint8Array([1, 0, 2]))
    put('large', 'x'.repeat(5 * 1024 * 1024))
    expect((await ask(searchFiles, { pattern: 'z' })).text).toContain('not searched: 1 binary, 1 over 4 MB')
  })

  it('refuses a pattern or a glob that cannot be read', async () => {
    expect(searchFiles.problem('{"pattern":"("}')).toMatch(
      /pattern: .*Unterminated group.*JavaScript regular expression/,
    )
    expect(await ask(searchFiles, { pattern: 'x', glob: '{a,b}'.repeat(7) })).toMatchObject({
      code: 'invalid_arguments',
      text: expect.stringContaining('glob'),
    })
  })

  it('globs', () => {
    const matches = (glob: string, path: string): boolean => {
      const compiled = compileGlob(glob)
      if (typeof compiled === 'string') throw new Error(compiled)
      return compiled(path)
    }
    expect([
      matches('*.ts', 'a/b/c.ts'),
      matches('*.ts', 'c.tsx'),
      matches('src/*.ts', 'src/a.ts'),
      matches('src/*.ts', 'src/a/b.ts'),
    ]).toEqual([true, false, true, false])
    expect([
      matches('src/**/*.{js,ts}', 'src/a/b/c.ts'),
      matches('src/**/*.ts', 'src/c.ts'),
      matches('**', 'a/b'),
      matches('src/**', 'lib/a'),
    ]).toEqual([true, true, true, false])
    expect([matches('a?c', 'abc'), matches('a?c', 'ac'), matches('**/x/**/y', 'a/x/b/x/y')]).toEqual([
      true,
      false,
      true,
    ])
    expect(matches('*a'.repeat(90), 'a'.repeat(5_000) + 'b')).toBe(false)
  })
})

describe('write_file', () => {
  it('makes folders, replaces, keeps permissions, leaves nothing beside', async () => {
    expect(await ask(writeFile, { path: 'new/deep/a.txt', content: 'grüß' })).toMatchObject({
      outcome: 'ok',
      text: 'wrote 6 bytes to new/deep/a.txt',
    })
    chmodSync(join(context.workFolder, 'new/deep/a.txt'), 0o750)
    await ask(writeFile, { path: 'new/deep/a.txt', content: 'two' })
    expect(get('new/deep/a.txt')).toBe('two')
    expect(statSync(join(context.workFolder, 'new/deep/a.txt')).mode & 0o777).toBe(0o750)
    expect(readdirSync(join(context.workFolder, 'new/deep'))).toEqual(['a.txt'])
  })

  it('is idempotent: the same call again leaves the same', async () => {
    const first = await ask(writeFile, { path: 'a', content: 'x' })
    expect(await ask(writeFile, { path: 'a', content: 'x' })).toEqual(first)
    expect(get('a')).toBe('x')
  })

  it('changes nothing once it was told to stop', async () => {
    put('a', 'before')
    context.abort()
    expect(await ask(writeFile, { path: 'a', content: 'after' })).toMatchObject({ outcome: 'cancelled' })
    expect(get('a')).toBe('before')
    expect(readdirSync(context.workFolder)).toEqual(['a'])
  })
})

describe('edit_file', () => {
  it('replaces what occurs once, or all', async () => {
    put('a', 'one two one')
    expect(await ask(editFile, { path: 'a', old: 'one', new: '1' })).toMatchObject({
      code: 'not_unique',
      text: expect.stringContaining('occurs 2 times'),
    })
    expect(get('a')).toBe('one two one')
    expect((await ask(editFile, { path: 'a', old: 'one', new: '1', all: true })).text).toBe(
      'replaced 2 occurrences in a',
    )
    expect((await ask(editFile, { path: 'a', old: 'two', new: '$& $1' })).text).toBe('replaced 1 occurrence in a')
    expect(get('a')).toBe('1 $& $1 1')
  })

  it('tells a second run after a lost answer from a wrong text', async () => {
    put('a', 'old text')
    await ask(editFile, { path: 'a', old: 'old', new: 'new' })
    expect(await ask(editFile, { path: 'a', old: 'old', new: 'new' })).toMatchObject({
      outcome: 'error',
      code: 'already_there',
    })
    expect(await ask(editFile, { path: 'a', old: 'absent', new: 'other' })).toMatchObject({
      code: 'not_found',
      text: expect.stringContaining('0 times'),
    })
    expect(editFile.spec).toMatchObject({ readOnly: false, idempotent: false })
  })

  it('keeps a byte order mark and line ends, refuses what is not UTF-8', async () => {
    put('bom', '\uFEFFa\r\nb\r\n')
    expect((await ask(editFile, { path: 'bom', old: 'a\nb', new: 'c\nd' })).outcome).toBe('ok')
    expect(readFileSync(join(context.workFolder, 'bom'))).toEqual(Buffer.from('\uFEFFc\r\nd\r\n'))
    put('latin1', new Uint8Array([0x61, 0xe9]))
    expect(await ask(editFile, { path: 'latin1', old: 'a', new: 'b' })).toMatchObject({ code: 'binary_file' })
    expect(readFileSync(join(context.workFolder, 'latin1'))).toEqual(Buffer.from([0x61, 0xe9]))
  })
})
