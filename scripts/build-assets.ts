/** What tsc does not copy into dist: SQL files, scripts of the scripted model, and the workflow bundle, built once. */
import { chmodSync, cpSync } from 'node:fs'
import path from 'node:path'

const root = path.join(__dirname, '..')

async function main(): Promise<void> {
  for (const folder of ['log/sql', 'dev/scripts'])
    cpSync(path.join(root, folder), path.join(root, 'dist', folder), { recursive: true })
  chmodSync(path.join(root, 'dist/cli/main.js'), 0o755)
  const { bundleWorkflows } = (await import(
    path.join(root, 'dist/workers/bundle.js')
  )) as typeof import('../workers/bundle')
  await bundleWorkflows()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
