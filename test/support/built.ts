/**
 * The processes that tests start run compiled code, as the published package does (test/package builds that itself, with tsc): once a run
 * the sources are compiled by swc into a folder, in which everything else of the package is a link. From source, by tsx, each process would
 * compute for a second before its first line.
 */
import { readFileSync } from 'node:fs'
import { cp, mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { transformFile, type Options } from '@swc/core'

const ROOT = path.join(__dirname, '..', '..')
/** What the package is built of, and what tests alone run so; `kitchen-tools`: a user's own, for a worker to load. */
const SOURCES = [
  ...(JSON.parse(readFileSync(path.join(ROOT, 'tsconfig.build.json'), 'utf8')) as { include: string[] }).include,
  'test/explorer',
  'test/e2e/kitchen-tools.ts',
]
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
  await Promise.all(SOURCES.map((name) => compile(path.join(ROOT, name), path.join(dist, name))))
  for (const assets of ['log/sql', 'dev/scripts'])
    await cp(path.join(ROOT, assets), path.join(dist, assets), { recursive: true })
}

/** A file, or a folder with all that is in it. */
async function compile(from: string, to: string): Promise<void> {
  if (from.endsWith('.ts')) {
    if (from.endsWith('.test.ts')) return
    await mkdir(path.dirname(to), { recursive: true })
    await writeFile(to.replace(/\.ts$/, '.js'), (await transformFile(from, SWC)).code)
  } else if ((await stat(from)).isDirectory())
    await Promise.all((await readdir(from)).map((name) => compile(path.join(from, name), path.join(to, name))))
}
