/** Where this package's own files are, from the source tree and from the published package (dist/). */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

/** The folder of our package.json. */
export function packageRoot(): string {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'package.json')
    if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name === 'savefile')
      return folder
    if (folder === path.dirname(folder)) throw new Error(`no package.json of savefile above ${__dirname}`)
  }
}

/** Whether this runs from TypeScript sources (a checkout), not from dist/. */
export function runsFromSource(): boolean {
  return __filename.endsWith('.ts')
}

/** What to give to node to run an entry of ours: `nodeArgs('workers/main')`. */
export function nodeArgs(entry: string): string[] {
  if (!runsFromSource()) return [path.join(packageRoot(), 'dist', `${entry}.js`)]
  // --import resolves names from the working directory, which is the user's: hence the URL.
  return ['--import', pathToFileURL(require.resolve('tsx')).href, path.join(packageRoot(), `${entry}.ts`)]
}
