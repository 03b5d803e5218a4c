/** Every way out of the work folder that we know of, tried with every file tool. */
import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { ToolResult } from '../../contract/ports'
import { editFile } from '../../tools/edit-file'
import { listFiles } from '../../tools/list-files'
import { readFile } from '../../tools/read-file'
import { searchFiles } from '../../tools/search-files'
import { inParent, locate, openFile, openFolder } from '../../tools/work-folder'
import { replaceFile, writeFile } from '../../tools/write-file'
import { newContext, newFolder, removeFolders, textsOf, type TestContext } from './context'

afterAll(removeFolders)

const SECRET = 'outside secret'
let outside: string
let context: TestContext

beforeEach(() => {
  outside = newFolder('outside')
  writeFileSync(join(outside, 'secret.txt'), SECRET)
  context = newContext()
})

/** All file tools on one path. */
async function all(path: string): Promise<[string, ToolResult][]> {
  const call = async (tool: typeof readFile, args: object): Promise<[string, ToolResult]> => [
    tool.name,
    await tool.run(JSON.stringify(args), context),
  ]
  return [
    await call(readFile, { path }),
    await call(listFiles, { path }),
    await call(searchFiles, { pattern: 'secret', path }),
    await call(writeFile, { path, content: 'overwritten' }),
    await call(editFile, { path, old: SECRET, new: 'overwritten' }),
  ]
}

async function expectRefused(path: string): Promise<void> {
  const before = readdirSync(outside, { recursive: true }).sort()
  for (const [name, result] of await all(path)) {
    expect([name, path, result.outcome, result.code]).toEqual([name, path, 'error', 'outside_work_folder'])
    expect(textsOf(result)).toContain('relative to the work folder')
    expect(textsOf(result)).not.toContain(SECRET)
  }
  expect(readFileSync(join(outside, 'secret.txt'), 'utf8')).toBe(SECRET)
  expect(readdirSync(outside, { recursive: true }).sort()).toEqual(before)
}

test("the development stack's folder is not for models: refused by name and through a link, left out of listings and searches", async () => {
  const root = context.workFolder ?? ''
  mkdirSync(join(root, '.savefile'))
  writeFileSync(join(root, '.savefile/dev.json'), '{"password":"of the log"}')
  symlinkSync('.savefile', join(root, 'innocent'))
  for (const path of ['.savefile', '.savefile/dev.json', 'innocent/dev.json'])
    for (const [name, { code }] of await all(path))
      expect([name, path, code]).toEqual([name, path, 'outside_work_folder'])
  const listed = await listFiles.run('{}', context)
  const found = await searchFiles.run('{"pattern":"password"}', context)
  for (const result of [listed, found]) {
    expect(result.outcome).toBe('ok')
    expect(textsOf(result)).not.toContain('dev.json')
  }
})

