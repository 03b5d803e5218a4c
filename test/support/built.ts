/**
 * The processes that tests start run compiled code, as the published package does (test/package builds that itself, with tsc): once a run
 * the sources are compiled by swc into a folder, in which everything else of the package is a link. From source, by tsx, each process would
 * compute for a second before its first line.
 */
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { transformFile, type Options } from '@swc/core'

const ROOT = path.join(__dirname, '..', '..')
const CODE = [
  'contract',
  'log',
  'providers',
  'tools',
  'transcripts',
  'workflows',
  'activities',
  'workers',
  'client',
  'cli',
  'dev',
  'test/explorer',
]
/** `kitchen-tools`: a user's own, for a worker to load. */
const FILES = ['index', 'worker', 'test/e2e/kitchen-tools']
const SWC: Options = {
  jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
  // Names its exports for `await import()`, as tsc does.
  module: { type: 'commonjs', ignoreDynamic: true, exportInteropAnnotation: true },
  swcrc: false,
}

/** Arguments of node for an entry of ours: `builtArgs('cli/main')`. */
export function builtArgs(entry: string): string[] {
  const root = process.env['SAVEFILE_TEST_BUILT']
  if (root === undefined) throw new Error('global-setup has not built anything')
  return [path.join(root, 'dist', `${entry}.js`)]
}

/** Makes `folder` a package with a dist/ of today's sources. */
export async function build(folder: string): Promise<void> {
  await mkdir(folder)
  const beside = (await readdir(ROOT)).filter((name) => name !== 'dist' && !name.startsWith('.'))
  await Promise.all(beside.map((name) => symlink(path.join(ROOT, name), path.join(folder, name))))
  const dist = path.join(folder, 'dist')
  await mkdir(dist)
  const present = CODE.filter((name) => existsSync(path.join(ROOT, name)))
  await Promise.all([
    ...present.map((name) => compile(path.join(ROOT, name), path.join(dist, name))),
    ...FILES.map(async (name) => {
      await mkdir(path.dirname(path.join(dist, name)), { recursive: true })
      await compileFile(path.join(ROOT, `${name}.ts`), path.join(dist, `${name}.js`))
    }),
  ])
  for (const assets of ['log/sql', 'dev/scripts'])
    await cp(path.join(ROOT, assets), path.join(dist, assets), { recursive: true })
}

async function compile(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  const entries = await readdir(from, { withFileTypes: true })
  await Promise.all(
    entries.map(async (entry) => {
      const source = path.join(from, entry.name)
      if (entry.isDirectory()) return compile(source, path.join(to, entry.name))
      if (!entry.name.endsWith('.ts') || entry.name.endsWith('.test.ts')) return
      await compileFile(source, path.join(to, entry.name.replace(/\.ts$/, '.js')))
    }),
  )
}

async function compileFile(from: string, to: string): Promise<void> {
  await writeFile(to, (await transformFile(from, SWC)).code)
}