describe('the work folder', () => {
  it.each(['..', '../x', 'a/../../x', './../x', '../../../../../../etc/passwd', 'a/b/../../../x'])(
    'refuses %s',
    async (path) => {
      mkdirSync(join(context.workFolder, 'a/b'), { recursive: true })
      await expectRefused(path)
    },
  )

  it('refuses absolute paths, also those that lie inside', async () => {
    await expectRefused(join(outside, 'secret.txt'))
    await expectRefused('/etc/passwd')
    await expectRefused(context.workFolder)
  })

  it('refuses links that lead out: of a file, of a folder, in the middle, by two steps, to /proc', async () => {
    const at = (name: string) => join(context.workFolder, name)
    symlinkSync(join(outside, 'secret.txt'), at('file'))
    symlinkSync(outside, at('folder'))
    symlinkSync('folder', at('second'))
    symlinkSync('../'.repeat(20), at('up'))
    symlinkSync('/proc/self/root', at('root'))
    for (const path of [
      'file',
      'folder',
      'folder/secret.txt',
      'folder/new/deep.txt',
      'second/secret.txt',
      'up',
      'root/etc/passwd',
    ])
      await expectRefused(path)
    expect(lstatSync(at('file')).isSymbolicLink()).toBe(true)
  })

  it('refuses links to nothing and circles, and makes nothing through them', async () => {
    symlinkSync(join(outside, 'not-yet.txt'), join(context.workFolder, 'dangling'))
    symlinkSync(join(outside, 'not-yet'), join(context.workFolder, 'danglingFolder'))
    symlinkSync('loop', join(context.workFolder, 'loop'))
    for (const path of ['dangling', 'danglingFolder/x.txt', 'loop', 'loop/x']) await expectRefused(path)
  })

  it('follows links that stay inside, and writes to what they name', async () => {
    mkdirSync(join(context.workFolder, 'real'))
    writeFileSync(join(context.workFolder, 'real/a.txt'), 'one')
    symlinkSync('real', join(context.workFolder, 'alias'))
    symlinkSync('real/a.txt', join(context.workFolder, 'a-link'))
    expect(textsOf(await readFile.run('{"path":"alias/a.txt"}', context))).toBe('   1\tone')
    expect((await writeFile.run('{"path":"a-link","content":"two"}', context)).outcome).toBe('ok')
    expect(readFileSync(join(context.workFolder, 'real/a.txt'), 'utf8')).toBe('two')
    expect(lstatSync(join(context.workFolder, 'a-link')).isSymbolicLink()).toBe(true)
  })

  it('does not go through a folder that was swapped for a link between check and use', async () => {
    const inner = join(context.workFolder, 'dir')
    mkdirSync(inner)
    writeFileSync(join(inner, 'secret.txt'), 'harmless')
    const place = await locate(context.workFolder, 'dir/secret.txt')
    const fresh = await locate(context.workFolder, 'dir/new.txt')
    rmSync(inner, { recursive: true })
    symlinkSync(outside, inner)
    const read = inParent(place, {}, openFile)
    await expect(read).rejects.toMatchObject({ code: 'outside_work_folder' })
    const write = inParent(fresh, { create: true }, (folder, name) =>
      replaceFile(folder, name, Buffer.from('x'), context.signal),
    )
    await expect(write).rejects.toMatchObject({ code: 'outside_work_folder' })
    await expect(openFolder({ root: place.root, parts: ['dir'] })).rejects.toMatchObject({
      code: 'outside_work_folder',
    })
    expect(readdirSync(outside)).toEqual(['secret.txt'])
  })

  it('does not go through a file that was swapped for a link, nor a folder above that was swapped while it is open', async () => {
    const inner = join(context.workFolder, 'dir')
    mkdirSync(inner)
    writeFileSync(join(inner, 'secret.txt'), 'harmless')
    const place = await locate(context.workFolder, 'dir/secret.txt')
    await inParent(place, {}, async (folder, name) => {
      rmSync(join(inner, 'secret.txt'))
      symlinkSync(join(outside, 'secret.txt'), join(inner, 'secret.txt'))
      await expect(openFile(folder, name)).rejects.toMatchObject({ code: 'outside_work_folder' })
      await expect(replaceFile(folder, name, Buffer.from('x'), context.signal)).rejects.toMatchObject({
        code: 'outside_work_folder',
      })
      rmSync(join(inner, 'secret.txt'))
      renameSync(inner, join(context.workFolder, 'moved'))
      symlinkSync(outside, inner)
      await replaceFile(folder, 'late.txt', Buffer.from('stays inside'), context.signal)
    })
    expect(readFileSync(join(context.workFolder, 'moved/late.txt'), 'utf8')).toBe('stays inside')
    expect(readFileSync(join(outside, 'secret.txt'), 'utf8')).toBe(SECRET)
    expect(readdirSync(outside)).toEqual(['secret.txt'])
  })

  it('holds while another process swaps a folder and a link as fast as it can', async () => {
    const inner = join(context.workFolder, 'dir')
    mkdirSync(inner)
    writeFileSync(join(inner, 'secret.txt'), 'harmless')
    const swapper = `
      const fs = require('node:fs')
      const [dir, out] = process.argv.slice(1)
      // In a gap write_file may make the folder anew, even while it is being removed.
      const insist = (what) => { for (;;) try { return what() } catch (error) { if (error.code === 'ENOENT') throw error } }
      for (const end = Date.now() + 1500; Date.now() < end;) {
        fs.renameSync(dir, dir + '.away')
        try { fs.symlinkSync(out, dir) } catch {}
        insist(() => { fs.rmSync(dir, { recursive: true, force: true }); fs.renameSync(dir + '.away', dir) })
      }`
    const child = spawn(process.execPath, ['-e', swapper, inner, outside], { stdio: 'inherit' })
    let running = true
    const ended = new Promise<number | null>((resolve) =>
      child.on('exit', (code) => {
        running = false
        resolve(code)
      }),
    )
    const codes = new Set<string | undefined>()
    while (running) {
      const read = await readFile.run('{"path":"dir/secret.txt"}', context)
      expect(textsOf(read)).not.toContain(SECRET)
      const write = await writeFile.run('{"path":"dir/made.txt","content":"x"}', context)
      codes.add(read.code).add(write.code)
    }
    expect(await ended).toBe(0)
    expect(codes.size).toBeGreaterThan(1)
    expect(readdirSync(outside)).toEqual(['secret.txt'])
  })

  it('allows hard links: they are files like any other', async () => {
    const other = join(context.workFolder, 'other.txt')
    writeFileSync(other, 'linked')
    linkSync(other, join(context.workFolder, 'hard.txt'))
    expect(textsOf(await readFile.run('{"path":"hard.txt"}', context))).toBe('   1\tlinked')
  })

  it('refuses FIFOs and devices at once, for reading and for writing', async () => {
    execFileSync('/bin/sh', ['-c', 'mkfifo "$0"', join(context.workFolder, 'fifo')])
    for (const [name, result] of await all('fifo')) {
      expect([name, result.outcome]).toEqual([name, 'error'])
      expect([name, result.code]).toEqual([name, name === 'list_files' ? 'not_a_folder' : 'not_a_file'])
    }
    expect(statSync(join(context.workFolder, 'fifo')).isFIFO()).toBe(true)
  })

  it('says what is wrong with NUL in a path, too long names, files in the place of folders', async () => {
    const code = async (path: string) => (await writeFile.run(JSON.stringify({ path, content: '' }), context)).code
    writeFileSync(join(context.workFolder, 'file'), '')
    expect(await code('a\0b')).toBe('invalid_arguments')
    expect(await code('x'.repeat(300))).toBe('name_too_long')
    expect(await code('file/below')).toBe('not_a_folder')
    expect(await code('.')).toBe('is_folder')
    mkdirSync(join(context.workFolder, 'folder'))
    expect(await code('folder')).toBe('is_folder')
    expect(readdirSync(context.workFolder).sort()).toEqual(['file', 'folder'])
  })

  it('without a work folder, or with one that does not exist or is a file, every tool says what to do and does nothing', async () => {
    writeFileSync(join(outside, 'plain'), '')
    for (const workFolder of [null, '', join(outside, 'none'), join(outside, 'plain')]) {
      const without = { ...context, workFolder } as TestContext
      for (const tool of [readFile, listFiles, searchFiles, writeFile, editFile]) {
        const args = {
          read_file: { path: 'a' },
          list_files: {},
          search_files: { pattern: 'x' },
          write_file: { path: 'a', content: '' },
          edit_file: { path: 'a', old: 'a', new: 'b' },
        }
        const right = await tool.run(JSON.stringify(args[tool.name as keyof typeof args]), without)
        expect([tool.name, right.outcome, right.code]).toEqual([tool.name, 'error', 'work_folder_missing'])
        expect(textsOf(right)).toContain('A person can set one')
      }
    }
    expect(existsSync(join(outside, 'none'))).toBe(false)
  })
})
